//! What the three trees of a merge have at the paths where they are not all the same.

use std::collections::BTreeMap;

use bstr::{BStr, BString};

use super::ConflictKind;
use super::stages::{Stage, Stages};

/// A tree of a merge, as an index.
pub(super) const BASE: usize = 0;
pub(super) const OURS: usize = 1;
pub(super) const THEIRS: usize = 2;

/// Entries by path, in the order of the paths' bytes.
pub(super) type Entries = BTreeMap<BString, Entry>;

/// What the three trees have at a path, and what renames have made of that.
#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    /// The files of base, ours and theirs. Renames bring files here from other paths.
    pub(super) files: [Option<Stage>; 3],
    /// Which trees have a folder here, one bit each.
    pub(super) folders: u8,
    /// Which of the three are the same, one bit each; none or at least two.
    pub(super) same: u8,
    /// The paths that the files come from, where they are not all this one.
    pub(super) names: Option<Box<[BString; 3]>>,
    /// A conflict that is not about contents.
    pub(super) path_conflict: Option<ConflictKind>,
    /// What is here in the end, where nothing has to be merged any more.
    pub(super) settled: Option<Option<Stage>>,
    /// The file went to where the other side moved its folder.
    pub(super) is_gone: bool,
    /// The file that our tree has here, whatever renames make of it.
    pub(super) in_ours: Option<Stage>,
    /// Whether our tree has a folder here.
    pub(super) folder_in_ours: bool,
}

impl Entry {
    /// Which trees have a file here, one bit each.
    pub(super) fn mask(&self) -> u8 {
        let bit = |(side, file): (usize, &Option<Stage>)| u8::from(file.is_some()) << side;
        self.files.iter().enumerate().map(bit).sum()
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.is_some()
    }

    pub(super) fn stages(&self) -> Stages {
        let [base, ours, theirs] = self.files;
        Stages { base, ours, theirs }
    }

    /// Says that the file of a tree comes from another path.
    pub(super) fn set_name(&mut self, here: &BStr, side: usize, name: &BStr) {
        let names = self.names.get_or_insert_with(|| {
            let here = || here.to_owned();
            Box::new([here(), here(), here()])
        });
        names[side] = name.to_owned();
    }
}
