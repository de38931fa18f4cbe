//! Who is under suspicion for what, and how suspicion passes to parents.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use bstr::BString;
use packhouse_object::{ObjectId, ReadError};

use super::divide::{Entry, divide, merge};
use super::text::Text;
use super::versions::{AtPath, Node, Version, Versions};
use super::{Blame, BlameError, BlameGroup, BlameSource, Content, moves};
use crate::line_diff::{LineDiffOptions, LineHunk, diff_lines};

/// A version with lines that it may have written.
struct Suspect {
    version: Version,
    lines: Vec<Entry>,
}

/// A parent of a commit, with its version of the file.
pub(super) struct Parent {
    pub(super) commit: ObjectId,
    pub(super) version: Version,
}

/// A commit in the queue: the newest goes first, of equal ones the one that came first.
type Turn = (i64, Reverse<u64>, ObjectId);

pub(super) struct Board<'a> {
    pub(super) versions: Versions<'a>,
    pub(super) text: Text,
    detect_moves: bool,
    stop: &'a dyn Fn() -> bool,
    queue: BinaryHeap<Turn>,
    turns: u64,
    /// By commit; of several versions in one the last goes first.
    suspects: HashMap<ObjectId, Vec<Suspect>>,
    groups: Vec<BlameGroup>,
    sources: Vec<BlameSource>,
    known: HashMap<(ObjectId, Rc<BString>), usize>,
}

impl<'a> Board<'a> {
    pub(super) fn new(
        versions: Versions<'a>,
        text: Text,
        detect_moves: bool,
        stop: &'a dyn Fn() -> bool,
    ) -> Board<'a> {
        Board {
            versions,
            text,
            detect_moves,
            stop,
            queue: BinaryHeap::new(),
            turns: 0,
            suspects: HashMap::new(),
            groups: Vec::new(),
            sources: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// Suspects the version to begin with of these lines.
    pub(super) fn suspect(
        &mut self,
        commit: ObjectId,
        version: Version,
        ranges: &[Range<usize>],
    ) -> Result<(), ReadError> {
        let entry = |lines: &Range<usize>| Entry {
            line: lines.start,
            at: lines.start,
            len: lines.len(),
        };
        self.pass(commit, version, ranges.iter().map(entry).collect())
    }

    /// Finds the source of every line.
    pub(super) fn settle_all(mut self) -> Result<Blame, BlameError> {
        while let Some((_, _, commit)) = self.queue.pop() {
            while let Some(suspect) = self.next_suspect(commit) {
                self.examine(commit, suspect)?;
            }
            self.versions.forget(commit);
        }
        self.groups.sort_unstable_by_key(|group| group.lines.start);
        let mut groups: Vec<BlameGroup> = Vec::with_capacity(self.groups.len());
        for group in self.groups {
            match groups.last_mut() {
                Some(last)
                    if last.source == group.source
                        && last.lines.end == group.lines.start
                        && last.original_start + last.lines.len() == group.original_start =>
                {
                    last.lines.end = group.lines.end;
                }
                _ => groups.push(group),
            }
        }
        Ok(Blame {
            groups,
            sources: self.sources,
        })
    }

    pub(super) fn check_stop(&self) -> Result<(), BlameError> {
        match (self.stop)() {
            true => Err(BlameError::Stopped),
            false => Ok(()),
        }
    }

    fn next_suspect(&mut self, commit: ObjectId) -> Option<Suspect> {
        let suspects = self.suspects.get_mut(&commit)?;
        let next = suspects.pop();
        if suspects.is_empty() {
            self.suspects.remove(&commit);
        }
        next
    }

    /// Passes what its parents have on to them, and settles the rest.
    fn examine(&mut self, commit: ObjectId, mut suspect: Suspect) -> Result<(), BlameError> {
        self.check_stop()?;
        let node = self.versions.node(commit)?;
        let Some(parents) = self.parents(&node, &mut suspect)? else {
            return Ok(());
        };
        for parent in &parents {
            let hunks = self.compare(&parent.version, &suspect.version)?;
            let (kept, passed) = divide(&suspect.lines, &hunks);
            suspect.lines = kept;
            self.pass(parent.commit, parent.version.clone(), passed)?;
            if suspect.lines.is_empty() {
                break;
            }
        }
        if self.detect_moves && !suspect.lines.is_empty() {
            let found = moves::find(self, &parents, std::mem::take(&mut suspect.lines))?;
            suspect.lines = found.left;
            for (parent, mut lines) in parents.iter().zip(found.moved) {
                lines.sort_by_key(|entry| entry.at);
                self.pass(parent.commit, parent.version.clone(), lines)?;
            }
        }
        self.versions.drop_content(&suspect.version);
        for parent in &parents {
            if !self.is_suspected(parent) {
                self.versions.drop_content(&parent.version);
            }
        }
        self.settle(commit, &node, suspect, parents.first());
        Ok(())
    }

    /// The parents' versions that differ from the suspect's. `None`: one is the same and has taken over every line.
    fn parents(
        &mut self,
        node: &Node,
        suspect: &mut Suspect,
    ) -> Result<Option<Vec<Parent>>, BlameError> {
        let mut found: Vec<Option<Version>> = Vec::with_capacity(node.parents.len());
        let mut without = Vec::new();
        for (number, id) in node.parents.iter().enumerate() {
            let parent = self.versions.node(*id)?;
            found.push(None);
            match self.versions.at_path(&parent, &suspect.version)? {
                AtPath::Version(version) => {
                    if self.take(*id, version, suspect, &mut found, number)? {
                        return Ok(None);
                    }
                }
                AtPath::Absent => without.push(number),
                AtPath::Other => {}
            }
        }
        for number in without {
            self.check_stop()?;
            let id = node.parents[number];
            let parent = self.versions.node(id)?;
            let renamed = self.versions.renamed(&parent, node, &suspect.version)?;
            // A search that was stopped has found nothing.
            self.check_stop()?;
            if let Some(version) = renamed
                && self.take(id, version, suspect, &mut found, number)?
            {
                return Ok(None);
            }
        }
        let parents = node.parents.iter().zip(found);
        let parents = parents.filter_map(|(id, version)| {
            let commit = *id;
            version.map(|version| Parent { commit, version })
        });
        Ok(Some(parents.collect()))
    }

    /// Notes a parent's version, unless one before it is the same. True if it is that of the suspect itself: then
    /// every line is passed on.
    fn take(
        &mut self,
        parent: ObjectId,
        version: Version,
        suspect: &mut Suspect,
        found: &mut [Option<Version>],
        number: usize,
    ) -> Result<bool, BlameError> {
        if version.blob == suspect.version.blob {
            let lines = std::mem::take(&mut suspect.lines);
            self.pass(parent, version, lines)?;
            return Ok(true);
        }
        let mut before = found[..number].iter().flatten();
        if before.all(|other| other.blob != version.blob) {
            found[number] = Some(version);
        }
        Ok(false)
    }

    fn is_suspected(&self, parent: &Parent) -> bool {
        let suspects = self.suspects.get(&parent.commit);
        suspects.is_some_and(|suspects| {
            let mut versions = suspects.iter().map(|suspect| &suspect.version.path);
            versions.any(|path| *path == parent.version.path)
        })
    }

    fn compare(&mut self, parent: &Version, child: &Version) -> Result<Vec<LineHunk>, ReadError> {
        let before = self.versions.content(parent)?;
        let after = self.versions.content(child)?;
        Ok(compare(&before, &after.unwrap_or_default()))
    }

    /// Suspects a version of further lines.
    fn pass(
        &mut self,
        commit: ObjectId,
        version: Version,
        lines: Vec<Entry>,
    ) -> Result<(), ReadError> {
        if lines.is_empty() {
            return Ok(());
        }
        let suspects = self.suspects.entry(commit).or_default();
        if suspects.is_empty() {
            let seconds = self.versions.node(commit)?.seconds;
            self.queue.push((seconds, Reverse(self.turns), commit));
            self.turns += 1;
        }
        let known = suspects
            .iter_mut()
            .find(|suspect| suspect.version.path == version.path);
        match known {
            Some(suspect) => {
                suspect.lines = merge(std::mem::take(&mut suspect.lines), lines);
            }
            None => suspects.push(Suspect { version, lines }),
        }
        Ok(())
    }

    fn settle(
        &mut self,
        commit: ObjectId,
        node: &Node,
        suspect: Suspect,
        previous: Option<&Parent>,
    ) {
        if suspect.lines.is_empty() {
            return;
        }
        let path = suspect.version.path;
        let sources = &mut self.sources;
        let source = *self.known.entry((commit, path.clone())).or_insert_with(|| {
            sources.push(BlameSource {
                commit,
                path: (*path).clone(),
                previous: previous.map(|parent| (parent.commit, (*parent.version.path).clone())),
                is_boundary: node.parents.is_empty(),
            });
            sources.len() - 1
        });
        let groups = suspect.lines.into_iter().map(|entry| BlameGroup {
            lines: entry.line..entry.line + entry.len,
            original_start: entry.at,
            source,
        });
        self.groups.extend(groups);
    }
}

/// Where two versions differ. One that is too long to be read differs as a whole.
pub(super) fn compare(before: &Content, after: &[u8]) -> Vec<LineHunk> {
    let options = LineDiffOptions {
        trim_tail: true,
        ..LineDiffOptions::default()
    };
    match before {
        Some(before) => diff_lines(before, after, options),
        None => vec![LineHunk {
            before: 0..0,
            after: 0..usize::MAX,
        }],
    }
}
