//! A store in a temporary folder, and `git` beside it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use packhouse_repo::store::{Create, Snapshot, Store, StoreOptions, WriteOptions};

pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
}

impl Place {
    /// A new store with the branch `main`.
    pub(super) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("s.git"));
        Place { folder, store }
    }

    pub(super) fn path(&self) -> &Path {
        self.store.path()
    }

    pub(super) fn main(&self) -> Snapshot {
        self.store.branches().get("main").unwrap()
    }

    /// What `git` prints.
    pub(super) fn git(&self, arguments: &[&str]) -> String {
        let out = self.try_git(arguments);
        let error = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "git {arguments:?}: {error}");
        String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
    }

    pub(super) fn try_git(&self, arguments: &[&str]) -> Output {
        let mut git = Command::new("git");
        git.args(arguments).current_dir(self.path());
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Git");
            git.env(format!("GIT_{role}_EMAIL"), "git@example.com");
        }
        git.env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Nothing is wrong, and nothing is missing.
    pub(super) fn fsck(&self) {
        let out = self.try_git(&["fsck", "--full", "--strict", "--no-dangling"]);
        let said = [out.stdout, out.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(out.status.success() && !said.contains("error"), "{said}");
        assert!(
            !said.contains("missing") && !said.contains("broken"),
            "{said}"
        );
    }
}

pub(super) fn open(path: &Path) -> Store {
    let create = Create::IfMissing {
        branch: Some("main".to_owned()),
    };
    Store::open(
        path,
        StoreOptions {
            create,
            ..StoreOptions::default()
        },
    )
    .unwrap()
}

pub(super) fn write(snapshot: &Snapshot, path: &str, data: impl AsRef<[u8]>) -> Snapshot {
    snapshot
        .write(path, data.as_ref(), &WriteOptions::default())
        .unwrap()
}
