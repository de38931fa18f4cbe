//! Ids in ascending order, as Git's indexes have them: pack indexes, multi-pack indexes and commit graphs, each behind a table
//! that says for every first byte where its ids end (`gitformat-pack(5)`).

use std::cmp::Ordering;
use std::ops::Range;

use crate::oid;

/// The position of an id among those at `positions`.
pub(crate) fn find<'i>(
    id: &oid,
    positions: Range<u32>,
    id_at: impl Fn(u32) -> &'i oid,
) -> Option<u32> {
    let Range {
        start: mut low,
        end: mut high,
    } = positions;
    while low < high {
        let middle = low + (high - low) / 2;
        match id_at(middle).cmp(id) {
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
            Ordering::Equal => return Some(middle),
        }
    }
    None
}
