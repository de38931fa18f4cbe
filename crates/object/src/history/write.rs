//! Writing one layer of an index of history.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use bstr::BString;
use tempfile::NamedTempFile;

use super::CommitPosition;
use super::build::FinishedHistoryLayer;
use super::layer::{HistoryKey, MAGIC, MANY_PARENTS};
use crate::ObjectId;

/// A layer being put together. Commits are added in the order of their positions.
pub(super) struct LayerBuilder {
    below: Option<HistoryKey>,
    first: CommitPosition,
    commits: Vec<Record>,
    further: Vec<u32>,
    numbers: HashMap<BString, u32>,
    /// The paths of all commits, one commit behind the other, by the number they got when they were first met.
    changes: Vec<u32>,
}

struct Record {
    id: ObjectId,
    tree: ObjectId,
    seconds: i64,
    parents: [u32; 2],
    /// How many of `changes` are its own, against each of the first two parents; `None` if they are not said.
    changes: [Option<u32>; 2],
}

/// A commit to add.
pub(super) struct NewCommit<'a> {
    pub(super) id: ObjectId,
    pub(super) tree: ObjectId,
    pub(super) seconds: i64,
    pub(super) parents: &'a [CommitPosition],
    /// Against each of the first two parents, by the numbers that [`LayerBuilder::number`] gave the paths.
    pub(super) changes: [Option<&'a [u32]>; 2],
}

impl LayerBuilder {
    /// A layer on top of the layer `below`, whose last commit stands before position `first`.
    pub(super) fn new(below: Option<HistoryKey>, first: CommitPosition) -> LayerBuilder {
        LayerBuilder {
            below,
            first,
            commits: Vec::new(),
            further: Vec::new(),
            numbers: HashMap::new(),
            changes: Vec::new(),
        }
    }

    /// The number of a path, for as long as the layer is being put together.
    pub(super) fn number(&mut self, path: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(path) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.numbers.insert(path.into(), number);
        number
    }

    pub(super) fn add(&mut self, commit: NewCommit<'_>) {
        let parent = |at: usize| commit.parents.get(at).map_or(0, |parent| parent + 1);
        let mut parents = [parent(0), parent(1)];
        if let [_, rest @ ..] = commit.parents
            && rest.len() > 1
        {
            parents[1] = self.further.len() as u32 | MANY_PARENTS;
            self.further.push(rest.len() as u32);
            self.further.extend(rest.iter().map(|parent| parent + 1));
        }
        for changes in commit.changes.into_iter().flatten() {
            self.changes.extend(changes);
        }
        self.commits.push(Record {
            id: commit.id,
            tree: commit.tree,
            seconds: commit.seconds,
            parents,
            changes: commit
                .changes
                .map(|changes| changes.map(|changes| changes.len() as u32)),
        });
    }

    /// Writes the layer to a file in `dir` and syncs it.
    pub(super) fn finish(self, dir: &Path) -> io::Result<FinishedHistoryLayer> {
        let (sorted, numbers) = sorted_paths(&self.numbers);
        let (changes, changes_at) = self.encoded_changes(&numbers)?;
        let mut path_at = Vec::with_capacity(sorted.len() + 1);
        let mut path_bytes = 0u64;
        for path in &sorted {
            path_at.push(small(path_bytes)?);
            path_bytes += path.len() as u64;
        }
        path_at.push(small(path_bytes)?);

        let (file, path) = NamedTempFile::with_suffix_in(".history", dir)?.into_parts();
        let mut out = Hashed {
            out: BufWriter::with_capacity(256 << 10, &file),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        out.write_all(MAGIC)?;
        let counts = [
            self.commits.len() as u32,
            self.first,
            sorted.len() as u32,
            self.further.len() as u32,
        ];
        out.words(counts)?;
        out.write_all(&(changes.len() as u64).to_le_bytes())?;
        out.write_all(&path_bytes.to_le_bytes())?;
        out.write_all(&self.below.unwrap_or_default())?;
        self.write_ids(&mut out)?;
        for commit in &self.commits {
            out.write_all(commit.tree.as_slice())?;
        }
        for commit in &self.commits {
            out.write_all(&commit.seconds.to_le_bytes())?;
        }
        out.words(self.commits.iter().flat_map(|commit| commit.parents))?;
        out.words(changes_at)?;
        out.words(self.further)?;
        out.words(path_at)?;
        out.write_all(&changes)?;
        for path in sorted {
            out.write_all(path)?;
        }
        let key = *out.hasher.finalize().as_bytes();
        out.out.write_all(&key)?;
        let bytes = out.bytes + key.len() as u64;
        out.out.flush()?;
        drop(out);
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(FinishedHistoryLayer {
            path,
            key,
            end: counts[0] + self.first,
            bytes,
        })
    }

    fn write_ids(&self, out: &mut Hashed<'_>) -> io::Result<()> {
        let mut order: Vec<u32> = (0..self.commits.len() as u32).collect();
        order.sort_unstable_by_key(|place| self.commits[*place as usize].id);
        let mut counts = [0u32; 256];
        for commit in &self.commits {
            counts[usize::from(commit.id.first_byte())] += 1;
        }
        let mut sum = 0;
        out.words(counts.map(|count| {
            sum += count;
            sum
        }))?;
        out.words(order)?;
        for commit in &self.commits {
            out.write_all(commit.id.as_slice())?;
        }
        Ok(())
    }

    /// The changes as they are stored, and where those of each commit begin.
    fn encoded_changes(&self, numbers: &[u32]) -> io::Result<(Vec<u8>, Vec<u32>)> {
        let (mut encoded, mut begins) = (Vec::new(), Vec::new());
        let mut rest = &self.changes[..];
        let mut own = Vec::new();
        for commit in &self.commits {
            begins.push(small(encoded.len() as u64)?);
            let lists = 1 + usize::from(commit.parents[1] != 0);
            for count in &commit.changes[..lists] {
                let Some(count) = *count else {
                    put_varint(&mut encoded, 0);
                    continue;
                };
                let (changes, behind) = rest.split_at(count as usize);
                rest = behind;
                own.clear();
                own.extend(changes.iter().map(|number| numbers[*number as usize]));
                own.sort_unstable();
                put_varint(&mut encoded, count + 1);
                let mut last = 0;
                for number in &own {
                    put_varint(&mut encoded, number - last);
                    last = *number;
                }
            }
        }
        begins.push(small(encoded.len() as u64)?);
        Ok((encoded, begins))
    }
}

/// The paths in their order, and what becomes of the number each has.
fn sorted_paths(numbers: &HashMap<BString, u32>) -> (Vec<&BString>, Vec<u32>) {
    let mut sorted: Vec<(&BString, u32)> = numbers.iter().map(|(path, at)| (path, *at)).collect();
    sorted.sort_unstable();
    let mut final_numbers = vec![0; sorted.len()];
    for (at, (_, number)) in sorted.iter().enumerate() {
        final_numbers[*number as usize] = at as u32;
    }
    let paths = sorted.into_iter().map(|(path, _)| path).collect();
    (paths, final_numbers)
}

fn small(offset: u64) -> io::Result<u32> {
    u32::try_from(offset).map_err(|_| io::Error::other("the history is too large for an index"))
}

fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Hashed<'a> {
    out: BufWriter<&'a File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Hashed<'_> {
    fn words(&mut self, words: impl IntoIterator<Item = u32>) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(64 << 10);
        for word in words {
            buffer.extend_from_slice(&word.to_le_bytes());
            if buffer.len() >= 64 << 10 {
                self.write_all(&buffer)?;
                buffer.clear();
            }
        }
        self.write_all(&buffer)
    }
}

impl Write for Hashed<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.out.write(data)?;
        self.hasher.update(&data[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
