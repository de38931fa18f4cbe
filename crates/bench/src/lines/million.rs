//! A commit into a repository of 1,000,000 files, against one of 1,000 files in equally deep folders.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::fixture::{self, Repack, run};
use crate::http::Connection;
use crate::lines::commits::commit;
use crate::report::Row;
use crate::sample::{median, ms};
use crate::server::Server;
use crate::{Bench, Result};

const COMMITS: u64 = 300;
const LIMIT: f64 = 2.0;

pub(crate) fn line(bench: &Bench, runtime: &Runtime) -> Result<Vec<Row>> {
    let server = Server::start(bench, None)?;
    let small = measure(bench, runtime, &server, 10)?;
    let large = measure(bench, runtime, &server, 100)?;
    let ratio = large.as_secs_f64() / small.as_secs_f64();
    Ok(vec![Row {
        line: "a commit into a repository of 1,000,000 files, against one of 1,000 files in equally deep folders".to_owned(),
        target: format!("at most {LIMIT}×"),
        ours: format!("{} against {} ({ratio:.2}×)", ms(large), ms(small)),
        peer: "–".to_owned(),
        reached: ratio <= LIMIT,
    }])
}

/// The median commit into a repository with `width` entries in every folder, three levels deep.
fn measure(bench: &Bench, runtime: &Runtime, server: &Server, width: usize) -> Result<Duration> {
    let name = format!("width-{width}");
    let source = repository(bench, width)?;
    server.create(&name)?;
    run(Command::new("git").arg("-C").arg(&source).args([
        "push",
        "-q",
        &server.git_url(&name)?,
        "main",
    ]))?;
    let token = server.minter.mint(&name)?;
    runtime.block_on(async {
        let mut connection = Connection::open(server.address).await?;
        let mut took = Vec::new();
        for number in 0..COMMITS {
            let at = number as usize * 7;
            let path = format!("d{}/e{}/f{}", at % width, at / 3 % width, at / 5 % width);
            let began = Instant::now();
            commit(&mut connection, &token, &path, number).await?;
            took.push(began.elapsed());
        }
        Ok(median(&mut took))
    })
}

/// A bare repository with `width`³ files.
fn repository(bench: &Bench, width: usize) -> Result<PathBuf> {
    fixture::repository(bench, &format!("width-{width}.git"), Repack::No, |out| {
        out.write_all(b"blob\nmark :1\ndata 5\nfile\n\n")?;
        out.write_all(b"commit refs/heads/main\ncommitter Bench <bench@example.com> 1600000000 +0000\ndata 5\nfiles\n")?;
        for (d, e) in (0..width).flat_map(|d| (0..width).map(move |e| (d, e))) {
            for f in 0..width {
                writeln!(out, "M 100644 :1 d{d}/e{e}/f{f}")?;
            }
        }
        Ok(())
    })
}
