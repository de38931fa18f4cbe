//! Having the `git` program choose deltas for a full repack.
//!
//! It works in a bare repository of its own, made for this, whose packs are links to those of the view; what it writes is
//! held against its checksum and taken over. It runs no hooks and reads no configuration of anybody's.
//!
//! It has to tell its progress, which nobody wants to know, because the pipe for that breaks when this process is
//! killed: so it ends, instead of working on for nobody.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use packhouse_object::{FinishedPack, ObjectId, Pack, PackError, Progress};

/// How often it is looked whether the program has ended, or is to be ended.
const LOOK: Duration = Duration::from_millis(50);

/// What one thread may hold of objects that are compared: the default of git is as much as there are.
const WINDOW_MEMORY: &str = "pack.windowMemory=32m";
/// Larger files are not compared with others.
const BIG_FILE: &str = "core.bigFileThreshold=32m";

/// How much is kept of what it says.
const SAID_BYTES: usize = 16 << 10;

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
        .args([
            "pack-objects",
            "--progress",
            "--revs",
            "--delta-base-offset",
        ])
        .arg(dir.join("new"))
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("GIT_DIR", dir)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(File::create(dir.join("out"))?)
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().expect("it is piped");
    let listening = thread::spawn(move || listen(stderr));
    let fed = feed(&mut child, tips);
    let status = wait(&mut child, progress)?;
    let said = listening.join().unwrap_or_default();
    if !status {
        return Err(GitError::Failed(complaint(&said)));
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

/// Reads all that the program says, and returns the last of it.
fn listen(mut stderr: ChildStderr) -> Vec<u8> {
    let mut said = Vec::new();
    let mut piece = [0; 4 << 10];
    loop {
        match stderr.read(&mut piece) {
            Ok(0) => return said,
            Ok(count) => said.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return said,
        }
        if said.len() > 2 * SAID_BYTES {
            said.drain(..said.len() - SAID_BYTES);
        }
    }
}

/// What is no progress in what the program said.
fn complaint(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let is_complaint = |line: &&str| line.starts_with("fatal: ") || line.starts_with("error: ");
    let lines: Vec<&str> = said.split(['\n', '\r']).filter(is_complaint).collect();
    lines.join("; ").chars().take(1000).collect()
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    use super::*;

    /// Tells the process that is to be killed where it works.
    const FOLDER: &str = "PACKHOUSE_TEST_KILLED_IN";

    /// Whether there is such a process that still runs.
    fn is_running(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        // Behind the name, which may hold anything, stands the state.
        stat.is_ok_and(|stat| {
            let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
            !matches!(state, Some(b'Z' | b'X'))
        })
    }

    fn until(done: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        while !done() {
            if began.elapsed() > Duration::from_secs(20) {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    }

    #[test]
    fn the_program_does_not_outlive_a_kill_of_this_one() {
        if let Some(folder) = std::env::var_os(FOLDER) {
            let folder = PathBuf::from(folder);
            let _ = repack(&folder.join("git"), &folder, &[], &[], &());
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (git, pid) = (folder.path().join("git"), folder.path().join("pid"));
        // As git does: it works for a long time, and tells its progress if it is asked to.
        let script = format!(
            "#!/bin/sh\necho $$ > {0}.new && mv {0}.new {0}\ncase \"$*\" in *--progress*) ;; *) exec sleep 100 ;; esac\n\
             while :; do echo progress >&2; sleep 0.05; done\n",
            pid.display()
        );
        fs::write(&git, script).unwrap();
        fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
        let name =
            "hosted::repack::with_git::tests::the_program_does_not_outlive_a_kill_of_this_one";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        assert!(until(|| pid.exists()));
        let pid = fs::read_to_string(&pid).unwrap();
        let pid = pid.trim();
        assert!(is_running(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        let has_ended = until(|| !is_running(pid));
        if !has_ended {
            let _ = Command::new("kill").arg(pid).status();
        }
        assert!(has_ended);
    }

    #[test]
    fn of_what_is_said_the_complaint_is_told() {
        let said =
            b"Enumerating objects: 5\rEnumerating objects: 9, done.\nerror: one\nfatal: two\n";
        assert_eq!(complaint(said), "error: one; fatal: two");
        assert_eq!(complaint(b"Counting objects: 1\r"), "");
    }
}
