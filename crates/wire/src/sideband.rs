//! Sidebands: pack data, progress and errors in one stream, each packet marked with its band.

use std::io::{self, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::pktline::{MAX_DATA, PacketWriter};

/// Whether and how the client takes bands apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bands {
    /// Not at all: pack data goes out as it is, and nobody hears of progress.
    None,
    /// `side-band`: packets of at most 1000 bytes in all.
    Small,
    /// `side-band-64k`, and version 2.
    Large,
}

impl Bands {
    /// The most bytes of payload in a packet.
    fn payload(self) -> usize {
        match self {
            Bands::None | Bands::Large => MAX_DATA - 1,
            Bands::Small => 1000 - 5,
        }
    }
}

pub(crate) const DATA: u8 = 1;
pub(crate) const PROGRESS: u8 = 2;
pub(crate) const ERROR: u8 = 3;

/// The output of one answer, shared by who writes data and who reports progress.
///
/// The first failed write is remembered: from then on nothing is written and [`Sideband::is_broken`] says so,
/// so that long work ends soon after the client has gone.
pub(crate) struct Sideband<'a> {
    bands: Bands,
    keepalive: Duration,
    state: Mutex<State<'a>>,
}

struct State<'a> {
    out: PacketWriter<'a>,
    pending: Vec<u8>,
    sent_at: Instant,
    broken: bool,
}

impl<'a> Sideband<'a> {
    /// Continues the answer begun on `out`.
    pub(crate) fn new(
        mut out: PacketWriter<'a>,
        bands: Bands,
        keepalive: Duration,
    ) -> Sideband<'a> {
        out.set_band(None);
        let state = State {
            out,
            pending: Vec::new(),
            sent_at: Instant::now(),
            broken: false,
        };
        Sideband {
            bands,
            keepalive,
            state: Mutex::new(state),
        }
    }

    fn with<T>(&self, write: impl FnOnce(&mut State<'a>) -> io::Result<T>) -> io::Result<T> {
        let mut state = self
            .state
            .lock()
            .expect("no holder of this lock panics: they only write");
        if state.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let written = write(&mut state);
        state.broken = written.is_err();
        written
    }

    /// Whether the client has gone.
    pub(crate) fn is_broken(&self) -> bool {
        self.state
            .lock()
            .expect("no holder of this lock panics: they only write")
            .broken
    }

    /// Shows `text` to the person at the other end; it brings its own line ends.
    pub(crate) fn progress(&self, text: &str) -> io::Result<()> {
        self.progress_bytes(text.as_bytes())
    }

    /// As [`Sideband::progress`], for text in whatever encoding.
    pub(crate) fn progress_bytes(&self, text: &[u8]) -> io::Result<()> {
        match self.bands {
            Bands::None => Ok(()),
            bands => self.with(|state| state.message(PROGRESS, text, bands)),
        }
    }

    /// Whether there is a band for messages.
    pub(crate) fn has_messages(&self) -> bool {
        self.bands != Bands::None
    }

    /// Tells the client that the work has failed, which ends its side of it.
    pub(crate) fn error(&self, text: &str) -> io::Result<()> {
        match self.bands {
            Bands::None => Ok(()),
            bands => self.with(|state| state.message(ERROR, text.as_bytes(), bands)),
        }
    }

    /// Sends an empty packet if nothing was sent for a while.
    pub(crate) fn keep_alive(&self) -> io::Result<()> {
        if self.bands == Bands::None {
            return Ok(());
        }
        self.with(|state| match state.sent_at.elapsed() < self.keepalive {
            true => Ok(()),
            false => state.packet(DATA, b"").and_then(|()| state.send()),
        })
    }

    /// Sends what is left of the data, and the flush that ends the bands.
    pub(crate) fn finish(self) -> io::Result<()> {
        let bands = self.bands;
        self.with(|state| {
            state.flush_data(bands)?;
            if bands != Bands::None {
                state.out.flush()?;
            }
            state.send()
        })
    }

    /// Where pack data is written to.
    pub(crate) fn data(&self) -> DataBand<'_, 'a> {
        DataBand(self)
    }
}

impl State<'_> {
    fn packet(&mut self, band: u8, payload: &[u8]) -> io::Result<()> {
        self.out.data(&[&[band], payload])
    }

    fn message(&mut self, band: u8, text: &[u8], bands: Bands) -> io::Result<()> {
        // Data written before the message is sent before it.
        self.flush_data(bands)?;
        for part in text.chunks(bands.payload()) {
            self.packet(band, part)?;
        }
        self.send()
    }

    fn flush_data(&mut self, bands: Bands) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        match bands {
            Bands::None => self.out.raw(&pending)?,
            _ => self.packet(DATA, &pending)?,
        }
        self.pending = pending;
        self.pending.clear();
        Ok(())
    }

    fn send(&mut self) -> io::Result<()> {
        self.sent_at = Instant::now();
        self.out.send()
    }
}

/// Writes to the data band, in packets as large as they may be.
pub(crate) struct DataBand<'s, 'a>(&'s Sideband<'a>);

impl Write for DataBand<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bands = self.0.bands;
        self.0.with(|state| {
            let room = bands.payload() - state.pending.len();
            let taken = bytes.len().min(room);
            state.pending.extend_from_slice(&bytes[..taken]);
            if state.pending.len() == bands.payload() {
                state.flush_data(bands)?;
                state.sent_at = Instant::now();
            }
            Ok(taken)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        let bands = self.0.bands;
        self.0
            .with(|state| state.flush_data(bands).and_then(|()| state.send()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pktline::{Packet, PacketReader};

    fn packets(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut reader = PacketReader::new(bytes);
        let mut seen = Vec::new();
        while let Some(packet) = reader.read().unwrap() {
            match packet {
                Packet::Data(data) => seen.push((data[0], data[1..].to_vec())),
                _ => seen.push((0, Vec::new())),
            }
        }
        seen
    }

    fn write(bands: Bands, keepalive: Duration, work: impl FnOnce(&Sideband<'_>)) -> Vec<u8> {
        let mut bytes = Vec::new();
        let sideband = Sideband::new(PacketWriter::new(&mut bytes), bands, keepalive);
        work(&sideband);
        sideband.finish().unwrap();
        bytes
    }

    #[test]
    fn data_fills_packets_and_messages_keep_their_place() {
        let bytes = write(Bands::Small, Duration::MAX, |sideband| {
            sideband.data().write_all(&[b'x'; 1500]).unwrap();
            sideband.progress("half\r").unwrap();
            sideband.data().write_all(b"y").unwrap();
        });
        let seen = packets(&bytes);
        let shape: Vec<_> = seen
            .iter()
            .map(|(band, data)| (*band, data.len()))
            .collect();
        assert_eq!(
            shape,
            [(DATA, 995), (DATA, 505), (PROGRESS, 5), (DATA, 1), (0, 0)]
        );
    }

    #[test]
    fn without_bands_only_data_goes_out() {
        let bytes = write(Bands::None, Duration::ZERO, |sideband| {
            sideband.progress("nobody hears this").unwrap();
            sideband.keep_alive().unwrap();
            sideband.data().write_all(b"PACK").unwrap();
        });
        assert_eq!(bytes, b"PACK");
    }

    #[test]
    fn silence_is_filled_with_empty_packets() {
        let bytes = write(Bands::Large, Duration::ZERO, |sideband| {
            sideband.keep_alive().unwrap()
        });
        assert_eq!(bytes, b"0005\x010000");
        let bytes = write(Bands::Large, Duration::from_secs(60), |sideband| {
            sideband.keep_alive().unwrap()
        });
        assert_eq!(bytes, b"0000");
    }

    #[test]
    fn a_broken_output_is_noticed_and_stays_broken() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut broken = Broken;
        let sideband = Sideband::new(PacketWriter::new(&mut broken), Bands::Large, Duration::ZERO);
        assert!(!sideband.is_broken());
        assert!(sideband.keep_alive().is_err());
        assert!(sideband.is_broken());
        assert!(sideband.data().write_all(b"x").is_err());
    }
}
