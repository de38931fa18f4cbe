//! Of what kind each object is that is packed.

use super::{Bitmapped, Bits};
use crate::{EntryKind, MultiPack, ObjectKind, Pack, PackError, Progress, ReadError};

/// Cancellation is seen to once for so many entries.
const ENTRIES_PER_LOOK: u32 = 4096;

/// The objects of each kind, in the order of [`ObjectKind::ALL`].
pub(super) type Kinds = [Bits; 4];

/// What the packs have of each kind. Several packs must have an index that says in which order their objects are.
pub(super) fn kinds(packed: &Bitmapped, progress: &dyn Progress) -> Result<Kinds, ReadError> {
    match packed {
        Bitmapped::Pack(pack) => kinds_of_pack(pack, progress),
        Bitmapped::Packs(multi) => kinds_of_packs(multi, progress),
    }
}

fn kinds_of_packs(multi: &MultiPack, progress: &dyn Progress) -> Result<Kinds, ReadError> {
    let count = multi.index().count();
    let mut of_packs: Vec<Option<Kinds>> = multi.packs().iter().map(|_| None).collect();
    let mut kinds: Kinds = std::array::from_fn(|_| Bits::new(count));
    for bit in 0..count {
        let id = multi.id_of_bit(bit);
        let no_entry = |offset| ReadError::pack(id, PackError::NoEntry { offset });
        let (number, offset) = multi.place_of_bit(bit).ok_or_else(|| no_entry(u64::MAX))?;
        let pack = &multi.packs()[number];
        let there = pack.bit_at(offset).ok_or_else(|| no_entry(offset))?;
        let of_pack = match &mut of_packs[number] {
            Some(kinds) => kinds,
            // The objects of a pack come one after the other, so this is done once for each.
            empty => empty.insert(kinds_of_pack(pack, progress)?),
        };
        let kind = of_pack.iter().position(|of_kind| of_kind.has(there));
        kinds[kind.expect("every entry has a kind")].insert(bit);
    }
    Ok(kinds)
}

/// Reads the header of every entry. A delta is of the kind of its base, which may be anywhere in the pack.
fn kinds_of_pack(pack: &Pack, progress: &dyn Progress) -> Result<Kinds, ReadError> {
    let count = pack.index().count();
    let failed = |bit: u32, source| ReadError::pack(pack.id_of_bit(bit), source);
    let mut found: Vec<Option<ObjectKind>> = vec![None; count as usize];
    // Deltas whose base comes later, with its place.
    let mut waiting: Vec<(u32, u32)> = Vec::new();
    for bit in 0..count {
        if bit.is_multiple_of(ENTRIES_PER_LOOK) && progress.cancelled() {
            return Err(ReadError::Cancelled);
        }
        let offset = pack.offset_of_bit(bit);
        let entry = pack.entry(offset).map_err(|source| failed(bit, source))?;
        let no_base = || failed(bit, PackError::NoEntry { offset });
        let base = match entry.kind {
            EntryKind::Object(kind) => {
                found[bit as usize] = Some(kind);
                continue;
            }
            EntryKind::OffsetDelta { distance } => offset
                .checked_sub(distance)
                .and_then(|base| pack.bit_at(base))
                .ok_or_else(no_base)?,
            EntryKind::RefDelta { base } => pack.bit_of(&base).ok_or_else(no_base)?,
        };
        match found[base as usize] {
            Some(kind) => found[bit as usize] = Some(kind),
            None => waiting.push((bit, base)),
        }
    }
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|(bit, base)| {
            found[*bit as usize] = found[*base as usize];
            found[*bit as usize].is_none()
        });
        if waiting.len() == before {
            let (bit, _) = waiting[0];
            let offset = pack.offset_of_bit(bit);
            return Err(failed(bit, PackError::DeltaCycle { offset }));
        }
    }
    let mut kinds: Kinds = std::array::from_fn(|_| Bits::new(count));
    for (bit, kind) in found.into_iter().enumerate() {
        let place = ObjectKind::ALL
            .iter()
            .position(|other| Some(*other) == kind);
        kinds[place.expect("every entry has a kind by now")].insert(bit as u32);
    }
    Ok(kinds)
}
