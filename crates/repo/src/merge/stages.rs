//! The files that either side changed, with what each of the three trees has at their paths.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use bstr::{BStr, BString};
use packhouse_object::{Database, EntryMode, ObjectId, ReadError, diff_trees};

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

/// Stages by path, in the order of the paths' bytes.
pub(super) type StageMap = BTreeMap<BString, Stages>;

/// Every path at which a side is not what the base is. Costs what differs.
pub(super) fn changed_paths(
    database: &Database,
    base: Option<ObjectId>,
    ours: ObjectId,
    theirs: ObjectId,
) -> Result<StageMap, ReadError> {
    let mut changed = StageMap::new();
    diff_trees(database, base, Some(ours), &mut |change| {
        let stages = Stages {
            base: change.old,
            ours: change.new,
            theirs: change.old,
        };
        changed.insert(change.path, stages);
        ControlFlow::Continue(())
    })?;
    diff_trees(database, base, Some(theirs), &mut |change| {
        let same_as_base = Stages {
            base: change.old,
            ours: change.old,
            theirs: change.old,
        };
        changed.entry(change.path).or_insert(same_as_base).theirs = change.new;
        ControlFlow::Continue(())
    })?;
    Ok(changed)
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
