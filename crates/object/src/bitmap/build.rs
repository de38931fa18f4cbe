//! Making the bitmaps of a pack, or of several that have an index together.
//!
//! Commits are gone through from old to new. What a commit reaches is what the nearest commits with a bitmap below it
//! reach, and what the commits between them and it bring.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{self, Write};

use super::ewah::Ewah;
use super::fill::{Fill, add_tree, fill};
use super::kinds::kinds;
use super::select::select;
use super::write::{Built, write};
use super::{Bitmapped, Bits};
use crate::graph::{CommitNumber, DateQueue, Graph, parents_first};
use crate::introduced::Level;
use crate::{Database, ObjectId, ObjectKind, Progress, ReadError};

/// Why there is no bitmap index.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildBitmapError {
    /// An object is missing or cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A pack reaches what it does not have, so that bitmaps could not say all.
    #[error("the pack does not have {id}, which it reaches")]
    NotClosed {
        /// The object.
        id: ObjectId,
    },
    /// The index of several packs does not say in which order their objects are.
    #[error("the multi-pack index does not say in which order the objects are")]
    NoOrder,
    /// It could not be written.
    #[error("could not write a bitmap index")]
    Write(#[from] io::Error),
}

/// What a bitmap index has that was made.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct BitmapStats {
    /// How many commits have a bitmap.
    pub commits: u64,
    /// The size of the file in bytes.
    pub bytes: u64,
}

/// With so many of the bitmaps before it a bitmap is compared, to be stored beside one that is nearly the same. As many
/// as Git tries.
const COMPARED: usize = 10;

/// Makes the bitmap index of what `db` has packed and writes it to `out`. Tips that are not among that are passed over.
///
/// All that the tips reach must be. Takes about 12 bytes of memory for each object, 100 for each commit, and what the bitmaps have
/// when they are compressed.
pub fn build_bitmap(
    db: &Database,
    packed: &Bitmapped,
    tips: &[ObjectId],
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<BitmapStats, BuildBitmapError> {
    // What is read here must be among that, or a bitmap would be of more than there is.
    let db = &packed.alone(db);
    let bits = packed.bits().ok_or(BuildBitmapError::NoOrder)?;
    let kinds = kinds(packed, progress)?;
    let mut build = Build::new(db, packed, bits, progress);
    let tips = build.read_commits(tips)?;
    let mut newest_first: Vec<CommitNumber> = (0..build.graph.len() as CommitNumber).collect();
    newest_first.sort_by_key(|commit| std::cmp::Reverse(build.graph.seconds(*commit)));
    let chosen = select(&mut build.graph, &newest_first, &tips)?;
    for commit in parents_first(&mut build.graph, &newest_first)? {
        if chosen.contains(&commit) {
            build.build(commit)?;
        }
    }
    let bytes = write(&packed.id(), &kinds, &build.built, out)?;
    Ok(BitmapStats {
        commits: build.built.len() as u64,
        bytes,
    })
}

struct Build<'a> {
    db: &'a Database,
    packed: &'a Bitmapped,
    progress: &'a dyn Progress,
    graph: Graph<'a>,
    /// The bit of each position in the index.
    bits: Vec<u32>,
    built: Vec<Built>,
    places: HashMap<CommitNumber, usize>,
    /// What the newest of them are when they are not compressed, newest last.
    recent: VecDeque<Bits>,
}

impl<'a> Build<'a> {
    fn new(
        db: &'a Database,
        packed: &'a Bitmapped,
        bits: Vec<u32>,
        progress: &'a dyn Progress,
    ) -> Self {
        Build {
            db,
            packed,
            progress,
            graph: Graph::new(db),
            bits,
            built: Vec::new(),
            places: HashMap::new(),
            recent: VecDeque::new(),
        }
    }

    fn bit(&self, id: &ObjectId) -> Result<u32, BuildBitmapError> {
        let position = self.packed.position(id);
        let position = position.ok_or(BuildBitmapError::NotClosed { id: *id })?;
        Ok(self.bits[position as usize])
    }

    /// Reads all commits that the tips reach, and returns those the tips name.
    fn read_commits(
        &mut self,
        tips: &[ObjectId],
    ) -> Result<HashSet<CommitNumber>, BuildBitmapError> {
        let mut named = HashSet::new();
        let mut read = 0;
        for tip in tips {
            if !self.packed.has(tip) {
                continue;
            }
            if let (commit, ObjectKind::Commit) = self.db.peel(tip)? {
                named.insert(self.number(commit)?);
            }
            // Numbers are given in the order commits are met, so this goes through all of them.
            while read < self.graph.len() {
                if read.is_multiple_of(1024) && self.progress.cancelled() {
                    return Err(ReadError::Cancelled.into());
                }
                for parent in self.graph.parent_ids(read as CommitNumber).to_vec() {
                    self.number(parent)?;
                }
                read += 1;
            }
        }
        Ok(named)
    }

    fn number(&mut self, id: ObjectId) -> Result<CommitNumber, BuildBitmapError> {
        self.bit(&id)?;
        Ok(self.graph.number(id)?)
    }

    /// Makes the bitmap of a commit; those of chosen commits below it are there.
    fn build(&mut self, commit: CommitNumber) -> Result<(), BuildBitmapError> {
        let mut bits = Bits::new(self.packed.object_count());
        let mut fresh = Vec::new();
        let mut queue = DateQueue::new();
        queue.push(self.graph.seconds(commit), commit);
        while let Some(commit) = queue.pop() {
            let bit = self.bit(&self.graph.id(commit))?;
            if bits.has(bit) {
                continue;
            }
            if let Some(place) = self.places.get(&commit) {
                self.unite(*place, &mut bits)?;
                continue;
            }
            bits.insert(bit);
            fresh.push(commit);
            for parent in self.graph.parents(commit)? {
                queue.push(self.graph.seconds(parent), parent);
            }
        }
        self.fill(&fresh, &mut bits)?;
        self.keep(commit, bits)
    }

    /// Adds what the trees of commits hold.
    fn fill(&mut self, commits: &[CommitNumber], bits: &mut Bits) -> Result<(), BuildBitmapError> {
        let mut level = Level::default();
        let ordered = parents_first(&mut self.graph, commits)?;
        let mut set = Packed {
            packed: self.packed,
            places: &self.bits,
            bits,
            missing: None,
        };
        let mut filled = Ok(());
        for commit in ordered {
            let parents = self.graph.parents(commit)?.into_iter();
            let bases: Vec<_> = parents
                .map(|parent| (self.graph.tree(parent), false))
                .collect();
            filled = add_tree(&mut set, &mut level, self.graph.tree(commit), &bases);
            if filled.is_err() {
                break;
            }
        }
        let filled = filled.and_then(|()| fill(self.db, &mut set, level, self.progress));
        match (set.missing, filled) {
            (Some(id), _) => Err(BuildBitmapError::NotClosed { id }),
            (None, filled) => Ok(filled?),
        }
    }

    fn keep(&mut self, commit: CommitNumber, bits: Bits) -> Result<(), BuildBitmapError> {
        let id = self.graph.id(commit);
        let position = self.packed.position(&id);
        let beside = self.recent.iter().rev().zip(1u8..);
        let beside = beside.map(|(other, distance)| (distance, bits.to_ewah_beside(other)));
        let all = std::iter::once((0, bits.to_ewah())).chain(beside);
        let smallest = all.min_by_key(|(_, ewah)| ewah.len());
        let (distance, ewah) = smallest.expect("one stands alone");
        self.places.insert(commit, self.built.len());
        self.built.push(Built {
            commit: position.expect("its bit was found by it"),
            distance,
            ewah,
        });
        if self.recent.len() == COMPARED {
            self.recent.pop_front();
        }
        self.recent.push_back(bits);
        Ok(())
    }

    /// Adds a bitmap that was made before.
    fn unite(&self, mut place: usize, bits: &mut Bits) -> Result<(), BuildBitmapError> {
        let mut other = Bits::new(bits.limit());
        loop {
            let back = self.built.len() - place;
            if let Some(at) = self.recent.len().checked_sub(back) {
                other.toggle(&self.recent[at]);
                break;
            }
            let Built { distance, ewah, .. } = &self.built[place];
            let toggled = Ewah::parse(ewah).and_then(|(ewah, _)| ewah.toggle(&mut other));
            toggled.expect("it was compressed here");
            if *distance == 0 {
                break;
            }
            place -= usize::from(*distance);
        }
        bits.union(&other);
        Ok(())
    }
}

/// A set of objects that must all be packed.
struct Packed<'a> {
    packed: &'a Bitmapped,
    places: &'a [u32],
    bits: &'a mut Bits,
    missing: Option<ObjectId>,
}

impl Fill for Packed<'_> {
    fn add(&mut self, id: ObjectId, _: ObjectKind) -> Result<bool, ReadError> {
        match self.packed.position(&id) {
            Some(position) => Ok(self.bits.insert(self.places[position as usize])),
            None => {
                self.missing = Some(id);
                Err(ReadError::NotFound { id })
            }
        }
    }
}
