//! Adding what commits hold to a set that has all that their parents reach.
//!
//! A commit's tree is compared with those of its parents, as when objects are counted: what it costs is what changed
//! ([`crate::introduced`] says why nothing is missed). So parents must be filled in before their children.

use rayon::prelude::*;

use crate::introduced::{Introduced, Level, Task};
use crate::{Database, ObjectId, ObjectKind, Progress, ReadError, on_processors};

/// Trees are read in parallel so many at a time.
const TREES_PER_BATCH: usize = 2048;

/// A set of objects that is being filled.
pub(super) trait Fill {
    /// Adds an object; returns whether it is new. Trees that are not new are not gone through.
    fn add(&mut self, id: ObjectId, kind: ObjectKind) -> Result<bool, ReadError>;
}

/// Adds a tree, to be gone through at its turn: what is new in it against `bases`, which are gone through before.
pub(super) fn add_tree(
    set: &mut dyn Fill,
    level: &mut Level,
    tree: ObjectId,
    bases: &[(ObjectId, bool)],
) -> Result<(), ReadError> {
    if set.add(tree, ObjectKind::Tree)? {
        level.push(tree, bases);
    }
    Ok(())
}

/// Goes through the trees of `level` and all below them.
pub(super) fn fill(
    db: &Database,
    set: &mut dyn Fill,
    mut level: Level,
    progress: &dyn Progress,
) -> Result<(), ReadError> {
    let mut looked_at = 0;
    while !level.is_empty() {
        let mut next = Level::default();
        for batch in level.tasks.chunks(TREES_PER_BATCH) {
            if progress.cancelled() {
                return Err(ReadError::Cancelled);
            }
            let read = |task: &Task| Introduced::by(db, task.tree, level.bases(task));
            let read_all = || {
                let introduced = batch.par_iter().with_min_len(16).map(read);
                introduced.collect::<Result<Vec<_>, _>>()
            };
            for introduced in on_processors(read_all)? {
                for (tree, bases) in introduced.trees() {
                    add_tree(set, &mut next, tree, bases)?;
                }
                for blob in &introduced.blobs {
                    set.add(*blob, ObjectKind::Blob)?;
                }
            }
            // The other side hears of it, and so is known to be there.
            looked_at += batch.len() as u64;
            progress.counting(looked_at);
        }
        level = next;
    }
    Ok(())
}
