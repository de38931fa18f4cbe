//! Writing a pack of chosen objects to a stream, copying what packs hold already.
//!
//! Entries are prepared in parallel, a batch at a time, and written in order, so that memory stays
//! bounded and the same objects give the same pack. A delta always follows its base.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use rayon::prelude::*;

use crate::pack::CopyError;
use crate::pack::entry::{EntryKind, write_header};
use crate::pack_out::{PIECE_LEN, PackOut};
use crate::{
    Counted, Database, IdMap, ObjectHasher, ObjectId, ObjectKind, ObjectStream, Progress, RawEntry,
    ReadError, hash_object, on_processors,
};

/// What the receiver of a pack understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackOptions {
    /// Deltas may say where their base is in the pack, instead of its id.
    pub ofs_delta: bool,
    /// Deltas may build on objects that the receiver has.
    pub thin: bool,
}

/// Why a pack was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WritePackError {
    /// An object could not be counted or read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The receiver is gone, or takes no more.
    #[error("could not send a pack")]
    Write(#[from] io::Error),
    /// A pack counts its objects in 32 bits.
    #[error("a pack holds at most {} objects", u32::MAX)]
    TooMany,
}

/// So many entries are prepared at a time.
const ENTRIES_PER_BATCH: usize = 512;
/// Entries with a longer zlib stream, and objects that are larger, pass through in pieces.
const WHOLE_BYTES: u64 = 64 << 10;

/// What a written pack holds, and how it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackStats {
    /// Its size in bytes.
    pub bytes: u64,
    /// How many objects it holds.
    pub objects: u64,
    /// How many of them are deltas.
    pub deltas: u64,
    /// How many entries, deltas included, were copied from packs as they are, each for itself.
    pub reused: u64,
    /// How many were copied with their neighbours, in one piece; they are not looked into.
    pub pack_reused: u64,
}

/// Writes a pack of the counted objects to `out` and returns what it holds.
///
/// Entries of packs are copied as they are where that is possible: whole objects always, deltas
/// if their base is in the pack too, or is with the receiver and `options.thin` is set.
pub fn write_pack(
    db: &Database,
    counted: &Counted,
    options: &PackOptions,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<PackStats, WritePackError> {
    write_entries(db, counted, options, out, progress, &mut |_, _| {})
}

/// As [`write_pack`], telling `placed` every object and where its entry begins, in the order of the pack.
pub(crate) fn write_entries(
    db: &Database,
    counted: &Counted,
    options: &PackOptions,
    out: &mut dyn Write,
    progress: &dyn Progress,
    placed: &mut dyn FnMut(ObjectId, u64),
) -> Result<PackStats, WritePackError> {
    let count = u32::try_from(counted.ids.len()).map_err(|_| WritePackError::TooMany)?;
    let is_there = |base: &ObjectId| options.thin && counted.thin_bases.contains(base);
    let mut out = PackOut::begin(out, count)?;
    let mut stats = write_rest(db, counted, options, &is_there, &mut out, progress, placed)?;
    stats.bytes = out.finish()?;
    Ok(stats)
}

/// Writes the entries of the counted objects into a pack that was begun. `is_there`: whether a delta may build on an
/// object that is not among them, by its id. The size of the pack is left to the caller.
pub(crate) fn write_rest(
    db: &Database,
    counted: &Counted,
    options: &PackOptions,
    is_there: &(dyn Fn(&ObjectId) -> bool + Sync),
    out: &mut PackOut<'_>,
    progress: &dyn Progress,
    placed: &mut dyn FnMut(ObjectId, u64),
) -> Result<PackStats, WritePackError> {
    let plan = Plan::new(db, counted, options, is_there);
    let total = plan.entries.len();
    let mut offsets = Vec::with_capacity(total);
    let mut stats = PackStats {
        objects: total as u64,
        ..PackStats::default()
    };
    for batch in 0..total.div_ceil(ENTRIES_PER_BATCH) {
        let first = batch * ENTRIES_PER_BATCH;
        progress.writing(first as u64, total as u64);
        if progress.cancelled() {
            return Err(ReadError::Cancelled.into());
        }
        let batch = first..total.min(first + ENTRIES_PER_BATCH);
        let prepare_all = || {
            let prepared = batch.into_par_iter().with_min_len(8);
            prepared
                .map(|position| plan.prepare(position))
                .collect::<Result<_, _>>()
        };
        let prepared: Vec<Prepared> = on_processors(prepare_all)?;
        for entry in prepared {
            stats.deltas += u64::from(!matches!(entry.kind, PreparedKind::Object(_)));
            stats.reused += u64::from(entry.reused);
            placed(plan.entries[offsets.len()].id, out.offset());
            plan.write(entry, &mut offsets, out)?;
        }
    }
    progress.writing(total as u64, total as u64);
    Ok(stats)
}

/// The entries in the order they are written.
struct Plan<'a> {
    db: &'a Database,
    options: &'a PackOptions,
    is_there: &'a (dyn Fn(&ObjectId) -> bool + Sync),
    entries: Vec<Planned>,
    /// Where in `entries` an object is.
    positions: IdMap<u32>,
}

struct Planned {
    id: ObjectId,
    /// The pack it is in and where; `None` for objects in memory and loose ones.
    packed: Option<(u32, u64)>,
}

/// An entry, ready to be written.
struct Prepared {
    kind: PreparedKind,
    /// The inflated size: of the object, or of the delta itself.
    size: u64,
    content: Content,
    /// Whether it is a pack's entry, copied.
    reused: bool,
}

enum PreparedKind {
    Object(ObjectKind),
    /// A delta against an entry of this pack, by position.
    DeltaHere(u32),
    /// A delta against an object of the receiver.
    DeltaThere(ObjectId),
}

enum Content {
    /// The zlib stream.
    Whole(Vec<u8>),
    /// An entry of a pack, and how long its header is; the zlib stream follows.
    Entry(Vec<u8>, usize),
    /// A zlib stream to be copied from a pack.
    Copied(u32, RawEntry),
    /// An object to be deflated.
    Deflated(ObjectStream, Check),
}

/// Whether an object is held against its id while it is deflated. Nothing else vouches for a loose object: packs have
/// checksums of their entries, and objects in memory come from a reader that hashed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    Hash,
    Trust,
}

impl<'a> Plan<'a> {
    fn new(
        db: &'a Database,
        counted: &'a Counted,
        options: &'a PackOptions,
        is_there: &'a (dyn Fn(&ObjectId) -> bool + Sync),
    ) -> Self {
        let place = |id: &ObjectId| {
            let found = |(number, pack): (usize, &std::sync::Arc<crate::Pack>)| {
                pack.lookup(id).map(|offset| (number as u32, offset))
            };
            // Always the first pack that has it, so that the bases of a pack's deltas, which it
            // holds too, are found there or in one before it, and are written first.
            let packed = match db.memory(id) {
                Some(_) => None,
                None => db.packs().iter().enumerate().find_map(found),
            };
            Planned { id: *id, packed }
        };
        let place_all = || {
            let placed = counted.ids.par_iter().with_min_len(1024).map(place);
            placed.collect()
        };
        let mut entries: Vec<Planned> = on_processors(place_all);
        // Within a kind, in the order of the packs: that is read fastest.
        let [links, trees] = counted.groups;
        let (links, rest) = entries.split_at_mut(links);
        let (trees, blobs) = rest.split_at_mut(trees - links.len());
        for group in [links, trees, blobs] {
            on_processors(|| {
                group.par_sort_by_key(|entry| entry.packed.unwrap_or((u32::MAX, 0)));
            });
        }
        let mut positions = IdMap::default();
        positions.reserve(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            positions.insert(entry.id, position as u32);
        }
        Plan {
            db,
            options,
            is_there,
            entries,
            positions,
        }
    }

    fn prepare(&self, position: usize) -> Result<Prepared, WritePackError> {
        let Planned { id, packed } = &self.entries[position];
        if let Some((number, offset)) = *packed {
            let pack = &self.db.packs()[number as usize];
            let failed = |source| WritePackError::from(ReadError::pack(*id, source));
            let short = pack.short_entry(offset, WHOLE_BYTES).map_err(failed)?;
            let (raw, bytes) = match short {
                Some((raw, bytes)) => (raw, Some(bytes)),
                None => (pack.raw_entry(offset).map_err(failed)?, None),
            };
            if let Some(kind) = self.reusable(position, number, &raw) {
                return Ok(Prepared {
                    kind,
                    size: raw.header.size,
                    content: match bytes {
                        Some(entry) => Content::Entry(entry, raw.header.header_len),
                        None => Content::Copied(number, raw),
                    },
                    reused: true,
                });
            }
        }
        let check = match packed.is_none() && self.db.memory(id).is_none() {
            true => Check::Hash,
            false => Check::Trust,
        };
        let (kind, size, content) = whole(self.db, *id, check)?;
        Ok(Prepared {
            kind: PreparedKind::Object(kind),
            size,
            content,
            reused: false,
        })
    }

    /// What a stored entry becomes in this pack, if it can be copied.
    fn reusable(&self, position: usize, number: u32, raw: &RawEntry) -> Option<PreparedKind> {
        let base = match raw.header.kind {
            EntryKind::Object(kind) => return Some(PreparedKind::Object(kind)),
            EntryKind::RefDelta { base } => base,
            EntryKind::OffsetDelta { distance } => {
                self.db.packs()[number as usize].id_at(raw.offset.checked_sub(distance)?)?
            }
        };
        match self.positions.get(&base) {
            Some(at) if (*at as usize) < position => Some(PreparedKind::DeltaHere(*at)),
            Some(_) => None,
            None => (self.is_there)(&base).then_some(PreparedKind::DeltaThere(base)),
        }
    }

    fn write(
        &self,
        entry: Prepared,
        offsets: &mut Vec<u64>,
        out: &mut PackOut<'_>,
    ) -> Result<(), WritePackError> {
        let offset = out.offset();
        let kind = match entry.kind {
            PreparedKind::Object(kind) => EntryKind::Object(kind),
            PreparedKind::DeltaHere(base) if self.options.ofs_delta => EntryKind::OffsetDelta {
                distance: offset - offsets[base as usize],
            },
            PreparedKind::DeltaHere(base) => EntryKind::RefDelta {
                base: self.entries[base as usize].id,
            },
            PreparedKind::DeltaThere(base) => EntryKind::RefDelta { base },
        };
        let id = self.entries[offsets.len()].id;
        offsets.push(offset);
        write_header(kind, entry.size, out.piece());
        match entry.content {
            Content::Whole(stream) => Ok(out.write_all(&stream)?),
            Content::Entry(entry, header_len) => Ok(out.write_all(&entry[header_len..])?),
            Content::Copied(number, raw) => {
                let pack = &self.db.packs()[number as usize];
                pack.copy_raw(&raw, out)
                    .map_err(|error| copy_error(id, error))
            }
            Content::Deflated(stream, check) => deflate_stream(id, stream, check, out),
        }
    }
}

/// Writes an object as it is, deflated anew, into a pack that was begun.
pub(crate) fn write_whole(
    db: &Database,
    id: ObjectId,
    out: &mut PackOut<'_>,
) -> Result<(), WritePackError> {
    let (kind, size, content) = whole(db, id, Check::Trust)?;
    write_header(EntryKind::Object(kind), size, out.piece());
    match content {
        Content::Deflated(stream, check) => deflate_stream(id, stream, check, out),
        Content::Whole(stream) => Ok(out.write_all(&stream)?),
        Content::Entry(..) | Content::Copied(..) => unreachable!("it is deflated anew"),
    }
}

/// An object as it is, small ones deflated already.
fn whole(
    db: &Database,
    id: ObjectId,
    check: Check,
) -> Result<(ObjectKind, u64, Content), WritePackError> {
    let missing = || db.not_found(id);
    let header = db.header(&id)?;
    if header.is_some_and(|header| header.size > WHOLE_BYTES) {
        let stream = db.stream(&id)?.ok_or_else(missing)?;
        let (kind, size) = (stream.kind, stream.size);
        return Ok((kind, size, Content::Deflated(stream, check)));
    }
    let object = db.read(&id)?.ok_or_else(missing)?;
    if check == Check::Hash && hash_object(object.kind, &object.data) != Ok(id) {
        return Err(ReadError::Mismatch { id }.into());
    }
    let size = object.data.len() as u64;
    Ok((object.kind, size, Content::Whole(deflate(&object.data))))
}

fn copy_error(id: ObjectId, error: CopyError) -> WritePackError {
    match error {
        CopyError::Pack(source) => ReadError::pack(id, source).into(),
        CopyError::Write(source) => WritePackError::Write(source),
    }
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::with_capacity(data.len() / 2 + 64), Compression::fast());
    zlib.write_all(data)
        .expect("writing to memory does not fail");
    zlib.finish().expect("writing to memory does not fail")
}

fn deflate_stream(
    id: ObjectId,
    mut stream: ObjectStream,
    check: Check,
    out: &mut PackOut<'_>,
) -> Result<(), WritePackError> {
    let mut zlib = ZlibEncoder::new(out, Compression::fast());
    let mut piece = vec![0; PIECE_LEN];
    let mut hasher = match check {
        Check::Hash => Some(ObjectHasher::new(stream.kind, stream.size)),
        Check::Trust => None,
    };
    loop {
        let n = stream
            .read(&mut piece)
            .map_err(|source| ReadError::Stream { id, source })?;
        if n == 0 {
            zlib.finish()?;
            return match hasher.map(ObjectHasher::finish) {
                Some(found) if found != Ok(id) => Err(ReadError::Mismatch { id }.into()),
                _ => Ok(()),
            };
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece[..n]);
        }
        zlib.write_all(&piece[..n])?;
    }
}
