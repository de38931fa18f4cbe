//! Reading a `.bitmap` file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::Bits;
use super::ewah::{Ewah, EwahError, MIN_LEN};
use crate::pack::map_file;
use crate::{HashKind, ObjectId, ObjectKind};

pub(super) const SIGNATURE: [u8; 4] = *b"BITM";
pub(super) const VERSION: u16 = 1;
/// What objects reach is all in the pack; Git reads no others.
pub(super) const FULL_DAG: u16 = 0x1;
/// There is a hash of each object's name.
const NAME_HASHES: u16 = 0x4;
/// There is a table of where the bitmaps are.
const LOOKUP_TABLE: u16 = 0x10;

const HASH_LEN: usize = HashKind::Sha1.len_in_bytes();
/// Signature, version, options, number of bitmaps, checksum of the pack.
const HEADER_LEN: usize = 12 + HASH_LEN;
/// A bitmap's commit, the distance to the one it is stored beside, and flags.
const ENTRY_HEADER_LEN: usize = 6;
/// Commit, place in the file, and the row of the one that the bitmap is stored beside.
const TABLE_ROW_LEN: usize = 16;
/// The row of a bitmap that is stored beside none.
const NO_ROW: u32 = u32::MAX;
/// How far back a bitmap may be that another is stored beside: Git's limit.
pub(super) const MAX_DISTANCE: u8 = 160;

/// A file that is no bitmap index, or not that of this pack.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BitmapError {
    /// Too short for what it claims to hold.
    #[error("it is cut short")]
    Truncated,
    /// It does not begin like one.
    #[error("it does not begin like a bitmap index")]
    Signature,
    /// A version other than 1.
    #[error("version {0} is unknown")]
    UnknownVersion(u16),
    /// It says that objects reach others that are not in the pack.
    #[error("it is not about all that its commits reach")]
    Partial,
    /// It was made for another pack.
    #[error("it is for another pack")]
    OtherPack,
    /// A bitmap is stored beside one that is not before it, or that is built on it.
    #[error("a bitmap is stored beside one that is not there")]
    BadBase,
    /// A bitmap is of an object that the pack does not have.
    #[error("a bitmap is of an object that the pack does not have")]
    BadCommit,
    /// A bitmap cannot be read.
    #[error(transparent)]
    Ewah(#[from] EwahError),
    /// The checksum at its end is that of other bytes.
    #[error("its checksum differs")]
    Checksum,
}

/// A bitmap index, held in memory or mapped.
pub struct BitmapIndex {
    bytes: Bytes,
    objects: u32,
    /// Where the bitmaps of kinds are: commits, trees, blobs, tags.
    kinds: [usize; 4],
    /// The commits that have bitmaps, by their position in the index of the pack.
    rows: Vec<Row>,
    /// Where the hashes of names are.
    name_hashes: Option<usize>,
}

/// One bitmap.
#[derive(Copy, Clone)]
struct Row {
    /// The commit, by its position in the index of the pack.
    commit: u32,
    /// The row of the one that it is stored beside, or [`NO_ROW`].
    base: u32,
    /// Where its compressed bits are.
    at: usize,
}

impl BitmapIndex {
    /// Maps the file at `path`, which must never be written to again, for a pack of so many objects with this
    /// checksum. The inner error is about what the file holds.
    pub fn open(
        path: &Path,
        objects: u32,
        pack: &ObjectId,
    ) -> io::Result<Result<BitmapIndex, BitmapError>> {
        let bytes = map_file(&File::open(path)?)?;
        Ok(BitmapIndex::from_bytes(bytes, objects, pack))
    }

    /// The same of bytes in memory.
    pub fn from_bytes(
        bytes: Bytes,
        objects: u32,
        pack: &ObjectId,
    ) -> Result<BitmapIndex, BitmapError> {
        let end = bytes.len().checked_sub(HASH_LEN);
        let header = bytes.get(..HEADER_LEN).ok_or(BitmapError::Truncated)?;
        let mut end = end
            .filter(|end| *end >= HEADER_LEN)
            .ok_or(BitmapError::Truncated)?;
        if header[..4] != SIGNATURE {
            return Err(BitmapError::Signature);
        }
        let version = u16::from_be_bytes([header[4], header[5]]);
        if version != VERSION {
            return Err(BitmapError::UnknownVersion(version));
        }
        let options = u16::from_be_bytes([header[6], header[7]]);
        if options & FULL_DAG == 0 {
            return Err(BitmapError::Partial);
        }
        if header[12..] != *pack.as_slice() {
            return Err(BitmapError::OtherPack);
        }
        let count = be32(&header[8..12]);
        // From the end: the hashes of names, and before them the table.
        let mut take = |len: usize| {
            end = end
                .checked_sub(len)
                .filter(|start| *start >= HEADER_LEN)
                .ok_or(BitmapError::Truncated)?;
            Ok::<_, BitmapError>(end)
        };
        let name_hashes = match options & NAME_HASHES {
            0 => None,
            _ => Some(take(objects as usize * 4)?),
        };
        let table = match options & LOOKUP_TABLE {
            0 => None,
            _ => Some(take(count as usize * TABLE_ROW_LEN)?),
        };
        let mut at = HEADER_LEN;
        let mut kinds = [0; 4];
        for kind in &mut kinds {
            *kind = at;
            at += Ewah::parse(&bytes[at..end])?.1;
        }
        let rows = match table {
            Some(table) => rows_of_table(&bytes, table, count, at..end)?,
            None => rows_of_entries(&bytes, at..end, count)?,
        };
        match rows.last() {
            Some(last) if last.commit >= objects => Err(BitmapError::BadCommit),
            _ => Ok(BitmapIndex {
                bytes,
                objects,
                kinds,
                rows,
                name_hashes,
            }),
        }
    }

    /// How many objects the pack has: the limit of all bitmaps.
    pub fn object_count(&self) -> u32 {
        self.objects
    }

    /// How many commits have a bitmap.
    pub fn commit_count(&self) -> usize {
        self.rows.len()
    }

    /// The commits that have a bitmap, by their positions in the index of the pack, ascending.
    pub fn commits(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().map(|row| row.commit)
    }

    /// The objects of one kind.
    pub fn kind(&self, kind: ObjectKind) -> Result<Bits, BitmapError> {
        let place = ObjectKind::ALL.iter().position(|other| *other == kind);
        let at = self.kinds[place.expect("it is one of all kinds")];
        Ok(Ewah::parse(&self.bytes[at..])?.0.bits(self.objects)?)
    }

    /// Whether the object at a position in the index of the pack has a bitmap.
    pub fn has(&self, commit: u32) -> bool {
        self.row(commit).is_some()
    }

    /// What the commit at a position in the index of the pack reaches, itself included. `None`: it has no bitmap.
    pub fn reached_from(&self, commit: u32) -> Result<Option<Bits>, BitmapError> {
        let Some(mut row) = self.row(commit) else {
            return Ok(None);
        };
        let mut bits = Bits::new(self.objects);
        // No chain is longer than there are rows: what goes on longer goes in circles.
        for _ in 0..self.rows.len() {
            let (ewah, _) = Ewah::parse(&self.bytes[row.at..])?;
            ewah.toggle(&mut bits)?;
            if row.base == NO_ROW {
                return Ok(Some(bits));
            }
            row = self.rows[row.base as usize];
        }
        Err(BitmapError::BadBase)
    }

    /// Git's hash of the name of the object at a position in the index of the pack, if the file has them: objects whose
    /// names end alike have similar ones.
    pub fn name_hash(&self, position: u32) -> Option<u32> {
        let at = self.name_hashes? + position as usize * 4;
        (position < self.objects).then(|| be32(&self.bytes[at..at + 4]))
    }

    /// The size of the file in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether the checksum at the end is that of the bytes before it.
    pub fn is_intact(&self) -> bool {
        let (content, checksum) = self.bytes.split_at(self.bytes.len() - HASH_LEN);
        let mut hasher = gix_hash::hasher(HashKind::Sha1);
        hasher.update(content);
        hasher
            .try_finalize()
            .is_ok_and(|found| found.as_slice() == checksum)
    }

    fn row(&self, commit: u32) -> Option<Row> {
        let found = self.rows.binary_search_by_key(&commit, |row| row.commit);
        found.ok().map(|at| self.rows[at])
    }
}

/// Goes through the entries, one after the other.
fn rows_of_entries(
    bytes: &[u8],
    entries: Range<usize>,
    count: u32,
) -> Result<Vec<Row>, BitmapError> {
    let Range { start: mut at, end } = entries;
    let most = (end - at) / (ENTRY_HEADER_LEN + MIN_LEN);
    let mut rows = Vec::with_capacity((count as usize).min(most));
    for number in 0..count {
        let header = bytes[..end]
            .get(at..at + ENTRY_HEADER_LEN)
            .ok_or(BitmapError::Truncated)?;
        let base = match header[4] {
            0 => NO_ROW,
            1..=MAX_DISTANCE => number
                .checked_sub(u32::from(header[4]))
                .ok_or(BitmapError::BadBase)?,
            _ => return Err(BitmapError::BadBase),
        };
        let commit = be32(header);
        at += ENTRY_HEADER_LEN;
        rows.push(Row { commit, base, at });
        at += Ewah::parse(&bytes[at..end])?.1;
    }
    Ok(by_commit(rows))
}

/// Takes the rows of the table, which is in the order of commits already, or should be.
fn rows_of_table(
    bytes: &[u8],
    table: usize,
    count: u32,
    entries: Range<usize>,
) -> Result<Vec<Row>, BitmapError> {
    let table = &bytes[table..table + count as usize * TABLE_ROW_LEN];
    let mut rows: Vec<Row> = Vec::with_capacity(count as usize);
    for row in table.chunks_exact(TABLE_ROW_LEN) {
        let (commit, base) = (be32(row), be32(&row[12..]));
        let at = u64::from_be_bytes(row[4..12].try_into().expect("it has eight bytes"));
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let is_in_order = rows.last().is_none_or(|last| last.commit < commit);
        if !is_in_order || (base != NO_ROW && base >= count) {
            return Err(BitmapError::BadBase);
        }
        let at = at.saturating_add(ENTRY_HEADER_LEN);
        if !entries.contains(&at) {
            return Err(BitmapError::Truncated);
        }
        rows.push(Row { commit, base, at });
    }
    Ok(rows)
}

/// The rows in the order of their commits.
fn by_commit(rows: Vec<Row>) -> Vec<Row> {
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    order.sort_by_key(|number| rows[*number as usize].commit);
    let mut places = vec![0; rows.len()];
    for (place, number) in order.iter().enumerate() {
        places[*number as usize] = place as u32;
    }
    let row = |number: u32| {
        let row = rows[number as usize];
        let base = places.get(row.base as usize).copied().unwrap_or(NO_ROW);
        Row { base, ..row }
    };
    order.into_iter().map(row).collect()
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

impl std::fmt::Debug for BitmapIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (commits, objects) = (self.rows.len(), self.objects);
        write!(
            f,
            "BitmapIndex({commits} commits of a pack of {objects} objects)"
        )
    }
}
