//! The entries of a pack in the order of their ids.

use std::cmp::Ordering;

use super::ReceiveError;
use super::table::{Content, Entry, Table};
use crate::{ObjectKind, oid};

/// Positions of entries, each with the start of its id: nearly all comparisons need no more, and stay in little memory.
pub(super) struct ById(Vec<(u32, u32)>);

impl ById {
    /// Sorts the entries, all of which have ids; no id may be there twice.
    pub(super) fn new(table: &Table) -> Result<ById, ReceiveError> {
        let id = |at: &(u32, u32)| table.entry(at.1).id;
        let entries = (0u32..).zip(&table.entries);
        let mut order: Vec<_> = entries
            .map(|(position, entry)| (start(&entry.id), position))
            .collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| id(a).cmp(&id(b))));
        let twice = order
            .windows(2)
            .find(|pair| pair[0].0 == pair[1].0 && id(&pair[0]) == id(&pair[1]));
        match twice {
            Some(pair) => Err(ReceiveError::Duplicate { id: id(&pair[0]) }),
            None => Ok(ById(order)),
        }
    }

    pub(super) fn entries<'t>(&self, table: &'t Table) -> impl Iterator<Item = &'t Entry> {
        self.0.iter().map(|at| table.entry(at.1))
    }

    /// What the object with this id is, if it is in the pack.
    pub(super) fn kind(&self, table: &Table, id: &oid) -> Option<ObjectKind> {
        let compare = |at: &(u32, u32)| -> Ordering {
            let starts = at.0.cmp(&start(id));
            starts.then_with(|| (*table.entry(at.1).id).cmp(id))
        };
        let at = self.0.binary_search_by(compare).ok()?;
        match table.entry(self.0[at].1).content {
            Content::Object(kind) => Some(kind),
            Content::OffsetDelta | Content::RefDelta => None,
        }
    }
}

fn start(id: &oid) -> u32 {
    let bytes = id.as_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
