//! What the store is measured with, made once by `git fast-import` and kept.

use std::io::{Read, Write};

use crate::fixture::{self, Repack};
use crate::{Bench, Result};

/// Commits of `long.git`; one in ten changes the file that is asked for.
const COMMITS: usize = 50_000;

/// The size of `large.bin`.
pub(super) const LARGE_BYTES: u64 = 1 << 30;

/// Makes `wide.git` (one folder of 100,000 files), `million.git` (1,000 folders of 1,000 files), `long.git` (50,000
/// commits) and `large.bin` (random bytes) in the work folder.
pub(super) fn make(bench: &Bench) -> Result<()> {
    fixture::repository(bench, "wide.git", Repack::No, |out| {
        files(out, (0..100_000).map(|at| format!("folder/file-{at:06}")))
    })?;
    fixture::repository(bench, "million.git", Repack::No, |out| {
        let paths = (0..1_000_000).map(|at| format!("d{}/file-{at:07}", at / 1000));
        files(out, paths)
    })?;
    fixture::repository(bench, "long.git", Repack::No, history)?;
    let large = bench.work.join("large.bin");
    if !large.exists() {
        let unfinished = bench.work.join("large.new");
        let mut random = std::fs::File::open("/dev/urandom")?.take(LARGE_BYTES);
        std::io::copy(&mut random, &mut std::fs::File::create(&unfinished)?)?;
        std::fs::rename(unfinished, large)?;
    }
    Ok(())
}

fn files(out: &mut dyn Write, paths: impl Iterator<Item = String>) -> Result<()> {
    out.write_all(b"blob\nmark :1\ndata 5\nfile\n\n")?;
    commit(out, 0)?;
    for path in paths {
        writeln!(out, "M 100644 :1 {path}")?;
    }
    Ok(())
}

fn history(out: &mut dyn Write) -> Result<()> {
    for at in 0..COMMITS {
        commit(out, at)?;
        let content = format!("change {at}\n");
        write!(
            out,
            "M 100644 inline d{}/file\ndata {}\n{content}\n",
            at % 10,
            content.len()
        )?;
    }
    Ok(())
}

fn commit(out: &mut dyn Write, at: usize) -> Result<()> {
    let time = 1_600_000_000 + at;
    write!(
        out,
        "commit refs/heads/main\ncommitter Bench <bench@example.com> {time} +0000\ndata 7\ncommit\n"
    )?;
    Ok(())
}
