//! What commits reach, by bitmaps as far as they go, and by walking from there.

use super::fill::{Fill, add_tree, fill};
use super::{BitmapError, Bitmapped, Bits};
use crate::graph::{CommitNumber, DateQueue, Graph, parents_first};
use crate::introduced::Level;
use crate::{Database, IdMap, ObjectId, ObjectKind, Progress, ReadError, tag_target};

/// Cancellation is seen to once for so many commits.
const COMMITS_PER_LOOK: usize = 256;

/// A set of objects that has all that its members reach.
#[derive(Clone)]
pub(crate) struct Reached {
    packed: Bitmapped,
    /// Those that bitmaps are about.
    pub(crate) bits: Bits,
    /// Those that are not.
    pub(crate) others: IdMap<ObjectKind>,
}

impl Reached {
    /// The empty set.
    pub(crate) fn none(packed: &Bitmapped) -> Reached {
        Reached {
            packed: packed.clone(),
            bits: Bits::new(packed.object_count()),
            others: IdMap::default(),
        }
    }

    /// Whether an object is in it.
    pub(crate) fn has(&self, id: &ObjectId) -> bool {
        match self.packed.bit_of(id) {
            Some(bit) => self.bits.has(bit),
            None => self.others.contains_key(id),
        }
    }

    /// Adds an object alone; returns whether it is new.
    fn insert(&mut self, id: ObjectId, kind: ObjectKind) -> bool {
        match self.packed.bit_of(&id) {
            Some(bit) => self.bits.insert(bit),
            None => self.others.insert(id, kind).is_none(),
        }
    }

    /// Adds objects of any kind, which must be here, with all they reach.
    pub(crate) fn add(
        &mut self,
        db: &Database,
        starts: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<(), ReachError> {
        let mut graph = Graph::new(db);
        let mut queue = DateQueue::new();
        let mut level = Level::default();
        let mut walked = Vec::new();
        // What has a bitmap first: it may reach the others.
        for start in starts {
            self.add_bitmap(start)?;
        }
        for start in starts {
            let mut id = *start;
            while !self.has(&id) {
                let kind = db.header(&id)?.ok_or_else(|| db.not_found(id))?.kind;
                match kind {
                    ObjectKind::Commit => {
                        let commit = graph.number(id)?;
                        queue.push(graph.seconds(commit), commit);
                        break;
                    }
                    ObjectKind::Tree => {
                        add_tree(self, &mut level, id, &[])?;
                        break;
                    }
                    ObjectKind::Blob => {
                        self.insert(id, kind);
                        break;
                    }
                    ObjectKind::Tag => {
                        self.insert(id, kind);
                        let data = db.bytes_of(id, ObjectKind::Tag)?;
                        let target = tag_target(&data);
                        id = target.map_err(|source| ReadError::decode(id, source))?.0;
                        self.add_bitmap(&id)?;
                    }
                }
            }
        }
        while let Some(commit) = queue.pop() {
            if walked.len().is_multiple_of(COMMITS_PER_LOOK) {
                progress.counting(self.others.len() as u64);
                if progress.cancelled() {
                    return Err(ReadError::Cancelled.into());
                }
            }
            let id = graph.id(commit);
            if self.has(&id) || self.add_bitmap(&id)? {
                continue;
            }
            self.insert(id, ObjectKind::Commit);
            walked.push(commit);
            for parent in graph.parents(commit)? {
                queue.push(graph.seconds(parent), parent);
            }
        }
        self.trees(&mut graph, &walked, &mut level)?;
        fill(db, self, level, progress)?;
        Ok(())
    }

    /// Puts the trees of walked commits into `level`, those of parents first.
    fn trees(
        &mut self,
        graph: &mut Graph<'_>,
        walked: &[CommitNumber],
        level: &mut Level,
    ) -> Result<(), ReadError> {
        for commit in parents_first(graph, walked)? {
            let parents = graph.parents(commit)?.into_iter();
            let bases: Vec<_> = parents.map(|parent| (graph.tree(parent), false)).collect();
            add_tree(self, level, graph.tree(commit), &bases)?;
        }
        Ok(())
    }

    /// Adds what a commit reaches, if it has a bitmap.
    fn add_bitmap(&mut self, id: &ObjectId) -> Result<bool, BitmapError> {
        let Some((bitmap, position)) = self.packed.bitmap().zip(self.packed.position(id)) else {
            return Ok(false);
        };
        let reached = bitmap.reached_from(position)?;
        if let Some(reached) = &reached {
            self.bits.union(reached);
        }
        Ok(reached.is_some())
    }
}

impl Fill for Reached {
    fn add(&mut self, id: ObjectId, kind: ObjectKind) -> Result<bool, ReadError> {
        Ok(self.insert(id, kind))
    }
}

/// Why it is not known what objects reach.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// An object is missing or cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The bitmaps cannot be used; walking will do.
    #[error(transparent)]
    Bitmap(#[from] BitmapError),
}
