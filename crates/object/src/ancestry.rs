//! How two commits are related.
//!
//! Dates only decide what is looked at first, never what the answer is: clocks lie.

use crate::graph::{CommitNumber, DateQueue, Graph};
use crate::limit::Marks;
use crate::{Database, ObjectId, ReadError};

/// Whether `ancestor` is `commit` or reachable from it through parents. Both are commits.
pub fn is_ancestor(db: &Database, ancestor: ObjectId, commit: ObjectId) -> Result<bool, ReadError> {
    if ancestor == commit {
        return Ok(true);
    }
    let mut graph = Graph::new(db);
    reaches(&mut graph, ancestor, commit)
}

/// The best common ancestors: those no other common ancestor is a descendant of. Newest first.
///
/// None for unrelated histories; several after merges that cross.
pub fn merge_bases(db: &Database, a: ObjectId, b: ObjectId) -> Result<Vec<ObjectId>, ReadError> {
    let mut graph = Graph::new(db);
    let (a, b) = (graph.number(a)?, graph.number(b)?);
    let mut painting = Painting::begin(&graph, a, b);
    painting.run(&mut graph, |_| false)?;
    let mut best: Vec<CommitNumber> = painting.common.clone();
    best.retain(|commit| !painting.marks.has(*commit, STALE));
    // Where dates lie, a common ancestor may have been met before its descendant was.
    for candidate in best.clone() {
        let id = graph.id(candidate);
        let mut outdone = false;
        for other in best.iter().filter(|other| **other != candidate) {
            let other = graph.id(*other);
            outdone = outdone || reaches(&mut graph, id, other)?;
        }
        if outdone {
            best.retain(|commit| *commit != candidate);
        }
    }
    best.sort_by_key(|commit| std::cmp::Reverse(graph.seconds(*commit)));
    Ok(best.into_iter().map(|commit| graph.id(commit)).collect())
}

fn reaches(graph: &mut Graph<'_>, ancestor: ObjectId, commit: ObjectId) -> Result<bool, ReadError> {
    let (ancestor, commit) = (graph.number(ancestor)?, graph.number(commit)?);
    let mut painting = Painting::begin(graph, ancestor, commit);
    painting.run(graph, |marks| marks.has(ancestor, FROM_B))?;
    Ok(painting.marks.has(ancestor, FROM_B))
}

const FROM_A: u8 = 1;
const FROM_B: u8 = 2;
/// Reachable from a common ancestor, so not a best one.
const STALE: u8 = 4;

/// Marks what is reachable from either of two commits, until only the ancestors of common
/// ancestors are left. (Git's `paint_down_to_common`.)
///
/// Whatever the dates say, every best common ancestor is met: no commit between it and the two is
/// common, so none is stale, and the walk goes on while one is waiting that is not.
struct Painting {
    queue: DateQueue<CommitNumber>,
    marks: Marks,
    /// By commit; one that is marked late waits again.
    waiting: Vec<bool>,
    fresh_waiting: usize,
    common: Vec<CommitNumber>,
}

impl Painting {
    fn begin(graph: &Graph<'_>, a: CommitNumber, b: CommitNumber) -> Painting {
        let mut painting = Painting {
            queue: DateQueue::new(),
            marks: Marks::default(),
            waiting: Vec::new(),
            fresh_waiting: 0,
            common: Vec::new(),
        };
        painting.paint(graph, a, FROM_A);
        painting.paint(graph, b, FROM_B);
        painting
    }

    fn run(
        &mut self,
        graph: &mut Graph<'_>,
        is_enough: impl Fn(&Marks) -> bool,
    ) -> Result<(), ReadError> {
        while self.fresh_waiting > 0 && !is_enough(&self.marks) {
            let Some(commit) = self.queue.pop() else {
                return Ok(());
            };
            self.waiting[commit as usize] = false;
            let mut paint = self.marks.get(commit) & (FROM_A | FROM_B | STALE);
            if paint & STALE == 0 {
                self.fresh_waiting -= 1;
            }
            if paint == FROM_A | FROM_B {
                self.common.push(commit);
                paint |= STALE;
            }
            for parent in graph.parents(commit)? {
                self.paint(graph, parent, paint);
            }
        }
        Ok(())
    }

    fn paint(&mut self, graph: &Graph<'_>, commit: CommitNumber, paint: u8) {
        let before = self.marks.get(commit);
        if before & paint == paint {
            return;
        }
        if self.waiting.len() < graph.len() {
            self.waiting.resize(graph.len(), false);
        }
        let was_waiting = std::mem::replace(&mut self.waiting[commit as usize], true);
        let was_fresh = was_waiting && before & STALE == 0;
        let is_fresh = (before | paint) & STALE == 0;
        self.fresh_waiting = self.fresh_waiting + usize::from(is_fresh) - usize::from(was_fresh);
        self.marks.set(commit, paint);
        if !was_waiting {
            self.queue.push(graph.seconds(commit), commit);
        }
    }
}
