//! A tree that is read by another thread before it is asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use packhouse_object::{Database, ObjectId, ObjectKind, ReadError, on_processors};

/// A tree that is being read, or waits for that.
///
/// Whoever comes first reads it: nobody waits for a thread that has not begun, so that work on all processors may read
/// ahead too. Dropping this waits for one that has.
pub(super) struct ReadAhead {
    database: Database,
    tree: ObjectId,
    begun: Arc<AtomicBool>,
    read: Receiver<Result<Bytes, ReadError>>,
    is_over: bool,
}

impl ReadAhead {
    /// Has another thread read a tree, when one is free.
    pub(super) fn begin(database: &Database, tree: ObjectId) -> ReadAhead {
        let (done, read) = mpsc::channel();
        let ahead = ReadAhead {
            database: database.clone(),
            tree,
            begun: Arc::default(),
            read,
            is_over: false,
        };
        let (begun, database) = (ahead.begun.clone(), database.clone());
        let work = move || {
            if begun.swap(true, Ordering::AcqRel) {
                return;
            }
            let read = || database.bytes_of(tree, ObjectKind::Tree);
            // What panics here panics again where the tree is asked for.
            if let Ok(read) = catch_unwind(AssertUnwindSafe(read)) {
                // Nobody waits any more if this fails.
                let _ = done.send(read);
            }
        };
        on_processors(|| rayon::spawn(work));
        ahead
    }

    /// The tree's bytes.
    pub(super) fn finish(mut self) -> Result<Bytes, ReadError> {
        self.is_over = true;
        if self.begun.swap(true, Ordering::AcqRel)
            && let Ok(read) = self.read.recv()
        {
            return read;
        }
        self.database.bytes_of(self.tree, ObjectKind::Tree)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        if !self.is_over && self.begun.swap(true, Ordering::AcqRel) {
            let _ = self.read.recv();
        }
    }
}

#[cfg(test)]
mod tests {
    use packhouse_object::{NewObject, ObjectCache};
    use rayon::prelude::*;

    use super::*;

    #[test]
    fn a_tree_is_read_once_asked_for_or_not_also_by_all_processors_at_once() {
        let tree = NewObject::new(ObjectKind::Tree, Vec::new()).unwrap();
        let missing = ObjectId::from_hex("1".repeat(40).as_bytes()).unwrap();
        let database =
            Database::new(Arc::new(ObjectCache::new(0)), 1).with_objects(vec![tree.clone()]);
        assert!(
            ReadAhead::begin(&database, tree.id)
                .finish()
                .unwrap()
                .is_empty()
        );
        assert!(ReadAhead::begin(&database, missing).finish().is_err());
        (0..500).into_par_iter().for_each(|number| {
            let ahead = ReadAhead::begin(&database, tree.id);
            match number % 2 {
                0 => drop(ahead),
                _ => assert!(ahead.finish().unwrap().is_empty()),
            }
        });
    }
}
