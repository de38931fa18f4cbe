//! Which deltas are built on which entries.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::table::Table;
use crate::{ObjectId, oid};

/// The deltas of a pack by their bases.
pub(super) struct Family {
    /// For each entry, where in `children` those built on it begin; empty without offset deltas.
    first: Vec<u32>,
    /// Positions of offset deltas, by base; of one base, those with the fewest deltas built on
    /// them come first.
    children: Vec<u32>,
    /// Deltas against ids, sorted by id.
    refs: Vec<(ObjectId, u32)>,
    /// One for each of `refs`. The same object may be in a pack twice, but what is built on it is
    /// resolved once.
    claimed: Vec<AtomicBool>,
}

/// The deltas built on one object that are not taken yet.
pub(super) struct Children {
    offsets: Range<usize>,
    refs: Range<usize>,
}

impl Family {
    pub(super) fn new(table: &mut Table) -> Family {
        let pairs = std::mem::take(&mut table.offset_deltas);
        let mut refs = std::mem::take(&mut table.ref_deltas);
        refs.sort_unstable();
        let claimed = refs.iter().map(|_| AtomicBool::new(false)).collect();
        let (first, children) = match pairs.is_empty() {
            true => (Vec::new(), Vec::new()),
            false => by_base(&pairs, table.entries.len()),
        };
        Family {
            first,
            children,
            refs,
            claimed,
        }
    }

    /// The deltas built on the object with this id, at this position if it is in the pack.
    pub(super) fn children(&self, position: Option<u32>, id: &oid) -> Children {
        let offsets = match position {
            Some(position) if !self.first.is_empty() => {
                let position = position as usize;
                self.first[position] as usize..self.first[position + 1] as usize
            }
            _ => 0..0,
        };
        let refs = if self.refs.is_empty() {
            0..0
        } else {
            let start = self.refs.partition_point(|(base, _)| **base < *id);
            let len = self.refs[start..].partition_point(|(base, _)| **base == *id);
            start..start + len
        };
        Children { offsets, refs }
    }

    /// Whether an object may have children that are not known before its id is.
    pub(super) fn has_refs(&self) -> bool {
        !self.refs.is_empty()
    }

    /// The deltas that nobody has taken, with their bases, sorted by base.
    pub(super) fn unclaimed(&self) -> impl Iterator<Item = (ObjectId, u32)> + '_ {
        let claims = self.refs.iter().zip(&self.claimed);
        claims
            .filter(|(_, claimed)| !claimed.load(Ordering::Acquire))
            .map(|(pair, _)| *pair)
    }
}

impl Children {
    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty() && self.refs.is_empty()
    }

    /// Takes the next delta.
    pub(super) fn next(&mut self, family: &Family) -> Option<u32> {
        // Those against ids first: most have none built on them.
        for at in self.refs.by_ref() {
            if !family.claimed[at].swap(true, Ordering::AcqRel) {
                return Some(family.refs[at].1);
            }
        }
        self.offsets.next().map(|at| family.children[at])
    }
}

/// Sorts pairs of base and delta by base.
fn by_base(pairs: &[(u32, u32)], entries: usize) -> (Vec<u32>, Vec<u32>) {
    let mut weights = vec![0u32; entries];
    // A delta comes after its base, so that its own weight is complete before it is added.
    for (base, delta) in pairs.iter().rev() {
        weights[*base as usize] += weights[*delta as usize] + 1;
    }
    let mut first = vec![0u32; entries + 1];
    for (base, _) in pairs {
        first[*base as usize + 1] += 1;
    }
    for at in 1..first.len() {
        first[at] += first[at - 1];
    }
    let mut next = first.clone();
    let mut children = vec![0u32; pairs.len()];
    for (base, delta) in pairs {
        let at = &mut next[*base as usize];
        children[*at as usize] = *delta;
        *at += 1;
    }
    for ends in first.windows(2) {
        // The heaviest is taken last, when its base is no longer needed: so few bases wait at any
        // time, however the deltas branch.
        let siblings = &mut children[ends[0] as usize..ends[1] as usize];
        if siblings.len() > 1 {
            siblings.sort_unstable_by_key(|delta| (weights[*delta as usize], *delta));
        }
    }
    (first, children)
}
