//! Reading the bytes of trees: every entry with its mode as it is stored, whoever wrote it.

use bstr::{BStr, ByteSlice};
use packhouse_object::{DecodeError, HashKind, ObjectId, ObjectKind};

use super::FileType;

const ID_LEN: usize = HashKind::Sha1.len_in_bytes();

/// One entry, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scanned<'a> {
    pub(crate) mode: u32,
    pub(crate) name: &'a BStr,
    pub(crate) id: ObjectId,
    /// Where the entry begins.
    pub(crate) start: usize,
    /// Where the next one begins.
    pub(crate) end: usize,
}

impl Scanned<'_> {
    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_mode(self.mode)
    }
}

/// The entries of a tree's bytes in the order they stand there. After an error it ends.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Scan<'a> {
        Scan { data, at: 0 }
    }

    /// The entry of this name.
    pub(crate) fn find(self, name: &[u8]) -> Result<Option<Scanned<'a>>, DecodeError> {
        for entry in self {
            let entry = entry?;
            if entry.name == name {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn entry(&mut self) -> Result<Scanned<'a>, &'static str> {
        let start = self.at;
        let rest = &self.data[start..];
        let space = rest
            .iter()
            .take(12)
            .position(|&byte| byte == b' ')
            .filter(|&at| at > 0)
            .ok_or("an entry has no mode")?;
        let mode = rest[..space]
            .iter()
            .try_fold(0u32, |mode, digit| match digit {
                b'0'..=b'7' => Some(mode << 3 | u32::from(digit - b'0')),
                _ => None,
            })
            .ok_or("an entry's mode is no number")?;
        let rest = &rest[space + 1..];
        let nul = rest.find_byte(0).ok_or("an entry's name has no end")?;
        let (id, _) = rest[nul + 1..]
            .split_first_chunk::<ID_LEN>()
            .ok_or("the last entry is cut off")?;
        self.at = start + space + 1 + nul + 1 + ID_LEN;
        Ok(Scanned {
            mode,
            name: rest[..nul].as_bstr(),
            id: ObjectId::Sha1(*id),
            start,
            end: self.at,
        })
    }
}

impl<'a> Iterator for Scan<'a> {
    type Item = Result<Scanned<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.data.len() {
            return None;
        }
        Some(self.entry().map_err(|reason| {
            self.at = self.data.len();
            DecodeError {
                kind: ObjectKind::Tree,
                reason,
            }
        }))
    }
}
