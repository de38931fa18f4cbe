//! Merging two trees that come from one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{
    Database, IdMap, IdSet, NewObject, ObjectId, PathEdit, RepoPath, diff_trees, edit_tree,
    is_below,
};

use super::blob::Merger;
use super::collect::{MAX_ENTRIES, TakenFolder, collect};
use super::entry::{Entries, Entry};
use super::options::{MergeError, TreeMergeOptions};
use super::path::{FreeNames, conflict_of, find_in_trees};
use super::stages::{Stage, inside};
use super::{Conflict, renames};

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
    let (outcome, mut objects) = resolve_all(database, base, [ours, theirs], options, depth)?;
    let path_edits = outcome.path_edits()?;
    // Merged texts may be files whose content is judged.
    let complete = database.with_objects(objects.iter().cloned());
    let tree = edit_tree(&complete, Some(ours), &path_edits, &mut objects)?;
    Ok(MergedTree {
        tree,
        edits: outcome.edits(),
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
    let (outcome, objects) = resolve_all(database, base, [ours, theirs], options, 0)?;
    Ok(MergedChanges {
        edits: outcome.edits(),
        objects,
        conflicts: outcome.conflicts,
    })
}

/// The files of the merged tree, as far as they are not the same everywhere.
struct Outcome {
    entries: Entries,
    files: BTreeMap<BString, Option<Stage>>,
    /// Folders that stay as one side has them, in which nothing was looked at.
    whole_folders: BTreeSet<BString>,
    conflicts: Vec<Conflict>,
}

fn resolve_all(
    database: &Database,
    base: Option<ObjectId>,
    sides: [ObjectId; 2],
    options: &TreeMergeOptions,
    depth: usize,
) -> Result<(Outcome, Vec<NewObject>), MergeError> {
    let [ours, theirs] = sides;
    let mut merger = Merger {
        database,
        options,
        depth,
        objects: Vec::new(),
        made: IdMap::default(),
        bytes: 0,
    };
    let trees: Vec<ObjectId> = base.into_iter().chain(sides).collect();
    let all = [base, Some(ours), Some(theirs)];
    let mut collected = collect(database, all, options.renames)?;
    let mut conflicts = Vec::new();
    if options.renames {
        let look = |path: &BStr| find_in_trees(database, &trees, path);
        let loose = renames::follow(&mut merger, &mut collected, &look)?;
        conflicts.extend(loose.into_iter().map(Conflict::from));
    }
    let mut outcome = Outcome {
        entries: collected.entries,
        files: BTreeMap::new(),
        whole_folders: BTreeSet::new(),
        conflicts,
    };
    for folder in collected.taken {
        outcome.take_folder(database, folder)?;
    }
    outcome.resolve(&mut merger, trees)?;
    outcome.conflicts.sort_by(|a, b| a.path.cmp(&b.path));
    let mut objects = merger.objects;
    // Some were only made to be merged again.
    let used = outcome.ids();
    objects.retain(|object| used.contains(&object.id));
    Ok((outcome, objects))
}

impl Outcome {
    /// Takes over what a folder has that is taken as one side has it.
    fn take_folder(&mut self, database: &Database, folder: TakenFolder) -> Result<(), MergeError> {
        let TakenFolder { path, ours, taken } = folder;
        let mut is_too_much = false;
        diff_trees(database, ours, taken, &mut |change| {
            let mut at = path.clone();
            at.push(b'/');
            at.extend_from_slice(&change.path);
            let entry = Entry {
                settled: Some(change.new),
                in_ours: change.old,
                ..Entry::default()
            };
            self.entries.insert(at, entry);
            is_too_much = self.entries.len() >= MAX_ENTRIES;
            match is_too_much {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        if is_too_much {
            return Err(MergeError::TooManyPaths { limit: MAX_ENTRIES });
        }
        if taken.is_some() {
            self.whole_folders.insert(path);
        }
        Ok(())
    }

    fn resolve(&mut self, merger: &mut Merger<'_>, trees: Vec<ObjectId>) -> Result<(), MergeError> {
        let mut names = FreeNames {
            database: merger.database,
            trees,
            entries: &self.entries,
            given: BTreeSet::new(),
        };
        // Backwards: what is in a folder comes before a file at the folder's path.
        for (path, entry) in self.entries.iter().rev() {
            let is_folder = entry.folders != 0 && entry.mask() != 0;
            let folder_stays =
                is_folder && folder_stays(&self.files, &self.whole_folders, path.as_bstr());
            let resolved = merger.resolve(path.as_bstr(), entry, folder_stays, &mut names)?;
            if entry.folders == 0 && !entry.is_settled() {
                give_way(&mut self.files, path.as_bstr());
            }
            // Where no file is left at the path itself, that has to be said.
            self.files.insert(path.clone(), None);
            for (at, stages, merged) in resolved.files {
                let conflict = conflict_of(path.as_bstr(), &at, stages, &merged, entry);
                self.conflicts.extend(conflict);
                self.files.insert(at, merged.stage);
            }
        }
        Ok(())
    }

    /// What the merged files and the stages of conflicts name.
    fn ids(&self) -> IdSet {
        let stages = |conflict: &Conflict| {
            let stages = conflict.stages;
            [stages.base, stages.ours, stages.theirs]
        };
        let of_conflicts = self.conflicts.iter().flat_map(stages);
        let files = self.files.values().copied();
        files
            .chain(of_conflicts)
            .flatten()
            .map(|(_, id)| id)
            .collect()
    }

    /// What has to be changed in our tree, for a caller that knows that a file replaces a folder.
    fn edits(&self) -> BTreeMap<BString, Option<Stage>> {
        let folder_comes =
            |path: &BString| folder_stays(&self.files, &self.whole_folders, path.as_bstr());
        self.differing()
            .filter(|(path, stage)| stage.is_some() || !folder_comes(path))
            .map(|(path, stage)| (path.clone(), stage))
            .collect()
    }

    fn path_edits(&self) -> Result<Vec<PathEdit>, MergeError> {
        let mut edits = Vec::new();
        for (path, stage) in self.differing() {
            let parsed = RepoPath::parse(path).map_err(|source| MergeError::Path {
                path: path.clone(),
                source,
            })?;
            if stage.is_none() || self.is_folder_of_ours(path) {
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
    fn differing(&self) -> impl Iterator<Item = (&BString, Option<Stage>)> {
        let mut replaced: Option<&BString> = None;
        self.files.iter().filter_map(move |(path, stage)| {
            let ours = self.entries.get(path).and_then(|entry| entry.in_ours);
            let is_replaced = replaced.is_some_and(|folder| is_below(path, folder));
            if is_replaced || *stage == ours {
                return None;
            }
            if stage.is_some() && self.is_folder_of_ours(path) {
                replaced = Some(path);
            }
            Some((path, *stage))
        })
    }

    fn is_folder_of_ours(&self, path: &BString) -> bool {
        let is_one = self
            .entries
            .get(path)
            .is_some_and(|entry| entry.folder_in_ours);
        is_one || inside(&self.entries, path.as_bstr()).any(|(_, entry)| entry.in_ours.is_some())
    }
}

/// Whether the merged tree has a folder at a path: only where some tree has both a folder and a file is that a question,
/// and there everything in the folder is looked at, or it is taken whole.
fn folder_stays(
    files: &BTreeMap<BString, Option<Stage>>,
    whole_folders: &BTreeSet<BString>,
    path: &BStr,
) -> bool {
    let mut first = path.to_owned();
    first.push(b'/');
    let mut end = path.to_owned();
    end.push(b'/' + 1);
    inside(files, path).any(|(_, stage)| stage.is_some())
        || whole_folders.range(first..end).next().is_some()
        || whole_folders.contains(path)
}

/// Takes out what would be inside of a file: what a side put into a folder that the other moved to where a file is, or
/// was. The conflict that this is stays, and nothing is in the tree in its place, as in Git.
fn give_way(files: &mut BTreeMap<BString, Option<Stage>>, path: &BStr) {
    let inside: Vec<BString> = inside(files, path)
        .filter(|(_, stage)| stage.is_some())
        .map(|(path, _)| path.clone())
        .collect();
    for path in inside {
        files.insert(path, None);
    }
}
