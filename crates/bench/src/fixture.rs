//! Repositories that lines are measured with: made by `git fast-import` once, and kept in the work folder.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Bench, Result};

/// What `git repack` makes of a new repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repack {
    /// Left as `git fast-import` wrote it.
    No,
    /// One pack.
    OnePack,
    /// One pack with a bitmap.
    WithBitmap,
}

/// The bare repository `name` with branch `main`, and in it what `write` tells `git fast-import`. One that was finished
/// before is not made again.
pub(crate) fn repository(
    bench: &Bench,
    name: &str,
    repack: Repack,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<PathBuf> {
    let repo = bench.work.join(name);
    let done = repo.join("done");
    if done.exists() {
        return Ok(repo);
    }
    if repo.exists() {
        std::fs::remove_dir_all(&repo)?;
    }
    run(Command::new("git")
        .args(["init", "-q", "--bare", "-b", "main"])
        .arg(&repo))?;
    feed(&repo, write)?;
    let flags = match repack {
        Repack::No => None,
        Repack::OnePack => Some("-adq"),
        Repack::WithBitmap => Some("-adqb"),
    };
    if let Some(flags) = flags {
        run(Command::new("git")
            .arg("-C")
            .arg(&repo)
            .args(["repack", flags]))?;
    }
    std::fs::write(done, b"")?;
    Ok(repo)
}

/// Runs `git fast-import` on what `write` writes.
pub(crate) fn feed(repo: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
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

/// Runs a program; its failure is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {status}").into()),
    }
}
