//! The passes of a search for renames.

use std::cmp::Ordering;
use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Database, EntryMode, IdMap, ReadError};

use super::names::{file_name, unique};
use super::similarity::Similarity;
use super::{MAX_SCORE, RenameCandidate, RenameOptions, RenamePair, RenameSource, Renames};

/// Of so many files with the same content the best source is chosen.
const SAME_MAX: usize = 100;

/// So many of the best sources of each destination are remembered.
const BEST_SOURCES: usize = 4;

/// A search under way: the passes are called in this order, each at most once.
pub struct RenameSearch<'a> {
    similarity: Similarity<'a>,
    options: RenameOptions,
    sources: Vec<RenameSource>,
    destinations: Vec<RenameCandidate>,
    /// By source: how many destinations were made of it, and one more if it stays.
    used: Vec<u32>,
    /// By destination: the source, and the score.
    found: Vec<Option<(usize, u32)>>,
    is_limited: bool,
}

impl<'a> RenameSearch<'a> {
    /// A search among these files. Both lists are in the order of a tree's paths. Sources that stay
    /// are looked at only for copies.
    pub fn new(
        database: &'a Database,
        mut sources: Vec<RenameSource>,
        mut destinations: Vec<RenameCandidate>,
        options: RenameOptions,
    ) -> RenameSearch<'a> {
        if !options.copies {
            sources.retain(|source| !source.stays);
        }
        if !options.empty_files {
            sources.retain(|source| !source.file.id.is_empty_blob());
            destinations.retain(|file| !file.id.is_empty_blob());
        }
        RenameSearch {
            similarity: Similarity::new(database),
            options,
            used: sources
                .iter()
                .map(|source| u32::from(source.stays))
                .collect(),
            found: vec![None; destinations.len()],
            sources,
            destinations,
            is_limited: false,
        }
    }

    /// The sources that are looked at; pairs name them by their place here.
    pub fn sources(&self) -> &[RenameSource] {
        &self.sources
    }

    /// The destinations that are looked at; pairs name them by their place here.
    pub fn destinations(&self) -> &[RenameCandidate] {
        &self.destinations
    }

    /// The source of a destination, if it is found already.
    pub fn source_of(&self, destination: usize) -> Option<usize> {
        self.found[destination].map(|(source, _)| source)
    }

    /// Finds the sources with the same content: those not used yet and of the same name first.
    pub fn find_same(&mut self) {
        let mut by_id: IdMap<Vec<usize>> = IdMap::default();
        for (at, source) in self.sources.iter().enumerate() {
            by_id.entry(source.file.id).or_default().push(at);
        }
        for at in 0..self.destinations.len() {
            let Some(same) = by_id.get(&self.destinations[at].id) else {
                continue;
            };
            if let Some(source) = self.best_of_same(at, same) {
                self.record(at, source, MAX_SCORE);
            }
        }
    }

    fn best_of_same(&self, destination: usize, same: &[usize]) -> Option<usize> {
        let file = &self.destinations[destination];
        let mut best = None;
        let mut looked_at = 0;
        for &at in same {
            let source = &self.sources[at].file;
            let is_used = self.used[at] > 0;
            if !is_exchangeable(source.mode, file.mode) || is_used && !self.options.copies {
                continue;
            }
            let score = u8::from(!is_used) + u8::from(same_name(&source.path, &file.path));
            if best.is_none_or(|(best, _)| score > best) {
                best = Some((score, at));
            }
            looked_at += 1;
            if score == 2 || looked_at == SAME_MAX {
                break;
            }
        }
        best.map(|(_, at)| at)
    }

    /// Finds the source of a file whose name occurs once among the sources and once among the
    /// destinations that are left. Where a name occurs several times, `guess` may tell the path
    /// that a source has gone to. Only sources that are `relevant` are looked at.
    ///
    /// Does nothing where copies are looked for.
    pub fn find_by_name(
        &mut self,
        relevant: &dyn Fn(&BStr) -> bool,
        guess: &dyn Fn(&BStr) -> Option<BString>,
    ) -> Result<(), ReadError> {
        if self.options.copies || self.options.min_score == MAX_SCORE {
            return Ok(());
        }
        for (source, destination) in self.same_names(relevant, guess) {
            if self.found[destination].is_some() {
                continue;
            }
            let score = self.score(source, destination)?;
            // Half way between the least that is enough and the same: names alone prove little.
            let enough = self.options.min_score + (MAX_SCORE - self.options.min_score) / 2;
            if score >= enough {
                self.record(destination, source, score);
            }
        }
        Ok(())
    }

    fn same_names(
        &self,
        relevant: &dyn Fn(&BStr) -> bool,
        guess: &dyn Fn(&BStr) -> Option<BString>,
    ) -> Vec<(usize, usize)> {
        let sources: Vec<usize> = self.unused_sources().collect();
        let source_path = |at: usize| self.sources[at].file.path.as_bstr();
        let names = unique(sources.iter().map(|&at| (file_name(source_path(at)), at)));
        let free = || {
            self.free_destinations()
                .map(|at| (self.destinations[at].path.as_bstr(), at))
        };
        let destinations = unique(free().map(|(path, at)| (file_name(path), at)));
        let by_path: HashMap<&BStr, usize> = free().collect();
        let mut pairs = Vec::new();
        for at in sources {
            let path = source_path(at);
            let name = file_name(path);
            let Some(destination) = destinations.get(name).filter(|_| relevant(path)) else {
                continue;
            };
            let destination = match (names[name], destination) {
                (Some(_), Some(destination)) => Some(*destination),
                _ => guess(path).and_then(|path| by_path.get(path.as_bstr()).copied()),
            };
            pairs.extend(destination.map(|destination| (at, destination)));
        }
        pairs
    }

    /// Compares what is left, the most similar pairs first. Only sources that are `relevant` are
    /// looked at.
    pub fn find_similar(&mut self, relevant: &dyn Fn(&BStr) -> bool) -> Result<(), ReadError> {
        if self.options.min_score == MAX_SCORE {
            return Ok(());
        }
        let is_open = |at: &usize| relevant(self.sources[*at].file.path.as_bstr());
        let sources: Vec<usize> = match self.options.copies {
            true => (0..self.sources.len()).filter(is_open).collect(),
            false => self.unused_sources().filter(is_open).collect(),
        };
        let destinations: Vec<usize> = self.free_destinations().collect();
        let limit = self.options.limit as u64;
        let pairs = sources.len() as u64 * destinations.len() as u64;
        if limit > 0 && pairs > limit * limit {
            self.is_limited = true;
            return Ok(());
        }
        let mut best: Vec<Option<Scored>> = Vec::new();
        for destination in destinations {
            let slots = best.len();
            best.resize(slots + BEST_SOURCES, None);
            for &source in &sources {
                let scored = self.scored(source, destination)?;
                keep_if_better(&mut best[slots..], scored);
            }
        }
        best.sort_by(best_first);
        let best: Vec<Scored> = best
            .into_iter()
            .map_while(|scored| scored.filter(|scored| scored.score >= self.options.min_score))
            .collect();
        self.take(&best, false);
        if self.options.copies {
            self.take(&best, true);
        }
        Ok(())
    }

    fn take(&mut self, best: &[Scored], copies: bool) {
        for scored in best {
            let is_free = self.found[scored.destination].is_none();
            if is_free && (copies || self.used[scored.source] == 0) {
                self.record(scored.destination, scored.source, scored.score);
            }
        }
    }

    fn scored(&mut self, source: usize, destination: usize) -> Result<Scored, ReadError> {
        let score = self.score(source, destination)?;
        let paths = (
            &self.sources[source].file.path,
            &self.destinations[destination].path,
        );
        Ok(Scored {
            source,
            destination,
            score,
            same_name: same_name(paths.0, paths.1),
        })
    }

    fn score(&mut self, source: usize, destination: usize) -> Result<u32, ReadError> {
        self.similarity.score(
            &self.sources[source].file,
            &self.destinations[destination],
            self.options.min_score,
        )
    }

    fn record(&mut self, destination: usize, source: usize, score: u32) {
        self.found[destination] = Some((source, score));
        self.used[source] += 1;
    }

    fn unused_sources(&self) -> impl Iterator<Item = usize> {
        (0..self.sources.len()).filter(|at| self.used[*at] == 0)
    }

    fn free_destinations(&self) -> impl Iterator<Item = usize> {
        (0..self.destinations.len()).filter(|at| self.found[*at].is_none())
    }

    /// What was found. Of several files made of one that is gone, the last is the renamed one.
    pub fn finish(mut self) -> Renames {
        let is_limited = self.is_limited || self.similarity.is_exhausted();
        let mut pairs = Vec::new();
        for (destination, found) in self.found.iter().enumerate() {
            let Some((source, score)) = *found else {
                continue;
            };
            self.used[source] -= 1;
            pairs.push(RenamePair {
                source,
                destination,
                score,
                is_copy: self.used[source] > 0,
            });
        }
        Renames { pairs, is_limited }
    }
}

#[derive(Clone, Copy)]
struct Scored {
    source: usize,
    destination: usize,
    score: u32,
    same_name: bool,
}

/// The order in which pairs are taken.
fn best_first(a: &Option<Scored>, b: &Option<Scored>) -> Ordering {
    let rank = |scored: &Option<Scored>| scored.map(|scored| (scored.score, scored.same_name));
    rank(b).cmp(&rank(a))
}

/// Puts a pair in the place of the worst one, if it is better.
fn keep_if_better(slots: &mut [Option<Scored>], scored: Scored) {
    let mut worst = 0;
    for at in 1..slots.len() {
        if best_first(&slots[at], &slots[worst]).is_gt() {
            worst = at;
        }
    }
    let scored = Some(scored);
    if best_first(&slots[worst], &scored).is_gt() {
        slots[worst] = scored;
    }
}

/// Whether a file of one mode may have become one of the other: plain files may, a link stays a link.
fn is_exchangeable(source: EntryMode, destination: EntryMode) -> bool {
    let is_file = |mode| matches!(mode, EntryMode::Blob | EntryMode::Executable);
    source == destination || is_file(source) && is_file(destination)
}

fn same_name(a: &BString, b: &BString) -> bool {
    file_name(a.as_bstr()) == file_name(b.as_bstr())
}
