//! Large folders, indexed by name, so that looking up many files in one does not read it each time.

use std::sync::{Arc, Mutex};

use bstr::ByteSlice;
use bytes::Bytes;
use packhouse_object::{DecodeError, ObjectId, ProcessLocal};

use super::scan::{Scan, Scanned};

/// Folders of fewer bytes are read along.
pub(super) const INDEXED_FROM: usize = 16 << 10;

/// The most folders that are kept.
const FOLDERS_MAX: usize = 16;

/// The most bytes of folders that are kept, indexes not counted.
const BYTES_MAX: usize = 32 << 20;

/// The large folders looked into last, newest first.
#[derive(Debug, Default)]
pub(super) struct TreeIndexes {
    folders: ProcessLocal<Mutex<Folders>>,
}

type Folders = Vec<(ObjectId, Arc<TreeIndex>)>;

/// A folder's bytes and where its entries are, by name.
#[derive(Debug)]
pub(super) struct TreeIndex {
    data: Bytes,
    starts: Vec<u32>,
}

impl TreeIndexes {
    /// The index of a folder, if it is kept.
    pub(super) fn get(&self, tree: &ObjectId) -> Option<Arc<TreeIndex>> {
        let mut folders = self.folders.lock();
        let at = folders.iter().position(|(id, _)| id == tree)?;
        folders[..=at].rotate_right(1);
        Some(folders[0].1.clone())
    }

    /// Keeps the index of a folder.
    pub(super) fn keep(&self, tree: ObjectId, data: Bytes) -> Result<Arc<TreeIndex>, DecodeError> {
        let index = Arc::new(TreeIndex::new(data)?);
        let mut folders = self.folders.lock();
        folders.retain(|(id, _)| *id != tree);
        folders.insert(0, (tree, index.clone()));
        let mut bytes = 0;
        let mut kept = 0;
        folders.retain(|(_, index)| {
            bytes += index.data.len();
            kept += 1;
            kept == 1 || kept <= FOLDERS_MAX && bytes <= BYTES_MAX
        });
        Ok(index)
    }
}

impl TreeIndex {
    fn new(data: Bytes) -> Result<TreeIndex, DecodeError> {
        let mut starts = Vec::with_capacity(data.len() / 36);
        for entry in Scan::new(&data) {
            starts.push(entry?.start as u32);
        }
        // Nearly sorted: folders stand as if their names ended in a slash.
        starts.sort_by(|a, b| name_at(&data, *a).cmp(name_at(&data, *b)));
        Ok(TreeIndex { data, starts })
    }

    /// The entry of this name.
    pub(super) fn find(&self, name: &[u8]) -> Option<Scanned<'_>> {
        let found = self
            .starts
            .binary_search_by(|start| name_at(&self.data, *start).cmp(name));
        let start = self.starts[found.ok()?] as usize;
        Scan::new(&self.data[start..]).next()?.ok()
    }
}

fn name_at(data: &[u8], start: u32) -> &[u8] {
    let entry = &data[start as usize..];
    let space = entry.find_byte(b' ').map_or(0, |at| at + 1);
    let nul = entry[space..].find_byte(0).unwrap_or(0);
    &entry[space..space + nul]
}
