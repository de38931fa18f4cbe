//! The embedded store: what it writes, read again by itself and by `git`.

mod creating;
mod foreign;
mod forking;
mod full_disk;
mod history;
mod interrupted;
mod judging;
mod million;
mod model;
mod provisional;
mod pruned;
mod racing;
mod reading;
mod sharing;
mod writing;

use std::path::{Path, PathBuf};
use std::process::Command;

use packhouse_repo::store::{
    Create, Durability, Messages, Snapshot, Store, StoreOptions, WriteOptions,
};
use tempfile::TempDir;

/// A store in a temporary folder, with the branch `main`.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
}

pub(crate) fn options(branch: Option<&str>) -> StoreOptions {
    StoreOptions {
        create: Create::IfMissing {
            branch: branch.map(str::to_owned),
        },
        durability: Durability::Relaxed,
        messages: Messages::Compact,
        ..StoreOptions::default()
    }
}

impl World {
    pub(crate) fn new() -> World {
        World::with(options(Some("main")))
    }

    pub(crate) fn with(options: StoreOptions) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("s.git"), options).unwrap();
        World { folder, store }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("s.git")
    }

    pub(crate) fn main(&self) -> Snapshot {
        self.store.branches().get("main").unwrap()
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git_in(&self.path(), arguments)
    }

    /// `git fsck` finds nothing at all.
    pub(crate) fn fsck(&self) {
        assert_eq!(
            self.git(&["fsck", "--full", "--strict", "--no-dangling"]),
            ""
        );
    }
}

pub(crate) fn git_in(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("PATIENT", "20000")
        .env("GIT_AUTHOR_NAME", "Ada")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        text(&output.stderr)
    );
    // fsck speaks on both.
    let errors = match arguments.first() {
        Some(&"fsck") => text(&output.stderr),
        _ => String::new(),
    };
    format!("{}{errors}", text(&output.stdout))
        .trim_end()
        .to_owned()
}

/// Writes with default options.
pub(crate) fn put(snapshot: &Snapshot, path: &str, data: &str) -> Snapshot {
    snapshot
        .write(path, data.as_bytes(), &WriteOptions::default())
        .unwrap()
}
