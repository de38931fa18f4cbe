//! Conflicts that no file of the merged tree stands for.

use bstr::BString;

use super::{Conflict, ConflictKind, Stages};

/// Something that is unclear about a folder, and in no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LooseConflict {
    pub(super) path: BString,
    pub(super) kind: ConflictKind,
}

impl From<LooseConflict> for Conflict {
    fn from(loose: LooseConflict) -> Self {
        Conflict {
            path: loose.path,
            original_path: None,
            kind: loose.kind,
            stages: Stages::default(),
            merged: None,
        }
    }
}
