//! Paths without their folders.

use std::collections::HashMap;
use std::hash::Hash;

use bstr::{BStr, ByteSlice};

/// The name of a file in its folder.
pub(super) fn file_name(path: &BStr) -> &BStr {
    let start = path.rfind_byte(b'/').map_or(0, |slash| slash + 1);
    path[start..].as_bstr()
}

/// Which thing has each key; `None`: several have it.
pub(super) fn unique<K: Hash + Eq>(
    keys: impl Iterator<Item = (K, usize)>,
) -> HashMap<K, Option<usize>> {
    let mut unique = HashMap::new();
    for (key, at) in keys {
        unique
            .entry(key)
            .and_modify(|only| *only = None)
            .or_insert(Some(at));
    }
    unique
}
