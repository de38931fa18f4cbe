//! Walking folders of a snapshot, lazily and without recursion.

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;
use packhouse_object::{EntryMode, ObjectId, ObjectKind, ReadError};

use super::path::{check_to_disk, join};
use super::read::Entry;
use super::read_ahead::ReadAhead;
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

/// A folder as it is stored: its entries are read while they are looked at.
#[derive(Clone, Debug)]
pub struct Listing {
    path: BString,
    tree: ObjectId,
    data: Bytes,
}

/// An entry of a [`Listing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// The name.
    pub name: &'a BStr,
    /// The mode as it is stored.
    pub mode: u32,
    /// The object.
    pub id: ObjectId,
    /// What it is.
    pub file_type: FileType,
}

impl Listing {
    /// The folder's path; empty for the root.
    pub fn path(&self) -> &BStr {
        self.path.as_bstr()
    }

    /// Its entries in Git's order. After an error, which is that the tree is damaged, there are no more.
    pub fn entries(&self) -> impl Iterator<Item = Result<Listed<'_>, StoreError>> {
        Scan::new(&self.data).map(|entry| {
            let entry = entry.map_err(|source| ReadError::decode(self.tree, source))?;
            Ok(Listed {
                name: entry.name,
                mode: entry.mode,
                id: entry.id,
                file_type: entry.file_type(),
            })
        })
    }
}

/// Trees of at least this size are read while the one before is looked at. Of smaller ones, telling another thread takes
/// as long as reading.
const AHEAD_BYTES_MIN: usize = 16 << 10;

/// The folders from one downwards, each before those in it.
pub struct Walk {
    snapshot: Snapshot,
    /// Where to begin, until that was looked up.
    start: Option<BString>,
    /// Folders to come, the next one last.
    ahead: Vec<(BString, ObjectId)>,
    /// The next one, if it is being read.
    reading: Option<ReadAhead>,
}

/// All files from a folder downwards with their whole paths, in Git's order.
pub struct FileWalk {
    snapshot: Snapshot,
    start: Option<BString>,
    path: BString,
    folders: Vec<Folder>,
    /// See [`FileWalk::unambiguous`].
    unambiguous: bool,
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
            reading: None,
        })
    }

    /// Walks everything but folders from `path` downwards. What is wrong with the path is the first item.
    pub fn files(&self, path: impl AsRef<[u8]>) -> Result<FileWalk, StoreError> {
        Ok(FileWalk {
            snapshot: self.clone(),
            start: Some(path.as_ref().into()),
            path: BString::default(),
            folders: Vec::new(),
            unambiguous: false,
        })
    }

    fn walk_start(&self, path: &[u8]) -> Result<(BString, ObjectId), StoreError> {
        let tree = self.folder_at(path)?;
        Ok((super::path::normalize(path)?.unwrap_or_default(), tree))
    }
}

impl Walk {
    /// The next folder, as it is stored. What comes after it is the same as after [`Iterator::next`].
    pub fn next_listing(&mut self) -> Option<Result<Listing, StoreError>> {
        let listing = self.step().transpose();
        if matches!(listing, Some(Err(_))) {
            self.ahead.clear();
            self.reading = None;
        }
        listing
    }

    fn step(&mut self) -> Result<Option<Listing>, StoreError> {
        if let Some(start) = self.start.take() {
            self.ahead.push(self.snapshot.walk_start(&start)?);
        }
        let Some((path, tree)) = self.ahead.pop() else {
            return Ok(None);
        };
        let data = match self.reading.take() {
            Some(reading) => reading.finish()?,
            None => self.snapshot.tree_bytes(tree)?,
        };
        let listing = Listing { path, tree, data };
        let first = self.ahead.len();
        for entry in listing.entries() {
            let entry = entry?;
            if entry.file_type == FileType::Tree {
                self.ahead.push((join(&listing.path, entry.name), entry.id));
            }
        }
        self.ahead[first..].reverse();
        if listing.data.len() >= AHEAD_BYTES_MIN
            && let Some((_, next)) = self.ahead.last()
        {
            self.reading = Some(ReadAhead::begin(self.snapshot.database(), *next));
        }
        Ok(Some(listing))
    }
}

impl Iterator for Walk {
    type Item = Result<WalkDir, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let listing = match self.next_listing()? {
            Ok(listing) => listing,
            Err(error) => return Some(Err(error)),
        };
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        for entry in listing.entries().flatten() {
            match entry.file_type {
                FileType::Tree => dirs.push(entry.name.to_owned()),
                file_type => files.push(Entry {
                    name: entry.name.to_owned(),
                    mode: entry.mode,
                    id: entry.id,
                    file_type,
                }),
            }
        }
        let path = listing.path;
        Some(Ok(WalkDir { path, dirs, files }))
    }
}

impl FileWalk {
    /// Refuses folders that have a name twice, or one with a slash in it, as only forged trees do: of what the walk gives
    /// then, one path could be that of a link, and another lead through it.
    pub(super) fn unambiguous(mut self) -> FileWalk {
        self.unambiguous = true;
        self
    }

    fn check_unambiguous(&self, tree: ObjectId, data: &[u8]) -> Result<(), StoreError> {
        let mut names = Vec::new();
        for entry in Scan::new(data) {
            names.push(
                entry
                    .map_err(|source| ReadError::decode(tree, source))?
                    .name,
            );
        }
        // They are in order already, but for folders, which stand where a slash behind their name would put them.
        names.sort_unstable();
        if let Some(name) = names.iter().find(|name| name.contains(&b'/')) {
            check_to_disk(join(&self.path, name).as_bstr(), name, FileType::Blob)?;
        }
        match names.windows(2).find(|two| two[0] == two[1]) {
            None => Ok(()),
            Some(two) => Err(StoreError::invalid(format!(
                "'{}' is there twice: tree {tree} is damaged or forged",
                join(&self.path, two[0])
            ))),
        }
    }

    fn open(&mut self, tree: ObjectId) -> Result<(), StoreError> {
        let data = self.snapshot.database().bytes_of(tree, ObjectKind::Tree)?;
        if self.unambiguous {
            self.check_unambiguous(tree, &data)?;
        }
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
