//! What each of the three trees has at a path.

use std::collections::BTreeMap;

use bstr::{BStr, BString};
use packhouse_object::{EntryMode, ObjectId};

/// What stands at a path in a tree: a file, a link or a submodule.
pub type Stage = (EntryMode, ObjectId);

/// What the three trees of a merge have at a path; `None`: no file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stages {
    /// What it was.
    pub base: Option<Stage>,
    /// What our side made of it.
    pub ours: Option<Stage>,
    /// What their side made of it.
    pub theirs: Option<Stage>,
}

/// The paths of a map that are inside a folder.
pub(super) fn inside<'a, T>(
    map: &'a BTreeMap<BString, T>,
    folder: &BStr,
) -> impl Iterator<Item = (&'a BString, &'a T)> + use<'a, T> {
    let mut first = folder.to_owned();
    first.push(b'/');
    let mut end = folder.to_owned();
    end.push(b'/' + 1);
    map.range(first..end)
}
