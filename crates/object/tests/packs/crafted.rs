//! Packs made byte by byte, which Git would not make.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use packhouse_object::pack::entry::write_header;
use packhouse_object::{EntryKind, HashKind, ObjectId, ObjectKind};

/// A pack with entries of any content, a count of any number, and a checksum that fits.
pub(crate) struct Crafted {
    bytes: Vec<u8>,
    count: u32,
}

impl Crafted {
    pub(crate) fn new() -> Crafted {
        Crafted {
            bytes: b"PACK\0\0\0\x02\0\0\0\0".to_vec(),
            count: 0,
        }
    }

    /// Adds an entry and returns where it begins.
    pub(crate) fn entry(&mut self, kind: EntryKind, data: &[u8]) -> u64 {
        self.entry_claiming(kind, data.len() as u64, data)
    }

    /// Adds an entry whose header claims another size.
    pub(crate) fn entry_claiming(&mut self, kind: EntryKind, size: u64, data: &[u8]) -> u64 {
        let offset = self.bytes.len() as u64;
        write_header(kind, size, &mut self.bytes);
        self.bytes.extend_from_slice(&zlib(data));
        self.count += 1;
        offset
    }

    pub(crate) fn object(&mut self, kind: ObjectKind, data: &[u8]) -> u64 {
        self.entry(EntryKind::Object(kind), data)
    }

    /// Adds bytes that need not be an entry, but count as one.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.count += 1;
    }

    pub(crate) fn next_offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        let count = self.count;
        self.finish_counting(count)
    }

    pub(crate) fn finish_counting(mut self, count: u32) -> Vec<u8> {
        self.bytes[8..12].copy_from_slice(&count.to_be_bytes());
        seal(self.bytes)
    }
}

/// Adds the checksum.
pub(crate) fn seal(mut content: Vec<u8>) -> Vec<u8> {
    let mut hasher = gix_hash::hasher(HashKind::Sha1);
    hasher.update(&content);
    content.extend_from_slice(hasher.try_finalize().unwrap().as_slice());
    content
}

pub(crate) fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// Instructions of a delta.
pub(crate) enum Op<'a> {
    Copy(u64, u64),
    Insert(&'a [u8]),
}

/// A delta that claims these sizes, whatever the instructions make.
pub(crate) fn delta(base: u64, result: u64, ops: &[Op<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for mut size in [base, result] {
        while size >= 0x80 {
            out.push(0x80 | (size & 0x7f) as u8);
            size >>= 7;
        }
        out.push(size as u8);
    }
    for op in ops {
        match op {
            Op::Insert(data) => {
                for piece in data.chunks(127) {
                    out.push(piece.len() as u8);
                    out.extend_from_slice(piece);
                }
            }
            Op::Copy(offset, len) => copy(*offset, *len, &mut out),
        }
    }
    out
}

fn copy(offset: u64, len: u64, out: &mut Vec<u8>) {
    let code = out.len();
    out.push(0x80);
    for (bit, byte) in (0..4).map(|bit| (bit, (offset >> (8 * bit)) as u8)) {
        if byte != 0 {
            out[code] |= 1 << bit;
            out.push(byte);
        }
    }
    let len = if len == 0x10000 { 0 } else { len };
    for (bit, byte) in (0..3).map(|bit| (bit, (len >> (8 * bit)) as u8)) {
        if byte != 0 {
            out[code] |= 0x10 << bit;
            out.push(byte);
        }
    }
}

/// The content of a tree; entries are mode, name and id.
pub(crate) fn tree(entries: &[(&[u8], &[u8], ObjectId)]) -> Vec<u8> {
    let mut data = Vec::new();
    for (mode, name, id) in entries {
        data.extend_from_slice(mode);
        data.push(b' ');
        data.extend_from_slice(name);
        data.push(0);
        data.extend_from_slice(id.as_slice());
    }
    data
}
