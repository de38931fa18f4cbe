//! An open pack: where its objects are.
//!
//! Entries are read with `pread` into small buffers, so that the memory a pack takes does not
//! depend on its size; only the index is mapped.

use std::cmp::Ordering;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{self, AtomicU64};

use super::PackError;
use super::index::{Index, Order};
use super::read_at::ReadAt;
use crate::bitmap::BitmapIndex;
use crate::{HashKind, ObjectId, ProcessLocal, oid};

/// `PACK`, the version and the number of objects.
pub(super) const PACK_HEADER_LEN: usize = 12;
/// The checksum at the end.
pub(super) const TRAILER_LEN: usize = HashKind::Sha1.len_in_bytes();

/// A pack and its index, open for reading by any number of threads.
pub struct Pack {
    pub(super) file: File,
    pub(super) index: Index,
    path: PathBuf,
    id: ObjectId,
    bytes: u64,
    number: u64,
    order: ProcessLocal<OnceLock<Order>>,
    pub(super) bitmap: ProcessLocal<OnceLock<Option<BitmapIndex>>>,
}

impl Pack {
    /// Opens a pack and the index made for it.
    ///
    /// Both files must stay as they are for as long as they are open; they may be unlinked.
    pub fn open(pack: &Path, idx: &Path) -> Result<Pack, PackError> {
        let index = Index::open(idx)
            .map_err(|source| PackError::Io {
                path: idx.to_owned(),
                source,
            })?
            .map_err(|source| PackError::Index {
                path: idx.to_owned(),
                source,
            })?;
        let io = |source| PackError::Io {
            path: pack.to_owned(),
            source,
        };
        let damaged = |reason| PackError::Damaged {
            path: pack.to_owned(),
            reason,
        };
        let file = File::open(pack).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let content = bytes.checked_sub(TRAILER_LEN as u64);
        let Some(trailer_at) = content.filter(|len| *len >= PACK_HEADER_LEN as u64) else {
            return Err(damaged("it is cut short"));
        };
        let mut header = [0; PACK_HEADER_LEN];
        file.read_exact_at(&mut header, 0).map_err(io)?;
        let count = pack_header(&header).ok_or_else(|| damaged("it does not begin like a pack"))?;
        if count != index.count() {
            return Err(damaged("its index is for another number of objects"));
        }
        let mut trailer = [0; TRAILER_LEN];
        file.read_exact_at(&mut trailer, trailer_at).map_err(io)?;
        let id = ObjectId::from_bytes_or_panic(&trailer);
        if id != index.pack_checksum() {
            return Err(damaged("its index is for another pack"));
        }
        Ok(Pack {
            file,
            index,
            path: pack.to_owned(),
            id,
            bytes,
            number: next_number(),
            order: ProcessLocal::new(),
            bitmap: ProcessLocal::new(),
        })
    }

    /// The checksum at the pack's end, which is its identity.
    pub fn id(&self) -> ObjectId {
        self.id
    }

    /// How many objects it holds.
    pub fn object_count(&self) -> u64 {
        u64::from(self.index.count())
    }

    /// Its size in bytes, header and trailer included.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file it was opened from, which may be gone.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// A number no other pack of this process has, however often the same file is opened.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Where the entry of an object begins.
    pub fn lookup(&self, id: &oid) -> Option<u64> {
        self.index
            .lookup(id)
            .map(|position| self.index.offset(position))
    }

    /// The object whose entry begins at `offset`.
    pub fn id_at(&self, offset: u64) -> Option<ObjectId> {
        let at = self.rank(offset).ok()?;
        Some(self.index.id(self.order().position(at)).to_owned())
    }

    /// Adds ids that begin with the hexadecimal `prefix` to `found`, until it holds `limit`.
    pub fn prefix(&self, prefix: &str, found: &mut Vec<ObjectId>, limit: usize) {
        for position in self.index.prefix(prefix) {
            if found.len() >= limit {
                return;
            }
            let id = self.index.id(position).to_owned();
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }

    /// Every object and where its entry begins, by id.
    pub fn iter(&self) -> impl Iterator<Item = (ObjectId, u64)> + '_ {
        (0..self.index.count()).map(|position| self.at(position))
    }

    /// Every object and where its entry begins, by offset: the order that reads fastest.
    pub fn iter_by_offset(&self) -> impl Iterator<Item = (ObjectId, u64)> + '_ {
        let order = self.order();
        (0..self.index.count()).map(|at| self.at(order.position(at as usize)))
    }

    /// The position in the index of the entry that begins at `offset`, and where it ends.
    pub(super) fn extent(&self, offset: u64) -> Result<(u32, u64), PackError> {
        let at = self
            .rank(offset)
            .map_err(|_| PackError::NoEntry { offset })?;
        let order = self.order();
        let trailer_at = self.bytes - TRAILER_LEN as u64;
        let end = match at + 1 < self.index.count() as usize {
            true => self.index.offset(order.position(at + 1)),
            false => trailer_at,
        };
        if offset < end && end <= trailer_at {
            Ok((order.position(at), end))
        } else {
            Err(PackError::NoEntry { offset })
        }
    }

    pub(super) fn io(&self, source: io::Error) -> PackError {
        PackError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn at(&self, position: u32) -> (ObjectId, u64) {
        (
            self.index.id(position).to_owned(),
            self.index.offset(position),
        )
    }

    /// The place of the entry that begins at `offset`, or where it would be.
    pub(super) fn rank(&self, offset: u64) -> Result<usize, usize> {
        let order = self.order();
        let (mut low, mut high) = (0, self.index.count() as usize);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.index.offset(order.position(middle)).cmp(&offset) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Positions in the index by offset: the reverse index beside the pack, or made when first needed, four bytes an
    /// object.
    pub(super) fn order(&self) -> &Order {
        self.order
            .get_or_init(OnceLock::new)
            .get_or_init(|| Order::of(&self.index, &self.path.with_extension("rev")))
    }
}

/// A number for a pack that no other of this process has.
pub(super) fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, atomic::Ordering::Relaxed)
}

/// The number of objects a pack's header claims, if it is one.
pub(super) fn pack_header(header: &[u8; PACK_HEADER_LEN]) -> Option<u32> {
    let word = |at: usize| {
        u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    (header.starts_with(b"PACK") && matches!(word(4), 2 | 3)).then(|| word(8))
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Pack({}, {} objects)",
            self.path.display(),
            self.object_count()
        )
    }
}
