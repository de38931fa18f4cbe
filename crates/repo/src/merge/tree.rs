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
    let mut merger = Merger {
        database,
        options,
        depth,
        objects: Vec::new(),
        bytes: 0,
    };
    let names = FreeNames {
        database,
        trees: base.into_iter().chain([ours, theirs]).collect(),
        changed: &changed,
        given: BTreeSet::new(),
    };
    let outcome = resolve_all(&mut merger, &changed, names)?;
    let (path_edits, edits) = outcome.edits(&changed)?;
    let mut objects = merger.objects;
    // Merged texts may be files whose content is judged.
    let complete = database.with_objects(objects.iter().cloned());
    let tree = edit_tree(&complete, Some(ours), &path_edits, &mut objects)?;
    let mut conflicts = outcome.conflicts;
    conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(MergedTree {
        tree,
        objects,
        edits,
        conflicts,
    })
}

/// The files of the merged tree, as far as they are not the same everywhere.
struct Outcome {
    files: BTreeMap<BString, Option<Stage>>,
    conflicts: Vec<Conflict>,
}

fn resolve_all(
    merger: &mut Merger<'_>,
    changed: &StageMap,
    mut names: FreeNames<'_>,
) -> Result<Outcome, MergeError> {
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
    Ok(outcome)
}

type Edits = (Vec<PathEdit>, BTreeMap<BString, Option<Stage>>);

impl Outcome {
    /// What has to be changed in our tree.
    fn edits(&self, changed: &StageMap) -> Result<Edits, MergeError> {
        let mut edits = BTreeMap::new();
        let mut path_edits = Vec::new();
        let mut replaced: Option<&BString> = None;
        for (path, stage) in &self.files {
            let ours = changed.get(path).and_then(|stages| stages.ours);
            let is_replaced = replaced.is_some_and(|folder| is_inside(path, folder));
            if is_replaced || *stage == ours {
                continue;
            }
            let parsed = RepoPath::parse(path).map_err(|source| MergeError::Path {
                path: path.clone(),
                source,
            })?;
            let our_folder =
                inside(changed, path.as_bstr()).any(|(_, stages)| stages.ours.is_some());
            if ours.is_some() && stage.is_none() || our_folder {
                path_edits.push(PathEdit::Delete {
                    path: parsed.clone(),
                });
            }
            if let Some((mode, id)) = *stage {
                path_edits.push(PathEdit::Upsert {
                    path: parsed,
                    mode,
                    id,
                });
                if our_folder {
                    replaced = Some(path);
                }
            }
            let folder_comes =
                inside(&self.files, path.as_bstr()).any(|(_, stage)| stage.is_some());
            if stage.is_some() || !folder_comes {
                edits.insert(path.clone(), *stage);
            }
        }
        Ok((path_edits, edits))
    }
}

fn is_inside(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with(b"/"))
}
