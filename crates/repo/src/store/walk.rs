//! Walking folders of a snapshot, lazily and without recursion.

use bstr::{BString, ByteSlice};
use bytes::Bytes;
use packhouse_object::{EntryMode, ObjectId, ObjectKind, ReadError};

use super::path::join;
use super::read::Entry;
use super::scan::Scan;
use super::{FileType, Snapshot, StoreError};

/// A folder and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkDir {
    /// Its path; empty for the root.
    pub path: BString,
    /// The names of the folders in it.
    pub dirs: Vec<BString>,
    /// Everything else in it.
    pub files: Vec<Entry>,
}

/// The folders from one downwards, each before those in it.
pub struct Walk {
    snapshot: Snapshot,
    /// Where to begin, until that was looked up.
    start: Option<BString>,
    /// Folders to come, the next one last.
    ahead: Vec<(BString, ObjectId)>,
}

/// All files from a folder downwards with their whole paths, in Git's order.
pub struct FileWalk {
    snapshot: Snapshot,
    start: Option<BString>,
    path: BString,
    folders: Vec<Folder>,
}

struct Folder {
    tree: ObjectId,
    data: Bytes,
    at: usize,
    path_len: usize,
}

impl Snapshot {
    /// Walks the folders from `path` downwards. What is wrong with the path is the first item.
    pub fn walk(&self, path: impl AsRef<[u8]>) -> Result<Walk, StoreError> {
        Ok(Walk {
            snapshot: self.clone(),
            start: Some(path.as_ref().into()),
            ahead: Vec::new(),
        })
    }

    /// Walks everything but folders from `path` downwards. What is wrong with the path is the first item.
    pub fn files(&self, path: impl AsRef<[u8]>) -> Result<FileWalk, StoreError> {
        Ok(FileWalk {
            snapshot: self.clone(),
            start: Some(path.as_ref().into()),
            path: BString::default(),
            folders: Vec::new(),
        })
    }

    fn walk_start(&self, path: &[u8]) -> Result<(BString, ObjectId), StoreError> {
        let tree = self.folder_at(path)?;
        Ok((super::path::normalize(path)?.unwrap_or_default(), tree))
    }
}

impl Iterator for Walk {
    type Item = Result<WalkDir, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(start) = self.start.take() {
            match self.snapshot.walk_start(&start) {
                Ok(start) => self.ahead.push(start),
                Err(error) => return Some(Err(error)),
            }
        }
        let (path, tree) = self.ahead.pop()?;
        let entries = match self.snapshot.entries(tree) {
            Ok(entries) => entries,
            Err(error) => {
                self.ahead.clear();
                return Some(Err(error));
            }
        };
        let (dirs, files): (Vec<_>, Vec<_>) = entries
            .into_iter()
            .partition(|entry| entry.file_type == FileType::Tree);
        let below = dirs.iter().rev();
        self.ahead
            .extend(below.map(|entry| (join(&path, &entry.name), entry.id)));
        Some(Ok(WalkDir {
            path,
            dirs: dirs.into_iter().map(|entry| entry.name).collect(),
            files,
        }))
    }
}

impl FileWalk {
    fn open(&mut self, tree: ObjectId) -> Result<(), StoreError> {
        let data = self.snapshot.database().bytes_of(tree, ObjectKind::Tree)?;
        self.folders.push(Folder {
            tree,
            data,
            at: 0,
            path_len: self.path.len(),
        });
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(BString, EntryMode, ObjectId)>, StoreError> {
        if let Some(start) = self.start.take() {
            let (path, tree) = self.snapshot.walk_start(&start)?;
            self.path = path;
            self.open(tree)?;
        }
        while let Some(folder) = self.folders.last_mut() {
            self.path.truncate(folder.path_len);
            let Some(entry) = Scan::new(&folder.data[folder.at..]).next() else {
                self.folders.pop();
                continue;
            };
            let entry = entry.map_err(|source| ReadError::decode(folder.tree, source))?;
            folder.at += entry.end;
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(entry.name.as_bytes());
            let (id, mode) = (entry.id, entry.mode);
            if FileType::from_mode(mode) == FileType::Tree {
                self.open(id)?;
                continue;
            }
            let mode = EntryMode::from_bits(mode).unwrap_or(EntryMode::Blob);
            return Ok(Some((self.path.clone(), mode, id)));
        }
        Ok(None)
    }
}

impl Iterator for FileWalk {
    type Item = Result<(BString, EntryMode, ObjectId), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if matches!(item, Some(Err(_))) {
            self.folders.clear();
        }
        item
    }
}
