//! Reading zip. Its table of contents is at the end, so that it waits in a file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bstr::ByteSlice;
use lzma_rust2::{XzReader, lzma_get_memory_usage_by_props};
use packhouse_object::WritePackFileError;
use zip::read::ZipFileEntry;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::super::StoreError;
use super::intake::{Intake, LINK_BYTES_MAX, XZ_MEMORY_KIB, too_large};

/// Takes all entries, with the archive in a nameless file in `dir` meanwhile.
pub(super) fn read(
    input: impl Read,
    dir: &Path,
    intake: &mut Intake<'_>,
) -> Result<(), StoreError> {
    let file = spool(input, dir, intake.bytes_left())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).map_err(|error| unreadable("", error))?;
    for index in 0..zip.len() {
        intake.entry()?;
        let entry = zip
            .by_index_data(index)
            .map_err(|error| unreadable("", error))?;
        if entry.is_dir() {
            continue;
        }
        let member = Member::of(&entry)?;
        match member.kind {
            Kind::File { .. } | Kind::Link => member.check_readable(entry.encrypted())?,
            Kind::Folder if member.size == 0 => continue,
            Kind::Folder => {
                intake.skip(&member.name, "a folder with content of its own");
                continue;
            }
            Kind::Special(what) => {
                intake.skip(&member.name, what);
                continue;
            }
        }
        if member.method == CompressionMethod::XZ {
            let raw = zip.by_index_raw(index);
            let raw = raw.map_err(|error| unreadable(&member.shown(), error))?;
            let xz = XzReader::new_mem_limit(BufReader::new(raw), false, XZ_MEMORY_KIB);
            take(&member, &mut Summed::new(xz, &member), intake)?;
        } else {
            if member.method == CompressionMethod::LZMA {
                let raw = zip.by_index_raw(index);
                let raw = raw.map_err(|error| unreadable(&member.shown(), error))?;
                check_lzma(&member, raw)?;
            }
            let content = zip.by_index(index);
            let mut content = content.map_err(|error| unreadable(&member.shown(), error))?;
            take(&member, &mut content, intake)?;
        }
    }
    Ok(())
}

/// What a member is by its mode, whatever its name says.
#[derive(Clone, Copy)]
enum Kind {
    File {
        executable: bool,
    },
    Link,
    Folder,
    /// What no store can hold.
    Special(&'static str),
}

impl Kind {
    /// Of a mode as Unix has it. One without a type is a file's.
    fn of_mode(mode: u32) -> Kind {
        match mode & 0o170_000 {
            0o040_000 => Kind::Folder,
            0o120_000 => Kind::Link,
            0o010_000 => Kind::Special("a pipe"),
            0o020_000 | 0o060_000 => Kind::Special("a device"),
            0o140_000 => Kind::Special("a socket"),
            _ => Kind::File {
                executable: mode & 0o111 != 0,
            },
        }
    }
}

/// An entry of an archive that is not by its name a folder.
struct Member {
    name: Vec<u8>,
    method: CompressionMethod,
    kind: Kind,
    size: u64,
    crc: u32,
}

impl Member {
    fn of(entry: &ZipFileEntry<'_>) -> Result<Member, StoreError> {
        let name = match std::str::from_utf8(entry.name_raw()) {
            Ok(_) => entry.name_raw().to_vec(),
            // Without a mark the name is of the first PC's characters, unless it happens to be UTF-8.
            Err(_) => {
                let name = entry.name().map_err(|error| unreadable("", error))?;
                name.into_owned().into_bytes()
            }
        };
        Ok(Member {
            name,
            method: entry.compression(),
            kind: Kind::of_mode(entry.unix_mode().unwrap_or(0o644)),
            size: entry.size(),
            crc: entry.crc32(),
        })
    }

    fn check_readable(&self, encrypted: bool) -> Result<(), StoreError> {
        let member = self.shown();
        if encrypted {
            return Err(damaged(&format!("{member} is encrypted")));
        }
        match METHODS.contains(&self.method) {
            true => Ok(()),
            false => Err(damaged(&format!(
                "{member} is compressed by a method that is not supported ({}); \
                 pack it with deflate, bzip2, LZMA or xz",
                method_name(self.method),
            ))),
        }
    }

    /// How messages name it.
    fn shown(&self) -> String {
        format!("'{}'", self.name.as_bstr())
    }
}

/// How content may be compressed.
const METHODS: [CompressionMethod; 6] = [
    CompressionMethod::STORE,
    CompressionMethod::DEFLATE,
    CompressionMethod::DEFLATE64,
    CompressionMethod::BZIP2,
    CompressionMethod::LZMA,
    CompressionMethod::XZ,
];

/// What a method is called, with its number where no name is known.
fn method_name(method: CompressionMethod) -> String {
    match method.to_string() {
        name if name == "Unknown" => format!("{method:?}"),
        name => name,
    }
}

fn take(
    member: &Member,
    content: &mut dyn Read,
    intake: &mut Intake<'_>,
) -> Result<(), StoreError> {
    if let Kind::File { executable } = member.kind {
        let taken = intake.file(&member.name, executable, member.size, content);
        return taken.map_err(|error| match error {
            StoreError::Source(error) => of_member(member, error),
            error => error,
        });
    }
    let mut target = Vec::new();
    let read = content.take(LINK_BYTES_MAX + 1).read_to_end(&mut target);
    read.map_err(|error| of_member(member, error))?;
    if target.len() as u64 > LINK_BYTES_MAX {
        return Err(damaged("a symbolic link has an endless target"));
    }
    intake.link(&member.name, &target)
}

/// What is wrong with the content of a member.
fn of_member(member: &Member, error: io::Error) -> StoreError {
    let text = format!("{}: {error}", member.shown());
    StoreError::Source(io::Error::new(error.kind(), text))
}

/// Checks how much memory unpacking would take, which LZMA says at its start.
fn check_lzma(member: &Member, mut raw: impl Read) -> Result<(), StoreError> {
    // Version, the length of what follows, the properties, and the size of the dictionary.
    let mut start = [0; 9];
    raw.read_exact(&mut start)
        .map_err(|error| of_member(member, error))?;
    let dictionary = u32::from_le_bytes([start[5], start[6], start[7], start[8]]);
    let needed = lzma_get_memory_usage_by_props(dictionary, start[4]);
    match needed.map_err(|error| of_member(member, error))? {
        kib if kib > XZ_MEMORY_KIB => Err(damaged(&format!(
            "{} takes more than {} MiB of memory to unpack",
            member.shown(),
            XZ_MEMORY_KIB >> 10
        ))),
        _ => Ok(()),
    }
}

/// Unpacked content that is held against its checksum.
struct Summed<R> {
    content: R,
    sum: crc32fast::Hasher,
    crc: u32,
}

impl<R> Summed<R> {
    fn new(content: R, member: &Member) -> Summed<R> {
        Summed {
            content,
            sum: crc32fast::Hasher::new(),
            crc: member.crc,
        }
    }
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(out)?;
        self.sum.update(&out[..n]);
        let ended = n == 0 && !out.is_empty();
        match ended && self.sum.clone().finalize() != self.crc {
            true => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "its checksum is another one",
            )),
            false => Ok(n),
        }
    }
}

fn spool(input: impl Read, dir: &Path, limit: u64) -> Result<File, StoreError> {
    let disk = |error| StoreError::from(WritePackFileError::Io(error));
    let mut file = tempfile::tempfile_in(dir).map_err(disk)?;
    let mut input = Failing {
        input: input.take(limit.saturating_add(1)),
        failed: false,
    };
    let copied = io::copy(&mut input, &mut file);
    let len = copied.map_err(|error| match input.failed {
        true => StoreError::Source(error),
        false => disk(error),
    })?;
    if len > limit {
        return Err(too_large(limit));
    }
    file.seek(SeekFrom::Start(0)).map_err(disk)?;
    Ok(file)
}

/// Remembers whether an error came from reading.
struct Failing<R> {
    input: R,
    failed: bool,
}

impl<R: Read> Read for Failing<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(out);
        self.failed |= read
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

/// An error of the library about a member, or about the archive.
fn unreadable(member: &str, error: ZipError) -> StoreError {
    let of_member = match member.is_empty() {
        true => String::new(),
        false => format!("{member}: "),
    };
    match error {
        ZipError::Io(error) => {
            StoreError::Source(io::Error::new(error.kind(), format!("{of_member}{error}")))
        }
        error => damaged(&format!("{of_member}{error}")),
    }
}

fn damaged(reason: &str) -> StoreError {
    let reason = format!("the archive cannot be read: {reason}");
    StoreError::Source(io::Error::new(io::ErrorKind::InvalidData, reason))
}
