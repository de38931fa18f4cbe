//! Copying much of a pack into another in large pieces.
//!
//! Neighbours that are all sent are copied together, as they lie there. A delta says how far before it its base begins;
//! where objects between the two are not sent, or take another length, it is told anew. A delta whose base is not sent
//! names it by its id if the receiver has it, and gives way to the whole object if not.
//!
//! What is copied in one piece is not held against the checksums of entries: a receiver holds everything against ids.

use std::io::Write;
use std::ops::Range;

use crate::pack::entry::{EntryHeader, EntryKind, MAX_HEADER_LEN, parse_header, write_header};
use crate::pack_out::PackOut;
use crate::to_send::PackPart;
use crate::write_pack::write_whole;
use crate::{
    Database, ObjectId, Pack, PackError, PackOptions, PackStats, Progress, ReadError,
    WritePackError,
};

/// Bytes are copied in pieces of this size.
const PIECE_LEN: usize = 256 << 10;
/// Headers of entries are read from pieces of this size.
const WINDOW_LEN: usize = 64 << 10;
/// Progress and cancellation are seen to once for so many entries.
const ENTRIES_PER_LOOK: u64 = 4096;

/// Copies a pack byte for byte.
pub(crate) fn copy_whole(
    pack: &Pack,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<PackStats, WritePackError> {
    let total = pack.object_count();
    let mut pieces = Pieces::new();
    pieces.copy(pack, 0..pack.bytes(), progress, &mut |piece| {
        out.write_all(piece)
    })?;
    out.flush()?;
    progress.writing(total, total);
    Ok(PackStats {
        bytes: pack.bytes(),
        objects: total,
        pack_reused: total,
        ..PackStats::default()
    })
}

/// Copies some of a pack's bytes as they are.
pub(crate) fn copy_bytes(
    pack: &Pack,
    range: Range<u64>,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<(), WritePackError> {
    Pieces::new().copy(pack, range, progress, &mut |piece| out.write_all(piece))
}

/// Copies a part of a pack into one that was begun. `is_there`: whether the receiver has an object that is not sent, and
/// deltas may build on it.
pub(crate) fn copy_part(
    db: &Database,
    part: &PackPart,
    options: &PackOptions,
    is_there: &dyn Fn(&ObjectId) -> bool,
    out: &mut PackOut<'_>,
    progress: &dyn Progress,
) -> Result<PackStats, WritePackError> {
    let total = part.bits.count();
    let mut copy = Copy {
        db,
        part,
        options,
        is_there,
        out,
        progress,
        total,
        done: 0,
        moved: Vec::new(),
        pieces: Pieces::new(),
        window: Window::default(),
    };
    for run in part.bits.runs() {
        copy.run(run)?;
    }
    progress.writing(total, total);
    Ok(PackStats {
        objects: total,
        pack_reused: total,
        ..PackStats::default()
    })
}

struct Copy<'a, 'o> {
    db: &'a Database,
    part: &'a PackPart,
    options: &'a PackOptions,
    is_there: &'a dyn Fn(&ObjectId) -> bool,
    out: &'a mut PackOut<'o>,
    progress: &'a dyn Progress,
    total: u64,
    done: u64,
    /// From which place in the pack on entries are how much further ahead in the copy, ascending.
    moved: Vec<(u64, i64)>,
    pieces: Pieces,
    window: Window,
}

/// What becomes of an entry.
enum Fate {
    /// It is copied as it is.
    Same,
    /// It is copied with another header.
    Header(EntryKind),
    /// The object is deflated anew.
    Whole,
}

impl Copy<'_, '_> {
    /// Copies entries that lie together.
    fn run(&mut self, run: Range<u32>) -> Result<(), WritePackError> {
        let pack = &self.part.pack;
        let run_start = pack.offset_of_bit(run.start);
        // What is the same from here to the entry that is looked at is copied when something else comes.
        let mut same_from = run_start;
        self.move_from(run_start);
        let mut offset = run_start;
        for bit in run {
            if self.done.is_multiple_of(ENTRIES_PER_LOOK) {
                self.progress.writing(self.done, self.total);
                if self.progress.cancelled() {
                    return Err(ReadError::Cancelled.into());
                }
            }
            self.done += 1;
            let end = pack.end_of_bit(bit);
            let id = || pack.id_of_bit(bit);
            let failed = |source| WritePackError::from(ReadError::pack(id(), source));
            let header = self.window.header(pack, offset..end).map_err(failed)?;
            let place = self.out.offset() + (offset - same_from);
            let fate = self.fate(offset, place, run_start, &header);
            if !matches!(fate, Fate::Same) {
                self.copy(same_from..offset)?;
                self.move_from(offset);
                match fate {
                    Fate::Header(kind) => {
                        write_header(kind, header.size, self.out.piece());
                        self.copy(offset + header.header_len as u64..end)?;
                    }
                    _ => write_whole(self.db, id(), self.out)?,
                }
                self.move_from(end);
                same_from = end;
            }
            offset = end;
        }
        self.copy(same_from..offset)
    }

    fn fate(&self, offset: u64, place: u64, run_start: u64, header: &EntryHeader) -> Fate {
        let pack = &self.part.pack;
        match header.kind {
            EntryKind::Object(_) => Fate::Same,
            EntryKind::OffsetDelta { distance } => {
                let Some(base) = offset.checked_sub(distance) else {
                    return Fate::Whole;
                };
                let is_sent = || {
                    let bit = pack.bit_at(base);
                    bit.is_some_and(|bit| self.part.bits.has(bit))
                };
                if base >= run_start || is_sent() {
                    return self.beside(base, place, distance);
                }
                match pack.id_at(base) {
                    Some(id) if (self.is_there)(&id) => {
                        Fate::Header(EntryKind::RefDelta { base: id })
                    }
                    _ => Fate::Whole,
                }
            }
            EntryKind::RefDelta { base } => {
                let bit = pack.bit_of(&base);
                let is_sent = bit.is_some_and(|bit| self.part.bits.has(bit));
                match is_sent || (self.is_there)(&base) {
                    true => Fate::Same,
                    false => Fate::Whole,
                }
            }
        }
    }

    /// What becomes of a delta whose base is in the copy already.
    fn beside(&self, base: u64, place: u64, distance: u64) -> Fate {
        if !self.options.ofs_delta {
            let id = self.part.pack.id_at(base);
            return id.map_or(Fate::Whole, |base| {
                Fate::Header(EntryKind::RefDelta { base })
            });
        }
        let at = self.moved.partition_point(|(from, _)| *from <= base);
        let by = at.checked_sub(1).map_or(0, |at| self.moved[at].1);
        match place.checked_sub(base.wrapping_add_signed(by)) {
            Some(now) if now == distance => Fate::Same,
            Some(now) if now > 0 => Fate::Header(EntryKind::OffsetDelta { distance: now }),
            _ => Fate::Whole,
        }
    }

    /// Notes that what begins at `offset` in the pack is written next.
    fn move_from(&mut self, offset: u64) {
        let by = self.out.offset().wrapping_sub(offset).cast_signed();
        match self.moved.last_mut() {
            Some((_, last)) if *last == by => {}
            Some((from, last)) if *from == offset => *last = by,
            _ => self.moved.push((offset, by)),
        }
    }

    fn copy(&mut self, range: Range<u64>) -> Result<(), WritePackError> {
        let Copy { pieces, out, .. } = self;
        pieces.copy(
            &self.part.pack,
            range,
            self.progress,
            &mut |piece| match piece.len() {
                0..WINDOW_LEN => out.write_all(piece),
                _ => out.pass(piece),
            },
        )
    }
}

/// The bytes of a pack, piece by piece.
struct Pieces(Vec<u8>);

impl Pieces {
    fn new() -> Pieces {
        Pieces(vec![0; PIECE_LEN])
    }

    fn copy(
        &mut self,
        pack: &Pack,
        range: Range<u64>,
        progress: &dyn Progress,
        write: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), WritePackError> {
        let mut at = range.start;
        while at < range.end {
            if progress.cancelled() {
                return Err(ReadError::Cancelled.into());
            }
            let n = self.0.len().min((range.end - at) as usize);
            let piece = &mut self.0[..n];
            pack.read_bytes(piece, at)
                .map_err(|source| ReadError::pack(pack.id(), source))?;
            write(piece)?;
            at += n as u64;
        }
        Ok(())
    }
}

/// A piece of a pack that headers are read from.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The header of the entry that lies there.
    fn header(&mut self, pack: &Pack, entry: Range<u64>) -> Result<EntryHeader, PackError> {
        let Range { start, end } = entry;
        let no_entry = PackError::NoEntry { offset: start };
        if end <= start || end > pack.end_of_entries() {
            return Err(no_entry);
        }
        let len = (end - start).min(MAX_HEADER_LEN as u64);
        let window_end = self.start + self.bytes.len() as u64;
        if start < self.start || start + len > window_end {
            let window_len = (pack.end_of_entries() - start).min(WINDOW_LEN as u64);
            self.bytes.resize(window_len as usize, 0);
            self.start = start;
            pack.read_bytes(&mut self.bytes, start)?;
        }
        let at = (start - self.start) as usize;
        let header = parse_header(&self.bytes[at..at + len as usize]);
        let header = header.map_err(|source| PackError::Entry {
            offset: start,
            source,
        })?;
        match header.header_len as u64 <= end - start {
            true => Ok(header),
            false => Err(no_entry),
        }
    }
}
