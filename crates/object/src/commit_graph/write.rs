//! Writing a commit-graph file.

use std::collections::HashSet;
use std::io::{self, Write};
use std::ops::ControlFlow;

use bstr::{BString, ByteSlice};
use rayon::prelude::*;

use super::file::{COMMIT_LEN, FANOUT_LEN, HASH_LEN, HEADER_LEN, MARK, NO_PARENT, TIME_MASK};
use super::path_filter::PathFilter;
use crate::chunk_file;
use crate::graph::{CommitNumber, Graph, parents_first};
use crate::{
    Database, HashKind, ObjectId, ObjectKind, Progress, ReadError, diff_trees, on_processors,
};

/// How many bits a path sets, and how many a filter has for each path: the numbers of Git.
pub(super) const HASHES: u32 = 7;
const BITS_PER_PATH: u32 = 10;
/// The filter of a commit that changes more paths, folders included, says that it may change anything; as in Git.
const PATHS_MAX: usize = 512;
/// The highest generation that fits.
const GENERATION_MAX: u32 = (1 << 30) - 1;
/// Commits are compared with their parents so many at a time.
const CHUNK: usize = 1024;

/// Why a commit graph was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteCommitGraphError {
    /// An object is missing or cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There are more commits than such a file can have.
    #[error("there are too many commits for a commit graph")]
    TooMany,
    /// It could not be written.
    #[error("could not write a commit graph")]
    Write(#[from] io::Error),
}

/// Writes the commit graph of what `tips` reach, with changed-path filters, if there are `least` commits or more. Returns how many
/// it has, 0 if it was not written.
///
/// Filters of commits that a graph of `db` knows are taken from there; for others trees are compared. Takes about 200 bytes of
/// memory for each commit.
pub fn write_commit_graph(
    db: &Database,
    tips: &[ObjectId],
    least: u32,
    out: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<u32, WriteCommitGraphError> {
    let mut graph = Graph::new(db);
    for tip in tips {
        if let (commit, ObjectKind::Commit) = db.peel(tip)? {
            graph.number(commit)?;
        }
    }
    // Numbers are given in the order commits are met, so this goes through all of them.
    let mut read = 0;
    while read < graph.len() {
        if read % CHUNK == 0 && progress.cancelled() {
            return Err(ReadError::Cancelled.into());
        }
        graph.parents(read as CommitNumber)?;
        read += 1;
    }
    let count = u32::try_from(graph.len()).ok();
    let count = count
        .filter(|count| *count < NO_PARENT)
        .ok_or(WriteCommitGraphError::TooMany)?;
    if count < least {
        return Ok(0);
    }
    let content = Content::new(db, &mut graph, progress)?;
    content.write(&graph, out)?;
    Ok(count)
}

struct Content {
    /// Commits in the order of their ids.
    sorted: Vec<CommitNumber>,
    /// By number: its place among these.
    positions: Vec<u32>,
    /// By number.
    generations: Vec<u32>,
    /// By place.
    filters: Vec<Vec<u8>>,
}

impl Content {
    fn new(
        db: &Database,
        graph: &mut Graph<'_>,
        progress: &dyn Progress,
    ) -> Result<Content, ReadError> {
        let mut sorted: Vec<CommitNumber> = (0..graph.len() as CommitNumber).collect();
        sorted.sort_unstable_by_key(|commit| std::cmp::Reverse(graph.seconds(*commit)));
        let mut generations = vec![0; sorted.len()];
        for commit in parents_first(graph, &sorted)? {
            let parents = graph.parents(commit)?;
            let below = parents.iter().map(|parent| generations[*parent as usize]);
            let below: u32 = below.max().unwrap_or(0);
            generations[commit as usize] = (below + 1).min(GENERATION_MAX);
        }
        sorted.sort_unstable_by_key(|commit| graph.id(*commit));
        let mut positions = vec![0; sorted.len()];
        for (place, commit) in sorted.iter().enumerate() {
            positions[*commit as usize] = place as u32;
        }
        let mut filters = Vec::with_capacity(sorted.len());
        for chunk in sorted.chunks(CHUNK) {
            if progress.cancelled() {
                return Err(ReadError::Cancelled);
            }
            let mut asked = Vec::with_capacity(chunk.len());
            for commit in chunk {
                let first = graph.parents(*commit)?.first().copied();
                let before = first.map(|parent| graph.tree(parent));
                asked.push((graph.id(*commit), before, graph.tree(*commit)));
            }
            let make = |(id, before, tree): &(ObjectId, Option<ObjectId>, ObjectId)| match db
                .known_path_filter(id)
            {
                Some(filter) => Ok(filter),
                None => filter(db, *before, *tree),
            };
            let made = on_processors(|| {
                let made = asked.par_iter().with_min_len(16).map(make);
                made.collect::<Result<Vec<_>, ReadError>>()
            });
            filters.extend(made?);
            progress.writing(filters.len() as u64, sorted.len() as u64);
        }
        Ok(Content {
            sorted,
            positions,
            generations,
            filters,
        })
    }

    fn write(&self, graph: &Graph<'_>, out: &mut dyn Write) -> io::Result<()> {
        let count = self.sorted.len();
        let mut edges = Vec::new();
        let mut commits = Vec::with_capacity(count * COMMIT_LEN);
        for commit in &self.sorted {
            let parents = graph.known_parents(*commit);
            let parents: Vec<u32> = parents
                .map(|parent| self.positions[parent as usize])
                .collect();
            commits.extend_from_slice(graph.tree(*commit).as_slice());
            let first = parents.first().copied().unwrap_or(NO_PARENT);
            commits.extend_from_slice(&first.to_be_bytes());
            commits.extend_from_slice(&second(&parents, &mut edges).to_be_bytes());
            let generation = u64::from(self.generations[*commit as usize]) << 34;
            // As in Git, only the lower bits of a time that is far off are kept.
            let time = graph.seconds(*commit).cast_unsigned() & TIME_MASK;
            commits.extend_from_slice(&(generation | time).to_be_bytes());
        }
        let filters_len: usize = self.filters.iter().map(Vec::len).sum();
        let mut parts = vec![
            (b"OIDF", FANOUT_LEN as u64),
            (b"OIDL", (count * HASH_LEN) as u64),
            (b"CDAT", commits.len() as u64),
            (b"BIDX", count as u64 * 4),
            (b"BDAT", 12 + filters_len as u64),
        ];
        if !edges.is_empty() {
            parts.push((b"EDGE", edges.len() as u64 * 4));
        }
        let mut out = Hashed {
            out,
            hasher: gix_hash::hasher(HashKind::Sha1),
        };
        out.write(&[b'C', b'G', b'P', b'H', 1, 1, parts.len() as u8, 0])?;
        out.write(&chunk_file::table(HEADER_LEN, &parts))?;
        let mut counts = [0u32; 256];
        for commit in &self.sorted {
            counts[usize::from(graph.id(*commit).as_slice()[0])] += 1;
        }
        let mut total = 0;
        for of_byte in counts {
            total += of_byte;
            out.write(&total.to_be_bytes())?;
        }
        for commit in &self.sorted {
            out.write(graph.id(*commit).as_slice())?;
        }
        out.write(&commits)?;
        let mut end = 0u32;
        for filter in &self.filters {
            end = u32::try_from(filter.len())
                .ok()
                .and_then(|len| end.checked_add(len))
                .ok_or_else(|| io::Error::other("the filters are too large"))?;
            out.write(&end.to_be_bytes())?;
        }
        for word in [1, HASHES, BITS_PER_PATH] {
            out.write(&word.to_be_bytes())?;
        }
        for filter in &self.filters {
            out.write(filter)?;
        }
        for edge in edges {
            out.write(&edge.to_be_bytes())?;
        }
        out.finish()
    }
}

/// The second parent as the file has it; where there are more, the others go into `edges`.
fn second(parents: &[u32], edges: &mut Vec<u32>) -> u32 {
    match parents {
        [] | [_] => NO_PARENT,
        [_, second] => *second,
        [_, others @ ..] => {
            let start = edges.len() as u32 | MARK;
            edges.extend_from_slice(others);
            if let Some(last) = edges.last_mut() {
                *last |= MARK;
            }
            start
        }
    }
}

/// The filter of what differs between two trees, of version 1.
fn filter(db: &Database, before: Option<ObjectId>, tree: ObjectId) -> Result<Vec<u8>, ReadError> {
    let mut paths: HashSet<BString> = HashSet::new();
    let mut is_ascii = true;
    let mut is_too_much = false;
    diff_trees(db, before, Some(tree), &mut |change| {
        is_ascii &= change.path.is_ascii();
        let ends = change.path.find_iter(b"/").chain([change.path.len()]);
        for end in ends {
            let part = change.path[..end].as_bstr();
            if !paths.contains(part) {
                paths.insert(part.to_owned());
            }
        }
        is_too_much = paths.len() > PATHS_MAX;
        match is_ascii && !is_too_much {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    })?;
    if is_too_much {
        return Ok(vec![0xff]);
    }
    // How other bytes are hashed in this version depends on the machine: then there is no filter.
    if !is_ascii {
        return Ok(Vec::new());
    }
    let len = (paths.len() * BITS_PER_PATH as usize).div_ceil(8).max(1);
    let mut bits = vec![0; len];
    for path in &paths {
        for bit in PathFilter::new(path).bits(HASHES, len) {
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    Ok(bits)
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: gix_hash::Hasher,
}

impl Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }

    fn finish(self) -> io::Result<()> {
        let checksum = self.hasher.try_finalize().map_err(io::Error::other)?;
        self.out.write_all(checksum.as_slice())
    }
}
