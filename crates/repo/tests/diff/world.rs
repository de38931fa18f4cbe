//! Two trees in a repository of Git's.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use packhouse_object::{Database, LooseStore, ObjectCache, ObjectId, Pack};

/// A tree's files: mode and content by path. Of a submodule, the content is the commit's id.
pub(super) type Files = BTreeMap<Vec<u8>, (&'static str, Vec<u8>)>;

pub(super) struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// A bare repository with these commits, each under a tag of its name.
    pub(super) fn of(commits: &[(&str, &Files)]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let world = World { folder };
        world.git(&["init", "--quiet", "--bare", "."]);
        let mut stream = Vec::new();
        for (name, files) in commits {
            write_commit(&mut stream, name, files);
        }
        world.git_with(&["fast-import", "--quiet"], &stream);
        world
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn git(&self, arguments: &[&str]) -> Vec<u8> {
        self.git_with(arguments, b"")
    }

    pub(super) fn git_with(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let out = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "git {arguments:?}: {stderr}");
        out.stdout
    }

    pub(super) fn tree(&self, name: &str) -> ObjectId {
        let out = self.git(&["rev-parse", &format!("{name}^{{tree}}")]);
        ObjectId::from_hex(out.trim_ascii()).unwrap()
    }

    pub(super) fn database(&self) -> Database {
        let objects = self.path().join("objects");
        let packs = std::fs::read_dir(objects.join("pack")).unwrap();
        let packs = packs
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "idx"))
            .map(|idx: PathBuf| Arc::new(Pack::open(&idx.with_extension("pack"), &idx).unwrap()))
            .collect();
        Database::new(Arc::new(ObjectCache::new(8 << 20)), 1)
            .with_packs(packs)
            .with_loose(vec![LooseStore::open(objects)])
    }
}

fn write_commit(stream: &mut Vec<u8>, name: &str, files: &Files) {
    let head =
        format!("commit refs/tags/{name}\ncommitter A <a@example.com> 1000000 +0000\ndata 0\n");
    stream.extend(head.bytes());
    for (path, (mode, content)) in files {
        let what = match *mode {
            "160000" => content.as_slice(),
            _ => b"inline",
        };
        stream.extend(format!("M {mode} ").bytes());
        stream.extend(what);
        stream.push(b' ');
        stream.extend(quoted(path));
        stream.push(b'\n');
        if *mode != "160000" {
            stream.extend(format!("data {}\n", content.len()).bytes());
            stream.extend(content);
            stream.push(b'\n');
        }
    }
}

/// A path as `git fast-import` reads any bytes.
fn quoted(path: &[u8]) -> Vec<u8> {
    let digits = path
        .iter()
        .flat_map(|byte| format!("\\{byte:03o}").into_bytes());
    [b'"'].into_iter().chain(digits).chain([b'"']).collect()
}
