//! Folders: read without allocating, or owned and written in Git's order.

use bstr::{BStr, BString, ByteSlice};
use std::cmp::Ordering;

use crate::{DecodeError, EntryMode, HashKind, ObjectId, ObjectKind};

/// The most folders in one another, below the root, that are walked: Git's default of `core.maxTreeDepth`.
///
/// Packs are not held to it: how deep a tree is that was here before is not known without walking it, and each push may
/// add another one on top. So whoever holds what is open of each folder refuses to go deeper instead.
pub const MAX_TREE_DEPTH: usize = 2048;

/// A folder's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// In any order; [`Tree::encode`] sorts.
    pub entries: Vec<TreeEntry>,
}

/// A named entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub mode: EntryMode,
    /// Its name, without slashes.
    pub name: BString,
    /// The object it names.
    pub id: ObjectId,
}

/// An entry as it stands in a tree's bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TreeEntryRef<'a> {
    /// What it is.
    pub mode: EntryMode,
    /// Its name, without slashes.
    pub name: &'a BStr,
    /// The object it names.
    pub id: ObjectId,
}

impl Tree {
    /// Reads a tree's bytes.
    pub fn parse(data: &[u8]) -> Result<Tree, DecodeError> {
        let entries = TreeIter::new(data)
            .map(|entry| entry.map(|entry| entry.to_owned()))
            .collect::<Result<_, _>>()?;
        Ok(Tree { entries })
    }

    /// The tree's bytes, entries in Git's order. Names must be unique.
    pub fn encode(&self) -> Vec<u8> {
        let mut order: Vec<&TreeEntry> = self.entries.iter().collect();
        order.sort_unstable_by(|a, b| compare_entries(&a.name, a.mode, &b.name, b.mode));
        let size = order
            .iter()
            .map(|entry| encoded_size(&entry.name, entry.mode, &entry.id))
            .sum();
        let mut out = Vec::with_capacity(size);
        for entry in order {
            encode_entry(&mut out, entry.mode, &entry.name, &entry.id);
        }
        out
    }

    /// The entry of this name.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&TreeEntry> {
        let name = name.as_ref();
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl TreeEntryRef<'_> {
    /// The entry, independent of the tree's bytes.
    pub fn to_owned(&self) -> TreeEntry {
        TreeEntry {
            mode: self.mode,
            name: self.name.into(),
            id: self.id,
        }
    }
}

/// Git's order of entries: by bytes, a folder's name as if it ended in `/`.
pub fn compare_entries(a: &[u8], a_mode: EntryMode, b: &[u8], b_mode: EntryMode) -> Ordering {
    let common = a.len().min(b.len());
    a[..common].cmp(&b[..common]).then_with(|| {
        // What follows the shorter name: the slash of a folder, or nothing, which sorts first.
        let next = |name: &[u8], mode: EntryMode| {
            name.get(common)
                .copied()
                .or_else(|| mode.is_tree().then_some(b'/'))
        };
        next(a, a_mode).cmp(&next(b, b_mode))
    })
}

/// Appends one entry to a tree's bytes.
pub(crate) fn encode_entry(out: &mut Vec<u8>, mode: EntryMode, name: &[u8], id: &ObjectId) {
    out.extend_from_slice(mode.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(name);
    out.push(0);
    out.extend_from_slice(id.as_slice());
}

fn encoded_size(name: &[u8], mode: EntryMode, id: &ObjectId) -> usize {
    mode.as_str().len() + name.len() + id.as_slice().len() + 2
}

/// The entries of a tree's bytes, in the order they stand there.
///
/// Only the structure is checked: not the order, not the names. After an error it ends.
#[derive(Clone, Debug)]
pub struct TreeIter<'a> {
    rest: &'a [u8],
}

/// Bytes of an id in a tree.
const ID_LEN: usize = HashKind::Sha1.len_in_bytes();

impl<'a> TreeIter<'a> {
    /// Iterates over the entries of a tree's bytes.
    pub fn new(data: &'a [u8]) -> Self {
        TreeIter { rest: data }
    }

    /// The entry of this name, reading no further than needed.
    pub fn find(self, name: &[u8]) -> Result<Option<TreeEntryRef<'a>>, DecodeError> {
        for entry in self {
            let entry = entry?;
            if entry.name == name {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// How many bytes are left to read.
    pub fn rest_len(&self) -> usize {
        self.rest.len()
    }

    fn entry(&mut self) -> Result<TreeEntryRef<'a>, &'static str> {
        let (mode, rest) = take_mode(self.rest)?;
        let nul = rest.find_byte(0).ok_or("an entry's name has no end")?;
        let (name, rest) = rest.split_at(nul);
        let (id, rest) = rest[1..]
            .split_first_chunk::<ID_LEN>()
            .ok_or("the last entry is cut off")?;
        self.rest = rest;
        Ok(TreeEntryRef {
            mode,
            name: name.as_bstr(),
            id: ObjectId::Sha1(*id),
        })
    }
}

/// Takes an entry's mode and the space behind it.
fn take_mode(data: &[u8]) -> Result<(EntryMode, &[u8]), &'static str> {
    // Nearly all entries have one of these two.
    if let Some(rest) = data.strip_prefix(b"100644 ") {
        return Ok((EntryMode::Blob, rest));
    }
    if let Some(rest) = data.strip_prefix(b"40000 ") {
        return Ok((EntryMode::Tree, rest));
    }
    let space = data.iter().take(8).position(|&byte| byte == b' ');
    let space = space.ok_or("an entry has no mode")?;
    let mode = EntryMode::from_octal_str(&data[..space]).ok_or("an entry's mode is unknown")?;
    Ok((mode, &data[space + 1..]))
}

/// How many bytes at the start of both trees' bytes are the same entries.
pub(crate) fn common_entries(a: &[u8], b: &[u8]) -> usize {
    const STRIDE: usize = 64;
    let strides = a.chunks_exact(STRIDE).zip(b.chunks_exact(STRIDE));
    let start = strides.take_while(|(a, b)| a == b).count() * STRIDE;
    let tail = a[start..]
        .iter()
        .zip(&b[start..])
        .take_while(|(a, b)| a == b)
        .count();
    let common = &a[..start + tail];
    let mut end = 0;
    while let Some(nul) = common[end..].find_byte(0) {
        let next = end + nul + 1 + ID_LEN;
        if next > common.len() {
            break;
        }
        end = next;
    }
    end
}

impl<'a> Iterator for TreeIter<'a> {
    type Item = Result<TreeEntryRef<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        Some(self.entry().map_err(|reason| {
            self.rest = &[];
            DecodeError {
                kind: ObjectKind::Tree,
                reason,
            }
        }))
    }
}
