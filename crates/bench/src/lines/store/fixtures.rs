//! What the store is measured with, made once by `git fast-import` and kept.

use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::corpus::run;
use crate::{Bench, Result};

/// Commits of `long.git`; one in ten changes the file that is asked for.
const COMMITS: usize = 50_000;

/// The size of `large.bin`.
pub(super) const LARGE_BYTES: u64 = 1 << 30;

/// Makes `wide.git` (one folder of 100,000 files), `million.git` (1,000 folders of 1,000 files), `long.git` (50,000
/// commits) and `large.bin` (random bytes) in the work folder.
pub(super) fn make(bench: &Bench) -> Result<()> {
    import(bench, "wide.git", |out| {
        files(out, (0..100_000).map(|at| format!("folder/file-{at:06}")))
    })?;
    import(bench, "million.git", |out| {
        let paths = (0..1_000_000).map(|at| format!("d{}/file-{at:07}", at / 1000));
        files(out, paths)
    })?;
    import(bench, "long.git", history)?;
    let large = bench.work.join("large.bin");
    if !large.exists() {
        let unfinished = bench.work.join("large.new");
        let mut random = std::fs::File::open("/dev/urandom")?.take(LARGE_BYTES);
        std::io::copy(&mut random, &mut std::fs::File::create(&unfinished)?)?;
        std::fs::rename(unfinished, large)?;
    }
    Ok(())
}

/// A file that is here already is not made again.
fn import(
    bench: &Bench,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let repo = bench.work.join(name);
    if repo.join("done").exists() {
        return Ok(());
    }
    if repo.exists() {
        std::fs::remove_dir_all(&repo)?;
    }
    run(Command::new("git")
        .args(["init", "-q", "--bare", "-b", "main"])
        .arg(&repo))?;
    feed(&repo, write)?;
    std::fs::write(repo.join("done"), b"")?;
    Ok(())
}

/// Runs `git fast-import` on what `write` writes.
pub(super) fn feed(repo: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut import = Command::new("git")
        .arg("-C")
        .arg(repo)
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()?;
    let input = import.stdin.take().ok_or("fast-import has no input")?;
    let mut out = BufWriter::with_capacity(1 << 20, input);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    match import.wait()?.success() {
        true => Ok(()),
        false => Err("git fast-import failed".into()),
    }
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
