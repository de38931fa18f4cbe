//! The first pass: the pack is read from its beginning to its end, once.
//!
//! Every entry is inflated, since that alone tells where the next one begins. Objects that are
//! whole are hashed and checked on the way; a large blob passes through in pieces.

use std::io::Read;

use flate2::Decompress;

use super::budget::Budget;
use super::input::{Arrived, Input, SHORTEST_ENTRY};
use super::kept::{self, Kept, Place};
use super::links::{Links, NamedBatch};
use super::table::{Content, Entry, Table};
use super::{Context, ReceiveError, ReceiveLimits};
use crate::pack::delta::{DeltaError, DeltaSizes, MAX_SIZES_LEN, parse_sizes};
use crate::pack::entry::{EntryError, EntryHeader, EntryKind, MAX_HEADER_LEN, parse_header};
use crate::pack::file::{PACK_HEADER_LEN, TRAILER_LEN};
use crate::pack::inflate::{self, InflateError, SLACK};
use crate::{HashKind, ObjectHasher, ObjectId, ObjectKind, hash_object};

/// A blob up to this size is hashed in one piece; a larger one passes through in such pieces.
const PIECE_LEN: usize = 64 << 10;
/// zlib makes at most this many bytes of one.
const MAX_ZLIB_RATIO: u64 = 1032;
/// What zlib may have taken in and not given out yet, in input bytes, and to spare.
const ZLIB_HOLDS: u64 = 64;
/// Of the memory for content, deltas that wait for their bases may have one part in this many.
const KEPT_SHARE: u64 = 4;
/// The caller is asked this often whether to go on.
const CHECK_EVERY: u32 = 512;

/// A pack that arrived, its deltas not resolved.
pub(super) struct Scanned {
    pub(super) arrived: Arrived,
    pub(super) table: Table,
    pub(super) kept: Kept,
    pub(super) links: Links,
    pub(super) budget: Budget,
}

impl Scanned {
    /// Whether the pack may become objects in memory.
    pub(super) fn is_small(&self, limits: &ReceiveLimits) -> bool {
        self.arrived.quarantine.is_in_memory()
            && self.table.entries.len() as u64 <= limits.small_objects
            && self.table.object_bytes <= limits.small_object_bytes
    }
}

pub(super) fn scan(input: &mut dyn Read, context: Context<'_>) -> Result<Scanned, ReceiveError> {
    let mut input = Input::new(input, context);
    let count = read_pack_header(&mut input, context.limits)?;
    let mut scan = Scan {
        input,
        context,
        count,
        zlib: Decompress::new(true),
        piece: vec![0; PIECE_LEN + SLACK],
        table: Table::default(),
        kept: Kept::new(context.limits.memory_bytes / KEPT_SHARE),
        links: Links::new(u64::from(count)),
        named: NamedBatch::new(),
        budget: Budget::new(context.limits),
    };
    // What has not arrived takes no room yet.
    scan.table.entries.reserve(count.min(1 << 16) as usize);
    for position in 0..count {
        if position % CHECK_EVERY == 0 {
            context.check_cancelled()?;
            context
                .progress
                .receiving(u64::from(position), u64::from(count));
        }
        scan.read_entry(position)?;
    }
    context
        .progress
        .receiving(u64::from(count), u64::from(count));
    let Scan {
        input,
        mut table,
        kept,
        mut links,
        mut named,
        budget,
        ..
    } = scan;
    table.end = input.offset();
    let arrived = input.finish()?;
    links.add(&mut named, context)?;
    Ok(Scanned {
        arrived,
        table,
        kept,
        links,
        budget,
    })
}

fn read_pack_header(input: &mut Input<'_>, limits: &ReceiveLimits) -> Result<u32, ReceiveError> {
    let header = input.fill(PACK_HEADER_LEN)?;
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    if !header.starts_with(b"PACK") {
        return Err(ReceiveError::NotAPack);
    }
    let (version, count) = (word(4), word(8));
    if !matches!(version, 2 | 3) {
        return Err(ReceiveError::UnknownVersion(version));
    }
    if u64::from(count) > limits.objects {
        return Err(ReceiveError::TooManyObjects {
            count: count.into(),
            limit: limits.objects,
        });
    }
    input.consume(PACK_HEADER_LEN);
    Ok(count)
}

struct Scan<'a> {
    input: Input<'a>,
    context: Context<'a>,
    count: u32,
    zlib: Decompress,
    /// The content of an object, or a piece of it. Grows with what has arrived, not with what a
    /// header claims. Has some room to spare for the inflaters.
    piece: Vec<u8>,
    table: Table,
    kept: Kept,
    links: Links,
    named: NamedBatch,
    budget: Budget,
}

/// The entry being read.
struct Current {
    position: u32,
    offset: u64,
    size: u64,
    crc: crc32fast::Hasher,
    /// The bytes that must follow this entry at least.
    after: u64,
    inflated: u64,
    ended: bool,
}

impl Current {
    /// The bytes that must follow, of the entry and after it, at least.
    fn must_follow(&self) -> u64 {
        let to_come = (self.size - self.inflated) / MAX_ZLIB_RATIO;
        self.after + to_come.saturating_sub(ZLIB_HOLDS).max(1)
    }
}

impl Scan<'_> {
    fn read_entry(&mut self, position: u32) -> Result<(), ReceiveError> {
        let offset = self.input.offset();
        let after = u64::from(self.count - position - 1) * SHORTEST_ENTRY + TRAILER_LEN as u64;
        let header = self.read_header(offset, after)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.input.held()[..header.header_len]);
        self.input.consume(header.header_len);
        let size = header.size;
        self.check_size(offset, size, self.context.limits.object_bytes)?;
        self.spend(size)?;
        let mut current = Current {
            position,
            offset,
            size,
            crc,
            after,
            inflated: 0,
            ended: false,
        };
        let nothing = ObjectId::null(HashKind::Sha1);
        let (id, content, kept) = match header.kind {
            EntryKind::Object(kind) => {
                self.context.limits.check_kind(kind, offset, size)?;
                self.table.count_bytes(size);
                let id = self.read_object(kind, &mut current)?;
                (id, Content::Object(kind), None)
            }
            EntryKind::OffsetDelta { distance } => {
                let base = self.find_base(offset, distance)?;
                let kept = self.read_delta(&mut current)?;
                self.table.offset_deltas.push((base, position));
                (nothing, Content::OffsetDelta, kept)
            }
            EntryKind::RefDelta { base } => {
                let kept = self.read_delta(&mut current)?;
                self.table.ref_deltas.push((base, position));
                (nothing, Content::RefDelta, kept)
            }
        };
        self.table.entries.push(Entry {
            offset,
            size,
            id,
            crc32: current.crc.finalize(),
            header_len: header.header_len as u8,
            content,
            kept,
        });
        Ok(())
    }

    fn read_header(&mut self, offset: u64, after: u64) -> Result<EntryHeader, ReceiveError> {
        loop {
            let held = self.input.held();
            match parse_header(held) {
                Ok(header) => return Ok(header),
                Err(EntryError::Truncated) if held.len() < MAX_HEADER_LEN => {
                    // At least one more byte of header is to come, then a zlib stream.
                    self.input.read_more(SHORTEST_ENTRY + after)?;
                }
                Err(source) => return Err(ReceiveError::BadEntry { offset, source }),
            }
        }
    }

    fn find_base(&self, offset: u64, distance: u64) -> Result<u32, ReceiveError> {
        let base = offset.saturating_sub(distance);
        self.table
            .position(base)
            .ok_or(ReceiveError::NoBaseEntry { offset, base })
    }

    fn check_size(&self, offset: u64, size: u64, limit: u64) -> Result<(), ReceiveError> {
        if size > limit {
            Err(ReceiveError::TooLarge {
                offset,
                size,
                limit,
            })
        } else {
            Ok(())
        }
    }

    fn spend(&self, bytes: u64) -> Result<(), ReceiveError> {
        self.budget.spend(bytes, self.input.offset())
    }

    fn read_object(
        &mut self,
        kind: ObjectKind,
        current: &mut Current,
    ) -> Result<ObjectId, ReceiveError> {
        let offset = current.offset;
        if kind == ObjectKind::Blob && current.size > PIECE_LEN as u64 {
            return self.read_large_blob(current);
        }
        self.read_whole(current)?;
        let size = current.size as usize;
        let data = &self.piece[..size];
        let id =
            hash_object(kind, data).map_err(|source| ReceiveError::Collision { offset, source })?;
        self.named
            .check_object(id, kind, data, current.position, self.context)?;
        if self.named.is_full() {
            self.links.add(&mut self.named, self.context)?;
        }
        if self.piece.len() > 1 << 20 {
            // A tree of this size comes once.
            self.piece = vec![0; PIECE_LEN + SLACK];
        }
        Ok(id)
    }

    fn read_large_blob(&mut self, current: &mut Current) -> Result<ObjectId, ReceiveError> {
        let mut hasher = ObjectHasher::new(ObjectKind::Blob, current.size);
        self.zlib.reset(true);
        while current.inflated < current.size {
            let n = self.inflate_into(current, 0)?;
            hasher.update(&self.piece[..n]);
            self.context.check_cancelled()?;
        }
        self.end_entry(current)?;
        let offset = current.offset;
        hasher
            .finish()
            .map_err(|source| ReceiveError::Collision { offset, source })
    }

    /// Reads the content of an entry into `piece`.
    fn read_whole(&mut self, current: &mut Current) -> Result<(), ReceiveError> {
        self.zlib.reset(true);
        let size = current.size as usize;
        let mut filled = 0;
        while filled < size {
            if filled == self.piece.len() {
                self.piece
                    .resize((filled * 2).min(size.saturating_add(SLACK)), 0);
            }
            filled += self.inflate_into(current, filled)?;
        }
        self.end_entry(current)
    }

    /// Inflates a delta for its end; of its content only the sizes at the start are of use yet. A small one is kept.
    fn read_delta(&mut self, current: &mut Current) -> Result<Option<Place>, ReceiveError> {
        if current.size > kept::LARGEST as u64 {
            return self.read_large_delta(current).map(|()| None);
        }
        self.read_whole(current)?;
        let size = current.size as usize;
        let sizes = parse_sizes(&self.piece[..size]);
        self.check_delta(current, sizes)?;
        Ok(self.kept.keep(&self.piece[..size]))
    }

    fn read_large_delta(&mut self, current: &mut Current) -> Result<(), ReceiveError> {
        self.zlib.reset(true);
        let mut filled = 0;
        while filled < MAX_SIZES_LEN {
            filled += self.inflate_into(current, filled)?;
        }
        let sizes = parse_sizes(&self.piece[..filled]);
        self.check_delta(current, sizes)?;
        while current.inflated < current.size {
            self.inflate_into(current, 0)?;
        }
        self.end_entry(current)
    }

    fn check_delta(
        &mut self,
        current: &Current,
        sizes: Result<DeltaSizes, DeltaError>,
    ) -> Result<(), ReceiveError> {
        let offset = current.offset;
        let sizes = match sizes {
            // Sizes that fit 64 bits take no more than there is.
            Err(DeltaError::Truncated) if current.size >= MAX_SIZES_LEN as u64 => {
                Err(DeltaError::Overflow)
            }
            other => other,
        };
        let sizes = sizes.map_err(|source| ReceiveError::BadDelta { offset, source })?;
        self.check_size(offset, sizes.result, self.context.limits.object_bytes)?;
        self.spend(sizes.result)?;
        self.table.count_bytes(sizes.result);
        Ok(())
    }

    /// Inflates at least one byte into `piece`, from `start` on, and returns how many.
    fn inflate_into(&mut self, current: &mut Current, start: usize) -> Result<usize, ReceiveError> {
        let left = usize::try_from(current.size - current.inflated).unwrap_or(usize::MAX / 2);
        let end = start.saturating_add(left).saturating_add(SLACK);
        let end = end.min(self.piece.len());
        loop {
            if current.ended {
                return Err(bad_zlib(current.offset, inflate::TOO_SHORT));
            }
            let room = &mut self.piece[start..end];
            let n = step(&mut self.input, &mut self.zlib, current, room)?;
            if n > 0 {
                return Ok(n);
            }
        }
    }

    /// Reads the end of an entry's zlib stream, which must bring no more content.
    fn end_entry(&mut self, current: &mut Current) -> Result<(), ReceiveError> {
        let mut one = [0];
        while !current.ended {
            step(&mut self.input, &mut self.zlib, current, &mut one)?;
        }
        Ok(())
    }
}

fn step(
    input: &mut Input<'_>,
    zlib: &mut Decompress,
    current: &mut Current,
    out: &mut [u8],
) -> Result<usize, ReceiveError> {
    if input.held().is_empty() {
        input.read_more(current.must_follow())?;
    }
    let step = inflate::step(zlib, input.held(), out).map_err(|error| match error {
        InflateError::Bad(reason) => bad_zlib(current.offset, reason),
        InflateError::Io(error) => ReceiveError::Input(error),
    })?;
    current.crc.update(&input.held()[..step.consumed]);
    input.consume(step.consumed);
    current.inflated += step.produced as u64;
    current.ended = step.ended;
    if current.inflated > current.size {
        return Err(bad_zlib(current.offset, inflate::TOO_LONG));
    }
    Ok(step.produced)
}

fn bad_zlib(offset: u64, reason: &'static str) -> ReceiveError {
    ReceiveError::BadZlib { offset, reason }
}
