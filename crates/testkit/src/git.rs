//! Runs the installed `git` in a folder of its own, without the configuration of whoever runs the tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run of `git` left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Whether it succeeded.
    pub ok: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

/// A folder to run `git` in, and the protocol version to speak.
#[derive(Clone, Debug)]
pub struct Git {
    /// The folder.
    pub dir: PathBuf,
    version: u8,
}

/// A `git` command that sees no configuration but the repository's and ours.
pub fn command() -> Command {
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
    /// `git` in `dir`, speaking version 2.
    pub fn at(dir: impl Into<PathBuf>) -> Git {
        Git {
            dir: dir.into(),
            version: 2,
        }
    }

    /// The same folder, speaking another version.
    pub fn speaking(&self, version: u8) -> Git {
        Git {
            dir: self.dir.clone(),
            version,
        }
    }

    /// Runs a command and says how it went.
    pub fn try_run(&self, args: &[&str]) -> Outcome {
        self.run_with(args, b"")
    }

    /// Runs a command that succeeds and returns its output without the last line feed.
    pub fn run(&self, args: &[&str]) -> String {
        self.feed(args, b"")
    }

    /// The same, with something to read.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> String {
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
            .args(["-c", &format!("protocol.version={}", self.version)])
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git is installed");
        let mut stdin = child.stdin.take().expect("it was piped");
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().expect("git ran");
        feeder.join().expect("the feeder does not panic");
        Outcome {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Adds settings to the repository, which is a bare one.
    pub fn configure(&self, settings: &[(&str, &str)]) {
        let mut text = String::new();
        for (key, value) in settings {
            let (section, name) = key.rsplit_once('.').expect("a key has a section");
            match section.split_once('.') {
                Some((section, below)) => text += &format!("[{section} \"{below}\"]\n"),
                None => text += &format!("[{section}]\n"),
            }
            text += &format!("\t{name} = \"{value}\"\n");
        }
        let path = self.dir.join("config");
        let mut config = std::fs::OpenOptions::new()
            .append(true)
            .open(path)
            .expect("a repository has a configuration");
        config
            .write_all(text.as_bytes())
            .expect("the folder is ours");
    }

    /// The commits at which history is cut off, sorted.
    pub fn shallow(&self) -> Vec<String> {
        let git_dir = self.run(&["rev-parse", "--git-dir"]);
        let text = std::fs::read_to_string(self.dir.join(git_dir).join("shallow"));
        let mut lines: Vec<_> = text
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    /// Every ref with what it points to.
    pub fn refs(&self) -> String {
        self.run(&["for-each-ref", "--format=%(objectname) %(refname)"])
    }

    /// Every object there is, sorted.
    pub fn objects(&self) -> Vec<String> {
        let all = self.run(&["cat-file", "--batch-check", "--batch-all-objects"]);
        let mut lines: Vec<_> = all.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Has everything checked; panics at the first complaint.
    pub fn fsck(&self) {
        self.run(&["fsck", "--full", "--strict", "--no-dangling"]);
    }
}

/// A new bare repository.
pub fn init_bare(dir: &Path) -> Git {
    command()
        .args(["init", "-q", "--bare", "-b", "main"])
        .arg(dir)
        .status()
        .expect("git is installed");
    Git::at(dir)
}

/// A new repository with a working tree.
pub fn init(dir: &Path) -> Git {
    command()
        .args(["init", "-q", "-b", "main"])
        .arg(dir)
        .status()
        .expect("git is installed");
    Git::at(dir)
}

impl Git {
    /// Commits `content` as the file `name` and returns the commit.
    pub fn commit_file(&self, name: &str, content: &str) -> String {
        std::fs::write(self.dir.join(name), content).expect("the folder is ours");
        self.run(&["add", name]);
        self.run(&["commit", "-q", "-m", &format!("write {name}")]);
        self.run(&["rev-parse", "HEAD"])
    }
}
