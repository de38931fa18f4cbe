//! The entries of an archive, in the order of the trees.

use bstr::{BString, ByteSlice};
use bytes::Bytes;
use packhouse_object::{
    Database, EntryMode, MAX_TREE_DEPTH, ObjectId, ObjectKind, ReadError, TreeEntry, TreeIter,
};

use super::{Archive, ArchiveError, Content, Entries, FileEntry, has_content, open};

/// Most entries that are looked at. A tree can name itself's like so often that it has no end in sight.
const MAX_ENTRIES: u64 = 50_000_000;
/// What matching may cost, in steps: less than a minute, and enough for a million files and some globs.
const MAX_MATCHING: u64 = 20_000_000_000;
/// So often it is asked whether the archive is still wanted, in entries.
const ASK_EVERY: u64 = 512;
/// And always before so many steps.
const ASK_AT_COST: u64 = 1_000_000;

/// A folder that is being read.
struct Folder {
    id: ObjectId,
    data: Bytes,
    at: usize,
    /// How long the path of the folder is, with its slash.
    path_len: usize,
    is_added: bool,
}

pub(super) struct Walk<'a> {
    database: &'a Database,
    archive: &'a Archive,
    is_unwanted: &'a dyn Fn() -> bool,
    folders: Vec<Folder>,
    /// The prefix and the path at hand.
    name: BString,
    /// How much of `name` is the prefix.
    prefix_len: usize,
    files: u64,
    entries: u64,
    matching_left: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        database: &'a Database,
        archive: &'a Archive,
        is_unwanted: &'a dyn Fn() -> bool,
    ) -> Walk<'a> {
        Walk {
            database,
            archive,
            is_unwanted,
            folders: Vec::new(),
            name: archive.prefix.clone(),
            prefix_len: archive.prefix.len(),
            files: 0,
            entries: 0,
            matching_left: MAX_MATCHING,
        }
    }

    /// Adds everything that is wanted to `out`. Returns how many files and links that is.
    pub(super) fn run(
        &mut self,
        root: ObjectId,
        out: &mut dyn Entries,
    ) -> Result<u64, ArchiveError> {
        if self.name.ends_with(b"/") {
            let folder = self.name.trim_end_with(|c| c == '/');
            let folder = [folder, b"/"].concat();
            out.folder(folder.as_bstr(), &root)?;
        }
        self.enter(root, true)?;
        while let Some(folder) = self.folders.last_mut() {
            self.name.truncate(folder.path_len);
            let mut rest = TreeIter::new(&folder.data[folder.at..]);
            let Some(entry) = rest.next() else {
                self.folders.pop();
                continue;
            };
            let entry = entry.map_err(|source| ReadError::decode(folder.id, source))?;
            // Mode, space, name, NUL, id.
            let entry = entry.to_owned();
            folder.at = folder.data.len() - rest.rest_len();
            self.name.extend_from_slice(&entry.name);
            self.count()?;
            if entry.mode.is_tree() {
                self.name.push(b'/');
                self.enter(entry.id, false)?;
                if !self.archive.leaves_out() {
                    self.add_folders(out)?;
                }
            } else if self.takes()? {
                self.add(&entry, out)?;
            }
        }
        Ok(self.files)
    }

    fn enter(&mut self, tree: ObjectId, is_root: bool) -> Result<(), ArchiveError> {
        if self.folders.len() > MAX_TREE_DEPTH {
            let limit = MAX_TREE_DEPTH;
            return Err(ReadError::TreeTooDeep { id: tree, limit }.into());
        }
        self.folders.push(Folder {
            id: tree,
            data: self.database.tree_bytes(tree)?,
            at: 0,
            path_len: self.name.len(),
            is_added: is_root,
        });
        Ok(())
    }

    fn count(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(ArchiveError::TooManyEntries { limit: MAX_ENTRIES });
        }
        if self.entries.is_multiple_of(ASK_EVERY) && (self.is_unwanted)() {
            return Err(ArchiveError::Cancelled);
        }
        Ok(())
    }

    /// Whether the filter takes the path at hand.
    fn takes(&mut self) -> Result<bool, ArchiveError> {
        if self.archive.filter.takes_all() {
            return Ok(true);
        }
        let path = &self.name[self.prefix_len..];
        let cost = self.archive.filter.cost(path.len(), self.folders.len());
        let left = self.matching_left.checked_sub(cost);
        self.matching_left = left.ok_or(ArchiveError::TooCostly)?;
        if cost > ASK_AT_COST && (self.is_unwanted)() {
            return Err(ArchiveError::Cancelled);
        }
        Ok(self.archive.filter.takes(path))
    }

    fn add(&mut self, entry: &TreeEntry, out: &mut dyn Entries) -> Result<(), ArchiveError> {
        if !has_content(entry.mode) {
            self.add_folders(out)?;
            self.name.push(b'/');
            return out.folder(self.name.as_bstr(), &entry.id);
        }
        if entry.mode == EntryMode::Symlink {
            self.add_folders(out)?;
            let target = self.database.bytes_of(entry.id, ObjectKind::Blob)?;
            self.files += 1;
            return out.link(self.name.as_bstr(), &entry.id, &target);
        }
        let opened: Option<(u64, Content)> =
            open(self.database, &entry.id, self.archive.max_blob_size)?;
        let Some((size, content)) = opened else {
            return Ok(());
        };
        self.add_folders(out)?;
        self.files += 1;
        let file = FileEntry {
            name: self.name.as_bstr(),
            id: &entry.id,
            is_executable: entry.mode == EntryMode::Executable,
            size,
        };
        out.file(&file, content)
    }

    /// Adds the open folders that are not in the archive yet.
    fn add_folders(&mut self, out: &mut dyn Entries) -> Result<(), ArchiveError> {
        for folder in self.folders.iter_mut().filter(|folder| !folder.is_added) {
            out.folder(self.name[..folder.path_len].as_bstr(), &folder.id)?;
            folder.is_added = true;
        }
        Ok(())
    }
}

impl Archive {
    /// Whether there may be folders of which nothing is wanted.
    fn leaves_out(&self) -> bool {
        !self.filter.takes_all() || self.max_blob_size.is_some()
    }
}
