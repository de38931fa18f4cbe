//! Reading tar: old, POSIX (pax) and GNU headers.
//!
//! The headers are read here and not by a library, so that what an archive says of its names and
//! sizes is bounded before anything is held in memory for it.

use std::io::{self, Read};

use bstr::ByteSlice;
use tar::{EntryType, Header, PaxExtensions};

use super::super::StoreError;
use super::intake::{Intake, LINK_BYTES_MAX};

const BLOCK_LEN: usize = 512;

/// The largest extended header, and so the longest name.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

/// GNU's name for the whole archive (`tar -V`).
const VOLUME_LABEL: u8 = b'V';

/// A folder in a GNU incremental archive, with the names in it.
const DUMPED_FOLDER: u8 = b'D';

/// What extended headers say of the entry that follows them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Takes all entries, up to the end of the archive.
pub(super) fn read(mut input: impl Read, intake: &mut Intake<'_>) -> Result<(), StoreError> {
    let mut global = Extended::default();
    let mut extended = Extended::default();
    while let Some(header) = next_header(&mut input)? {
        intake.entry()?;
        let size = or_zero(&header.as_old().size, || header.entry_size())?;
        match header.entry_type() {
            EntryType::XHeader => pax(&extension(&mut input, size)?, &mut extended)?,
            EntryType::XGlobalHeader => pax(&extension(&mut input, size)?, &mut global)?,
            EntryType::GNULongName => extended.path = Some(name(extension(&mut input, size)?)),
            EntryType::GNULongLink => extended.target = Some(name(extension(&mut input, size)?)),
            kind => {
                let told = std::mem::take(&mut extended);
                let path = told.path.or(global.path.clone());
                let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
                let size = told.size.or(global.size).unwrap_or(size);
                let target = told.target.or(global.target.clone()).or_else(|| {
                    let target = header.link_name_bytes();
                    target.map(|target| target.into_owned())
                });
                let mut content = Content::new(&mut input, size);
                take(&header, kind, &path, target, &mut content, intake)?;
                content.finish()?;
            }
        }
    }
    Ok(())
}

fn take(
    header: &Header,
    kind: EntryType,
    path: &[u8],
    target: Option<Vec<u8>>,
    content: &mut Content<'_>,
    intake: &mut Intake<'_>,
) -> Result<(), StoreError> {
    let target = target.unwrap_or_default();
    match kind {
        // Old archives say by a slash at its end that a file is a folder.
        EntryType::Regular if path.ends_with(b"/") => Ok(()),
        EntryType::Regular | EntryType::Continuous => {
            let executable = or_zero(&header.as_old().mode, || header.mode())? & 0o111 != 0;
            let size = content.left;
            intake.file(path, executable, size, content)
        }
        EntryType::Symlink if target.len() as u64 <= LINK_BYTES_MAX => intake.link(path, &target),
        EntryType::Symlink => Err(damaged("a symbolic link has an endless target")),
        EntryType::Link => intake.hard_link(path, &target),
        EntryType::Directory => Ok(()),
        kind if [VOLUME_LABEL, DUMPED_FOLDER].contains(&kind.as_byte()) => Ok(()),
        EntryType::GNUSparse => Err(damaged("it has sparse files, which are not supported")),
        EntryType::Char | EntryType::Block => {
            intake.skip(path, "a device");
            Ok(())
        }
        EntryType::Fifo => {
            intake.skip(path, "a pipe");
            Ok(())
        }
        _ => {
            intake.skip(path, "an entry of unknown type");
            Ok(())
        }
    }
}

/// A number of a header. A field that is left empty says zero, as to other programs.
fn or_zero<T: Default>(
    field: &[u8],
    number: impl FnOnce() -> io::Result<T>,
) -> Result<T, StoreError> {
    let end = field.find_byte(0).unwrap_or(field.len());
    match field[..end].trim_ascii().is_empty() {
        true => Ok(T::default()),
        false => number().map_err(StoreError::Source),
    }
}

/// The next header; `None` at the end: two empty blocks, or one and nothing behind it, or nothing.
fn next_header(input: &mut impl Read) -> Result<Option<Header>, StoreError> {
    let Some(block) = next_block(input)? else {
        return Ok(None);
    };
    if block.iter().all(|&byte| byte == 0) {
        return match next_block(input)? {
            Some(second) if second.iter().any(|&byte| byte != 0) => {
                Err(damaged("an empty block stands in the middle"))
            }
            _ => Ok(None),
        };
    }
    let header = Header::from_byte_slice(&block).clone();
    let told = header.cksum().map_err(StoreError::Source)?;
    // The checksum itself counts as spaces.
    let (before, after) = (&block[..148], &block[156..]);
    let unsigned: u32 = before
        .iter()
        .chain(after)
        .map(|&byte| u32::from(byte))
        .sum();
    // Some old programs took bytes for signed.
    let signed: i32 = before
        .iter()
        .chain(after)
        .map(|&byte| i32::from(byte as i8))
        .sum();
    const SPACES: u32 = 8 * 32;
    if told != unsigned + SPACES && i64::from(told) != i64::from(signed) + i64::from(SPACES) {
        return Err(damaged(
            "a header does not match its checksum: this is no tar, or a damaged one",
        ));
    }
    Ok(Some(header))
}

/// The next block; `None` if there is nothing left.
fn next_block(input: &mut impl Read) -> Result<Option<[u8; BLOCK_LEN]>, StoreError> {
    let mut block = [0; BLOCK_LEN];
    let mut filled = 0;
    while filled < BLOCK_LEN {
        match input.read(&mut block[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(damaged("it is cut short")),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(StoreError::Source(error)),
        }
    }
    Ok(Some(block))
}

/// The whole content of an extended header.
fn extension(input: &mut impl Read, size: u64) -> Result<Vec<u8>, StoreError> {
    if size > EXTENSION_BYTES_MAX {
        return Err(damaged("an extended header is too large"));
    }
    let mut content = Content::new(input, size);
    let mut data = Vec::new();
    content.read_to_end(&mut data).map_err(StoreError::Source)?;
    content.finish()?;
    Ok(data)
}

/// A GNU long name: a C string.
fn name(data: Vec<u8>) -> Vec<u8> {
    let end = data.find_byte(0).unwrap_or(data.len());
    data[..end].to_vec()
}

fn pax(data: &[u8], extended: &mut Extended) -> Result<(), StoreError> {
    for record in PaxExtensions::new(data) {
        let record = record.map_err(StoreError::Source)?;
        let value = record.value_bytes().to_vec();
        match record.key_bytes() {
            b"path" => extended.path = Some(value),
            b"linkpath" => extended.target = Some(value),
            b"size" => {
                let size = value.to_str().ok().and_then(|size| size.parse().ok());
                extended.size = Some(size.ok_or_else(|| damaged("a size is no number"))?);
            }
            key if key.starts_with(b"GNU.sparse.") => {
                return Err(damaged("it has sparse files, which are not supported"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The content of an entry, with what fills its last block.
struct Content<'a> {
    input: &'a mut dyn Read,
    left: u64,
    padding: u64,
}

impl<'a> Content<'a> {
    fn new(input: &'a mut dyn Read, size: u64) -> Content<'a> {
        Content {
            input,
            left: size,
            padding: (BLOCK_LEN as u64 - size % BLOCK_LEN as u64) % BLOCK_LEN as u64,
        }
    }

    /// Passes over what is left of it.
    fn finish(self) -> Result<(), StoreError> {
        let rest = self.left.checked_add(self.padding);
        let rest = rest.ok_or_else(|| damaged("a size is impossible"))?;
        let passed = io::copy(&mut self.input.take(rest), &mut io::sink());
        match passed.map_err(StoreError::Source)? == rest {
            true => Ok(()),
            false => Err(damaged("it is cut short")),
        }
    }
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = out
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(0);
        }
        let n = self.input.read(&mut out[..len])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

pub(super) fn damaged(reason: &str) -> StoreError {
    let reason = format!("the archive cannot be read: {reason}");
    StoreError::Source(io::Error::new(io::ErrorKind::InvalidData, reason))
}
