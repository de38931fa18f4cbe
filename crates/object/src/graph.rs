//! The commits a walk has met, each read once and named by a small number.

use std::collections::BinaryHeap;
use std::ops::Range;

use crate::limit::Marks;
use crate::{Database, IdMap, IdSet, ObjectId, ReadError};

/// A commit of a [`Graph`].
pub(crate) type CommitNumber = u32;

/// The part of history that was met so far.
pub(crate) struct Graph<'a> {
    db: &'a Database,
    cut: Option<&'a IdSet>,
    numbers: IdMap<CommitNumber>,
    nodes: Vec<Node>,
    parents: Vec<ObjectId>,
}

struct Node {
    id: ObjectId,
    tree: ObjectId,
    seconds: i64,
    parents: Range<u32>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(db: &'a Database) -> Self {
        Graph::cut_by(db, None)
    }

    /// A graph in which the commits of `cut` have no parents, whatever they say.
    pub(crate) fn cut(db: &'a Database, cut: &'a IdSet) -> Self {
        Graph::cut_by(db, Some(cut).filter(|cut| !cut.is_empty()))
    }

    fn cut_by(db: &'a Database, cut: Option<&'a IdSet>) -> Self {
        Graph {
            db,
            cut,
            numbers: IdMap::default(),
            nodes: Vec::new(),
            parents: Vec::new(),
        }
    }

    /// The number of a commit, which is read when it is met for the first time.
    pub(crate) fn number(&mut self, id: ObjectId) -> Result<CommitNumber, ReadError> {
        if let Some(number) = self.numbers.get(&id) {
            return Ok(*number);
        }
        let (tree, parents, seconds) = self.db.commit_links(id)?;
        let first = self.parents.len() as u32;
        if !self.cut.is_some_and(|cut| cut.contains(&id)) {
            self.parents.extend(parents);
        }
        let parents = first..self.parents.len() as u32;
        let number = self.nodes.len() as CommitNumber;
        self.nodes.push(Node {
            id,
            tree,
            seconds,
            parents,
        });
        self.numbers.insert(id, number);
        Ok(number)
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn id(&self, commit: CommitNumber) -> ObjectId {
        self.nodes[commit as usize].id
    }

    pub(crate) fn tree(&self, commit: CommitNumber) -> ObjectId {
        self.nodes[commit as usize].tree
    }

    pub(crate) fn seconds(&self, commit: CommitNumber) -> i64 {
        self.nodes[commit as usize].seconds
    }

    /// The ids of a commit's parents, in their order.
    pub(crate) fn parent_ids(&self, commit: CommitNumber) -> &[ObjectId] {
        let Range { start, end } = self.nodes[commit as usize].parents;
        &self.parents[start as usize..end as usize]
    }

    /// The numbers of a commit's parents, in their order, if all of them were met.
    pub(crate) fn known_parents(
        &self,
        commit: CommitNumber,
    ) -> impl Iterator<Item = CommitNumber> + '_ {
        let parents = self.parent_ids(commit).iter();
        parents.filter_map(|parent| self.numbers.get(parent).copied())
    }

    /// The numbers of a commit's parents, in their order.
    pub(crate) fn parents(&mut self, commit: CommitNumber) -> Result<Vec<CommitNumber>, ReadError> {
        let Range { start, end } = self.nodes[commit as usize].parents;
        (start..end)
            .map(|at| self.number(self.parents[at as usize]))
            .collect()
    }
}

/// These commits, each after those of its parents that are among them. (Dates do not tell: clocks lie.)
pub(crate) fn parents_first(
    graph: &mut Graph<'_>,
    commits: &[CommitNumber],
) -> Result<Vec<CommitNumber>, ReadError> {
    const WAITING: u8 = 1;
    const PLACED: u8 = 2;
    let mut marks = Marks::default();
    for commit in commits {
        marks.set(*commit, WAITING);
    }
    let mut order = Vec::with_capacity(commits.len());
    // Newest first, this is the right order already when it is turned around, or nearly so: the stack stays short.
    let mut stack = Vec::new();
    for commit in commits.iter().rev() {
        stack.push(*commit);
        while let Some(commit) = stack.last().copied() {
            let parents = graph.parents(commit)?;
            let before = stack.len();
            stack.extend(
                parents
                    .into_iter()
                    .filter(|parent| marks.get(*parent) == WAITING),
            );
            if stack.len() == before {
                stack.pop();
                if !marks.has(commit, PLACED) {
                    marks.set(commit, PLACED);
                    order.push(commit);
                }
            }
        }
    }
    Ok(order)
}

/// Commits waiting to be looked at: newest first, and of equal age the one that came first.
pub(crate) struct DateQueue<T> {
    heap: BinaryHeap<Dated<T>>,
    count: u64,
}

struct Dated<T> {
    seconds: i64,
    order: std::cmp::Reverse<u64>,
    value: T,
}

impl<T> DateQueue<T> {
    pub(crate) fn new() -> Self {
        DateQueue {
            heap: BinaryHeap::new(),
            count: 0,
        }
    }

    pub(crate) fn push(&mut self, seconds: i64, value: T) {
        self.count += 1;
        self.heap.push(Dated {
            seconds,
            order: std::cmp::Reverse(self.count),
            value,
        });
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|dated| dated.value)
    }

    pub(crate) fn newest_seconds(&self) -> Option<i64> {
        self.heap.peek().map(|dated| dated.seconds)
    }
}

impl<T> Ord for Dated<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.seconds, self.order).cmp(&(other.seconds, other.order))
    }
}

impl<T> PartialOrd for Dated<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Dated<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Dated<T> {}
