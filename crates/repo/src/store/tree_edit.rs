//! Edits of many paths applied to a tree: only folders on the way to a changed path are read and written.
//!
//! Entries that are not edited keep their bytes, odd modes of foreign repositories included.

use std::cmp::Ordering;
use std::ops::Range;

use bstr::{BStr, BString, ByteSlice};
use bytes::Bytes;
use packhouse_object::{
    Database, IdSet, NewObject, ObjectId, ObjectKind, ReadError, compare_entries,
};

use super::path::check_new_name;
use super::scan::{Scan, Scanned};
use super::{ChangeReport, FileEntry, FileType, StoreError};

/// A file to be set, or the file or folder there to be removed.
pub(super) type Change = Option<(FileType, ObjectId)>;

/// What edits make of a tree.
pub(super) struct Edited {
    pub(super) tree: ObjectId,
    /// Trees that were not there.
    pub(super) new: Vec<NewObject>,
    /// What differs from the old tree by id or mode: the paths edited, and what had to give way to them.
    pub(super) report: ChangeReport,
}

/// Applies edits of normalised paths to the tree `root`.
///
/// Removing what is not there does nothing. Writing below a file replaces it by a folder, and the other way round;
/// where both are written, the folder wins. What is written below a folder that is removed starts an empty one.
/// Folders left empty disappear.
pub(super) fn edit_tree<'a>(
    database: &Database,
    root: ObjectId,
    edits: impl IntoIterator<Item = (&'a BString, &'a Change)>,
) -> Result<Edited, StoreError> {
    let mut sorted: Vec<(&BStr, &Change)> = edits
        .into_iter()
        .map(|(path, change)| (path.as_bstr(), change))
        .collect();
    sorted.sort_unstable_by(|a, b| by_parts(a.0, b.0));
    let mut editor = Editor {
        database,
        new: Vec::new(),
        made: IdSet::default(),
        report: ChangeReport::default(),
        gave_way: Vec::new(),
        folders: Vec::new(),
    };
    editor
        .folders
        .push(Folder::open(database, Some(root), b"")?);
    for (path, change) in sorted {
        editor.edit(path, change)?;
    }
    editor.finish(root)
}

/// The order in which a path is followed by everything below it.
fn by_parts(a: &[u8], b: &[u8]) -> Ordering {
    let key = |byte: &u8| if *byte == b'/' { 0 } else { *byte };
    a.iter().map(key).cmp(b.iter().map(key))
}

struct Editor<'a> {
    database: &'a Database,
    new: Vec<NewObject>,
    /// Ids in `new`: different folders may become equal ones.
    made: IdSet,
    report: ChangeReport,
    /// Files in folders in whose place a file was set.
    gave_way: Vec<FileEntry>,
    /// The root and the folders down to where the last edit was.
    folders: Vec<Folder<'a>>,
}

impl<'a> Editor<'a> {
    fn edit(&mut self, path: &'a BStr, change: &Change) -> Result<(), StoreError> {
        let name_at = path.rfind_byte(b'/').map_or(0, |slash| slash + 1);
        let (folder, name) = path.split_at(name_at);
        let parts = || {
            folder
                .split(|&byte| byte == b'/')
                .filter(|part| !part.is_empty())
        };
        let common = self.folders[1..]
            .iter()
            .zip(parts())
            .take_while(|(open, part)| open.name == *part)
            .count();
        while self.folders.len() > common + 1 {
            self.close()?;
        }
        for part in parts().skip(common) {
            self.open(part, path, change.is_some())?;
        }
        let folder = self.innermost();
        let found = folder.find(name)?;
        match change {
            Some((file_type, id)) => {
                if *file_type == FileType::Tree {
                    let reason = format!("Cannot write a file with the mode of a folder: {path}");
                    return Err(StoreError::Invalid { reason });
                }
                check_name(name, *file_type, path)?;
                folder.change(name, Some((*file_type, *id)), found.is_some());
                let entry = || FileEntry::new(path, *file_type);
                match found {
                    None => self.report.add.push(entry()),
                    Some(old) if is_folder(&old) => {
                        self.report.add.push(entry());
                        let gone = self.files_at(path, old.mode, old.id)?;
                        self.gave_way.extend(gone);
                    }
                    Some(old) if (old.mode, old.id) != (file_type.mode(), *id) => {
                        self.report.update.push(entry());
                    }
                    Some(_) => {}
                }
            }
            None => {
                if let Some(old) = found {
                    folder.change(name, None, true);
                    let removed = self.files_at(path, old.mode, old.id)?;
                    self.report.delete.extend(removed);
                }
            }
        }
        if change.is_some() {
            let mut end = 0;
            for folder in &mut self.folders {
                if !folder.name.is_empty() {
                    end += folder.name.len() + usize::from(end > 0);
                }
                if let Some(old) = folder.replaces.take() {
                    let replaced = FileEntry::new(&path[..end], FileType::from_mode(old.mode));
                    self.report.delete.push(replaced);
                }
                folder.is_written = true;
            }
        }
        Ok(())
    }

    /// Opens a folder in the innermost one.
    fn open(&mut self, name: &'a [u8], path: &BStr, writes: bool) -> Result<(), StoreError> {
        let database = self.database;
        let folder = self.innermost();
        let found = folder.find(name)?;
        let is_removed = matches!(folder.changes.last(), Some(last) if last.name == name && last.change.is_none());
        let tree = found
            .filter(|old| is_folder(old) && !is_removed)
            .map(|old| old.id);
        if writes && tree.is_none() {
            check_name(name, FileType::Tree, path)?;
        }
        let mut opened = Folder::open(database, tree, name)?;
        opened.was_there = found.is_some();
        opened.replaces = found.filter(|old| !is_folder(old) && !is_removed);
        self.folders.push(opened);
        Ok(())
    }

    /// Closes the innermost folder: what it became is a change of the one before it.
    fn close(&mut self) -> Result<(), StoreError> {
        let Some(closed) = self.folders.pop() else {
            return Ok(());
        };
        if closed.changes.is_empty() {
            return Ok(());
        }
        let tree = self.write(&closed)?;
        let outer = self.innermost();
        let change = tree.map(|tree| (FileType::Tree, tree));
        match outer.changes.last_mut() {
            // A file was set where the folder is.
            Some(last) if last.name == closed.name && last.change.is_some() => {
                if closed.is_written {
                    last.change = change;
                    self.forget_reported(closed.name);
                }
            }
            Some(last) if last.name == closed.name => last.change = change,
            _ => outer.change(closed.name, change, closed.was_there),
        }
        Ok(())
    }

    /// Takes back what was reported of a file in the innermost folder, which did not come to be.
    fn forget_reported(&mut self, name: &[u8]) {
        let mut path = BString::default();
        for part in self.folders[1..]
            .iter()
            .map(|folder| folder.name)
            .chain([name])
        {
            path = super::path::join(&path, part);
        }
        self.report.add.retain(|entry| entry.path != path);
        self.report.update.retain(|entry| entry.path != path);
        // The folder that had to give way to it stays.
        self.gave_way.retain(|entry| {
            let below = entry.path.strip_prefix(path.as_slice());
            !below.is_some_and(|below| below.starts_with(b"/"))
        });
    }

    /// The tree a folder became; `None` if nothing is left in it.
    fn write(&mut self, folder: &Folder<'_>) -> Result<Option<ObjectId>, StoreError> {
        let data = folder.encode()?;
        if data.is_empty() {
            return Ok(None);
        }
        if data == folder.data {
            return Ok(folder.tree);
        }
        let tree = NewObject::new(ObjectKind::Tree, data)?;
        let id = tree.id;
        if self.made.insert(id) {
            self.new.push(tree);
        }
        Ok(Some(id))
    }

    fn finish(mut self, root: ObjectId) -> Result<Edited, StoreError> {
        while self.folders.len() > 1 {
            self.close()?;
        }
        let folder = self.folders.pop().expect("the root is open until here");
        let tree = match folder.changes.is_empty() {
            true => root,
            false => match self.write(&folder)? {
                Some(id) => id,
                None => {
                    let empty = NewObject::new(ObjectKind::Tree, Bytes::new())?;
                    let id = empty.id;
                    self.new.push(empty);
                    id
                }
            },
        };
        self.report.delete.append(&mut self.gave_way);
        self.report.sort();
        // What gives way may be removed besides.
        self.report.delete.dedup_by(|a, b| a.path == b.path);
        Ok(Edited {
            tree,
            new: self.new,
            report: self.report,
        })
    }

    /// The file at `path`, or those below it.
    fn files_at(&self, path: &BStr, mode: u32, id: ObjectId) -> Result<Vec<FileEntry>, StoreError> {
        let mut files = Vec::new();
        let mut ahead = vec![(path.to_owned(), mode, id)];
        while let Some((path, mode, id)) = ahead.pop() {
            let file_type = FileType::from_mode(mode);
            if file_type != FileType::Tree {
                files.push(FileEntry::new(path, file_type));
                continue;
            }
            let data = self.database.bytes_of(id, ObjectKind::Tree)?;
            for entry in Scan::new(&data) {
                let entry = entry.map_err(|source| ReadError::decode(id, source))?;
                let below = super::path::join(&path, entry.name);
                ahead.push((below, entry.mode, entry.id));
            }
        }
        Ok(files)
    }

    fn innermost(&mut self) -> &mut Folder<'a> {
        self.folders
            .last_mut()
            .expect("the root is open to the end")
    }
}

fn is_folder(old: &Old) -> bool {
    FileType::from_mode(old.mode) == FileType::Tree
}

fn check_name(name: &[u8], file_type: FileType, path: &BStr) -> Result<(), StoreError> {
    check_new_name(name, file_type).map_err(|_| StoreError::BadPath {
        path: path.to_owned(),
        reason: "Git does not allow this name",
    })
}

/// A folder that is being edited.
struct Folder<'a> {
    /// Its name in the folder around it; empty for the root.
    name: &'a [u8],
    /// What it was before; `None` if it was not there.
    tree: Option<ObjectId>,
    data: Bytes,
    finds: u32,
    /// Where entries stand in `data`, by name.
    index: Option<Vec<Range<usize>>>,
    /// Whether the folder around it had an entry of this name.
    was_there: bool,
    /// The file or submodule that it takes the place of when something is written in it.
    replaces: Option<Old>,
    /// By name, each once.
    changes: Vec<Changed<'a>>,
    /// Whether something was set in it or below.
    is_written: bool,
}

/// What becomes of an entry.
struct Changed<'a> {
    name: &'a [u8],
    change: Change,
    /// Whether the old tree has it.
    was_there: bool,
}

#[derive(Clone, Copy)]
struct Old {
    mode: u32,
    id: ObjectId,
}

/// From this many lookups on, an index costs less than reading along the entries.
const FINDS_UNTIL_INDEXED: u32 = 4;

impl<'a> Folder<'a> {
    fn open(
        database: &Database,
        tree: Option<ObjectId>,
        name: &'a [u8],
    ) -> Result<Folder<'a>, StoreError> {
        let data = match tree {
            Some(tree) => database.bytes_of(tree, ObjectKind::Tree)?,
            None => Bytes::new(),
        };
        Ok(Folder {
            name,
            tree,
            data,
            finds: 0,
            index: None,
            was_there: false,
            replaces: None,
            changes: Vec::new(),
            is_written: false,
        })
    }

    fn change(&mut self, name: &'a [u8], change: Change, was_there: bool) {
        self.changes.push(Changed {
            name,
            change,
            was_there,
        });
    }

    fn find(&mut self, name: &[u8]) -> Result<Option<Old>, StoreError> {
        if self.data.is_empty() {
            return Ok(None);
        }
        self.finds += 1;
        let found = if self.finds <= FINDS_UNTIL_INDEXED {
            Scan::new(&self.data)
                .find(name)
                .map_err(|source| self.malformed(source))?
        } else {
            self.find_indexed(name)?
        };
        Ok(found.map(|entry| Old {
            mode: entry.mode,
            id: entry.id,
        }))
    }

    fn find_indexed(&mut self, name: &[u8]) -> Result<Option<Scanned<'_>>, StoreError> {
        let index = match self.index.take() {
            Some(index) => index,
            None => {
                let mut index = Vec::new();
                for entry in Scan::new(&self.data) {
                    let entry = entry.map_err(|source| self.malformed(source))?;
                    index.push(entry.start..entry.end);
                }
                // Nearly sorted: folders stand as if their names ended in a slash.
                index.sort_by(|a, b| self.name_at(a).cmp(self.name_at(b)));
                index
            }
        };
        let found = index.binary_search_by(|range| self.name_at(range).cmp(name));
        let range = found.ok().map(|at| index[at].clone());
        self.index = Some(index);
        match range.and_then(|range| Scan::new(&self.data[range]).next()) {
            Some(entry) => Ok(Some(entry.map_err(|source| self.malformed(source))?)),
            None => Ok(None),
        }
    }

    fn name_at(&self, range: &Range<usize>) -> &[u8] {
        let entry = &self.data[range.clone()];
        let space = entry.find_byte(b' ').map_or(0, |at| at + 1);
        let nul = entry[space..].find_byte(0).unwrap_or(0);
        &entry[space..space + nul]
    }

    /// The bytes of the tree it became.
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let mut set: Vec<(FileType, &[u8], ObjectId)> = self
            .changes
            .iter()
            .filter_map(|changed| {
                let (file_type, id) = changed.change?;
                Some((file_type, changed.name, id))
            })
            .collect();
        let mut left = self.changes.iter().filter(|old| old.was_there).count();
        set.sort_unstable_by(|a, b| compare_entries(a.1, a.0.entry_mode(), b.1, b.0.entry_mode()));
        let added: usize = set.iter().map(|(_, name, _)| name.len() + 28).sum();
        let mut out = Vec::with_capacity(self.data.len() + added);
        let mut set = set.into_iter().peekable();
        // Entries that stay are copied in runs.
        let mut run = 0..0;
        for entry in Scan::new(&self.data) {
            // What follows stays as it is, however much that is.
            if left == 0 && set.peek().is_none() {
                run.end = self.data.len();
                break;
            }
            let entry = entry.map_err(|source| self.malformed(source))?;
            let old_mode = entry.file_type().entry_mode();
            let goes_before = |new: &(FileType, &[u8], ObjectId)| {
                let order = compare_entries(new.1, new.0.entry_mode(), entry.name, old_mode);
                order == Ordering::Less
            };
            while let Some(new) = set.next_if(goes_before) {
                out.extend_from_slice(&self.data[run.clone()]);
                run = entry.start..entry.start;
                encode_entry(&mut out, new);
            }
            if self.is_changed(entry.name) {
                out.extend_from_slice(&self.data[run]);
                run = entry.end..entry.end;
                left = left.saturating_sub(1);
            } else {
                run.end = entry.end;
            }
        }
        out.extend_from_slice(&self.data[run]);
        set.for_each(|new| encode_entry(&mut out, new));
        Ok(out)
    }

    fn is_changed(&self, name: &[u8]) -> bool {
        self.changes
            .binary_search_by(|changed| changed.name.cmp(name))
            .is_ok()
    }

    fn malformed(&self, source: packhouse_object::DecodeError) -> StoreError {
        let tree = self.tree.expect("only the bytes of a tree have entries");
        ReadError::decode(tree, source).into()
    }
}

fn encode_entry(out: &mut Vec<u8>, (file_type, name, id): (FileType, &[u8], ObjectId)) {
    out.extend_from_slice(file_type.entry_mode().as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(id.as_slice());
}
