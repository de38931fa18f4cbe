//! Writing tar, byte for byte as Git does: POSIX headers, with extended ones where a name or size needs them.

use std::io::Write;

use bstr::BStr;
use packhouse_object::ObjectId;

use super::{ArchiveError, Content, Entries, FileEntry};

const BLOCK: usize = 512;
/// An archive ends at a multiple of this, behind two empty blocks.
const RECORD: u64 = 20 * BLOCK as u64;
/// What eleven octal digits hold.
const OCTAL_MAX: u64 = (1 << 33) - 1;

const NAME: std::ops::Range<usize> = 0..100;
const MODE: usize = 100;
const UID: usize = 108;
const GID: usize = 116;
const SIZE: usize = 124;
const MTIME: usize = 136;
const CHECKSUM: usize = 148;
const KIND: usize = 156;
const LINK: std::ops::Range<usize> = 157..257;
const MAGIC: usize = 257;
const UNAME: usize = 265;
const GNAME: usize = 297;
const MAJOR: usize = 329;
const MINOR: usize = 337;
const PREFIX: std::ops::Range<usize> = 345..500;

/// Git's permissions with its usual mask, 002.
const FOLDER_MODE: u32 = 0o775;
const FILE_MODE: u32 = 0o664;
const LINK_MODE: u32 = 0o777;
const EXTENDED_MODE: u32 = 0o666;

pub(super) struct TarWriter<W> {
    out: W,
    written: u64,
    seconds: u64,
}

impl<W: Write> TarWriter<W> {
    /// Begins the archive of a commit.
    pub(super) fn begin(
        out: W,
        commit: &ObjectId,
        seconds: i64,
    ) -> Result<TarWriter<W>, ArchiveError> {
        let mut tar = TarWriter {
            out,
            written: 0,
            seconds: u64::try_from(seconds).unwrap_or(0).min(OCTAL_MAX),
        };
        let mut records = Vec::new();
        push_record(&mut records, "comment", commit.to_string().as_bytes());
        tar.extended(b"pax_global_header", b'g', &records)?;
        Ok(tar)
    }

    /// Writes the end of the archive.
    pub(super) fn finish(mut self) -> Result<W, ArchiveError> {
        let mut tail = RECORD - self.written % RECORD;
        if tail < 2 * BLOCK as u64 {
            tail += RECORD;
        }
        self.write(&vec![0; tail as usize])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), ArchiveError> {
        self.out.write_all(data)?;
        self.written += data.len() as u64;
        Ok(())
    }

    fn pad(&mut self) -> Result<(), ArchiveError> {
        match (self.written % BLOCK as u64) as usize {
            0 => Ok(()),
            rest => self.write(&[0; BLOCK][rest..]),
        }
    }

    fn extended(&mut self, name: &[u8], kind: u8, records: &[u8]) -> Result<(), ArchiveError> {
        let mut header = Header::new(kind, EXTENDED_MODE, records.len() as u64, self.seconds);
        header.put(NAME.start, name);
        self.write(&header.finish())?;
        self.write(records)?;
        self.pad()
    }

    fn entry(
        &mut self,
        name: &[u8],
        id: &ObjectId,
        mut header: Header,
        records: &mut Vec<u8>,
    ) -> Result<(), ArchiveError> {
        if name.len() <= NAME.len() {
            header.put(NAME.start, name);
        } else if let Some(slash) = split_at(name) {
            header.put(PREFIX.start, &name[..slash]);
            header.put(NAME.start, &name[slash + 1..]);
        } else {
            header.put(NAME.start, format!("{id}.data").as_bytes());
            let mut path = Vec::new();
            push_record(&mut path, "path", name);
            records.splice(..0, path);
        }
        if !records.is_empty() {
            self.extended(format!("{id}.paxheader").as_bytes(), b'x', records)?;
        }
        self.write(&header.finish())
    }
}

impl<W: Write> Entries for TarWriter<W> {
    fn folder(&mut self, name: &BStr, id: &ObjectId) -> Result<(), ArchiveError> {
        let header = Header::new(b'5', FOLDER_MODE, 0, self.seconds);
        self.entry(name, id, header, &mut Vec::new())
    }

    fn link(&mut self, name: &BStr, id: &ObjectId, target: &[u8]) -> Result<(), ArchiveError> {
        let mut header = Header::new(b'2', LINK_MODE, 0, self.seconds);
        let mut records = Vec::new();
        if target.len() > LINK.len() {
            header.put(LINK.start, format!("see {id}.paxheader").as_bytes());
            push_record(&mut records, "linkpath", target);
        } else {
            header.put(LINK.start, target);
        }
        self.entry(name, id, header, &mut records)
    }

    fn file(&mut self, entry: &FileEntry<'_>, content: Content) -> Result<(), ArchiveError> {
        let mode = if entry.is_executable {
            FOLDER_MODE
        } else {
            FILE_MODE
        };
        let mut records = Vec::new();
        let mut size = entry.size;
        if size > OCTAL_MAX {
            push_record(&mut records, "size", size.to_string().as_bytes());
            size = 0;
        }
        let header = Header::new(b'0', mode, size, self.seconds);
        self.entry(entry.name, entry.id, header, &mut records)?;
        content.copy(entry, &mut self.out)?;
        self.written += entry.size;
        self.pad()
    }
}

/// Where a long name is parted into its folder and the rest, if both fit.
fn split_at(name: &[u8]) -> Option<usize> {
    let end = match name {
        [rest @ .., b'/'] if !rest.is_empty() => rest.len(),
        name => name.len(),
    };
    let slash = name[..end.min(PREFIX.len())]
        .iter()
        .rposition(|&byte| byte == b'/')?;
    (slash > 0 && name.len() - slash - 1 <= NAME.len()).then_some(slash)
}

struct Header([u8; BLOCK]);

impl Header {
    fn new(kind: u8, mode: u32, size: u64, seconds: u64) -> Header {
        let mut header = Header([0; BLOCK]);
        header.put(MODE, format!("{mode:07o}").as_bytes());
        header.put(UID, b"0000000");
        header.put(GID, b"0000000");
        header.put(SIZE, format!("{size:011o}").as_bytes());
        header.put(MTIME, format!("{seconds:011o}").as_bytes());
        header.0[KIND] = kind;
        header.put(MAGIC, b"ustar\x0000");
        header.put(UNAME, b"root");
        header.put(GNAME, b"root");
        header.put(MAJOR, b"0000000");
        header.put(MINOR, b"0000000");
        header
    }

    fn put(&mut self, at: usize, text: &[u8]) {
        self.0[at..at + text.len()].copy_from_slice(text);
    }

    fn finish(mut self) -> [u8; BLOCK] {
        // Its own field counts as spaces.
        self.put(CHECKSUM, &[b' '; 8]);
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.put(CHECKSUM, format!("{sum:07o}\0").as_bytes());
        self.0
    }
}

/// Adds a record of an extended header: its length, which counts itself, a key and a value.
fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while rest + len.to_string().len() != len {
        len = rest + len.to_string().len();
    }
    records.extend_from_slice(format!("{len} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}
