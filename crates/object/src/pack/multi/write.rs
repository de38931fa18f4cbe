//! Writing a `multi-pack-index` file: the bytes are those `git multi-pack-index write` writes.
//!
//! The indexes of the packs are merged, each being in the order of ids already. Of each object eight bytes are held in memory, its
//! pack and its position in there, and four more where bitmaps are to be made.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::read::{FANOUT_LEN, HASH_LEN, HEADER_LEN, LARGE, PLACE_LEN, SHA1, SIGNATURE, VERSION};
use crate::chunk_file;
use crate::pack::index::{Hashed, WrittenIndex};
use crate::pack::{Pack, PackError};
use crate::{ObjectId, Progress, ReadError, oid};

/// Cancellation is seen to once for so many objects.
const OBJECTS_PER_LOOK: usize = 1 << 16;

/// The names of the packs take a multiple of so many bytes.
const ALIGNMENT: usize = 4;

/// A pack that a multi-pack index is to be about.
#[derive(Clone, Debug)]
pub struct PackToIndex {
    /// The pack.
    pub pack: Arc<Pack>,
    /// When its file was last written: an object that is in several packs is taken from the newest.
    pub modified: SystemTime,
}

/// Why a multi-pack index was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteMultiPackIndexError {
    /// A pack cannot be read, or its index is wrong.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A pack has a name that no such index can hold.
    #[error("`{path}` has a name that a multi-pack index cannot hold")]
    Name {
        /// The pack.
        path: PathBuf,
    },
    /// The packs hold nothing.
    #[error("the packs hold no objects")]
    Empty,
    /// Objects are counted in 32 bits.
    #[error("a multi-pack index holds at most {} objects", u32::MAX)]
    TooMany,
    /// It could not be written.
    #[error("could not write a multi-pack index")]
    Write(#[from] io::Error),
}

/// Writes the index of all of `packs`, of which no two have the same name.
///
/// With a preferred pack, by its place in `packs`, objects are taken from there wherever it has them, and the index says in which order
/// bitmaps are about the objects: those of the preferred pack first. It must hold some.
pub fn write_multi_pack_index(
    packs: &[PackToIndex],
    preferred: Option<usize>,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<WrittenIndex, WriteMultiPackIndexError> {
    let packs = Packs::new(packs, preferred)?;
    let places = packs.merge(progress)?;
    Ok(Content { packs, places }.write(out)?)
}

/// The packs by the numbers that they have in the index: in the order of their names.
struct Packs<'a> {
    packs: Vec<(&'a str, &'a PackToIndex)>,
    preferred: Option<u32>,
}

/// Where an object is: the number of its pack, and its position in the index of that.
#[derive(Copy, Clone)]
struct Place {
    pack: u32,
    position: u32,
}

impl<'a> Packs<'a> {
    fn new(
        given: &'a [PackToIndex],
        preferred: Option<usize>,
    ) -> Result<Packs<'a>, WriteMultiPackIndexError> {
        let mut packs = Vec::with_capacity(given.len());
        for (at, pack) in given.iter().enumerate() {
            packs.push((name_of(&pack.pack)?, pack, at));
        }
        packs.sort_unstable_by_key(|(name, ..)| *name);
        let is_preferred = |(_, _, at): &(&str, &PackToIndex, usize)| Some(*at) == preferred;
        let preferred = packs.iter().position(is_preferred);
        Ok(Packs {
            preferred: preferred.map(|number| number as u32),
            packs: packs
                .into_iter()
                .map(|(name, pack, _)| (name, pack))
                .collect(),
        })
    }

    fn pack(&self, number: u32) -> &'a Pack {
        &self.packs[number as usize].1.pack
    }

    fn id(&self, place: Place) -> &'a oid {
        self.pack(place.pack).index().id(place.position)
    }

    fn offset(&self, place: Place) -> u64 {
        self.pack(place.pack).index().offset(place.position)
    }

    /// The numbers of the packs: objects are taken from the first one that has them.
    fn by_rank(&self) -> Vec<u32> {
        // Git sees whole seconds.
        let seconds = |number: u32| {
            let modified = self.packs[number as usize].1.modified;
            modified
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs())
        };
        let mut numbers: Vec<u32> = (0..self.packs.len() as u32).collect();
        numbers.sort_by_key(|number| {
            let is_other = self.preferred != Some(*number);
            (is_other, Reverse(seconds(*number)), *number)
        });
        numbers
    }

    /// Where each object is, in the order of their ids.
    fn merge(&self, progress: &dyn Progress) -> Result<Vec<Place>, WriteMultiPackIndexError> {
        let by_rank = self.by_rank();
        let largest = self.packs.iter().map(|(_, pack)| pack.pack.index().count());
        let mut places: Vec<Place> = Vec::with_capacity(largest.max().unwrap_or(0) as usize);
        // The next object of each pack, the first of all on top.
        let mut next = BinaryHeap::with_capacity(by_rank.len());
        for (rank, number) in by_rank.iter().enumerate() {
            let index = self.pack(*number).index();
            if index.count() > 0 {
                next.push(Reverse((index.id(0), rank, 0)));
            }
        }
        let mut looked_at = 0usize;
        let mut last: Option<&oid> = None;
        while let Some(mut top) = next.peek_mut() {
            let Reverse((id, rank, position)) = *top;
            let pack = by_rank[rank];
            let index = self.pack(pack).index();
            match position + 1 < index.count() {
                true => *top = Reverse((index.id(position + 1), rank, position + 1)),
                false => drop(PeekMut::pop(top)),
            }
            looked_at += 1;
            if looked_at.is_multiple_of(OBJECTS_PER_LOOK) && progress.cancelled() {
                return Err(ReadError::Cancelled.into());
            }
            if last == Some(id) {
                continue;
            }
            last = Some(id);
            if places.len() == u32::MAX as usize {
                return Err(WriteMultiPackIndexError::TooMany);
            }
            let place = Place { pack, position };
            self.check(place)?;
            places.push(place);
        }
        match places.is_empty() {
            true => Err(WriteMultiPackIndexError::Empty),
            false => Ok(places),
        }
    }

    /// Whether what an index says of an object can be true.
    fn check(&self, place: Place) -> Result<(), ReadError> {
        let offset = self.offset(place);
        match offset < self.pack(place.pack).end_of_entries() {
            true => Ok(()),
            false => {
                let id: ObjectId = self.id(place).to_owned();
                Err(ReadError::pack(id, PackError::NoEntry { offset }))
            }
        }
    }
}

fn name_of(pack: &Pack) -> Result<&str, WriteMultiPackIndexError> {
    let bad = || WriteMultiPackIndexError::Name {
        path: pack.path().to_owned(),
    };
    let name = pack.path().file_name().and_then(|name| name.to_str());
    let name = name.and_then(|name| name.strip_suffix(".pack"));
    name.ok_or_else(bad)
}

/// What the file says.
struct Content<'a> {
    packs: Packs<'a>,
    /// Of each object, in the order of their ids.
    places: Vec<Place>,
}

impl Content<'_> {
    fn write(&self, out: &mut dyn Write) -> io::Result<WrittenIndex> {
        let count = self.places.len() as u64;
        let offsets = || self.places.iter().map(|place| self.packs.offset(*place));
        // As long as all offsets fit into 32 bits there is no table of larger ones.
        let has_large = offsets().any(|offset| offset > u64::from(u32::MAX));
        let is_large = |offset: &u64| has_large && *offset >= u64::from(LARGE);
        let names = self.names();
        let mut parts = vec![
            (b"PNAM", names.len() as u64),
            (b"OIDF", FANOUT_LEN as u64),
            (b"OIDL", count * HASH_LEN as u64),
            (b"OOFF", count * PLACE_LEN as u64),
        ];
        if has_large {
            let large = offsets().filter(is_large).count();
            parts.push((b"LOFF", large as u64 * 8));
        }
        if self.packs.preferred.is_some() {
            parts.push((b"RIDX", count * 4));
        }
        let mut out = Hashed::new(out);
        out.write_all(&SIGNATURE)?;
        // It stands on no other.
        out.write_all(&[VERSION, SHA1, parts.len() as u8, 0])?;
        out.write_all(&(self.packs.packs.len() as u32).to_be_bytes())?;
        out.write_all(&chunk_file::table(HEADER_LEN, &parts))?;
        out.write_all(&names)?;
        let mut end = 0;
        for first in 0..=u8::MAX {
            let is_in = |place: &Place| self.packs.id(*place).first_byte() <= first;
            end += self.places[end..].partition_point(is_in);
            out.write_all(&(end as u32).to_be_bytes())?;
        }
        for place in &self.places {
            out.write_all(self.packs.id(*place).as_bytes())?;
        }
        let mut large = 0u32;
        for place in &self.places {
            out.write_all(&place.pack.to_be_bytes())?;
            let offset = self.packs.offset(*place);
            let written = match is_large(&offset) {
                true => {
                    large += 1;
                    LARGE | (large - 1)
                }
                false => offset as u32,
            };
            out.write_all(&written.to_be_bytes())?;
        }
        if has_large {
            for offset in offsets().filter(is_large) {
                out.write_all(&offset.to_be_bytes())?;
            }
        }
        if let Some(preferred) = self.packs.preferred {
            for position in self.order(preferred) {
                out.write_all(&position.to_be_bytes())?;
            }
        }
        out.finish()
    }

    /// The names of the packs' indexes, each with a zero behind it.
    fn names(&self) -> Vec<u8> {
        let mut names = Vec::new();
        for (name, _) in &self.packs.packs {
            names.extend_from_slice(name.as_bytes());
            names.extend_from_slice(b".idx\0");
        }
        names.resize(names.len().next_multiple_of(ALIGNMENT), 0);
        names
    }

    /// The position of each object in the order in which bitmaps are about them.
    fn order(&self, preferred: u32) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.places.len() as u32).collect();
        order.sort_unstable_by_key(|position| {
            let place = self.places[*position as usize];
            (
                place.pack != preferred,
                place.pack,
                self.packs.offset(place),
            )
        });
        order
    }
}
