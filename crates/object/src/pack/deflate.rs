//! Deflating objects into zlib streams, through one reused buffer.
//!
//! Level 1: packs written here are soon merged into better ones, and deflating is what writing
//! costs. Large content that would not shrink is stored as it is.

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};

/// Content from this size on is tried first.
const TRY_FROM: usize = 128 << 10;
/// How much of it is tried.
const SAMPLE_LEN: usize = 64 << 10;
/// The zlib stream is made in pieces of this size.
const ROOM: usize = 64 << 10;

/// Makes zlib streams, one after the other.
pub(super) struct Deflater {
    fast: Compress,
    /// Made when first needed: its tables are not small.
    stored: Option<Compress>,
    storing: bool,
    room: Vec<u8>,
}

impl Deflater {
    pub(super) fn new() -> Deflater {
        Deflater {
            fast: Compress::new(Compression::fast(), true),
            stored: None,
            storing: false,
            room: vec![0; ROOM],
        }
    }

    /// Deflates `data` as one stream.
    pub(super) fn whole(
        &mut self,
        data: &[u8],
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.begin(data);
        self.run(data, FlushCompress::Finish, out)
    }

    /// Begins a stream; `sample` is how its content begins.
    pub(super) fn begin(&mut self, sample: &[u8]) {
        self.storing = sample.len() >= TRY_FROM && !self.shrinks(&sample[..SAMPLE_LEN]);
        if self.storing {
            self.stored
                .get_or_insert_with(|| Compress::new(Compression::none(), true))
                .reset();
        } else {
            self.fast.reset();
        }
    }

    /// Adds content to the stream.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.run(data, FlushCompress::None, out)
    }

    /// Ends the stream.
    pub(super) fn finish(
        &mut self,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        self.run(&[], FlushCompress::Finish, out)
    }

    /// Whether deflating takes off at least a thirty-second part.
    fn shrinks(&mut self, sample: &[u8]) -> bool {
        self.storing = false;
        self.fast.reset();
        let mut deflated = 0;
        let count = &mut |piece: &[u8]| {
            deflated += piece.len();
            Ok(())
        };
        let done = self.run(sample, FlushCompress::Finish, count);
        done.is_ok() && deflated < sample.len() - sample.len() / 32
    }

    fn run(
        &mut self,
        mut data: &[u8],
        flush: FlushCompress,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let zlib = match &mut self.stored {
            Some(stored) if self.storing => stored,
            _ => &mut self.fast,
        };
        loop {
            let (had_in, had_out) = (zlib.total_in(), zlib.total_out());
            let status = zlib
                .compress(data, &mut self.room, flush)
                .map_err(io::Error::other)?;
            data = &data[(zlib.total_in() - had_in) as usize..];
            let made = (zlib.total_out() - had_out) as usize;
            if made > 0 {
                out(&self.room[..made])?;
            }
            let drained = made < self.room.len();
            match flush {
                FlushCompress::Finish if status == Status::StreamEnd => return Ok(()),
                FlushCompress::Finish => {}
                _ if data.is_empty() && drained => return Ok(()),
                _ => {}
            }
        }
    }
}
