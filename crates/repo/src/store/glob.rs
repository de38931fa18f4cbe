//! Finding files and folders of a snapshot by pattern.
//!
//! A pattern is segments between slashes. `*` and `?` do not match a leading dot unless the segment begins with one;
//! `**` is any number of folders whose names do not begin with a dot. Symbolic links are not followed.

use std::collections::{HashSet, VecDeque};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::ObjectId;

use super::fnmatch::Fnmatch;
use super::path::join;
use super::{FileType, Snapshot, StoreError};

/// A segment of a pattern.
#[derive(Clone, Debug)]
pub(super) enum Segment {
    /// `**`
    Folders,
    /// With a `*` or a `?`.
    Wild { pattern: Fnmatch, dots: bool },
    /// Anything else, which is looked up as it is.
    Literal(BString),
}

impl Segment {
    pub(super) fn parse(segment: &[u8]) -> Segment {
        match segment {
            b"**" => Segment::Folders,
            _ if segment.contains(&b'*') || segment.contains(&b'?') => Segment::Wild {
                pattern: Fnmatch::new(segment),
                dots: segment.starts_with(b"."),
            },
            _ => Segment::Literal(segment.into()),
        }
    }

    /// Whether the segment alone takes a name; `**` takes every one without a leading dot.
    pub(super) fn takes(&self, name: &[u8]) -> bool {
        let dot = name.starts_with(b".");
        match self {
            Segment::Folders => !dot,
            Segment::Wild { pattern, dots } => (*dots || !dot) && pattern.matches(name),
            Segment::Literal(literal) => literal == name,
        }
    }
}

/// Paths that match a pattern, each once, found as they are asked for.
pub struct GlobMatches {
    snapshot: Snapshot,
    segments: Vec<Segment>,
    /// What stands before `/./` in the pattern, and how its matches begin.
    pivot: Option<BString>,
    /// Folders to look into, with the segment that comes next.
    ahead: Vec<(BString, ObjectId, usize)>,
    /// Matches of the folder looked into last.
    found: VecDeque<BString>,
    seen: HashSet<BString>,
}

impl Snapshot {
    /// The files and folders that match, sorted by path.
    ///
    /// Slashes at the pattern's ends count for nothing. `base/./rest` matches as `base/rest`, and the paths keep the
    /// `/./`, as sources of copies have it.
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<BString>, StoreError> {
        let mut found = self.iglob(pattern).collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        Ok(found)
    }

    /// As [`Snapshot::glob`], in no particular order, reading folders as the iterator goes on.
    pub fn iglob(&self, pattern: impl AsRef<[u8]>) -> GlobMatches {
        let pattern = pattern.as_ref().trim_with(|c| c == '/');
        let pivot = pattern.find(b"/./").filter(|&at| at > 0);
        let (flat, pivot) = match pivot {
            Some(at) => (
                join_nonempty(&pattern[..at], &pattern[at + 3..]),
                Some(pattern[..at].into()),
            ),
            None => (pattern.into(), None),
        };
        let segments: Vec<Segment> = match flat.is_empty() {
            true => Vec::new(),
            false => flat
                .split(|&byte| byte == b'/')
                .map(Segment::parse)
                .collect(),
        };
        let root = (BString::default(), self.tree(), 0);
        GlobMatches {
            ahead: if segments.is_empty() {
                Vec::new()
            } else {
                vec![root]
            },
            snapshot: self.clone(),
            segments,
            pivot,
            found: VecDeque::new(),
            seen: HashSet::new(),
        }
    }
}

fn join_nonempty(base: &[u8], rest: &[u8]) -> BString {
    match rest.is_empty() {
        true => base.into(),
        false => join(base, rest),
    }
}

impl GlobMatches {
    /// Looks into one folder for everything from the segment `next` on.
    fn look_into(&mut self, folder: &BStr, tree: ObjectId, next: usize) -> Result<(), StoreError> {
        let entries = self.snapshot.entries(tree)?;
        // `**` may stand for no folder at all, so that the segments behind it look at the same entries.
        let mut nexts = vec![next];
        while let Some(Segment::Folders) = nexts.last().map(|&at| &self.segments[at])
            && nexts[nexts.len() - 1] + 1 < self.segments.len()
        {
            nexts.push(nexts[nexts.len() - 1] + 1);
        }
        for entry in entries {
            let is_folder = entry.file_type == FileType::Tree;
            for &at in &nexts {
                let segment = &self.segments[at];
                if !segment.takes(&entry.name) {
                    continue;
                }
                let path = join(folder, &entry.name);
                let is_last = at + 1 == self.segments.len();
                if is_folder && matches!(segment, Segment::Folders) {
                    self.ahead.push((path.clone(), entry.id, at));
                } else if is_folder && !is_last {
                    self.ahead.push((path.clone(), entry.id, at + 1));
                }
                if is_last && self.seen.insert(path.clone()) {
                    self.found.push_back(path);
                }
            }
        }
        Ok(())
    }

    /// The path as the pattern would have it: with the `/./` of the pattern.
    fn shown(&self, path: BString) -> BString {
        let Some(base) = &self.pivot else {
            return path;
        };
        let depth = base.split(|&byte| byte == b'/').count();
        let cut = path.match_indices_of_slash().nth(depth - 1);
        match cut {
            Some(at) => {
                let mut shown = BString::from(&path[..at]);
                shown.extend_from_slice(b"/./");
                shown.extend_from_slice(&path[at + 1..]);
                shown
            }
            None => path,
        }
    }
}

trait Slashes {
    fn match_indices_of_slash(&self) -> impl Iterator<Item = usize>;
}

impl Slashes for BString {
    fn match_indices_of_slash(&self) -> impl Iterator<Item = usize> {
        self.iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at)
    }
}

impl Iterator for GlobMatches {
    type Item = Result<BString, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(path) = self.found.pop_front() {
                return Some(Ok(self.shown(path)));
            }
            let (folder, tree, next) = self.ahead.pop()?;
            if let Err(error) = self.look_into(folder.as_bstr(), tree, next) {
                self.ahead.clear();
                return Some(Err(error));
            }
        }
    }
}
