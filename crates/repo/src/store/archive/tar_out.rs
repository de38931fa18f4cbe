//! Writing tar: POSIX (pax) headers, with extended ones only where a name or size needs them.

use std::io::{Read, Write};

use bstr::BStr;
use tar::{EntryType, Header};

use super::super::StoreError;
use super::encode::{Entries, copy_exactly};

const BLOCK_LEN: usize = 512;

/// The longest name that fits into a header as it is.
const NAME_LEN: usize = 100;

/// The largest size that twelve octal digits less one hold.
const OCTAL_SIZE_MAX: u64 = (1 << 33) - 1;

pub(super) struct TarOut<W> {
    out: W,
}

impl<W: Write> TarOut<W> {
    pub(super) fn new(out: W) -> TarOut<W> {
        TarOut { out }
    }

    /// Writes the end of the archive.
    pub(super) fn finish(mut self) -> Result<W, StoreError> {
        self.write(&[0; 2 * BLOCK_LEN])?;
        self.out.flush().map_err(StoreError::Output)?;
        Ok(self.out)
    }

    fn write(&mut self, data: &[u8]) -> Result<(), StoreError> {
        self.out.write_all(data).map_err(StoreError::Output)
    }

    fn pad(&mut self, len: u64) -> Result<(), StoreError> {
        let rest = (len % BLOCK_LEN as u64) as usize;
        match rest {
            0 => Ok(()),
            _ => self.write(&[0; BLOCK_LEN][rest..]),
        }
    }

    fn header(
        &mut self,
        path: &[u8],
        kind: EntryType,
        mode: u32,
        size: u64,
        target: &[u8],
    ) -> Result<(), StoreError> {
        let mut records = Vec::new();
        if path.len() > NAME_LEN {
            push_record(&mut records, "path", path);
        }
        if target.len() > NAME_LEN {
            push_record(&mut records, "linkpath", target);
        }
        if size > OCTAL_SIZE_MAX {
            push_record(&mut records, "size", size.to_string().as_bytes());
        }
        if !records.is_empty() {
            let len = records.len() as u64;
            self.plain_header(b"PaxHeader", EntryType::XHeader, 0o644, len, b"")?;
            self.write(&records)?;
            self.pad(len)?;
        }
        let cut = |name: &[u8]| name[..name.len().min(NAME_LEN)].to_vec();
        self.plain_header(&cut(path), kind, mode, size, &cut(target))
    }

    fn plain_header(
        &mut self,
        path: &[u8],
        kind: EntryType,
        mode: u32,
        size: u64,
        target: &[u8],
    ) -> Result<(), StoreError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path);
        old.linkname[..target.len()].copy_from_slice(target);
        header.set_cksum();
        self.write(header.as_bytes())
    }
}

impl<W: Write> Entries for TarOut<W> {
    fn file(
        &mut self,
        path: &BStr,
        executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), StoreError> {
        let mode = if executable { 0o755 } else { 0o644 };
        self.header(path, EntryType::Regular, mode, size, b"")?;
        copy_exactly(content, size, &mut self.out)?;
        self.pad(size)
    }

    fn link(&mut self, path: &BStr, target: &str) -> Result<(), StoreError> {
        self.header(path, EntryType::Symlink, 0o777, 0, target.as_bytes())
    }

    fn folder(&mut self, path: &BStr) -> Result<(), StoreError> {
        let path = [path.as_ref(), b"/".as_slice()].concat();
        self.header(&path, EntryType::Directory, 0o755, 0, b"")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_length() {
        for len in [1, 85, 88, 89, 90, 91, 980, 985, 990] {
            let mut records = Vec::new();
            push_record(&mut records, "path", &vec![b'x'; len]);
            let space = records.iter().position(|&byte| byte == b' ').unwrap();
            let told: usize = std::str::from_utf8(&records[..space])
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(told, records.len(), "{len}");
        }
    }
}
