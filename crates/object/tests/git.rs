//! Runs the `git` program in a temporary repository of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use packhouse_object::{ObjectId, ObjectKind};
use tempfile::TempDir;

/// A bare repository.
pub(crate) struct Git {
    dir: TempDir,
}

/// An object as `git cat-file` shows it.
pub(crate) struct CatFile {
    pub(crate) id: ObjectId,
    pub(crate) kind: ObjectKind,
    pub(crate) data: Vec<u8>,
}

impl Git {
    pub(crate) fn init() -> Git {
        let git = Git {
            dir: TempDir::new().unwrap(),
        };
        git.run(&["init", "-q", "--bare", "."]);
        git
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Vec<u8> {
        self.run_with(args, b"")
    }

    /// Runs git with `input`; it must succeed.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        let (ok, stdout, stderr) = self.try_run(args, input);
        assert!(ok, "git {args:?} failed: {stderr}");
        stdout
    }

    /// Runs git with `input`: whether it succeeded, what it wrote, and what it complained of.
    pub(crate) fn try_run(&self, args: &[&str], input: &[u8]) -> (bool, Vec<u8>, String) {
        let mut child = Command::new("git")
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || {
                // Git may not want all of it.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().unwrap()
        });
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), output.stdout, stderr)
    }

    /// Every object of the repository.
    pub(crate) fn objects(&self) -> Vec<CatFile> {
        parse_batch(&self.run(&["cat-file", "--batch-all-objects", "--batch"]))
    }

    /// The packs of the repository, without their suffix.
    pub(crate) fn packs(&self) -> Vec<PathBuf> {
        let dir = self.path().join("objects/pack");
        let files = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut packs: Vec<_> = files
            .filter(|path| path.extension().is_some_and(|suffix| suffix == "pack"))
            .map(|path| path.with_extension(""))
            .collect();
        packs.sort();
        packs
    }

    /// The id a revision names.
    pub(crate) fn id(&self, revision: &str) -> ObjectId {
        let hex = self.run(&["rev-parse", revision]);
        ObjectId::from_hex(hex.trim_ascii()).unwrap()
    }
}

fn parse_batch(mut output: &[u8]) -> Vec<CatFile> {
    let mut objects = Vec::new();
    while !output.is_empty() {
        let end = output.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&output[..end]).unwrap();
        let [id, kind, size] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let size: usize = size.parse().unwrap();
        objects.push(CatFile {
            id: ObjectId::from_hex(id.as_bytes()).unwrap(),
            kind: kind.parse().unwrap(),
            data: output[end + 1..end + 1 + size].to_vec(),
        });
        output = &output[end + 1 + size + 1..];
    }
    objects
}
