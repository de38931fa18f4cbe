//! Inflating one zlib stream out of a pack: whole into memory, or in pieces.
//!
//! A stream must end exactly at the size its entry's header gave; flate2 checks the Adler-32.

use std::cell::RefCell;
use std::io::{self, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::entry::MAX_HEADER_LEN;
use super::read_at::ReadAt;

/// The first read of an entry: most are smaller, header included.
const FIRST_READ: usize = 4 << 10;
/// Every read after it.
const NEXT_READ: usize = 32 << 10;

/// Why a stream did not inflate.
#[derive(Debug)]
pub(super) enum InflateError {
    /// The source could not be read.
    Io(io::Error),
    /// The stream is not what it should be.
    Bad(&'static str),
}

pub(super) const DAMAGED: &str = "its zlib stream is damaged";
pub(super) const CUT_SHORT: &str = "its zlib stream is cut short";
pub(super) const TOO_LONG: &str = "it is longer than its header says";
pub(super) const TOO_SHORT: &str = "it is shorter than its header says";

impl From<io::Error> for InflateError {
    fn from(error: io::Error) -> Self {
        InflateError::Io(error)
    }
}

impl From<InflateError> for io::Error {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::Io(error) => error,
            InflateError::Bad(reason) => io::Error::new(io::ErrorKind::InvalidData, reason),
        }
    }
}

/// A piece of the source, kept between reading an entry's header and inflating what follows it, and from one entry of
/// a pack to the next: what is read together mostly lies together.
struct Window {
    buffer: Vec<u8>,
    /// The number of the pack it is of.
    pack: Option<u64>,
    start: u64,
    len: usize,
}

impl Window {
    fn new() -> Window {
        Window {
            buffer: vec![0; NEXT_READ],
            pack: None,
            start: 0,
            len: 0,
        }
    }

    fn load(&mut self, source: &impl ReadAt, at: u64, want: usize) -> io::Result<&[u8]> {
        self.len = 0;
        self.start = at;
        loop {
            match source.read_at(&mut self.buffer[..want], at) {
                Ok(n) => {
                    self.len = n;
                    return Ok(&self.buffer[..n]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves on to a pack. What is here is of use only if it is of the same one.
    fn turn_to(&mut self, pack: u64) {
        if self.pack != Some(pack) {
            self.len = 0;
        }
        self.pack = Some(pack);
    }

    /// The start of the entry at `at`: at least its header, if it is all there.
    fn entry(&mut self, source: &impl ReadAt, at: u64) -> io::Result<&[u8]> {
        if self.held(at).len() < MAX_HEADER_LEN {
            self.load_near(source, at)?;
        }
        Ok(self.held(at))
    }

    /// Loads what is at `at`: much, if that is near to what was loaded last.
    fn load_near(&mut self, source: &impl ReadAt, at: u64) -> io::Result<()> {
        let (here, near) = (self.len > 0, NEXT_READ as u64);
        if here && at < self.start && self.start - at < near {
            // Backwards, as histories are read.
            let from = at.saturating_sub((NEXT_READ - FIRST_READ) as u64);
            self.load(source, from, NEXT_READ)?;
            if self.held(at).len() >= MAX_HEADER_LEN {
                return Ok(());
            }
        }
        let is_next = here && at >= self.start && at - self.start < near + self.len as u64;
        let want = if is_next { NEXT_READ } else { FIRST_READ };
        self.load(source, at, want)?;
        Ok(())
    }

    /// The bytes from `at` on that are here already.
    fn held(&self, at: u64) -> &[u8] {
        match at.checked_sub(self.start) {
            Some(skip) if skip < self.len as u64 => &self.buffer[skip as usize..self.len],
            _ => &[],
        }
    }
}

struct Inflater {
    zlib: Decompress,
    window: Window,
    /// Small objects are inflated here and copied.
    small: Vec<u8>,
}

/// Objects up to this size are small.
const SMALL: usize = 16 << 10;

/// An inflater that might run out of room looks at every byte; with this much room beyond what it will fill it does not.
pub(super) const SLACK: usize = 320;

thread_local! {
    // Setting up the tables and the window costs more than inflating a small object.
    static INFLATER: RefCell<Inflater> =
        RefCell::new(Inflater {
            zlib: Decompress::new(true),
            window: Window::new(),
            small: vec![0; SMALL + SLACK],
        });
}

/// Reads what is at `at` in the pack of this number (an entry's header and some of its stream), gives it to `parse` and
/// keeps it for an [`inflate_next`] on the same thread.
pub(super) fn with_start<T>(
    pack: u64,
    source: &impl ReadAt,
    at: u64,
    parse: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    INFLATER.with_borrow_mut(|inflater| {
        inflater.window.turn_to(pack);
        Ok(parse(inflater.window.entry(source, at)?))
    })
}

/// Inflates the stream that begins at `at`, right after [`with_start`] read the entry before it
/// from the same source, to exactly `size` bytes.
pub(super) fn inflate_next(
    source: &impl ReadAt,
    at: u64,
    size: usize,
) -> Result<Vec<u8>, InflateError> {
    INFLATER.with_borrow_mut(|inflater| {
        if size > SMALL {
            let mut out = vec![0; size + 1];
            inflater.run(source, at, size, &mut out)?;
            out.truncate(size);
            return Ok(out);
        }
        let mut small = std::mem::take(&mut inflater.small);
        let done = inflater.run(source, at, size, &mut small[..size + SLACK]);
        let out = done.map(|()| small[..size].to_vec());
        inflater.small = small;
        out
    })
}

/// Inflates the stream that begins at `at` in the pack of this number to exactly `size` bytes, which replace those in
/// `out`.
pub(super) fn inflate_into(
    pack: u64,
    source: &impl ReadAt,
    at: u64,
    size: usize,
    out: &mut Vec<u8>,
) -> Result<(), InflateError> {
    out.resize(size + SLACK, 0);
    INFLATER.with_borrow_mut(|inflater| {
        inflater.window.turn_to(pack);
        inflater.run(source, at, size, out)
    })?;
    out.truncate(size);
    Ok(())
}

/// Inflates the stream that begins at `at` in the pack of this number to exactly `size` bytes.
pub(super) fn inflate(
    pack: u64,
    source: &impl ReadAt,
    at: u64,
    size: usize,
) -> Result<Vec<u8>, InflateError> {
    INFLATER.with_borrow_mut(|inflater| inflater.window.turn_to(pack));
    inflate_next(source, at, size)
}

/// The whole of a zlib stream that is whole and small; `None` if it is not.
pub(crate) fn inflate_small(zlib: &[u8]) -> Option<Vec<u8>> {
    INFLATER.with_borrow_mut(|inflater| {
        let Inflater {
            zlib: state, small, ..
        } = inflater;
        state.reset(true);
        let (mut taken, mut filled) = (0, 0);
        while taken < zlib.len() && filled < small.len() {
            let step = step(state, &zlib[taken..], &mut small[filled..]).ok()?;
            taken += step.consumed;
            filled += step.produced;
            if step.ended {
                return Some(small[..filled].to_vec());
            }
        }
        None
    })
}

/// Inflates the first bytes of the stream that begins at `at` into `out`, as many as there are,
/// and returns their number. May use what [`with_start`] read.
pub(super) fn inflate_start(
    source: &impl ReadAt,
    at: u64,
    out: &mut [u8],
) -> Result<usize, InflateError> {
    INFLATER.with_borrow_mut(|inflater| {
        let mut filled = 0;
        inflater.pump(source, at, out, &mut filled)?;
        Ok(filled)
    })
}

impl Inflater {
    /// Inflates exactly `size` bytes into `out`, which has at least one byte more.
    fn run(
        &mut self,
        source: &impl ReadAt,
        at: u64,
        size: usize,
        out: &mut [u8],
    ) -> Result<(), InflateError> {
        let mut filled = 0;
        let ended = self.pump(source, at, out, &mut filled)?;
        match filled {
            n if n > size => Err(InflateError::Bad(TOO_LONG)),
            n if n < size => Err(InflateError::Bad(TOO_SHORT)),
            _ if !ended => Err(InflateError::Bad(CUT_SHORT)),
            _ => Ok(()),
        }
    }

    /// Inflates until `out` is full or the stream ends; returns whether it ended.
    fn pump(
        &mut self,
        source: &impl ReadAt,
        mut at: u64,
        out: &mut [u8],
        filled: &mut usize,
    ) -> Result<bool, InflateError> {
        self.zlib.reset(true);
        while *filled < out.len() {
            if self.window.held(at).is_empty() {
                let want = if out.len() <= FIRST_READ {
                    FIRST_READ
                } else {
                    NEXT_READ
                };
                if self.window.load(source, at, want)?.is_empty() {
                    return Err(InflateError::Bad(CUT_SHORT));
                }
            }
            let step = step(&mut self.zlib, self.window.held(at), &mut out[*filled..])?;
            at += step.consumed as u64;
            *filled += step.produced;
            if step.ended {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What one call of the inflater did.
pub(super) struct Step {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    pub(super) ended: bool,
}

/// Inflates some of `input` into `out`; neither may be empty. Something is consumed or produced,
/// or it is an error.
pub(super) fn step(
    zlib: &mut Decompress,
    input: &[u8],
    out: &mut [u8],
) -> Result<Step, InflateError> {
    let (had_in, had_out) = (zlib.total_in(), zlib.total_out());
    let status = zlib
        .decompress(input, out, FlushDecompress::None)
        .map_err(|_| InflateError::Bad(DAMAGED))?;
    let consumed = (zlib.total_in() - had_in) as usize;
    let produced = (zlib.total_out() - had_out) as usize;
    let ended = status == Status::StreamEnd;
    if consumed == 0 && produced == 0 && !ended {
        return Err(InflateError::Bad(DAMAGED));
    }
    Ok(Step {
        consumed,
        produced,
        ended,
    })
}

/// Reads a zlib stream of a known inflated size in pieces; fails rather than end elsewhere.
pub(super) struct InflateReader<S> {
    source: S,
    at: u64,
    zlib: Decompress,
    buffer: Box<[u8]>,
    held: std::ops::Range<usize>,
    left: u64,
    ended: bool,
}

impl<S: ReadAt> InflateReader<S> {
    /// The stream that begins at `at` and inflates to `size` bytes.
    pub(super) fn new(source: S, at: u64, size: u64) -> Self {
        let buffer = vec![0; NEXT_READ].into_boxed_slice();
        InflateReader {
            source,
            at,
            zlib: Decompress::new(true),
            buffer,
            held: 0..0,
            left: size,
            ended: false,
        }
    }

    fn step(&mut self, out: &mut [u8]) -> Result<usize, InflateError> {
        if self.held.is_empty() {
            let n = self.source.read_at(&mut self.buffer, self.at)?;
            if n == 0 {
                return Err(InflateError::Bad(CUT_SHORT));
            }
            self.at += n as u64;
            self.held = 0..n;
        }
        let step = step(&mut self.zlib, &self.buffer[self.held.clone()], out)?;
        self.held.start += step.consumed;
        self.ended = step.ended;
        Ok(step.produced)
    }

    /// Reads the end of the stream, which must bring no more content.
    fn finish(&mut self) -> Result<(), InflateError> {
        let mut one = [0];
        while !self.ended {
            if self.step(&mut one)? != 0 {
                return Err(InflateError::Bad(TOO_LONG));
            }
        }
        Ok(())
    }
}

impl<S: ReadAt> Read for InflateReader<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            self.finish()?;
            return Ok(0);
        }
        let room = out
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        loop {
            if self.ended {
                return Err(InflateError::Bad(TOO_SHORT).into());
            }
            let n = self.step(&mut out[..room])?;
            self.left -= n as u64;
            if self.left == 0 {
                // Readers that stop at the size would otherwise never learn of a bad end.
                self.finish()?;
            }
            if n > 0 {
                return Ok(n);
            }
        }
    }
}
