//! What the files of a new tree say of themselves: noted as each is made, which spares a look at it by its path.
//!
//! What is noted counts only where it is what such a look would tell. All files are looked at where one took the place of
//! another (two names are one, or the tree is a hostile one), or where a file says something else once it is closed, as on
//! some network file systems.

use std::fs::{self, Metadata};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bstr::{BStr, ByteSlice};
use packhouse_object::EntryMode;

use super::index_file::{IndexEntry, Stat};
use super::take_over::Taken;
use super::tree::local_path;

/// Of so many files that were noted one is looked at.
const SAMPLE: usize = 500;

/// What is noted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) stat: Stat,
    pub(super) bytes: u64,
}

impl Noted {
    fn of(found: &Metadata) -> Noted {
        Noted {
            stat: Stat::of(found),
            bytes: found.len(),
        }
    }
}

/// The files of a tree while they are made.
pub(super) struct NewFiles<'a> {
    /// In the order of their paths.
    entries: &'a [IndexEntry],
    noted: Vec<Mutex<Option<Noted>>>,
}

impl<'a> NewFiles<'a> {
    pub(super) fn new(entries: &'a [IndexEntry]) -> NewFiles<'a> {
        NewFiles {
            entries,
            noted: entries.iter().map(|_| Mutex::new(None)).collect(),
        }
    }

    /// Notes one that was made.
    pub(super) fn note(&self, path: &BStr, found: &Metadata) {
        let at = self
            .entries
            .binary_search_by(|entry| entry.path.as_bstr().cmp(path));
        if let Ok(at) = at {
            let mut noted = self.noted[at]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *noted = Some(Noted::of(found));
        }
    }

    /// Forgets what was noted of files that somebody wrote into since.
    pub(super) fn forget(&mut self, is_changed: impl Fn(usize) -> bool) {
        for (at, noted) in self.noted.iter_mut().enumerate() {
            if is_changed(at) {
                *noted = Mutex::new(None);
            }
        }
    }

    /// Whether all files were noted as they were made, but for those that were `taken` over.
    pub(super) fn are_all_noted(&self, taken: Taken) -> bool {
        let is_file =
            |entry: &&IndexEntry| matches!(entry.mode, EntryMode::Blob | EntryMode::Executable);
        let files = self.entries.iter().filter(is_file).count() as u64;
        let noted = self.noted.iter().filter(|noted| {
            let noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.is_some()
        });
        noted.count() as u64 + taken.moved + taken.shared == files
    }

    /// What all files say of themselves. `None` of one that is not there.
    pub(super) fn look(self, tree: &Path) -> Vec<Option<Noted>> {
        let look = |entry: &IndexEntry| {
            let found = fs::symlink_metadata(local_path(tree, entry.path.as_bstr()));
            found.ok().map(|found| Noted::of(&found))
        };
        let noted = self.noted.into_iter();
        let noted = noted.map(|noted| noted.into_inner().unwrap_or_else(PoisonError::into_inner));
        let noted: Vec<Option<Noted>> = noted.collect();
        let both = || self.entries.iter().zip(&noted);
        let mut sample = both().filter(|(_, noted)| noted.is_some()).step_by(SAMPLE);
        let is_kept = sample.all(|(entry, noted)| look(entry) == *noted);
        let looked = both().map(|(entry, noted)| match noted {
            Some(noted) if is_kept => Some(*noted),
            _ => look(entry),
        });
        looked.collect()
    }
}

/// What the files of a tree take.
pub(super) fn bytes_of(files: &[Option<Noted>]) -> u64 {
    files.iter().flatten().map(|file| file.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::super::CallOptions;
    use super::super::index_file::read_index;
    use super::super::test_world::TestWorld;
    use super::*;

    use packhouse_object::ObjectId;

    fn entries(paths: &[&str]) -> Vec<IndexEntry> {
        let entry = |path: &&str| IndexEntry {
            path: (*path).into(),
            mode: EntryMode::Blob,
            id: ObjectId::from_hex(&[b'7'; 40]).unwrap(),
        };
        paths.iter().map(entry).collect()
    }

    fn at(tree: &Path, path: &str) -> Metadata {
        fs::symlink_metadata(tree.join(path)).unwrap()
    }

    #[test]
    fn what_was_noted_is_told_and_all_else_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        for path in ["a", "b", "c"] {
            fs::write(tree.join(path), path).unwrap();
        }
        let entries = entries(&["a", "b", "c", "gone"]);
        let mut files = NewFiles::new(&entries);
        let none = Taken::default();
        files.note("a".into(), &at(tree, "a"));
        files.note("c".into(), &at(tree, "c"));
        assert!(!files.are_all_noted(none));
        files.note("b".into(), &at(tree, "b"));
        files.note("gone".into(), &at(tree, "b"));
        files.note("none of them".into(), &at(tree, "b"));
        assert!(files.are_all_noted(none));
        // Not looked at, and so not seen.
        fs::write(tree.join("b"), "longer").unwrap();
        fs::write(tree.join("c"), "longer").unwrap();
        files.forget(|at| at == 2);
        let lengths = |found: Vec<Option<Noted>>| -> Vec<_> {
            found
                .into_iter()
                .map(|found| found.map(|found| found.bytes))
                .collect()
        };
        let found = lengths(files.look(tree));
        assert_eq!(found, [Some(1), Some(1), Some(6), Some(1)]);
        let found = lengths(NewFiles::new(&entries).look(tree));
        assert_eq!(found, [Some(1), Some(6), Some(6), None]);
    }

    #[test]
    fn where_files_say_something_else_once_they_are_closed_all_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        let entries = entries(&["a", "b"]);
        let files = NewFiles::new(&entries);
        for path in ["a", "b"] {
            fs::write(tree.join(path), path).unwrap();
            files.note(path.into(), &at(tree, path));
            fs::write(tree.join(path), "longer").unwrap();
        }
        let found = files.look(tree);
        assert!(found.iter().flatten().all(|found| found.bytes == 6));
    }

    #[test]
    fn the_index_of_a_checkout_has_what_its_files_say_of_themselves() {
        let world = TestWorld::new();
        let call = CallOptions::default();
        let made = world.cache.checkout("remote", "main", &call).unwrap();
        let index = fs::read(made.path.join(".git/index")).unwrap();
        let found = read_index(&index).unwrap();
        assert!(!found.is_empty());
        for file in found {
            let there = fs::symlink_metadata(local_path(&made.path, file.path.as_bstr()));
            assert_eq!(file.stat, Stat::of(&there.unwrap()));
        }
    }
}
