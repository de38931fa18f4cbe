//! Taking an archive in.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;

use super::super::{Snapshot, StoreError, StoreProgress};
use super::intake::{Intake, XZ_MEMORY_KIB, too_large};
use super::{ArchiveFormat, ArchiveIn, tar_in, zip_in};

const BUFFER_LEN: usize = 128 << 10;

impl Snapshot {
    /// Takes the files of an archive in, as one commit. Files that are there already are replaced; others stay.
    ///
    /// A leading `./` is dropped, folders are made as they are needed, and a file may be run if anybody may run it in
    /// the archive. What a store cannot hold (devices, a hard link to nothing) is left out, with a warning in the
    /// report. Of several entries of one name the last counts.
    ///
    /// Errors, after which nothing has changed: [`StoreError::BadPath`] for an absolute path, or one with `..`;
    /// [`StoreError::Invalid`] if there is no file at all, or a link that no disk could hold; [`StoreError::Failed`]
    /// for an archive that goes beyond the limits; [`StoreError::Source`] for one that is damaged.
    ///
    /// ```
    /// # use packhouse_repo::store::{
    /// #     ArchiveFormat, ArchiveIn, Create, NoProgress, Store, StoreError, StoreOptions, WriteOptions,
    /// # };
    /// # fn main() -> Result<(), StoreError> {
    /// # let folder = tempfile::tempdir().expect("a temporary folder can be made");
    /// # let create = Create::New { branch: Some("main".to_owned()) };
    /// # let options = StoreOptions { create, ..StoreOptions::default() };
    /// # let store = Store::open(folder.path().join("data.git"), options)?;
    /// let main = store.branches().get("main")?;
    /// let main = main.write("docs/a.txt", b"text", &WriteOptions::default())?;
    /// let mut archive = Vec::new();
    /// main.archive_out("docs", &mut archive, ArchiveFormat::TarGz, &NoProgress)?;
    ///
    /// let into = ArchiveIn { dest: "copy".into(), ..ArchiveIn::default() };
    /// let main = main.archive_in(&mut &archive[..], ArchiveFormat::TarGz, &into, &NoProgress)?;
    /// assert_eq!(main.read("copy/a.txt", 0, None)?, b"text");
    /// # Ok(())
    /// # }
    /// ```
    pub fn archive_in(
        &self,
        input: &mut dyn Read,
        format: ArchiveFormat,
        options: &ArchiveIn,
        progress: &dyn StoreProgress,
    ) -> Result<Snapshot, StoreError> {
        let mut intake = Intake::new(self, options, progress)?;
        let mut input = BufReader::with_capacity(BUFFER_LEN, input);
        match format {
            ArchiveFormat::Zip => zip_in::read(input, self.store().quarantine_dir(), &mut intake)?,
            ArchiveFormat::Tar => {
                let packed = packed(&mut input);
                let read = tar_in::read(input, &mut intake);
                read.map_err(|error| match (error, packed) {
                    // The first header was none, which could also begin so: it begins with a name.
                    (StoreError::Source(_), Some(reason)) if intake.is_untouched() => {
                        tar_in::damaged(reason)
                    }
                    (error, _) => error,
                })?
            }
            ArchiveFormat::TarGz => {
                let gz = Streams::new(input, GzDecoder::new, GzDecoder::into_inner, 0x1f);
                unpack(gz, &mut intake)?;
            }
            ArchiveFormat::TarBz2 => {
                let bz2 = Streams::new(input, BzDecoder::new, BzDecoder::into_inner, b'B');
                unpack(bz2, &mut intake)?;
            }
            ArchiveFormat::TarXz => {
                let xz = XzReader::new_mem_limit(input, true, XZ_MEMORY_KIB);
                unpack(xz, &mut intake)?;
            }
        }
        intake.commit(self, options)
    }
}

/// How what is taken for a tar is packed, by how it begins.
fn packed(input: &mut impl BufRead) -> Option<&'static str> {
    // What cannot be read is told by the reader.
    let begins = input.fill_buf().ok()?;
    Some(match begins {
        [0x1f, 0x8b, ..] => "it is compressed with gzip: its format is tar.gz",
        [b'B', b'Z', b'h', ..] => "it is compressed with bzip2: its format is tar.bz2",
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "it is compressed with xz: its format is tar.xz",
        [b'P', b'K', 3, 4, ..] => "it is a zip",
        _ => return None,
    })
}

/// Reads a tar to its end, and what is packed with it, so that checksums at the end are seen to.
fn unpack(unpacked: impl Read, intake: &mut Intake<'_>) -> Result<(), StoreError> {
    let mut unpacked = BufReader::with_capacity(BUFFER_LEN, unpacked);
    tar_in::read(&mut unpacked, intake)?;
    let limit = intake.bytes_left();
    let rest = io::copy(&mut unpacked.take(limit.saturating_add(1)), &mut io::sink());
    match rest.map_err(StoreError::Source)? > limit {
        true => Err(too_large(limit)),
        false => Ok(()),
    }
}

/// Packed streams one behind the other, read as one. Zeros behind a stream count for nothing: tapes and disks fill their
/// last block with them. Anything else there is an error, since nobody can tell what is missing then.
struct Streams<R, D> {
    /// `None` at the end.
    stream: Option<D>,
    begin: fn(R) -> D,
    end: fn(D) -> R,
    /// How every stream begins.
    first_byte: u8,
}

impl<R: BufRead, D> Streams<R, D> {
    fn new(input: R, begin: fn(R) -> D, end: fn(D) -> R, first_byte: u8) -> Streams<R, D> {
        Streams {
            stream: Some(begin(input)),
            begin,
            end,
            first_byte,
        }
    }

    /// Passes over zeros, and says whether there is another stream behind them.
    fn another(&self, input: &mut R) -> io::Result<bool> {
        loop {
            let data = match input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                data => data?,
            };
            let zeros = data.iter().take_while(|byte| **byte == 0).count();
            let next = data.get(zeros).copied();
            let is_end = data.is_empty();
            input.consume(zeros);
            match next {
                None if is_end => return Ok(false),
                None => {}
                Some(byte) if byte == self.first_byte => return Ok(true),
                Some(_) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "something else than zeros follows the packed data: the archive is damaged, \
                         or has something behind it that does not belong to it",
                    ));
                }
            }
        }
    }
}

impl<R: BufRead, D: Read> Read for Streams<R, D> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while let Some(stream) = &mut self.stream {
            let n = stream.read(out)?;
            if n > 0 {
                return Ok(n);
            }
            if let Some(ended) = self.stream.take() {
                let mut input = (self.end)(ended);
                if self.another(&mut input)? {
                    self.stream = Some((self.begin)(input));
                }
            }
        }
        Ok(0)
    }
}
