//! Which of the objects that are reached are wanted: the filters of partial clones, as one rule.

use super::sparse::SparsePaths;
use crate::{Database, ObjectId, ObjectKind, ReadError};

/// Which objects are wanted of those that a walk reaches. A combination of filters is wanted by all of them.
///
/// Depths count folders: a root has depth 0, what it names has depth 1. Of several places where an object is, the
/// one nearest to a root counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectFilter {
    /// Blobs have to be smaller, in bytes.
    blobs_below: Option<u64>,
    /// Trees and blobs have to be less deep.
    depth_below: Option<u64>,
    /// By kind, in the order of [`place`].
    kinds: [bool; 4],
    /// Blobs have to be wanted by each of these, at any of their paths.
    sparse: Vec<SparsePaths>,
}

impl Default for ObjectFilter {
    fn default() -> ObjectFilter {
        ObjectFilter::everything()
    }
}

fn place(kind: ObjectKind) -> usize {
    match kind {
        ObjectKind::Commit => 0,
        ObjectKind::Tag => 1,
        ObjectKind::Tree => 2,
        ObjectKind::Blob => 3,
    }
}

impl ObjectFilter {
    /// Nothing is left out.
    pub fn everything() -> ObjectFilter {
        ObjectFilter {
            blobs_below: None,
            depth_below: None,
            kinds: [true; 4],
            sparse: Vec::new(),
        }
    }

    /// Leaves out blobs of `limit` bytes and more; of 0 bytes and more, that is all of them.
    pub fn blobs_below(limit: u64) -> ObjectFilter {
        ObjectFilter {
            blobs_below: Some(limit),
            ..ObjectFilter::everything()
        }
    }

    /// Leaves out trees and blobs that are `depth` folders below a root, or deeper; at 0 that is all of them.
    pub fn depth_below(depth: u64) -> ObjectFilter {
        ObjectFilter {
            depth_below: Some(depth),
            ..ObjectFilter::everything()
        }
    }

    /// Leaves out objects of all other kinds.
    pub fn only(kind: ObjectKind) -> ObjectFilter {
        let mut kinds = [false; 4];
        kinds[place(kind)] = true;
        ObjectFilter {
            kinds,
            ..ObjectFilter::everything()
        }
    }

    /// Leaves out blobs that are at no path that is wanted.
    pub fn sparse(paths: SparsePaths) -> ObjectFilter {
        ObjectFilter {
            sparse: vec![paths],
            ..ObjectFilter::everything()
        }
    }

    /// What this and `other` both let pass.
    pub fn and(mut self, other: ObjectFilter) -> ObjectFilter {
        let least = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let mut kinds = self.kinds;
        for (kind, other) in kinds.iter_mut().zip(other.kinds) {
            *kind &= other;
        }
        self.sparse.extend(other.sparse);
        ObjectFilter {
            sparse: self.sparse,
            blobs_below: least(self.blobs_below, other.blobs_below),
            depth_below: least(self.depth_below, other.depth_below),
            kinds,
        }
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        *self == ObjectFilter::everything()
    }

    /// The kinds of which nothing passes, if all of the others pass: where a filter looks at kinds only.
    pub(crate) fn kinds_left_out(&self) -> Option<Vec<ObjectKind>> {
        let looks_at_more = |limit: Option<u64>| limit.is_some_and(|limit| limit > 0);
        let is_sparse = !self.sparse.is_empty();
        if is_sparse || looks_at_more(self.blobs_below) || looks_at_more(self.depth_below) {
            return None;
        }
        let passes = |kind: &ObjectKind| {
            self.keeps(*kind)
                && match kind {
                    ObjectKind::Commit | ObjectKind::Tag => true,
                    ObjectKind::Tree => self.depth_below.is_none(),
                    ObjectKind::Blob => self.depth_below.or(self.blobs_below).is_none(),
                }
        };
        let all = ObjectKind::ALL.into_iter();
        Some(all.filter(|kind| !passes(kind)).collect())
    }

    /// Whether objects of this kind can pass.
    pub(super) fn keeps(&self, kind: ObjectKind) -> bool {
        self.kinds[place(kind)]
    }

    /// The paths that blobs have to be at.
    pub(super) fn sparse_paths(&self) -> &[SparsePaths] {
        &self.sparse
    }

    pub(super) fn limits_depth(&self) -> bool {
        self.depth_below.is_some()
    }

    /// Whether trees or blobs of this depth can pass, so that they have to be looked for.
    pub(super) fn reaches_depth(&self, depth: u64) -> bool {
        let wants_files = self.keeps(ObjectKind::Tree) || self.keeps(ObjectKind::Blob);
        wants_files && self.depth_below.is_none_or(|limit| depth < limit)
    }

    /// Takes out the blobs that do not pass for what they are.
    pub(super) fn retain_blobs(
        &self,
        db: &Database,
        blobs: &mut Vec<ObjectId>,
    ) -> Result<(), ReadError> {
        if !self.keeps(ObjectKind::Blob) {
            blobs.clear();
            return Ok(());
        }
        match self.blobs_below {
            None => return Ok(()),
            Some(0) => blobs.clear(),
            Some(limit) => {
                let mut kept = Vec::with_capacity(blobs.len());
                for id in blobs.iter().copied() {
                    let header = db.header(&id)?.ok_or_else(|| db.not_found(id))?;
                    if header.size < limit {
                        kept.push(id);
                    }
                }
                *blobs = kept;
            }
        }
        Ok(())
    }
}
