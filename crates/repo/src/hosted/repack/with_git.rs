//! Having the `git` program choose deltas for a full repack.
//!
//! It works in a bare repository of its own, made for this, whose packs are links to those of the view; what it writes is
//! held against its checksum and taken over. It runs no hooks and reads no configuration of anybody's.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use packhouse_object::{FinishedPack, ObjectId, Pack, PackError, Progress};

/// How often it is looked whether the program has ended, or is to be ended.
const LOOK: Duration = Duration::from_millis(50);

/// What one thread may hold of objects that are compared: the default of git is as much as there are.
const WINDOW_MEMORY: &str = "pack.windowMemory=32m";
/// Larger files are not compared with others.
const BIG_FILE: &str = "core.bigFileThreshold=32m";

/// Why git did not do it.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    #[error("git could not be used")]
    Io(#[from] io::Error),
    #[error("git failed: {0}")]
    Failed(String),
    #[error("git wrote a pack that cannot be used")]
    Pack(#[from] PackError),
    #[error("cancelled")]
    Cancelled,
}

/// Has `git` make a pack of all that `tips` reach. `packs` are files of packs and their indexes; `folder` is where it works.
pub(super) fn repack(
    git: &Path,
    folder: &Path,
    packs: &[PathBuf],
    tips: &[ObjectId],
    progress: &dyn Progress,
) -> Result<FinishedPack, GitError> {
    let place = tempfile::Builder::new()
        .prefix("repack")
        .tempdir_in(folder)?;
    let dir = place.path();
    let objects = dir.join("objects/pack");
    fs::create_dir_all(&objects)?;
    fs::create_dir_all(dir.join("refs"))?;
    fs::write(dir.join("HEAD"), "ref: refs/heads/main\n")?;
    let config = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
    fs::write(dir.join("config"), config)?;
    for (number, pack) in packs.iter().enumerate() {
        let at = objects.join(format!("pack-{number:040x}"));
        for ending in ["pack", "idx"] {
            link(&pack.with_extension(ending), &at.with_extension(ending))?;
        }
    }
    let mut child = Command::new(git)
        .args(["-c", WINDOW_MEMORY, "-c", BIG_FILE])
        .args(["pack-objects", "-q", "--revs", "--delta-base-offset"])
        .arg(dir.join("new"))
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("GIT_DIR", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(File::create(dir.join("out"))?)
        .stderr(File::create(dir.join("err"))?)
        .spawn()?;
    let fed = feed(&mut child, tips);
    let status = wait(&mut child, progress)?;
    if !status {
        let said = fs::read(dir.join("err"))?;
        let said = String::from_utf8_lossy(&said[..said.len().min(1000)]).into_owned();
        return Err(GitError::Failed(said));
    }
    fed?;
    let name = fs::read_to_string(dir.join("out"))?;
    let path = dir.join(format!("new-{}", name.trim()));
    // Out of the folder, which goes with this function.
    let new = tempfile::Builder::new().prefix("new").tempfile_in(folder)?;
    let new = new.path().to_owned();
    for ending in ["pack", "idx"] {
        fs::rename(path.with_extension(ending), new.with_extension(ending))?;
    }
    Ok(FinishedPack::adopt(
        new.with_extension("pack"),
        new.with_extension("idx"),
    )?)
}

/// Gives the program its input, which it reads before it does anything else.
fn feed(child: &mut Child, tips: &[ObjectId]) -> io::Result<()> {
    let mut lines = String::with_capacity(tips.len() * 41);
    for tip in tips {
        lines.push_str(&format!("{tip}\n"));
    }
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(lines.as_bytes())
}

/// Waits for the program, and ends it if it is no longer wanted. Returns whether it succeeded.
fn wait(child: &mut Child, progress: &dyn Progress) -> Result<bool, GitError> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if progress.cancelled() {
            child.kill()?;
            child.wait()?;
            return Err(GitError::Cancelled);
        }
        std::thread::sleep(LOOK);
    }
}

/// A second name for a file; across file systems a symbolic one.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| std::os::unix::fs::symlink(from, to))
}

/// The files of open packs, without endings.
pub(super) fn files_of<'a>(packs: impl Iterator<Item = &'a Pack>) -> Vec<PathBuf> {
    packs.map(|pack| pack.path().with_extension("")).collect()
}
