//! How soon after a large push a clone is a copy of bytes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::corpus::Random;
use crate::fixture::{self, Repack, run};
use crate::report::Row;
use crate::sample::seconds;
use crate::server::Server;
use crate::{Bench, Result};

/// Each adds a blob, two trees and a commit.
const COMMITS: usize = 25_000;
const OBJECTS: usize = COMMITS * 4;
const LIMIT: Duration = Duration::from_secs(60);
/// When it is given up.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let source = fixture::repository(bench, "fit.git", Repack::OnePack, |out| {
        let mut random = Random(17);
        for number in 0..COMMITS {
            write!(
                out,
                "commit refs/heads/main\ncommitter Bench <bench@example.com> {} +0000\ndata 4\nedit",
                1_600_000_000 + number
            )?;
            // One line of a file is another one each time, so that most blobs and trees are deltas.
            let (folder, file) = (random.below(40), random.below(25));
            let mut text = String::new();
            for line in 0..60 {
                let edited = if line == number % 60 { number } else { 0 };
                text.push_str(&format!(
                    "file {folder}/{file}, line {line}, edited in {edited}\n"
                ));
            }
            write!(
                out,
                "\nM 100644 inline d{folder}/f{file}\ndata {}\n{text}\n",
                text.len()
            )?;
        }
        Ok(())
    })?;
    let server = Server::start(bench, None)?;
    server.create("fit")?;
    let url = server.git_url("fit")?;
    run(Command::new("git")
        .arg("-C")
        .arg(&source)
        .args(["push", "-q", &url, "main"]))?;
    let pushed = Instant::now();
    let bucket = server.folder().join("data/bucket");
    let fit = loop {
        let since = pushed.elapsed();
        if since > PATIENCE {
            return Err("clones were never a copy".into());
        }
        // A clone costs the server what it is to be measured at, so none is made in vain.
        if let Some(pack) = with_bitmap(&bucket)?
            && is_copied(bench, &url, &pack)?
        {
            break since;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    Ok(vec![Row {
        line: format!(
            "from a push of {OBJECTS} objects to clones that are copies of bytes, in the background"
        ),
        target: format!("under {}", seconds(LIMIT)),
        ours: seconds(fit),
        peer: "–".to_owned(),
        reached: fit < LIMIT,
    }])
}

/// The pack of a bucket in a folder that has bitmaps.
fn with_bitmap(folder: &Path) -> Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if let Some(found) = with_bitmap(&path)? {
                return Ok(Some(found));
            }
        } else if path.extension().is_some_and(|ending| ending == "bitmap") {
            return Ok(Some(path.with_extension("pack")));
        }
    }
    Ok(None)
}

/// Whether a clone gets this very pack.
fn is_copied(bench: &Bench, url: &str, pack: &Path) -> Result<bool> {
    let folder = tempfile::tempdir_in(&bench.work)?;
    let clone = folder.path().join("clone");
    run(Command::new("git")
        .args(["clone", "-q", "--bare", url])
        .arg(&clone))?;
    for entry in std::fs::read_dir(clone.join("objects/pack"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "pack") {
            return Ok(std::fs::read(path)? == std::fs::read(pack)?);
        }
    }
    Ok(false)
}
