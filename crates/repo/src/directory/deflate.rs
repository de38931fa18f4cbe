//! Zlib streams of new objects. What would not shrink is stored in them as it is.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, Write};

use flate2::{Compress, Compression, FlushCompress, Status};
use zlib_rs::adler32::adler32;

/// Level 1: deflating is what writing costs, and `git gc` does it again.
const LEVEL: u32 = 1;

/// Content from this size on is tried first: what does not shrink is stored as it is.
const TRY_FROM: usize = 32 << 10;

/// How much of it is tried.
const SAMPLE_LEN: usize = 16 << 10;

/// Deflated bytes are gathered in a buffer of this size before they go to a file.
const ROOM: usize = 512 << 10;

/// What every stored stream begins with: deflate, a window of 32 KiB, the fastest level.
const STORED_HEADER: [u8; 2] = [0x78, 0x01];

/// The most bytes of a block that is stored.
const BLOCK_MAX: usize = 0xffff;

thread_local! {
    /// Kept: setting up its tables costs more than deflating a small object.
    static DEFLATER: RefCell<Deflater> = RefCell::new(Deflater::new());
}

/// Calls `then` with the zlib stream of `header` and `data`.
pub(super) fn deflated<T>(
    level: Option<u32>,
    header: &[u8],
    data: &[u8],
    then: impl FnOnce(&[u8]) -> io::Result<T>,
) -> io::Result<T> {
    DEFLATER.with_borrow_mut(|deflater| {
        deflater.begin(level, data);
        deflater.out.clear();
        if !header.is_empty() {
            deflater.push(header, false, None)?;
        }
        deflater.push(data, true, None)?;
        let result = then(&deflater.out);
        if deflater.out.capacity() > ROOM {
            deflater.out = Vec::new();
        }
        result
    })
}

/// Writes the zlib stream of `header` and `data` to a file.
pub(super) fn deflate_to(
    file: &File,
    level: Option<u32>,
    header: &[u8],
    data: &[u8],
) -> io::Result<()> {
    if level != Some(0) {
        return deflated(level, header, data, |zlib| (&*file).write_all(zlib));
    }
    // As it is, without a copy.
    let mut stored = Stored::default();
    let mut parts = stored.parts(header, false);
    parts.extend(stored.parts(data, true));
    write_all_vectored(&mut &*file, &mut slices_of(&parts))
}

/// The zlib stream of an object that is in memory, for a pack.
pub(crate) fn zlib_of(data: &[u8], level: Option<u32>) -> io::Result<Vec<u8>> {
    deflated(level, b"", data, |zlib| Ok(zlib.to_vec()))
}

/// Makes zlib streams one after the other.
pub(super) struct Deflater {
    /// Of the stream under way.
    level: u32,
    /// By level, made when first needed.
    streams: [Option<Compress>; 10],
    stored: Stored,
    out: Vec<u8>,
}

/// A stream without compression.
#[derive(Default)]
struct Stored {
    begun: bool,
    checksum: u32,
}

impl Deflater {
    pub(super) fn new() -> Deflater {
        Deflater {
            level: LEVEL,
            streams: [const { None }; 10],
            stored: Stored::default(),
            out: Vec::new(),
        }
    }

    fn stream(&mut self, level: u32) -> &mut Compress {
        self.streams[level as usize]
            .get_or_insert_with(|| Compress::new(Compression::new(level), true))
    }

    /// Begins a stream; `sample` is how its content begins.
    pub(super) fn begin(&mut self, level: Option<u32>, sample: &[u8]) {
        self.level = level.unwrap_or(LEVEL).min(9);
        if level.is_none() && sample.len() >= TRY_FROM && !self.shrinks(&sample[..SAMPLE_LEN]) {
            self.level = 0;
        }
        match self.level {
            0 => self.stored = Stored::default(),
            level => self.stream(level).reset(),
        }
    }

    /// Whether deflating takes off at least a thirty-second part.
    fn shrinks(&mut self, sample: &[u8]) -> bool {
        let level = self.level;
        self.out.clear();
        self.stream(level).reset();
        let done = self.push(sample, true, None);
        let deflated = self.out.len();
        self.out.clear();
        done.is_ok() && deflated < sample.len() - sample.len() / 32
    }

    /// Adds content, the last if `ends`. What comes out is appended to `out`, or goes to the file.
    pub(super) fn push(&mut self, data: &[u8], ends: bool, file: Option<&File>) -> io::Result<()> {
        match (self.level, file) {
            (0, None) => {
                for part in self.stored.parts(data, ends) {
                    self.out.extend_from_slice(part.as_ref());
                }
                Ok(())
            }
            (0, Some(mut file)) => {
                let parts = self.stored.parts(data, ends);
                write_all_vectored(&mut file, &mut slices_of(&parts))
            }
            _ => self.deflate(data, ends, file),
        }
    }

    fn deflate(&mut self, mut data: &[u8], ends: bool, file: Option<&File>) -> io::Result<()> {
        let level = self.level;
        let flush = match ends {
            true => FlushCompress::Finish,
            false => FlushCompress::None,
        };
        let mut out = std::mem::take(&mut self.out);
        let stream = self.stream(level);
        let result = loop {
            if out.capacity() - out.len() < 64 {
                match file {
                    Some(mut file) if out.len() >= ROOM / 2 => {
                        if let Err(error) = file.write_all(&out) {
                            break Err(error);
                        }
                        out.clear();
                    }
                    Some(_) => out.reserve(ROOM),
                    None => out.reserve(out.capacity().max(data.len() / 2 + 256)),
                }
            }
            let before = stream.total_in();
            let status = match stream.compress_vec(data, &mut out, flush) {
                Ok(status) => status,
                Err(error) => break Err(io::Error::other(error)),
            };
            data = &data[(stream.total_in() - before) as usize..];
            let has_room = out.len() < out.capacity();
            match ends {
                true if status == Status::StreamEnd => break Ok(()),
                false if data.is_empty() && has_room => break Ok(()),
                _ => {}
            }
        };
        let result = match (result, file) {
            (Ok(()), Some(mut file)) if ends => {
                let written = file.write_all(&out);
                out.clear();
                written
            }
            (result, _) => result,
        };
        self.out = out;
        result
    }
}

/// A piece of a stored stream.
enum Part<'a> {
    Start([u8; 2]),
    BlockHeader([u8; 5]),
    Content(&'a [u8]),
    Checksum([u8; 4]),
}

impl AsRef<[u8]> for Part<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Part::Start(bytes) => bytes,
            Part::BlockHeader(bytes) => bytes,
            Part::Content(bytes) => bytes,
            Part::Checksum(bytes) => bytes,
        }
    }
}

impl Stored {
    fn parts<'a>(&mut self, data: &'a [u8], ends: bool) -> Vec<Part<'a>> {
        let mut parts = Vec::with_capacity(3 + 2 * data.len().div_ceil(BLOCK_MAX));
        if !self.begun {
            *self = Stored {
                begun: true,
                checksum: 1,
            };
            parts.push(Part::Start(STORED_HEADER));
        }
        self.checksum = adler32(self.checksum, data);
        let blocks = data.len().div_ceil(BLOCK_MAX);
        for (at, block) in data.chunks(BLOCK_MAX).enumerate() {
            parts.push(block_header(block.len(), ends && at + 1 == blocks));
            parts.push(Part::Content(block));
        }
        if ends {
            if data.is_empty() {
                parts.push(block_header(0, true));
            }
            parts.push(Part::Checksum(self.checksum.to_be_bytes()));
        }
        parts
    }
}

fn block_header<'a>(len: usize, is_last: bool) -> Part<'a> {
    let len = len as u16;
    let [low, high] = len.to_le_bytes();
    let [not_low, not_high] = (!len).to_le_bytes();
    Part::BlockHeader([u8::from(is_last), low, high, not_low, not_high])
}

fn slices_of<'a>(parts: &'a [Part<'_>]) -> Vec<IoSlice<'a>> {
    parts
        .iter()
        .map(|part| IoSlice::new(part.as_ref()))
        .collect()
}

fn write_all_vectored(file: &mut &File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => IoSlice::advance_slices(&mut slices, n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::ZlibDecoder;
    use proptest::prelude::*;

    use super::*;

    fn inflated(zlib: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        ZlibDecoder::new(zlib).read_to_end(&mut data).unwrap();
        data
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn streams_inflate_to_what_was_put_in(
            header in prop::collection::vec(any::<u8>(), 0..20),
            seed in prop::collection::vec(any::<u8>(), 0..50),
            times in prop::sample::select(vec![0, 1, 1000, 5000]),
            level in prop::option::of(0u32..10),
        ) {
            let data = seed.repeat(times);
            let zlib = deflated(level, &header, &data, |zlib| Ok(zlib.to_vec())).unwrap();
            prop_assert_eq!(inflated(&zlib), [header, data.clone()].concat());

            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("z");
            let file = File::create(&path).unwrap();
            let mut deflater = Deflater::new();
            deflater.begin(level, &data);
            for piece in data.chunks(70_000) {
                deflater.push(piece, false, Some(&file)).unwrap();
            }
            deflater.push(b"end", true, Some(&file)).unwrap();
            let read = inflated(&std::fs::read(&path).unwrap());
            prop_assert_eq!(read, [&data[..], b"end"].concat());
        }
    }
}
