//! Which file that is gone from a side is which file that was added there.
//!
//! First those that are the same, then those that are alike and keep their name, then all others that are alike.

use std::collections::{HashMap, HashSet};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{ObjectId, ReadError};

use super::counts::{Counts, file_name};
use super::matrix::best_pairs;
use super::similarity::{ALIKE, HALF, Similarities};
use super::{Pair, PairKind};
use crate::merge::blob::is_file;
use crate::merge::collect::{FolderRelevance, Relevance, SideEnds, parent};
use crate::merge::stages::Stage;

/// How alike files are at least that keep their name: three quarters.
const WITH_NAME: u64 = HALF + (ALIKE - HALF) / 2;
/// Files of the same content that are looked at for one added file.
const MAX_SAME: usize = 100;

/// A file that is gone.
pub(super) struct Source {
    pub(super) path: BString,
    pub(super) file: Stage,
    pub(super) is_used: bool,
}

/// A file that was added.
pub(super) struct Destination {
    pub(super) path: BString,
    pub(super) file: Stage,
    /// Which source it is.
    pub(super) from: Option<usize>,
}

/// Finds the renames of a side. At most `limit` times `limit` pairs of files are compared; where it would be more, only
/// the renames that are found more easily are.
pub(super) fn find_renames(
    similarities: &mut Similarities<'_>,
    side: &mut SideEnds,
    limit: usize,
) -> Result<Finder, ReadError> {
    let mut finder = Finder::new(side);
    if !side.ends.is_empty() && !side.wanted.is_empty() {
        finder.find(similarities, side, limit)?;
    }
    Ok(finder)
}

/// The renames of a side, while they are found and when they are.
pub(super) struct Finder {
    pub(super) sources: Vec<Source>,
    pub(super) destinations: Vec<Destination>,
    /// The sources that are still looked for.
    pub(super) left: Vec<usize>,
    pub(super) counts: Counts,
    /// Whether there were too many files to compare them all.
    pub(super) is_limited: bool,
}

impl Finder {
    fn new(side: &SideEnds) -> Finder {
        let mut finder = Finder {
            sources: Vec::new(),
            destinations: Vec::new(),
            left: Vec::new(),
            counts: Counts::default(),
            is_limited: false,
        };
        for end in &side.ends {
            // Empty files are all the same.
            if end.file.1.is_empty_blob() {
                continue;
            }
            let (path, file) = (end.path.clone(), end.file);
            if end.is_added {
                let from = None;
                finder.destinations.push(Destination { path, file, from });
            } else {
                let is_used = false;
                finder.sources.push(Source {
                    path,
                    file,
                    is_used,
                });
            }
        }
        finder.left = (0..finder.sources.len()).collect();
        finder
    }

    fn find(
        &mut self,
        similarities: &mut Similarities<'_>,
        side: &mut SideEnds,
        limit: usize,
    ) -> Result<(), ReadError> {
        if self.sources.is_empty() || self.destinations.is_empty() {
            return Ok(());
        }
        self.find_same();
        self.left.retain(|source| !self.sources[*source].is_used);
        for destination in &self.destinations {
            if let Some(from) = destination.from {
                let old = self.sources[from].path.as_bstr();
                self.counts
                    .add(old, destination.path.as_bstr(), &side.folders_gone);
            }
        }
        self.find_by_name(similarities, side)?;
        self.left.retain(|source| {
            let source = &self.sources[*source];
            !source.is_used && side.wanted.contains_key(&source.path)
        });
        self.drop_needless(side);
        let open = self
            .destinations
            .iter()
            .filter(|to| to.from.is_none())
            .count();
        self.is_limited = open * self.left.len() > limit * limit;
        if open == 0 || self.left.is_empty() || self.is_limited {
            return Ok(());
        }
        for (destination, source) in best_pairs(self, similarities)? {
            self.record(destination, source, side);
        }
        Ok(())
    }

    /// Pairs files that are the same, with the same name if there are several.
    fn find_same(&mut self) {
        let mut by_id: HashMap<ObjectId, Vec<usize>> = HashMap::new();
        for (at, source) in self.sources.iter().enumerate() {
            by_id.entry(source.file.1).or_default().push(at);
        }
        for destination in &mut self.destinations {
            let Some(candidates) = by_id.get(&destination.file.1) else {
                continue;
            };
            let mut best: Option<(usize, bool)> = None;
            let mut looked_at = 0;
            for at in candidates {
                let source = &self.sources[*at];
                let both_files = is_file(source.file.0) && is_file(destination.file.0);
                if !both_files && source.file.0 != destination.file.0 || source.is_used {
                    continue;
                }
                let has_name =
                    file_name(source.path.as_bstr()) == file_name(destination.path.as_bstr());
                if best.is_none_or(|(_, had_name)| has_name && !had_name) {
                    best = Some((*at, has_name));
                }
                looked_at += 1;
                if has_name || looked_at == MAX_SAME {
                    break;
                }
            }
            if let Some((at, _)) = best {
                self.sources[at].is_used = true;
                destination.from = Some(at);
            }
        }
    }

    /// Pairs files that are alike and have the same name, where no other has it; or that stand where the others of
    /// their folder went.
    fn find_by_name(
        &mut self,
        similarities: &mut Similarities<'_>,
        side: &SideEnds,
    ) -> Result<(), ReadError> {
        let guesses = self.counts.guesses();
        let sources = unique_names(self.left.iter().map(|at| (*at, &self.sources[*at].path)));
        let open = self.destinations.iter().enumerate();
        let open = open.filter(|(_, destination)| destination.from.is_none());
        let open: Vec<(usize, &BString)> = open.map(|(at, to)| (at, &to.path)).collect();
        let by_path: HashMap<BString, usize> = open
            .iter()
            .map(|(at, path)| ((*path).clone(), *at))
            .collect();
        let destinations = unique_names(open.into_iter());
        for source in self.left.clone() {
            let path = self.sources[source].path.clone();
            if !side.wanted.contains_key(&path) {
                continue;
            }
            let name = file_name(path.as_bstr());
            let Some(by_name) = destinations.get(name) else {
                continue;
            };
            let is_unique = sources.get(name).is_some_and(Option::is_some);
            let to = match by_name {
                Some(at) if is_unique => Some(*at),
                _ => guesses.get(parent(path.as_bstr())).and_then(|folder| {
                    let mut path = folder.clone();
                    path.push(b'/');
                    path.extend_from_slice(name);
                    by_path.get(&path).copied()
                }),
            };
            let Some(to) = to.filter(|to| self.destinations[*to].from.is_none()) else {
                continue;
            };
            let (old, new) = (self.sources[source].file, self.destinations[to].file);
            if similarities.compare(old, new, WITH_NAME)? >= WITH_NAME {
                self.record(to, source, side);
            }
        }
        Ok(())
    }

    /// Leaves out sources that only tell where a folder went, once that is certain.
    fn drop_needless(&mut self, side: &mut SideEnds) {
        for source in &self.left {
            let path = self.sources[*source].path.as_bstr();
            self.counts.add_unknown(path, &side.folders_gone);
        }
        let certain: Vec<BString> = self.counts.certain().cloned().collect();
        for folder in certain {
            if let Some(relevance) = side.folders_gone.get_mut(&folder)
                && *relevance == FolderRelevance::ForItself
            {
                *relevance = FolderRelevance::ForAncestor;
            }
        }
        self.left.retain(|source| {
            let path = self.sources[*source].path.as_bstr();
            side.wanted.get(path) != Some(&Relevance::Location)
                || tells_of_a_folder(path, &side.folders_gone)
        });
    }

    pub(super) fn record(&mut self, destination: usize, source: usize, side: &SideEnds) {
        self.sources[source].is_used = true;
        let to = &mut self.destinations[destination];
        to.from = Some(source);
        let old = self.sources[source].path.as_bstr();
        self.counts.add(old, to.path.as_bstr(), &side.folders_gone);
    }

    /// The ends of the side, those that are renames put together, in their order. With `only_wanted`, a rename that
    /// nobody looked for is no rename.
    pub(super) fn pairs(&self, side: &SideEnds, only_wanted: bool) -> Vec<Pair> {
        let counts = |path: &BString| !only_wanted || side.wanted.contains_key(path);
        let mut used: HashSet<&BString> = HashSet::new();
        let mut renamed: HashMap<&BString, usize> = HashMap::new();
        for destination in &self.destinations {
            if let Some(from) = destination.from
                && counts(&self.sources[from].path)
            {
                used.insert(&self.sources[from].path);
                renamed.insert(&destination.path, from);
            }
        }
        let mut pairs = Vec::new();
        for end in &side.ends {
            let (old, kind) = match renamed.get(&end.path) {
                Some(from) if end.is_added => (&self.sources[*from].path, PairKind::Renamed),
                _ if end.is_added => (&end.path, PairKind::Added),
                _ if used.contains(&end.path) => continue,
                _ => (&end.path, PairKind::Gone),
            };
            pairs.push(Pair {
                old: old.clone(),
                new: end.path.clone(),
                kind,
            });
        }
        pairs
    }
}

/// Whether one of the folders around a path has to be found yet.
fn tells_of_a_folder(path: &BStr, gone: &HashMap<BString, FolderRelevance>) -> bool {
    let mut folder = parent(path);
    loop {
        match gone.get(folder) {
            None | Some(FolderRelevance::None) => return false,
            Some(FolderRelevance::ForItself) => return true,
            Some(FolderRelevance::ForAncestor) if folder.is_empty() => return false,
            Some(FolderRelevance::ForAncestor) => folder = parent(folder),
        }
    }
}

/// By name, the only path that has it; `None` where several have.
fn unique_names<'a>(
    paths: impl Iterator<Item = (usize, &'a BString)>,
) -> HashMap<BString, Option<usize>> {
    let mut names = HashMap::new();
    for (at, path) in paths {
        names
            .entry(file_name(path.as_bstr()).to_owned())
            .and_modify(|only| *only = None)
            .or_insert(Some(at));
    }
    names
}
