//! The server's memory while a large repository comes and goes.

use std::process::Command;

use tokio::runtime::Runtime;

use crate::corpus::Random;
use crate::fixture::{self, Repack, run};
use crate::report::Row;
use crate::server::Server;
use crate::{Bench, Result};

const FILES: usize = 2000;
const FILE_BYTES: usize = 1 << 20;
const LIMIT: u64 = 512 << 20;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = fixture::repository(bench, "huge.git", Repack::No, |out| {
        let mut random = Random(11);
        for number in 0..FILES {
            write!(
                out,
                "commit refs/heads/main\ncommitter Bench <bench@example.com> {} +0000\ndata 5\nlarge\n",
                1_600_000_000 + number
            )?;
            write!(
                out,
                "M 100644 inline d{}/f{number}\ndata {FILE_BYTES}\n",
                number % 20
            )?;
            for _ in 0..FILE_BYTES / 8 {
                out.write_all(&random.next().to_le_bytes())?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    })?;
    let server = Server::start(bench, None)?;
    server.create("huge")?;
    let url = server.git_url("huge")?;
    run(Command::new("git")
        .arg("-C")
        .arg(&source)
        .args(["push", "-q", &url, "main"]))?;
    let pushed = server.peak_memory_bytes()?;
    let folder = tempfile::tempdir_in(&bench.work)?;
    run(Command::new("git")
        .args(["clone", "-q", "--bare", &url])
        .arg(folder.path().join("clone")))?;
    let cloned = server.peak_memory_bytes()?;
    Ok(vec![Row {
        line: "the server's memory while a repository of 2 GB is pushed and cloned (peak resident)"
            .to_owned(),
        target: "under 512 MiB".to_owned(),
        ours: format!(
            "{} MiB after the push, {} MiB after the clone",
            pushed >> 20,
            cloned >> 20
        ),
        peer: "–".to_owned(),
        reached: cloned < LIMIT,
    }])
}
