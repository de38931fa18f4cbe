//! Finding files and folders of a snapshot by pattern.
//!
//! A pattern is segments between slashes. `*` and `?` do not match a leading dot unless the segment begins with one;
//! `**` is any number of folders whose names do not begin with a dot. Symbolic links are not followed. Every folder
//! is read once at most, whatever the pattern. A `/./` matches nothing by itself: it is put into the paths that are
//! found, between what the segments before it and those behind it have matched.

use std::collections::VecDeque;

use bstr::{BString, ByteSlice};
use packhouse_object::{ObjectId, ObjectKind, ReadError};

use super::fnmatch::Fnmatch;
use super::path::join;
use super::scan::Scan;
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
    /// The segments of a pattern; none if it is empty. `**/**` is one `**`.
    pub(super) fn parse_all(pattern: &[u8]) -> Vec<Segment> {
        let mut segments = Vec::new();
        for segment in pattern.split(|&byte| byte == b'/') {
            let segment = match segment {
                b"" if pattern.is_empty() => break,
                b"**" if matches!(segments.last(), Some(Segment::Folders)) => continue,
                b"**" => Segment::Folders,
                _ if segment.contains(&b'*') || segment.contains(&b'?') => Segment::Wild {
                    pattern: Fnmatch::new(segment),
                    dots: segment.starts_with(b"."),
                },
                _ => Segment::Literal(segment.into()),
            };
            segments.push(segment);
        }
        segments
    }

    /// Whether the segment alone takes a name; `**` takes every one without a leading dot.
    fn takes(&self, name: &[u8]) -> bool {
        let dot = name.starts_with(b".");
        match self {
            Segment::Folders => !dot,
            Segment::Wild { pattern, dots } => (*dots || !dot) && pattern.matches(name),
            Segment::Literal(literal) => literal == name,
        }
    }
}

/// A pattern taken apart.
pub(super) struct Pattern {
    pub(super) segments: Vec<Segment>,
    /// How many segments stand before its `/./`.
    pivot: Option<usize>,
}

impl Pattern {
    /// Takes a pattern apart that has no slashes at its ends.
    pub(super) fn parse(pattern: &[u8]) -> Pattern {
        match pattern.find(b"/./") {
            Some(at) if at > 0 => {
                let mut segments = Segment::parse_all(&pattern[..at]);
                let pivot = Some(segments.len());
                segments.extend(Segment::parse_all(&pattern[at + 3..]));
                Pattern { segments, pivot }
            }
            _ => Pattern {
                segments: Segment::parse_all(pattern),
                pivot: None,
            },
        }
    }

    /// A path that matches, with the pattern's `/./`; the segments match it from `start` on. Where the `/./` could stand
    /// at several places it is at the first, so that as much as possible is behind it. A base of no folder at all is
    /// written `.`, but for the root of a disk: a `/./` at the very beginning would mean nothing.
    pub(super) fn shown(&self, path: Vec<u8>, start: usize) -> BString {
        let shown = match self.base_len(&path[start..]) {
            None => path,
            Some(0) if start > 0 => path,
            Some(0) => [b"././", path.as_slice()].concat(),
            Some(len) => {
                let (base, rest) = path.split_at(start + len);
                [base, b"/.", rest].concat()
            }
        };
        shown.into()
    }

    /// How much of a path that matches is matched by the segments before the `/./`.
    fn base_len(&self, path: &[u8]) -> Option<usize> {
        let pivot = self.pivot?;
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let mut nexts = first(&self.segments);
        let mut len = 0;
        for (depth, name) in names.iter().enumerate() {
            if nexts.contains(&pivot) && self.matches_from(pivot, &names[depth..]) {
                return Some(len);
            }
            nexts = take(&self.segments, &nexts, name).below;
            len += name.len() + usize::from(depth > 0);
        }
        None
    }

    /// Whether the segments from one on match the names.
    fn matches_from(&self, at: usize, names: &[&[u8]]) -> bool {
        let Some((last, folders)) = names.split_last() else {
            return false;
        };
        let mut nexts = Nexts::new();
        add(&self.segments, &mut nexts, at);
        for name in folders {
            nexts = take(&self.segments, &nexts, name).below;
        }
        take(&self.segments, &nexts, last).is_match
    }
}

/// Which segments of a pattern may come next, from the root down to some folder.
pub(super) type Nexts = Vec<usize>;

/// What it means for a pattern that a folder has an entry.
pub(super) struct Taken {
    /// The entry itself matches.
    pub(super) is_match: bool,
    /// What may come next in it, if it is a folder; empty if nothing in it can match.
    pub(super) below: Nexts,
}

/// The segments that may come first.
pub(super) fn first(segments: &[Segment]) -> Nexts {
    let mut nexts = Nexts::new();
    if !segments.is_empty() {
        add(segments, &mut nexts, 0);
    }
    nexts
}

/// Adds a segment, and the one behind it if it may stand for nothing.
fn add(segments: &[Segment], nexts: &mut Nexts, at: usize) {
    if !nexts.contains(&at) {
        nexts.push(at);
    }
    if matches!(segments[at], Segment::Folders) && at + 1 < segments.len() {
        add(segments, nexts, at + 1);
    }
}

/// Looks at one entry of a folder where `nexts` may come next.
pub(super) fn take(segments: &[Segment], nexts: &Nexts, name: &[u8]) -> Taken {
    let mut taken = Taken {
        is_match: false,
        below: Nexts::new(),
    };
    for &at in nexts {
        let segment = &segments[at];
        if !segment.takes(name) {
            continue;
        }
        let is_last = at + 1 == segments.len();
        taken.is_match |= is_last;
        if matches!(segment, Segment::Folders) {
            add(segments, &mut taken.below, at);
        } else if !is_last {
            add(segments, &mut taken.below, at + 1);
        }
    }
    taken
}

/// Paths that match a pattern, each once, found as they are asked for.
pub struct GlobMatches {
    snapshot: Snapshot,
    pattern: Pattern,
    /// Folders to look into.
    ahead: Vec<(BString, ObjectId, Nexts)>,
    /// Matches in the folder looked into last.
    found: VecDeque<BString>,
}

impl Snapshot {
    /// The files and folders that match, sorted by path.
    ///
    /// Slashes at the pattern's ends count for nothing. `base/./rest` matches as `base/rest`, and the paths keep the
    /// `/./`, as sources of copies have it: before it is what `base` matches, `.` if that is no folder at all, and
    /// behind it as much as `rest` can match.
    pub fn glob(&self, pattern: impl AsRef<[u8]>) -> Result<Vec<BString>, StoreError> {
        let mut found = self.iglob(pattern).collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        Ok(found)
    }

    /// As [`Snapshot::glob`], in no particular order, reading folders as the iterator goes on.
    pub fn iglob(&self, pattern: impl AsRef<[u8]>) -> GlobMatches {
        let pattern = Pattern::parse(pattern.as_ref().trim_with(|c| c == '/'));
        GlobMatches {
            ahead: vec![(BString::default(), self.tree(), first(&pattern.segments))],
            snapshot: self.clone(),
            pattern,
            found: VecDeque::new(),
        }
    }
}

impl GlobMatches {
    fn look_into(
        &mut self,
        folder: &[u8],
        tree: ObjectId,
        nexts: &Nexts,
    ) -> Result<(), StoreError> {
        let data = self.snapshot.database().bytes_of(tree, ObjectKind::Tree)?;
        for entry in Scan::new(&data) {
            let entry = entry.map_err(|source| ReadError::decode(tree, source))?;
            let taken = take(&self.pattern.segments, nexts, entry.name);
            if taken.is_match {
                self.found.push_back(join(folder, entry.name));
            }
            if !taken.below.is_empty() && entry.file_type() == FileType::Tree {
                self.ahead
                    .push((join(folder, entry.name), entry.id, taken.below));
            }
        }
        Ok(())
    }
}

impl Iterator for GlobMatches {
    type Item = Result<BString, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(path) = self.found.pop_front() {
                return Some(Ok(self.pattern.shown(path.into(), 0)));
            }
            let (folder, tree, nexts) = self.ahead.pop()?;
            if let Err(error) = self.look_into(&folder, tree, &nexts) {
                self.ahead.clear();
                return Some(Err(error));
            }
        }
    }
}
