//! Copies between a store and local folders, globs and excludes.

mod copy_in;
mod copy_out;
mod deletions;
mod dry_runs;
mod excludes;
mod giving_up;
mod giving_way;
mod globs;
mod left_behind;
mod no_ops;
mod races;
mod roundtrip;
mod submodules;
mod sync;
mod times;
mod within;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bstr::BString;
use packhouse_repo::store::{
    ChangeReport, CopyIn, Create, Durability, FileEntry, Snapshot, Store, StoreOptions,
    WriteOptions,
};

/// A store with an empty branch `main`, and a local folder beside it.
pub(crate) struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    pub(crate) fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            create: Create::New {
                branch: Some("main".to_owned()),
            },
            durability: Durability::Relaxed,
            ..StoreOptions::default()
        };
        let store = Store::open(dir.path().join("store.git"), options).unwrap();
        fs::create_dir(dir.path().join("local")).unwrap();
        Place { dir, store }
    }

    pub(crate) fn main(&self) -> Snapshot {
        self.store.branches().get("main").unwrap()
    }

    /// A path in the local folder.
    pub(crate) fn local(&self, path: &str) -> PathBuf {
        self.dir.path().join("local").join(path)
    }

    /// Makes local files; a name that ends in `*` may be run, `a -> b` is a link.
    pub(crate) fn make(&self, files: &[&str]) -> &Place {
        for file in files {
            let (name, target) = match file.split_once(" -> ") {
                Some((name, target)) => (name, Some(target)),
                None => (*file, None),
            };
            let path = self.local(name.trim_end_matches('*'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match target {
                Some(target) => symlink(target, &path).unwrap(),
                None => fs::write(&path, name).unwrap(),
            }
            if name.ends_with('*') {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        self
    }

    /// What `git` lists at the head of `main`: mode and path.
    pub(crate) fn listed(&self) -> Vec<String> {
        let listed = self.git(&["ls-tree", "-r", "--format=%(objectmode) %(path)", "main"]);
        let modes = [
            ("100644 ", ""),
            ("100755 ", "*"),
            ("120000 ", "@"),
            ("160000 ", "!"),
        ];
        let short = |line: &str| {
            let (mode, mark) = modes
                .iter()
                .find(|(mode, _)| line.starts_with(mode))
                .unwrap();
            format!("{}{mark}", &line[mode.len()..])
        };
        listed.lines().map(short).collect()
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(args)
            .current_dir(self.store.path())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Writes files of the store directly; a name's content is the name.
    pub(crate) fn stored(&self, files: &[&str]) -> Snapshot {
        let mut snapshot = self.main();
        for file in files {
            snapshot = snapshot
                .write(file, file.as_bytes(), &WriteOptions::default())
                .unwrap();
        }
        snapshot
    }
}

/// Every local file: its path, what it is, and what is in it.
pub(crate) fn disk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut ahead = vec![root.to_owned()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if metadata.is_symlink() {
                found.push(format!(
                    "{name} -> {}",
                    fs::read_link(&path).unwrap().display()
                ));
            } else if metadata.is_dir() {
                found.push(format!("{name}/"));
                ahead.push(path);
            } else {
                let mark = if metadata.permissions().mode() & 0o111 != 0 {
                    "*"
                } else {
                    ""
                };
                let content = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
                found.push(format!("{name}{mark}: {content}"));
            }
        }
    }
    found.sort_unstable();
    found
}

/// The report in one line for each change: `+ path`, `~ path`, `- path`, with marks for types.
pub(crate) fn changes(snapshot: &Snapshot) -> Vec<String> {
    let Some(report) = snapshot.changes() else {
        return Vec::new();
    };
    let line = |sign: &str, entry: &FileEntry| {
        let mark = match entry.file_type.as_str() {
            "blob" => "",
            "executable" => "*",
            "link" => "@",
            other => other,
        };
        format!("{sign} {}{mark}", entry.path)
    };
    let ChangeReport {
        add,
        update,
        delete,
        errors,
        warnings,
    } = report;
    let mut lines = Vec::new();
    lines.extend(add.iter().map(|entry| line("+", entry)));
    lines.extend(update.iter().map(|entry| line("~", entry)));
    lines.extend(delete.iter().map(|entry| line("-", entry)));
    lines.extend(errors.iter().map(|error| format!("! {}", error.error)));
    lines.extend(
        warnings
            .iter()
            .map(|warning| format!("? {}", warning.error)),
    );
    lines
}

/// A copy of local sources to `dest`.
pub(crate) fn from(sources: &[PathBuf], dest: &str) -> CopyIn<'static> {
    CopyIn {
        sources: sources
            .iter()
            .map(|source| source.clone().into_os_string())
            .collect(),
        dest: BString::from(dest),
        ..CopyIn::default()
    }
}
