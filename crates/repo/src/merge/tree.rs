//! Merging two trees that come from one.

use std::collections::{BTreeMap, BTreeSet};

use bstr::{BString, ByteSlice};
use packhouse_object::{Database, NewObject, ObjectId, PathEdit, RepoPath, edit_tree};

use super::Conflict;
use super::blob::Merger;
use super::options::{MergeError, TreeMergeOptions};
use super::path::{FreeNames, conflict_of};
use super::stages::{Stage, StageMap, changed_paths, inside};

/// The result of a merge. Nothing of it is stored yet.
#[derive(Clone, Debug)]
pub struct MergedTree {
    /// The merged tree. With conflicts it is what Git would check out.
    pub tree: ObjectId,
    /// What the merge adds: texts and trees that were not there.
    pub objects: Vec<NewObject>,
    /// What our tree lacks of the merged one, by path; `None`: the file is gone. A file takes the
    /// place of a folder with all that was in it, and the other way round.
    pub edits: BTreeMap<BString, Option<Stage>>,
    /// What a person has to decide, in the order of the paths.
    pub conflicts: Vec<Conflict>,
}

impl MergedTree {
    /// Whether there is nothing to decide.
    pub fn is_clean(&self) -> bool {
        self.conflicts.is_empty()
    }
}

/// Merges what `ours` and `theirs` made of `base` (`None`: of nothing).
///
/// Errors: an object that cannot be read, a changed path that [`RepoPath`] refuses, merged texts
/// beyond the limit of `options`. Conflicts are no errors.
pub fn merge_trees(
    database: &Database,
    base: Option<ObjectId>,
    ours: ObjectId,
    theirs: ObjectId,
    options: &TreeMergeOptions,
) -> Result<MergedTree, MergeError> {
    merge_at_depth(database, base, ours, theirs, options, 0)
}

/// Merges trees; `depth` above 0 makes a base for another merge.
pub(super) fn merge_at_depth(
    database: &Database,
    base: Option<ObjectId>,
    ours: ObjectId,
    theirs: ObjectId,
    options: &TreeMergeOptions,
    depth: usize,
) -> Result<MergedTree, MergeError> {
    let changed = changed_paths(database, base, ours, theirs)?;
    let (outcome, mut objects) =
        resolve_all(database, base, [ours, theirs], options, depth, &changed)?;
    let path_edits = outcome.path_edits(&changed)?;
    // Merged texts may be files whose content is judged.
    let complete = database.with_objects(objects.iter().cloned());
    let tree = edit_tree(&complete, Some(ours), &path_edits, &mut objects)?;
    Ok(MergedTree {
        tree,
        edits: outcome.edits(&changed),
        objects,
        conflicts: outcome.conflicts,
    })
}

/// What a merge changes in our tree. Nothing of it is stored yet.
#[derive(Clone, Debug)]
pub struct MergedChanges {
    /// As in [`MergedTree`].
    pub edits: BTreeMap<BString, Option<Stage>>,
    /// The texts that were not there.
    pub objects: Vec<NewObject>,
    /// As in [`MergedTree`].
    pub conflicts: Vec<Conflict>,
}

/// As [`merge_trees`], for callers who make the tree themselves; no path is refused.
pub fn merge_changes(
    database: &Database,
    base: Option<ObjectId>,
    ours: ObjectId,
    theirs: ObjectId,
    options: &TreeMergeOptions,
) -> Result<MergedChanges, MergeError> {
    let changed = changed_paths(database, base, ours, theirs)?;
    let (outcome, objects) = resolve_all(database, base, [ours, theirs], options, 0, &changed)?;
    Ok(MergedChanges {
        edits: outcome.edits(&changed),
        objects,
        conflicts: outcome.conflicts,
    })
}

/// The files of the merged tree, as far as they are not the same everywhere.
struct Outcome {
    files: BTreeMap<BString, Option<Stage>>,
    conflicts: Vec<Conflict>,
}

fn resolve_all(
    database: &Database,
    base: Option<ObjectId>,
    sides: [ObjectId; 2],
    options: &TreeMergeOptions,
    depth: usize,
    changed: &StageMap,
) -> Result<(Outcome, Vec<NewObject>), MergeError> {
    let mut merger = Merger {
        database,
        options,
        depth,
        objects: Vec::new(),
        bytes: 0,
    };
    let mut names = FreeNames {
        database,
        trees: base.into_iter().chain(sides).collect(),
        changed,
        given: BTreeSet::new(),
    };
    let mut outcome = Outcome {
        files: BTreeMap::new(),
        conflicts: Vec::new(),
    };
    // Backwards: what is in a folder comes before a file at the folder's path.
    for (path, stages) in changed.iter().rev() {
        let folder_stays = inside(&outcome.files, path.as_bstr()).any(|(_, stage)| stage.is_some());
        let resolved = merger.resolve(path.as_bstr(), *stages, folder_stays, &mut names)?;
        // Where no file is left at the path itself, that has to be said.
        outcome.files.insert(path.clone(), None);
        for (at, stages, merged) in resolved.files {
            outcome
                .conflicts
                .extend(conflict_of(path.as_bstr(), &at, stages, &merged));
            outcome.files.insert(at, merged.stage);
        }
    }
    outcome.conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((outcome, merger.objects))
}

impl Outcome {
    /// What has to be changed in our tree, for a caller that knows that a file replaces a folder.
    fn edits(&self, changed: &StageMap) -> BTreeMap<BString, Option<Stage>> {
        let folder_comes =
            |path: &BString| inside(&self.files, path.as_bstr()).any(|(_, stage)| stage.is_some());
        self.differing(changed)
            .filter(|(path, stage)| stage.is_some() || !folder_comes(path))
            .map(|(path, stage)| (path.clone(), stage))
            .collect()
    }

    fn path_edits(&self, changed: &StageMap) -> Result<Vec<PathEdit>, MergeError> {
        let mut edits = Vec::new();
        for (path, stage) in self.differing(changed) {
            let parsed = RepoPath::parse(path).map_err(|source| MergeError::Path {
                path: path.clone(),
                source,
            })?;
            if stage.is_none() || is_folder_of_ours(changed, path) {
                let path = parsed.clone();
                edits.push(PathEdit::Delete { path });
            }
            if let Some((mode, id)) = stage {
                let path = parsed;
                edits.push(PathEdit::Upsert { path, mode, id });
            }
        }
        Ok(edits)
    }

    /// The files that are not what our tree has, but for those in folders that a file replaces.
    fn differing(&self, changed: &StageMap) -> impl Iterator<Item = (&BString, Option<Stage>)> {
        let mut replaced: Option<&BString> = None;
        self.files.iter().filter_map(move |(path, stage)| {
            let ours = changed.get(path).and_then(|stages| stages.ours);
            let is_replaced = replaced.is_some_and(|folder| is_inside(path, folder));
            if is_replaced || *stage == ours {
                return None;
            }
            if stage.is_some() && is_folder_of_ours(changed, path) {
                replaced = Some(path);
            }
            Some((path, *stage))
        })
    }
}

fn is_folder_of_ours(changed: &StageMap, path: &BString) -> bool {
    inside(changed, path.as_bstr()).any(|(_, stages)| stages.ours.is_some())
}

fn is_inside(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with(b"/"))
}
