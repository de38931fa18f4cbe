//! Runs the installed `git` in a folder of its own, without the configuration of whoever runs the tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run of `git` left behind.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) ok: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A folder to run `git` in.
#[derive(Clone, Debug)]
pub(crate) struct Git {
    pub(crate) dir: PathBuf,
}

/// A `git` command that sees no configuration but the repository's and ours.
pub(crate) fn command() -> Command {
    let mut command = Command::new("git");
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("GIT_") {
            command.env_remove(key);
        }
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        // A random history has the same ids each time, so that its seed tells all about a failure.
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .env("NO_PROXY", "127.0.0.1")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.com"])
        .args([
            "-c",
            "init.defaultBranch=main",
            "-c",
            "advice.detachedHead=false",
            "-c",
            "gc.auto=0",
        ]);
    command
}

impl Git {
    pub(crate) fn at(dir: impl Into<PathBuf>) -> Git {
        Git { dir: dir.into() }
    }

    /// Runs a command that succeeds and returns its output without the last line feed.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.feed(args, b"")
    }

    /// The same, with something to read.
    pub(crate) fn feed(&self, args: &[&str], input: &[u8]) -> String {
        let outcome = self.run_with(args, input);
        assert!(
            outcome.ok,
            "git {args:?} in {}: {}{}",
            self.dir.display(),
            outcome.stdout,
            outcome.stderr
        );
        outcome.stdout.trim_end_matches('\n').to_owned()
    }

    fn run_with(&self, args: &[&str], input: &[u8]) -> Outcome {
        let mut child = command()
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        Outcome {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Every ref with what it points to.
    pub(crate) fn refs(&self) -> String {
        self.run(&["for-each-ref", "--format=%(objectname) %(refname)"])
    }

    pub(crate) fn fsck(&self) {
        self.run(&["fsck", "--full", "--strict", "--no-dangling"]);
    }
}

/// A new bare repository.
pub(crate) fn init_bare(dir: &Path) -> Git {
    command()
        .args(["init", "-q", "--bare", "-b", "main"])
        .arg(dir)
        .status()
        .unwrap();
    Git::at(dir)
}

/// A new repository with a working tree.
pub(crate) fn init(dir: &Path) -> Git {
    command()
        .args(["init", "-q", "-b", "main"])
        .arg(dir)
        .status()
        .unwrap();
    Git::at(dir)
}

impl Git {
    /// Commits `content` as the file `name` and returns the commit.
    pub(crate) fn commit_file(&self, name: &str, content: &str) -> String {
        std::fs::write(self.dir.join(name), content).unwrap();
        self.run(&["add", name]);
        self.run(&["commit", "-q", "-m", &format!("write {name}")]);
        self.run(&["rev-parse", "HEAD"])
    }
}
