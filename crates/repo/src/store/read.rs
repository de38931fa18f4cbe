//! Reading files and folders of a snapshot. Symbolic links in it are never followed.

use bstr::BString;
use bytes::Bytes;
use packhouse_object::{ObjectId, ObjectKind, ReadError, on_processors};
use rayon::prelude::*;

use super::path::{normalize, normalize_file};
use super::reader::{FileReader, read_range};
use super::scan::{Scan, Scanned};
use super::tree_index::INDEXED_FROM;
use super::{FileType, Snapshot, StoreError};

/// Other threads are not worth their while for fewer objects of which only the length is wanted.
const LOOKS_AT_A_STRETCH: usize = 256;

/// What a folder says of one of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without slashes.
    pub name: BString,
    /// Its mode as it is stored; foreign repositories hold odd ones.
    pub mode: u32,
    /// The object it names.
    pub id: ObjectId,
    /// What it is.
    pub file_type: FileType,
}

/// What is known of a file or folder without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The mode as it is stored.
    pub mode: u32,
    /// What it is.
    pub file_type: FileType,
    /// Bytes of content; 0 for folders and submodules.
    pub size: u64,
    /// The object.
    pub id: ObjectId,
    /// 1 for files, 2 and the number of folders in it for a folder.
    pub nlink: u64,
    /// The commit's time, in seconds since the epoch.
    pub mtime: i64,
}

/// What is at a path.
pub(super) enum Found {
    Entry(Entry),
    Missing,
    /// A part of the path before the last is no folder.
    BelowFile,
}

impl Snapshot {
    /// `size` bytes of a file from `offset` on, less at its end; `None` for all of them. Of a link, its target.
    pub fn read(
        &self,
        path: impl AsRef<[u8]>,
        offset: u64,
        size: Option<u64>,
    ) -> Result<Vec<u8>, StoreError> {
        let id = self.blob_at(path.as_ref())?.id;
        read_range(self.database(), &id, offset, size)
    }

    /// A file of any size, to be read in pieces.
    pub fn reader(&self, path: impl AsRef<[u8]>) -> Result<FileReader, StoreError> {
        let id = self.blob_at(path.as_ref())?.id;
        FileReader::open(self.database().clone(), id)
    }

    /// The lengths of many objects, 0 of those that are not here. All processors look.
    pub fn sizes_of(&self, ids: &[ObjectId]) -> Result<Vec<u64>, StoreError> {
        let size_of = |id: &ObjectId| {
            let header = self.database().header(id)?;
            Ok(header.map_or(0, |header| header.size))
        };
        let sizes = ids.par_iter().with_min_len(LOOKS_AT_A_STRETCH).map(size_of);
        on_processors(|| sizes.collect())
    }

    /// The target of a symbolic link.
    pub fn readlink(&self, path: impl AsRef<[u8]>) -> Result<BString, StoreError> {
        let path = normalize_file(path)?;
        let entry = self.existing(&path)?;
        if entry.file_type != FileType::Link {
            return Err(StoreError::invalid(format!("Not a symlink: {path}")));
        }
        Ok(read_range(self.database(), &entry.id, 0, None)?.into())
    }

    /// The entries of a folder, in Git's order: by bytes, folders as if their names ended in a slash.
    pub fn ls(&self, path: impl AsRef<[u8]>) -> Result<Vec<Entry>, StoreError> {
        let tree = self.folder_at(path.as_ref())?;
        self.entries(tree)
    }

    /// Whether something is at the path.
    pub fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool, StoreError> {
        Ok(self.entry(path)?.is_some())
    }

    /// Whether a folder is at the path.
    pub fn is_dir(&self, path: impl AsRef<[u8]>) -> Result<bool, StoreError> {
        let entry = self.entry(path)?;
        Ok(entry.is_some_and(|entry| entry.file_type == FileType::Tree))
    }

    /// What the folder around the path says of it; `None` if nothing is there. The root is a folder without name.
    pub fn entry(&self, path: impl AsRef<[u8]>) -> Result<Option<Entry>, StoreError> {
        match normalize(path)? {
            None => Ok(Some(self.root())),
            Some(path) => Ok(match self.find(&path)? {
                Found::Entry(entry) => Some(entry),
                Found::Missing | Found::BelowFile => None,
            }),
        }
    }

    /// What is known of a file or folder.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Result<Stat, StoreError> {
        let path = path.as_ref();
        let entry = self
            .entry(path)?
            .ok_or_else(|| StoreError::NotFound { path: path.into() })?;
        let (size, nlink) = match entry.file_type {
            FileType::Tree => (0, 2 + self.folders_in(entry.id)?),
            FileType::Commit => (0, 1),
            _ => (self.object_size(&entry.id)?, 1),
        };
        Ok(Stat {
            mode: entry.mode,
            file_type: entry.file_type,
            size,
            id: entry.id,
            nlink,
            mtime: self.seconds(),
        })
    }

    /// Bytes of an object as it is stored.
    pub fn object_size(&self, id: &ObjectId) -> Result<u64, StoreError> {
        let header = self.database().header(id)?;
        Ok(header.ok_or(ReadError::NotFound { id: *id })?.size)
    }

    fn folders_in(&self, tree: ObjectId) -> Result<u64, StoreError> {
        let entries = self.entries(tree)?;
        let folders = entries
            .iter()
            .filter(|entry| entry.file_type == FileType::Tree);
        Ok(folders.count() as u64)
    }

    pub(super) fn root(&self) -> Entry {
        Entry {
            name: BString::default(),
            mode: FileType::Tree.mode(),
            id: self.tree(),
            file_type: FileType::Tree,
        }
    }

    /// What is at a normalised path.
    pub(super) fn find(&self, path: &[u8]) -> Result<Found, StoreError> {
        let mut at = self.root();
        for name in path.split(|&byte| byte == b'/') {
            if at.file_type != FileType::Tree {
                return Ok(Found::BelowFile);
            }
            match self.entry_in(at.id, name)? {
                Some(entry) => at = entry,
                None => return Ok(Found::Missing),
            }
        }
        Ok(Found::Entry(at))
    }

    fn entry_in(&self, tree: ObjectId, name: &[u8]) -> Result<Option<Entry>, StoreError> {
        let owned = |entry: Scanned<'_>| Entry {
            name: entry.name.to_owned(),
            mode: entry.mode,
            id: entry.id,
            file_type: entry.file_type(),
        };
        let indexes = &self.store().inner.trees;
        if let Some(index) = indexes.get(&tree) {
            return Ok(index.find(name).map(owned));
        }
        let data = self.tree_bytes(tree)?;
        let malformed = |source| ReadError::decode(tree, source);
        if data.len() >= INDEXED_FROM {
            let index = indexes.keep(tree, data).map_err(malformed)?;
            return Ok(index.find(name).map(owned));
        }
        Ok(Scan::new(&data).find(name).map_err(malformed)?.map(owned))
    }

    pub(super) fn tree_bytes(&self, tree: ObjectId) -> Result<Bytes, StoreError> {
        Ok(self.database().bytes_of(tree, ObjectKind::Tree)?)
    }

    /// The entries of a tree.
    pub(super) fn entries(&self, tree: ObjectId) -> Result<Vec<Entry>, StoreError> {
        let data = self.tree_bytes(tree)?;
        let mut entries = Vec::new();
        for entry in Scan::new(&data) {
            let entry = entry.map_err(|source| ReadError::decode(tree, source))?;
            entries.push(Entry {
                name: entry.name.to_owned(),
                mode: entry.mode,
                id: entry.id,
                file_type: entry.file_type(),
            });
        }
        Ok(entries)
    }

    /// What is at a normalised path, which must be there.
    pub(super) fn existing(&self, path: &[u8]) -> Result<Entry, StoreError> {
        match self.find(path)? {
            Found::Entry(entry) => Ok(entry),
            Found::Missing => Err(StoreError::NotFound { path: path.into() }),
            Found::BelowFile => Err(StoreError::NotADirectory { path: path.into() }),
        }
    }

    fn blob_at(&self, path: &[u8]) -> Result<Entry, StoreError> {
        let path = normalize_file(path)?;
        let entry = self.existing(&path)?;
        match entry.file_type {
            FileType::Tree | FileType::Commit => Err(StoreError::IsADirectory { path }),
            _ => Ok(entry),
        }
    }

    /// The tree at a path, which may be the root.
    pub(super) fn folder_at(&self, path: &[u8]) -> Result<ObjectId, StoreError> {
        let Some(path) = normalize(path)? else {
            return Ok(self.tree());
        };
        let entry = self.existing(&path)?;
        match entry.file_type {
            FileType::Tree => Ok(entry.id),
            _ => Err(StoreError::NotADirectory { path }),
        }
    }
}
