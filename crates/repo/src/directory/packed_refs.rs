//! The `packed-refs` file: all refs that have no file of their own, sorted by name.
//!
//! The file is never changed, only replaced by renaming another over it. So whoever holds it open
//! knows that it is still the newest one by looking at the name's device and inode.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use super::error::DirectoryError;
use super::packed_text::{PackedRef, parse};

/// The content of the file as it was when it was opened.
#[derive(Debug, Default)]
pub(super) struct PackedRefs {
    /// Held open, so that its inode cannot be given to another file.
    file: Option<(File, fs::Metadata)>,
    entries: Vec<PackedRef>,
}

impl PackedRefs {
    /// Reads the file; one that is missing is an empty one.
    pub(super) fn read(git_dir: &Path) -> Result<PackedRefs, DirectoryError> {
        let path = packed_refs_path(git_dir);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(PackedRefs::default()),
            file => file.map_err(DirectoryError::io("open", &path))?,
        };
        let mut text = Vec::new();
        let metadata = file
            .metadata()
            .and_then(|metadata| file.read_to_end(&mut text).map(|_| metadata));
        let metadata = metadata.map_err(DirectoryError::io("read", &path))?;
        let entries = parse(&text).map_err(|reason| DirectoryError::Damaged { path, reason })?;
        Ok(PackedRefs {
            file: Some((file, metadata)),
            entries,
        })
    }

    /// Whether the name still leads to the file that was read.
    pub(super) fn is_current(&self, git_dir: &Path) -> io::Result<bool> {
        let now = match fs::metadata(packed_refs_path(git_dir)) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(match (&self.file, now) {
            (None, None) => true,
            // Size and time only matter if someone edits the file in place, by hand.
            (Some((_, then)), Some(now)) => {
                let identity = |file: &fs::Metadata| {
                    (
                        file.dev(),
                        file.ino(),
                        file.size(),
                        file.mtime(),
                        file.mtime_nsec(),
                    )
                };
                identity(then) == identity(&now)
            }
            _ => false,
        })
    }

    /// Every entry, sorted by name.
    pub(super) fn entries(&self) -> &[PackedRef] {
        &self.entries
    }

    pub(super) fn get(&self, name: &BStr) -> Option<&PackedRef> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.name.as_bstr().cmp(name))
            .ok()?;
        Some(&self.entries[at])
    }

    /// The first entry whose name starts with `prefix`.
    pub(super) fn first_below(&self, prefix: &[u8]) -> Option<&PackedRef> {
        let at = self
            .entries
            .partition_point(|entry| entry.name.as_slice() < prefix);
        self.entries
            .get(at)
            .filter(|entry| entry.name.starts_with(prefix))
    }

    /// The entries after `changes`, which are sorted by name: a new entry, or `None` to drop it.
    pub(super) fn merged(&self, changes: &[(BString, Option<PackedRef>)]) -> Vec<PackedRef> {
        let mut merged = Vec::with_capacity(self.entries.len() + changes.len());
        let (mut old, mut changes) = (self.entries.iter().peekable(), changes.iter().peekable());
        loop {
            let order = match (old.peek(), changes.peek()) {
                (None, None) => return merged,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(entry), Some((name, _))) => entry.name.cmp(name),
            };
            if order == Ordering::Less {
                merged.extend(old.next().cloned());
                continue;
            }
            if order == Ordering::Equal {
                old.next();
            }
            merged.extend(changes.next().and_then(|(_, change)| change.clone()));
        }
    }
}

/// Where the file is.
pub(crate) fn packed_refs_path(git_dir: &Path) -> PathBuf {
    git_dir.join("packed-refs")
}

#[cfg(test)]
mod tests {
    use super::super::packed_text::samples::{entry, id};
    use super::super::packed_text::{Peeled, write_entries};
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            PackedRefs::read(folder.path())
                .unwrap()
                .entries()
                .is_empty()
        );
        let entries = [
            entry("refs/heads/a", id('1'), Peeled::NoTag),
            entry("refs/tags/v", id('2'), Peeled::To(id('3'))),
        ];
        write_entries(
            &mut File::create(packed_refs_path(folder.path())).unwrap(),
            &entries,
        )
        .unwrap();
        let packed = PackedRefs::read(folder.path()).unwrap();
        assert_eq!(packed.entries(), entries);
        assert!(packed.is_current(folder.path()).unwrap());
        assert_eq!(packed.get("refs/tags/v".into()), Some(&entries[1]));
        assert_eq!(packed.first_below(b"refs/t"), Some(&entries[1]));
        assert_eq!(packed.first_below(b"refs/heads/b"), None);
        fs::remove_file(packed_refs_path(folder.path())).unwrap();
        assert!(!packed.is_current(folder.path()).unwrap());
    }

    #[test]
    fn merging_replaces_adds_and_drops() {
        let packed = PackedRefs {
            file: None,
            entries: ["b", "d", "f"]
                .map(|name| entry(name, id('1'), Peeled::NoTag))
                .to_vec(),
        };
        let put = |name: &str| (name.into(), Some(entry(name, id('2'), Peeled::NoTag)));
        let changes = [
            put("a"),
            ("b".into(), None),
            put("d"),
            ("e".into(), None),
            put("g"),
        ];
        let merged: Vec<_> = packed
            .merged(&changes)
            .into_iter()
            .map(|entry| (entry.name.to_string(), entry.target))
            .collect();
        let expected = [("a", '2'), ("d", '2'), ("f", '1'), ("g", '2')]
            .map(|(name, digit)| (name.to_owned(), id(digit)));
        assert_eq!(merged, expected);
    }
}
