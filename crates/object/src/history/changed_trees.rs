//! Which of some paths are not the same in two trees.

use std::collections::HashMap;

use bstr::{BString, ByteSlice};

use crate::{Database, EntryMode, ObjectId, ReadError, TreeIter};

type Entry = Option<(EntryMode, ObjectId)>;

/// A pair of folders, and the paths of interest in them, by number.
struct Folders {
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    /// How much of each path leads here.
    prefix_len: usize,
    paths: Vec<u32>,
}

/// One name in both folders.
#[derive(Default)]
struct Name {
    old: Entry,
    new: Entry,
    paths: Vec<u32>,
}

/// The numbers of those of `wanted` whose file, folder or submodule differs. Reads only the trees on the way to them.
pub(super) fn differing(
    db: &Database,
    old: ObjectId,
    new: ObjectId,
    paths: &[BString],
    wanted: Vec<u32>,
) -> Result<Vec<u32>, ReadError> {
    let mut differing = Vec::new();
    let mut open = vec![Folders {
        old: Some(old),
        new: Some(new),
        prefix_len: 0,
        paths: wanted,
    }];
    while let Some(folders) = open.pop() {
        if folders.old == folders.new || folders.paths.is_empty() {
            continue;
        }
        for (name, found) in names(db, &folders, paths)? {
            if found.old == found.new {
                continue;
            }
            let tree = |entry: Entry| entry.filter(|(mode, _)| mode.is_tree()).map(|(_, id)| id);
            let end = folders.prefix_len + name.len();
            let is_deeper = |number: &u32| paths[*number as usize].len() > end;
            let (deeper, here): (Vec<u32>, Vec<u32>) = found.paths.into_iter().partition(is_deeper);
            differing.extend(here);
            open.push(Folders {
                old: tree(found.old),
                new: tree(found.new),
                prefix_len: end + 1,
                paths: deeper,
            });
        }
    }
    Ok(differing)
}

fn names<'a>(
    db: &Database,
    folders: &Folders,
    paths: &'a [BString],
) -> Result<HashMap<&'a [u8], Name>, ReadError> {
    let mut names: HashMap<&[u8], Name> = HashMap::new();
    for number in &folders.paths {
        let rest = &paths[*number as usize][folders.prefix_len..];
        let end = rest.iter().position(|&byte| byte == b'/');
        let name = &rest[..end.unwrap_or(rest.len())];
        names.entry(name).or_default().paths.push(*number);
    }
    for (tree, is_new) in [(folders.old, false), (folders.new, true)] {
        let Some(tree) = tree else {
            continue;
        };
        let data = db.tree_bytes(tree)?;
        let mut left = names.len();
        for entry in TreeIter::new(&data) {
            let entry = entry.map_err(|source| ReadError::decode(tree, source))?;
            let Some(name) = names.get_mut(entry.name.as_bytes()) else {
                continue;
            };
            let side = if is_new { &mut name.new } else { &mut name.old };
            *side = Some((entry.mode, entry.id));
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    Ok(names)
}
