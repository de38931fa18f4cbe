//! The commits reachable from some and not from others, in the order of `git rev-list`.

use crate::graph::{CommitNumber, DateQueue, Graph};
use crate::{ObjectId, Progress, ReadError};

/// How many commits of the other side are still looked at when everything left seems hidden.
///
/// Dates lie: a hidden commit may claim to be older than its children. Git's value.
const SLOP: u32 = 5;

/// Progress and cancellation are seen to once for so many commits.
const COMMITS_PER_REPORT: u64 = 256;

/// What [`limit`] found.
pub(crate) struct Limited {
    /// Commits of the wanted side only, newest first.
    pub(crate) commits: Vec<CommitNumber>,
    hidden: Marks,
}

impl Limited {
    /// Whether a commit is known to be on the other side.
    pub(crate) fn is_hidden(&self, commit: CommitNumber) -> bool {
        self.hidden.has(commit, HIDDEN)
    }
}

const SEEN: u8 = 1;
const HIDDEN: u8 = 2;
const DONE: u8 = 4;

/// Walks from `tips` and from `hidden` until what is left is on the hidden side.
///
/// With dates that lie by much, a few commits of the hidden side may be taken for wanted ones, as
/// in Git; never the other way round.
pub(crate) fn limit(
    graph: &mut Graph<'_>,
    tips: impl IntoIterator<Item = ObjectId>,
    hidden: impl IntoIterator<Item = ObjectId>,
    progress: &dyn Progress,
) -> Result<Limited, ReadError> {
    limit_since(graph, tips, hidden, None, progress)
}

/// The same, where commits with a committer's time before `since` (seconds since 1970) are on the hidden side, with all
/// that they reach, as in `git rev-list --max-age`.
pub(crate) fn limit_since(
    graph: &mut Graph<'_>,
    tips: impl IntoIterator<Item = ObjectId>,
    hidden: impl IntoIterator<Item = ObjectId>,
    since: Option<i64>,
    progress: &dyn Progress,
) -> Result<Limited, ReadError> {
    let walk = Walk::new(since, u64::MAX);
    let limited = walk.limit(graph, tips, hidden, progress)?;
    Ok(limited.expect("so many commits there are not"))
}

/// The same as [`limit`], if it takes no more than `most` commits to look at.
pub(crate) fn limit_within(
    graph: &mut Graph<'_>,
    tips: impl IntoIterator<Item = ObjectId>,
    hidden: impl IntoIterator<Item = ObjectId>,
    progress: &dyn Progress,
    most: u64,
) -> Result<Option<Limited>, ReadError> {
    Walk::new(None, most).limit(graph, tips, hidden, progress)
}

struct Walk {
    queue: DateQueue<CommitNumber>,
    marks: Marks,
    commits: Vec<CommitNumber>,
    /// How many commits of the queue are not hidden.
    wanted_waiting: usize,
    since: Option<i64>,
    /// How many commits may be looked at.
    most: u64,
}

impl Walk {
    fn new(since: Option<i64>, most: u64) -> Walk {
        Walk {
            queue: DateQueue::new(),
            marks: Marks::default(),
            commits: Vec::new(),
            wanted_waiting: 0,
            since,
            most,
        }
    }

    /// `None` if it would take too many commits.
    fn limit(
        mut self,
        graph: &mut Graph<'_>,
        tips: impl IntoIterator<Item = ObjectId>,
        hidden: impl IntoIterator<Item = ObjectId>,
        progress: &dyn Progress,
    ) -> Result<Option<Limited>, ReadError> {
        for id in hidden {
            let commit = graph.number(id)?;
            self.add(graph, commit, true)?;
        }
        for id in tips {
            let commit = graph.number(id)?;
            self.add(graph, commit, false)?;
        }
        if !self.run(graph, progress)? {
            return Ok(None);
        }
        let Walk {
            mut commits, marks, ..
        } = self;
        commits.retain(|commit| !marks.has(*commit, HIDDEN));
        Ok(Some(Limited {
            commits,
            hidden: marks,
        }))
    }

    /// Returns whether it came to its end.
    fn run(&mut self, graph: &mut Graph<'_>, progress: &dyn Progress) -> Result<bool, ReadError> {
        let mut slop = SLOP;
        let mut last_wanted = i64::MAX;
        let mut looked_at = 0u64;
        while let Some(commit) = self.queue.pop() {
            looked_at += 1;
            if looked_at > self.most {
                return Ok(false);
            }
            if looked_at.is_multiple_of(COMMITS_PER_REPORT) {
                progress.counting(self.commits.len() as u64);
                if progress.cancelled() {
                    return Err(ReadError::Cancelled);
                }
            }
            if self
                .since
                .is_some_and(|since| graph.seconds(commit) < since)
            {
                self.hide(graph, commit)?;
            }
            let hidden = self.marks.has(commit, HIDDEN);
            self.marks.set(commit, DONE);
            if !hidden {
                self.wanted_waiting -= 1;
                self.commits.push(commit);
                last_wanted = graph.seconds(commit);
            }
            for parent in graph.parents(commit)? {
                self.add(graph, parent, hidden)?;
            }
            if hidden {
                slop = self.slop_left(slop, last_wanted);
                if slop == 0 {
                    break;
                }
            }
        }
        Ok(true)
    }

    fn slop_left(&self, slop: u32, last_wanted: i64) -> u32 {
        let newest = self.queue.newest_seconds();
        let may_meet = newest.is_some_and(|newest| last_wanted <= newest);
        if may_meet || self.wanted_waiting > 0 {
            SLOP
        } else {
            slop - 1
        }
    }

    /// Meets a commit from a tip or a child.
    fn add(
        &mut self,
        graph: &mut Graph<'_>,
        commit: CommitNumber,
        hidden: bool,
    ) -> Result<(), ReadError> {
        if !self.marks.has(commit, SEEN) {
            self.marks.set(commit, SEEN);
            self.queue.push(graph.seconds(commit), commit);
            self.wanted_waiting += 1;
        }
        if hidden {
            self.hide(graph, commit)
        } else {
            Ok(())
        }
    }

    /// Hides a commit, and what was taken for wanted below it.
    fn hide(&mut self, graph: &mut Graph<'_>, commit: CommitNumber) -> Result<(), ReadError> {
        let mut below = vec![commit];
        while let Some(commit) = below.pop() {
            if self.marks.has(commit, HIDDEN) {
                continue;
            }
            self.marks.set(commit, HIDDEN);
            if self.marks.has(commit, DONE) {
                below.extend(graph.parents(commit)?);
            } else if self.marks.has(commit, SEEN) {
                self.wanted_waiting -= 1;
            }
        }
        Ok(())
    }
}

/// A few bits for each commit of a graph.
#[derive(Default)]
pub(crate) struct Marks(Vec<u8>);

impl Marks {
    pub(crate) fn has(&self, commit: CommitNumber, bit: u8) -> bool {
        self.get(commit) & bit != 0
    }

    pub(crate) fn get(&self, commit: CommitNumber) -> u8 {
        self.0.get(commit as usize).copied().unwrap_or(0)
    }

    pub(crate) fn set(&mut self, commit: CommitNumber, bits: u8) {
        let at = commit as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= bits;
    }
}
