//! Merging two commits: what their trees have in common is found out first.

use packhouse_object::{Commit, Database, NewObject, ObjectId, ObjectKind, Signature, merge_bases};

use super::options::{MergeError, TreeMergeOptions};
use super::tree::{MergedTree, merge_at_depth, merge_trees};

/// Merges of merges that cross, over and over, cost so many merges of bases; what is left is passed over.
const BASE_MERGES_MAX: u32 = 256;

/// Two commits merged.
#[derive(Clone, Debug)]
pub struct MergedCommits {
    /// The result.
    pub merged: MergedTree,
    /// The best common ancestors, newest first; none for unrelated histories.
    pub bases: Vec<ObjectId>,
    /// The database, with all that was made in memory: the result, and the base of several. The base side of a conflict
    /// may be there only.
    pub database: Database,
}

/// What two commits come from.
#[derive(Clone, Debug)]
pub struct MergeBase {
    /// The tree; `None` for unrelated histories.
    pub tree: Option<ObjectId>,
    /// The database, with what was made for the tree in memory.
    pub database: Database,
    /// The best common ancestors, newest first.
    pub bases: Vec<ObjectId>,
}

/// Merges the commits `ours` and `theirs`, from what [`merge_base`] finds.
pub fn merge_commits(
    database: &Database,
    ours: ObjectId,
    theirs: ObjectId,
    allow_unrelated: bool,
    options: &TreeMergeOptions,
) -> Result<MergedCommits, MergeError> {
    let bases = merge_bases(database, ours, theirs)?;
    merge_from_bases(database, [ours, theirs], bases, allow_unrelated, options)
}

/// As [`merge_commits`], for callers who know the best common ancestors, newest first.
pub fn merge_from_bases(
    database: &Database,
    [ours, theirs]: [ObjectId; 2],
    bases: Vec<ObjectId>,
    allow_unrelated: bool,
    options: &TreeMergeOptions,
) -> Result<MergedCommits, MergeError> {
    let base = base_of(database, bases, allow_unrelated, options)?;
    let (our_tree, their_tree) = (database.commit(ours)?.tree, database.commit(theirs)?.tree);
    // Nothing that was made for the base is in the result, which has only what the sides have.
    let merged = merge_trees(&base.database, base.tree, our_tree, their_tree, options)?;
    let database = base.database.with_objects(merged.objects.iter().cloned());
    let bases = base.bases;
    Ok(MergedCommits {
        merged,
        bases,
        database,
    })
}

/// Finds what two commits come from. Several best common ancestors are merged with one another
/// first, oldest first, and that is the base, conflicts and all, as in Git.
///
/// [`MergeError::Unrelated`] without a common ancestor, unless `allow_unrelated` is set.
pub fn merge_base(
    database: &Database,
    ours: ObjectId,
    theirs: ObjectId,
    allow_unrelated: bool,
    options: &TreeMergeOptions,
) -> Result<MergeBase, MergeError> {
    let bases = merge_bases(database, ours, theirs)?;
    base_of(database, bases, allow_unrelated, options)
}

fn base_of(
    database: &Database,
    bases: Vec<ObjectId>,
    allow_unrelated: bool,
    options: &TreeMergeOptions,
) -> Result<MergeBase, MergeError> {
    if bases.is_empty() && !allow_unrelated {
        return Err(MergeError::Unrelated);
    }
    let mut merger = BaseMerger {
        database: database.clone(),
        options,
        merges_left: BASE_MERGES_MAX,
    };
    let tree = merger.tree_of(&bases, 0)?;
    let database = merger.database;
    Ok(MergeBase {
        tree,
        database,
        bases,
    })
}

/// Makes one base of several.
struct BaseMerger<'a> {
    /// With the merged bases in memory.
    database: Database,
    options: &'a TreeMergeOptions,
    merges_left: u32,
}

impl BaseMerger<'_> {
    /// The tree of the merged bases; `None` without any.
    fn tree_of(
        &mut self,
        bases: &[ObjectId],
        depth: usize,
    ) -> Result<Option<ObjectId>, MergeError> {
        let mut oldest_first = bases.iter().rev().copied();
        let Some(mut merged) = oldest_first.next() else {
            return Ok(None);
        };
        for next in oldest_first {
            let Some(left) = self.merges_left.checked_sub(1) else {
                break;
            };
            self.merges_left = left;
            merged = self.merge(merged, next, depth + 1)?;
        }
        Ok(Some(self.database.commit(merged)?.tree))
    }

    /// A commit, in memory only, that merges two bases.
    fn merge(
        &mut self,
        ours: ObjectId,
        theirs: ObjectId,
        depth: usize,
    ) -> Result<ObjectId, MergeError> {
        let bases = merge_bases(&self.database, ours, theirs)?;
        let base = self.tree_of(&bases, depth)?;
        let our_tree = self.database.commit(ours)?.tree;
        let their_tree = self.database.commit(theirs)?.tree;
        let (database, options) = (&self.database, self.options);
        let merged = merge_at_depth(database, base, our_tree, their_tree, options, depth)?;
        let commit = virtual_commit(merged.tree, [ours, theirs])?;
        let id = commit.id;
        self.database = self
            .database
            .with_objects(merged.objects.into_iter().chain([commit]));
        Ok(id)
    }
}

fn virtual_commit(tree: ObjectId, parents: [ObjectId; 2]) -> Result<NewObject, MergeError> {
    let nobody = Signature {
        name: "".into(),
        email: "".into(),
        seconds: 0,
        offset_minutes: 0,
    };
    let commit = Commit {
        tree,
        parents: parents.to_vec(),
        author: nobody.clone(),
        committer: nobody,
        extra_headers: Vec::new(),
        message: "merged common ancestors".into(),
    };
    Ok(NewObject::new(ObjectKind::Commit, commit.encode())?)
}
