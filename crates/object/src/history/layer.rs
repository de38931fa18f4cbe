//! Reading one layer of an index of history.
//!
//! ```text
//! "PHHIST1\n"
//! commits (N), commits in the layers below, paths (M), further parents (E): 4 bytes each
//! bytes of changes, bytes of paths: 8 bytes each
//! the key of the layer below, or zeros (32 bytes)
//! 256 × 4   how many ids begin with this byte or a lower one
//! N × 4     the commits in the order of their ids, as places in this layer
//! N × 20    ids          } in the order of positions: parents before children
//! N × 20    trees        }
//! N × 8     seconds      }
//! N × 8     two parents  }
//! (N+1) × 4 where the changes of a commit begin
//! E × 4     further parents
//! (M+1) × 4 where a path begins
//! changes   per commit, against each of its first two parents, or once if it has less: a varint, 0 if they are not
//!           said, else their number and one; then the paths by number, ascending, each as the difference to the last
//! paths     in bytewise order
//! BLAKE3 of all before it (32 bytes), the key of the layer
//! ```
//! Numbers are little-endian. A parent is a position and one, 0 for none. If a commit has more than two, the second
//! number has its highest bit set, and the rest is a place among the further parents, where their count comes first.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use bytes::Bytes;

use super::CommitPosition;
use crate::pack::map_file;
use crate::{ObjectId, oid};

/// What a layer is known by: the BLAKE3 hash of its bytes.
pub type HistoryKey = [u8; 32];

pub(super) const MAGIC: &[u8; 8] = b"PHHIST1\n";
pub(super) const HEADER_LEN: usize = 72;
pub(super) const KEY_LEN: usize = 32;
pub(super) const ID_LEN: usize = 20;
/// In the second number for parents: the rest says where the further parents are.
pub(super) const MANY_PARENTS: u32 = 1 << 31;

/// One layer, mapped into memory.
pub struct HistoryLayer {
    data: Bytes,
    key: HistoryKey,
    below: Option<HistoryKey>,
    commits: u32,
    first: u32,
    paths: u32,
    at: Sections,
}

/// Where the tables begin.
struct Sections {
    fanout: usize,
    order: usize,
    ids: usize,
    trees: usize,
    seconds: usize,
    parents: usize,
    changes_at: usize,
    further: usize,
    path_at: usize,
    changes: usize,
    path_bytes: usize,
    end: usize,
}

/// A file that is no layer, or not the right one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryLayerError {
    /// It cannot be read.
    #[error("could not read history layer {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Its bytes are not what they were.
    #[error("history layer {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// It does not stand on the layer below it.
    #[error("a history layer does not fit the one below it")]
    Detached,
}

impl HistoryLayer {
    /// Maps the layer at `path`, which must never be written to again, and checks that it is whole.
    pub fn open(path: &Path) -> Result<HistoryLayer, HistoryLayerError> {
        let data = File::open(path)
            .and_then(|file| map_file(&file))
            .map_err(|source| HistoryLayerError::Io {
                path: path.to_owned(),
                source,
            })?;
        HistoryLayer::parse(data).map_err(|reason| HistoryLayerError::Damaged {
            path: path.to_owned(),
            reason,
        })
    }

    fn parse(data: Bytes) -> Result<HistoryLayer, &'static str> {
        let body = data
            .len()
            .checked_sub(KEY_LEN)
            .filter(|len| *len >= HEADER_LEN);
        let body = body.ok_or("it is cut short")?;
        if !data.starts_with(MAGIC) {
            return Err("it does not begin like one");
        }
        let key = *blake3::hash(&data[..body]).as_bytes();
        if key[..] != data[body..] {
            return Err("its checksum does not match");
        }
        let word = |at: usize| u32_at(&data, at);
        let (commits, first, paths, further) = (word(8), word(12), word(16), word(20));
        if first.checked_add(commits).is_none() {
            return Err("it has more commits than can be counted");
        }
        let at = Sections::new(
            commits,
            paths,
            further,
            u64_at(&data, 24),
            u64_at(&data, 32),
        )
        .filter(|at| at.end == body)
        .ok_or("its size does not fit its header")?;
        let below: HistoryKey = data[40..72].try_into().expect("the header has a key");
        Ok(HistoryLayer {
            key,
            below: (below != HistoryKey::default()).then_some(below),
            commits,
            first,
            paths,
            at,
            data,
        })
    }

    /// What it is known by.
    pub fn key(&self) -> HistoryKey {
        self.key
    }

    /// The layer it stands on.
    pub fn below(&self) -> Option<HistoryKey> {
        self.below
    }

    /// The position of its first commit: how many are in the layers below.
    pub fn first(&self) -> CommitPosition {
        self.first
    }

    /// The position behind its last commit.
    pub fn end(&self) -> CommitPosition {
        self.first + self.commits
    }

    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.data.len() as u64
    }

    pub(super) fn position(&self, id: &oid) -> Option<CommitPosition> {
        let slot = usize::from(id.first_byte());
        let count = |slot: usize| u32_at(&self.data, self.at.fanout + 4 * slot) as usize;
        let (mut low, mut high) = (if slot == 0 { 0 } else { count(slot - 1) }, count(slot));
        while low < high {
            let middle = usize::midpoint(low, high);
            let place = u32_at(&self.data, self.at.order + 4 * middle);
            match self.id_bytes(place).cmp(id.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(self.first + place),
            }
        }
        None
    }

    fn id_bytes(&self, place: u32) -> &[u8] {
        &self.data[self.at.ids + ID_LEN * place as usize..][..ID_LEN]
    }

    pub(super) fn id(&self, commit: CommitPosition) -> ObjectId {
        ObjectId::from_bytes_or_panic(self.id_bytes(commit - self.first))
    }

    pub(super) fn tree(&self, commit: CommitPosition) -> ObjectId {
        let place = (commit - self.first) as usize;
        ObjectId::from_bytes_or_panic(&self.data[self.at.trees + ID_LEN * place..][..ID_LEN])
    }

    pub(super) fn seconds(&self, commit: CommitPosition) -> i64 {
        let place = (commit - self.first) as usize;
        u64_at(&self.data, self.at.seconds + 8 * place).cast_signed()
    }

    pub(super) fn parents(
        &self,
        commit: CommitPosition,
    ) -> impl Iterator<Item = CommitPosition> + '_ {
        let at = self.at.parents + 8 * (commit - self.first) as usize;
        let (one, two) = (u32_at(&self.data, at), u32_at(&self.data, at + 4));
        let further: Range<usize> = if two & MANY_PARENTS == 0 {
            0..0
        } else {
            let at = self.at.further + 4 * (two ^ MANY_PARENTS) as usize;
            let count = u32_at(&self.data, at) as usize;
            at + 4..at + 4 + 4 * count
        };
        let two = if two & MANY_PARENTS == 0 { two } else { 0 };
        let further = further.step_by(4).map(|at| u32_at(&self.data, at));
        [one, two]
            .into_iter()
            .chain(further)
            .filter_map(|parent| parent.checked_sub(1))
    }

    /// The only parent, if there is exactly one.
    pub(super) fn single_parent(&self, commit: CommitPosition) -> Option<CommitPosition> {
        let at = self.at.parents + 8 * (commit - self.first) as usize;
        match (u32_at(&self.data, at), u32_at(&self.data, at + 4)) {
            (one, 0) => one.checked_sub(1),
            _ => None,
        }
    }

    /// The paths a commit changes against its first parent, by number, ascending; `None` if that is not said.
    pub(super) fn changes(&self, commit: CommitPosition) -> Option<Changes<'_>> {
        self.changes_from(commit).begin()
    }

    /// The same against its second parent, which it must have.
    pub(super) fn changes_from_second(&self, commit: CommitPosition) -> Option<Changes<'_>> {
        let mut changes = self.changes_from(commit);
        let first = changes.varint();
        for _ in 1..first {
            changes.varint();
        }
        changes.begin()
    }

    fn changes_from(&self, commit: CommitPosition) -> Changes<'_> {
        let at = self.at.changes_at + 4 * (commit - self.first) as usize;
        let (start, end) = (u32_at(&self.data, at), u32_at(&self.data, at + 4));
        Changes {
            rest: &self.data[self.at.changes..][start as usize..end as usize],
            path: 0,
            left: 0,
        }
    }

    pub(super) fn path_count(&self) -> u32 {
        self.paths
    }

    pub(super) fn path(&self, number: u32) -> &BStr {
        let at = self.at.path_at + 4 * number as usize;
        let (start, end) = (u32_at(&self.data, at), u32_at(&self.data, at + 4));
        self.data[self.at.path_bytes..][start as usize..end as usize].as_bstr()
    }

    /// The number of the first path that is not before `path`.
    pub(super) fn first_path_from(&self, path: &[u8]) -> u32 {
        let (mut low, mut high) = (0, self.paths);
        while low < high {
            let middle = u32::midpoint(low, high);
            if **self.path(middle) < *path {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl Sections {
    fn new(
        commits: u32,
        paths: u32,
        further: u32,
        changes: u64,
        path_bytes: u64,
    ) -> Option<Sections> {
        let (commits, paths, further) = (commits as usize, paths as usize, further as usize);
        let fanout = HEADER_LEN;
        let order = fanout + 256 * 4;
        let ids = order + 4 * commits;
        let trees = ids + ID_LEN * commits;
        let seconds = trees + ID_LEN * commits;
        let parents = seconds + 8 * commits;
        let changes_at = parents + 8 * commits;
        let further_at = changes_at + 4 * (commits + 1);
        let path_at = further_at + 4 * further;
        let changes_start = path_at + 4 * (paths + 1);
        let paths_start = changes_start.checked_add(usize::try_from(changes).ok()?)?;
        let end = paths_start.checked_add(usize::try_from(path_bytes).ok()?)?;
        Some(Sections {
            fanout,
            order,
            ids,
            trees,
            seconds,
            parents,
            changes_at,
            further: further_at,
            path_at,
            changes: changes_start,
            path_bytes: paths_start,
            end,
        })
    }
}

/// The numbers of paths.
pub(super) struct Changes<'a> {
    rest: &'a [u8],
    path: u32,
    left: u32,
}

impl Changes<'_> {
    /// The list that begins here, if there is one.
    fn begin(mut self) -> Option<Self> {
        self.left = self.varint().checked_sub(1)?;
        Some(self)
    }

    fn varint(&mut self) -> u32 {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let Some((byte, rest)) = self.rest.split_first() else {
                return value;
            };
            self.rest = rest;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
}

impl Iterator for Changes<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        self.path = self.path.wrapping_add(self.varint());
        Some(self.path)
    }
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().expect("eight bytes"))
}

impl std::fmt::Debug for HistoryLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "HistoryLayer({}..{}, {} paths)",
            self.first,
            self.end(),
            self.paths
        )
    }
}
