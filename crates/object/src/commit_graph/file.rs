//! One commit-graph file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::path_filter::FilterBits;
use crate::chunk_file::Chunks;
use crate::fanout;
use crate::pack::map_file;
use crate::{HashKind, ObjectId, oid};

const SIGNATURE: [u8; 4] = *b"CGPH";
const VERSION: u8 = 1;
/// The number of SHA-1 in these files.
const SHA1: u8 = 1;

pub(super) const HASH_LEN: usize = HashKind::Sha1.len_in_bytes();
pub(super) const HEADER_LEN: usize = 8;
pub(super) const FANOUT_LEN: usize = 256 * 4;
/// Tree, two parents, generation and time.
pub(super) const COMMIT_LEN: usize = HASH_LEN + 16;
/// Version, hashes for each path, bits for each path.
const FILTERS_HEADER_LEN: usize = 12;

pub(super) const NO_PARENT: u32 = 0x7000_0000;
/// In the place of a second parent: the rest says where the list of all but the first begins. In that list: this is the last.
pub(super) const MARK: u32 = 1 << 31;
/// The time of a commit, beside its generation.
pub(super) const TIME_MASK: u64 = (1 << 34) - 1;
/// No merge has more parents than this.
const PARENTS_MAX: usize = 1 << 16;

/// A file that is no commit graph, or not one that can be used here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitGraphError {
    /// Too short for what it claims to hold.
    #[error("it is cut short")]
    Truncated,
    /// It does not begin like one.
    #[error("it does not begin like a commit graph")]
    Signature,
    /// A version other than 1, or another hash.
    #[error("its version or its hash is unknown")]
    UnknownVersion,
    /// What every such file has is not in it.
    #[error("a part of it is missing or has the wrong size")]
    Parts,
    /// Its first table counts downwards.
    #[error("its fan-out table is not in order")]
    Fanout,
    /// A commit comes twice, or before one with a lower id.
    #[error("its commits are not in order")]
    Order,
    /// It stands on other files than those below it.
    #[error("it stands on other files")]
    Detached,
    /// The checksum at its end is that of other bytes.
    #[error("its checksum differs")]
    Checksum,
}

/// A file that was held against its checksum.
pub(super) struct GraphFile {
    bytes: Bytes,
    name: ObjectId,
    /// How many commits the files below it have.
    first: u32,
    count: u32,
    fanout: usize,
    ids: usize,
    commits: usize,
    edges: Range<usize>,
    filters: Option<Filters>,
}

#[derive(Clone)]
struct Filters {
    ends: usize,
    bits: Range<usize>,
    version: u32,
    hashes: u32,
}

impl GraphFile {
    /// Opens a file that stands on files with so many commits, whose names are `below`. The inner error is about what it holds.
    pub(super) fn open(
        path: &Path,
        first: u32,
        below: Vec<ObjectId>,
    ) -> io::Result<Result<GraphFile, CommitGraphError>> {
        let bytes = map_file(&File::open(path)?)?;
        Ok(GraphFile::from_bytes(bytes, first, &below))
    }

    fn from_bytes(
        bytes: Bytes,
        first: u32,
        below: &[ObjectId],
    ) -> Result<GraphFile, CommitGraphError> {
        let end = bytes.len().checked_sub(HASH_LEN);
        let end = end
            .filter(|end| *end >= HEADER_LEN)
            .ok_or(CommitGraphError::Truncated)?;
        if bytes[..4] != SIGNATURE {
            return Err(CommitGraphError::Signature);
        }
        if bytes[4..6] != [VERSION, SHA1] {
            return Err(CommitGraphError::UnknownVersion);
        }
        let chunks = Chunks::of(&bytes[..end], HEADER_LEN, usize::from(bytes[6]));
        let chunks = chunks.ok_or(CommitGraphError::Truncated)?;
        let sized = |name, size| chunks.sized(name, size).ok_or(CommitGraphError::Parts);
        if usize::from(bytes[7]) != below.len() {
            return Err(CommitGraphError::Detached);
        }
        if let Some(base) = chunks.find(b"BASE") {
            let named = bytes[base].chunks_exact(HASH_LEN);
            if !named.eq(below.iter().map(|id| id.as_slice())) {
                return Err(CommitGraphError::Detached);
            }
        } else if !below.is_empty() {
            return Err(CommitGraphError::Parts);
        }
        let fanout = sized(b"OIDF", FANOUT_LEN)?;
        let mut count = 0;
        for row in bytes[fanout..fanout + FANOUT_LEN].chunks_exact(4) {
            let next = be32(row);
            if next < count {
                return Err(CommitGraphError::Fanout);
            }
            count = next;
        }
        if first.checked_add(count).is_none_or(|end| end >= NO_PARENT) {
            return Err(CommitGraphError::Parts);
        }
        let ids = sized(b"OIDL", count as usize * HASH_LEN)?;
        let rows = bytes[ids..][..count as usize * HASH_LEN].chunks_exact(HASH_LEN);
        if !rows.is_sorted_by(|one, next| one < next) {
            return Err(CommitGraphError::Order);
        }
        let commits = sized(b"CDAT", count as usize * COMMIT_LEN)?;
        let edges = chunks.find(b"EDGE").unwrap_or(0..0);
        let filters = filters(&bytes, &chunks, count);
        let mut hasher = gix_hash::hasher(HashKind::Sha1);
        hasher.update(&bytes[..end]);
        let name = ObjectId::from_bytes_or_panic(&bytes[end..]);
        if hasher.try_finalize().ok() != Some(name) {
            return Err(CommitGraphError::Checksum);
        }
        Ok(GraphFile {
            bytes,
            name,
            first,
            count,
            fanout,
            ids,
            commits,
            edges,
            filters,
        })
    }

    /// The checksum at its end, by which a chain knows it.
    pub(super) fn name(&self) -> ObjectId {
        self.name
    }

    /// How many commits it and the files below it have.
    pub(super) fn end(&self) -> u32 {
        self.first + self.count
    }

    /// The place of a commit in this file.
    pub(super) fn lookup(&self, id: &oid) -> Option<u32> {
        let byte = usize::from(*id.as_bytes().first()?);
        let row = |byte: usize| {
            let at = self.fanout + byte * 4;
            be32(&self.bytes[at..at + 4])
        };
        let places = byte.checked_sub(1).map_or(0, row)..row(byte);
        fanout::find(id, places, |at| self.id_at(at))
    }

    /// The commit at a position, which counts those of the files below too.
    pub(super) fn id(&self, position: u32) -> Option<ObjectId> {
        let at = position.checked_sub(self.first)?;
        (at < self.count).then(|| self.id_at(at).to_owned())
    }

    fn id_at(&self, at: u32) -> &oid {
        let at = self.ids + at as usize * HASH_LEN;
        oid::from_bytes_unchecked(&self.bytes[at..at + HASH_LEN])
    }

    /// Tree, positions of parents and time of the commit at a place of this file. `None`: what is there makes no sense.
    pub(super) fn links(&self, at: u32) -> Option<(ObjectId, Vec<u32>, i64)> {
        let links = self.stored_links(at)?;
        // The levels say that no commit comes before itself, whoever wrote the file: nobody's walk comes back to where it was.
        let level = self.level(at);
        let is_before = |parent: u32| match parent.checked_sub(self.first) {
            Some(parent) => parent < self.count && self.level(parent) < level,
            None => true,
        };
        links
            .1
            .iter()
            .all(|parent| is_before(*parent))
            .then_some(links)
    }

    /// The topological level of the commit at a place of this file; 0, if whoever wrote it counted none.
    fn level(&self, at: u32) -> u32 {
        let at = self.commits + at as usize * COMMIT_LEN + HASH_LEN + 8;
        be32(&self.bytes[at..at + 4]) >> 2
    }

    fn stored_links(&self, at: u32) -> Option<(ObjectId, Vec<u32>, i64)> {
        let at = self.commits + at as usize * COMMIT_LEN;
        let row = &self.bytes[at..at + COMMIT_LEN];
        let tree = ObjectId::from_bytes_or_panic(&row[..HASH_LEN]);
        let (first, second) = (be32(&row[HASH_LEN..]), be32(&row[HASH_LEN + 4..]));
        let time = u64::from_be_bytes(row[HASH_LEN + 8..].try_into().ok()?) & TIME_MASK;
        let mut parents = Vec::with_capacity(1);
        if first != NO_PARENT {
            parents.push(first);
        }
        match second {
            NO_PARENT => {}
            second if second & MARK == 0 => parents.push(second),
            second => {
                let edges = self.bytes[self.edges.clone()].chunks_exact(4);
                for edge in edges.skip((second & !MARK) as usize).map(be32) {
                    parents.push(edge & !MARK);
                    if edge & MARK != 0 {
                        return Some((tree, parents, time as i64));
                    }
                    if parents.len() > PARENTS_MAX {
                        return None;
                    }
                }
                return None;
            }
        }
        Some((tree, parents, time as i64))
    }

    /// What the commit at a place of this file may change.
    pub(super) fn filter_of(&self, at: u32) -> Option<FilterBits<'_>> {
        let filters = self.filters.as_ref()?;
        let end_of = |at: u32| {
            let at = filters.ends + at as usize * 4;
            be32(&self.bytes[at..at + 4]) as usize
        };
        let start = at.checked_sub(1).map_or(0, end_of);
        let bits = self.bytes[filters.bits.clone()].get(start..end_of(at))?;
        Some(FilterBits {
            bits,
            version: filters.version,
            hashes: filters.hashes,
        })
    }
}

/// The changed-path filters, if there are some of a version that is known.
fn filters(bytes: &[u8], chunks: &Chunks, count: u32) -> Option<Filters> {
    let ends = chunks.sized(b"BIDX", count as usize * 4)?;
    let Range { start, end } = chunks.find(b"BDAT")?;
    let header = bytes.get(start..start + FILTERS_HEADER_LEN)?;
    let (version, hashes) = (be32(header), be32(&header[4..]));
    // Git makes 7; many more would only take time.
    let is_known = matches!(version, 1 | 2) && (1..=64).contains(&hashes);
    (is_known && start + FILTERS_HEADER_LEN <= end).then_some(Filters {
        ends,
        bits: start + FILTERS_HEADER_LEN..end,
        version,
        hashes,
    })
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
