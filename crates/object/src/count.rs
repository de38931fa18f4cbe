//! Which objects one side lacks, given what it has.

mod filter;
mod limits;
mod sparse;

pub use filter::ObjectFilter;
pub use limits::CountLimits;
pub use sparse::SparsePaths;

use rayon::prelude::*;

use crate::graph::{Graph, parents_first};
use crate::introduced::{Introduced, Level, Task};
use crate::limit::{Limited, limit};
use crate::{
    Database, IdSet, ObjectId, ObjectKind, Progress, ReadError, on_processors, tag_target,
};

use self::limits::Edge;
use self::sparse::{Root, SparseWalk};

/// What is to be sent, and what need not be.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Objects of any kind to send with all they reach. They must be here.
    pub wants: Vec<ObjectId>,
    /// Objects the other side has with all they reach. Those that are not here are passed over.
    pub haves: Vec<ObjectId>,
    /// Tag objects, and what each finally names, to be sent if what it names is sent.
    pub include_tags: Vec<(ObjectId, ObjectId)>,
    /// Whether to find objects of the other side that deltas may build on.
    pub thin: bool,
}

/// The objects to send.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Each once: commits, tags, trees, then blobs. If they were found by walking, commits are newest first, and trees
    /// that are nearer to a root come first.
    pub ids: Vec<ObjectId>,
    /// Objects the other side has; filled only if asked for.
    pub thin_bases: IdSet,
    /// Where in `ids` the commits and tags end, and where the trees do.
    pub(crate) groups: [usize; 2],
}

impl Counted {
    /// These very objects, whatever they are and reach. The ids must be unique.
    pub fn exactly(ids: Vec<ObjectId>) -> Counted {
        Counted {
            ids,
            ..Counted::default()
        }
    }
}

/// Finds the objects to send by walking: what the wants reach and the haves do not.
///
/// Every missing object is found. A few that the other side has may be among them, where a file
/// or a folder came back from older history, or from another folder: to know would cost reading
/// all that the other side has.
pub(crate) fn walk_objects(
    db: &Database,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<Counted, ReadError> {
    count_limited(db, wanted, &CountLimits::default(), progress)
}

/// As [`crate::count_objects`], for a side whose history is cut or that wants some kinds of objects only.
///
/// What the wants name themselves is always found, whatever the filter says.
pub fn count_limited(
    db: &Database,
    wanted: &Wanted,
    limits: &CountLimits,
    progress: &dyn Progress,
) -> Result<Counted, ReadError> {
    let mut count = Count {
        db,
        limits,
        progress,
        sent: IdSet::default(),
        theirs: IdSet::default(),
        their_blobs: IdSet::default(),
        named: Vec::new(),
        found: Found::default(),
    };
    count.run(wanted)?;
    let thin_bases = match wanted.thin {
        true => count.take_thin_bases(),
        false => IdSet::default(),
    };
    let Found {
        commits,
        tags,
        trees,
        blobs,
    } = count.found;
    let mut ids = commits;
    ids.extend(tags);
    let links = ids.len();
    ids.extend(trees);
    let groups = [links, ids.len()];
    ids.extend(blobs);
    progress.counting(ids.len() as u64);
    Ok(Counted {
        ids,
        thin_bases,
        groups,
    })
}

struct Count<'a> {
    db: &'a Database,
    limits: &'a CountLimits,
    progress: &'a dyn Progress,
    /// Objects that were met and need not be looked at again: those that are sent, and trees that are only gone through.
    sent: IdSet,
    theirs: IdSet,
    /// Blobs of the other side's trees, kept apart where a filter may have withheld them.
    their_blobs: IdSet,
    /// Trees and blobs that are wanted by their ids, or by tags.
    named: Vec<(ObjectId, ObjectKind)>,
    found: Found,
}

#[derive(Default)]
struct Found {
    commits: Vec<ObjectId>,
    tags: Vec<ObjectId>,
    trees: Vec<ObjectId>,
    blobs: Vec<ObjectId>,
}

impl Found {
    fn len(&self) -> usize {
        self.commits.len() + self.tags.len() + self.trees.len() + self.blobs.len()
    }

    fn ids(&self) -> impl Iterator<Item = ObjectId> {
        let links = self.commits.iter().chain(&self.tags);
        links.chain(&self.trees).chain(&self.blobs).copied()
    }
}

/// Trees are read in parallel so many at a time; what they hold is then gone through in order.
const TREES_PER_BATCH: usize = 2048;

impl Count<'_> {
    fn run(&mut self, wanted: &Wanted) -> Result<(), ReadError> {
        let mut hidden = Vec::new();
        for have in &wanted.haves {
            if self.db.contains(have)? {
                self.have(*have, &mut hidden)?;
            }
        }
        let mut tips = Vec::new();
        let mut level = Level::default();
        for want in &wanted.wants {
            self.want(*want, &mut tips, &mut level)?;
        }
        if self.limits.filter.limits_depth() {
            // A tree that is wanted by its id stands above the roots: what it holds is as deep as they are.
            level = self.level(&level, 0)?;
        }
        let named = self.limits.named(&tips);
        let mut graph = Graph::cut(self.db, &self.limits.cut);
        let limited = limit(&mut graph, tips, hidden.iter().copied(), self.progress)?;
        let edge = Edge::of(&mut graph, self.limits, &hidden)?;
        self.commits(&mut graph, &limited, &named, &edge, &mut level)?;
        self.theirs.extend(hidden);
        let mut depth = 0;
        while !level.is_empty() {
            depth += 1;
            level = self.level(&level, depth)?;
        }
        self.leave_out_unwanted_paths(&graph, &limited)?;
        self.tags(&wanted.include_tags)
    }

    fn have(&mut self, have: ObjectId, hidden: &mut Vec<ObjectId>) -> Result<(), ReadError> {
        let mut visit = |id, kind| {
            self.theirs.insert(id);
            if kind == ObjectKind::Commit {
                hidden.push(id);
            }
        };
        follow_tags(self.db, have, &mut visit)
    }

    fn want(
        &mut self,
        want: ObjectId,
        tips: &mut Vec<ObjectId>,
        level: &mut Level,
    ) -> Result<(), ReadError> {
        let mut named = Vec::new();
        follow_tags(self.db, want, &mut |id, kind| named.push((id, kind)))?;
        for (id, kind) in named {
            match kind {
                ObjectKind::Commit => tips.push(id),
                ObjectKind::Tree => {
                    self.named.push((id, kind));
                    self.send_named_tree(id, level);
                }
                ObjectKind::Blob => {
                    self.named.push((id, kind));
                    self.send_blob(id);
                }
                ObjectKind::Tag => self.send_tag(id),
            }
        }
        Ok(())
    }

    fn send_named_tree(&mut self, id: ObjectId, level: &mut Level) {
        if !self.theirs.contains(&id) && self.sent.insert(id) {
            self.found.trees.push(id);
            level.push(id, &[]);
        }
    }

    /// Sends the commits; their trees are compared with those of their parents, which the other
    /// side has or gets.
    ///
    /// A tree is gone through once only, compared with what its first commit follows. So parents
    /// come first: were a tree compared with one that is itself compared with it, as a commit and
    /// its revert could be, neither would bring what both hold.
    fn commits(
        &mut self,
        graph: &mut Graph<'_>,
        limited: &Limited,
        named: &IdSet,
        edge: &Edge,
        level: &mut Level,
    ) -> Result<(), ReadError> {
        let filter = &self.limits.filter;
        let all = filter.keeps(ObjectKind::Commit);
        for commit in &limited.commits {
            let id = graph.id(*commit);
            if all || named.contains(&id) {
                self.sent.insert(id);
                self.found.commits.push(id);
            }
            // The edge of the other side, before anything is sent because of it.
            for parent in graph.parents(*commit)? {
                if limited.is_hidden(parent) {
                    self.theirs.insert(graph.tree(parent));
                }
            }
        }
        if !filter.reaches_depth(0) {
            return Ok(());
        }
        self.theirs.extend(edge.trees());
        for commit in parents_first(graph, &limited.commits)? {
            let parents = graph.parents(commit)?;
            let bases: Vec<_> = match parents.is_empty() {
                true => edge.bases(),
                false => parents
                    .into_iter()
                    .map(|parent| (graph.tree(parent), limited.is_hidden(parent)))
                    .collect(),
            };
            self.send_tree(graph.tree(commit), &bases, level);
        }
        Ok(())
    }

    /// Goes through trees that are sent; returns the trees found in them, which are `depth` folders below a root.
    fn level(&mut self, level: &Level, depth: u64) -> Result<Level, ReadError> {
        let mut next = Level::default();
        let filter = &self.limits.filter;
        if !filter.reaches_depth(depth) {
            return Ok(next);
        }
        for batch in level.tasks.chunks(TREES_PER_BATCH) {
            if self.progress.cancelled() {
                return Err(ReadError::Cancelled);
            }
            let read = |task: &Task| -> Result<Introduced, ReadError> {
                let mut introduced = Introduced::by(self.db, task.tree, level.bases(task))?;
                filter.retain_blobs(self.db, &mut introduced.blobs)?;
                Ok(introduced)
            };
            let read_all = || {
                let introduced = batch.par_iter().with_min_len(16).map(read);
                introduced.collect::<Result<_, _>>()
            };
            let introduced: Vec<Introduced> = on_processors(read_all)?;
            for introduced in &introduced {
                self.theirs.extend(introduced.their_trees.iter().copied());
                self.theirs.extend(introduced.their_blobs.iter().copied());
                if !filter.is_everything() {
                    self.their_blobs
                        .extend(introduced.their_blobs.iter().copied());
                }
            }
            for introduced in introduced {
                for (tree, bases) in introduced.trees() {
                    self.send_tree(tree, bases, &mut next);
                }
                for blob in &introduced.blobs {
                    self.send_blob(*blob);
                }
            }
            self.progress.counting(self.found.len() as u64);
        }
        Ok(next)
    }

    /// Takes out the blobs that are at no path that is wanted.
    fn leave_out_unwanted_paths(
        &mut self,
        graph: &Graph<'_>,
        limited: &Limited,
    ) -> Result<(), ReadError> {
        for paths in self.limits.filter.sparse_paths() {
            let mut walk = SparseWalk::new(self.db, paths, &self.theirs);
            for commit in &limited.commits {
                walk.walk(graph.tree(*commit), Root::OfCommit, self.progress)?;
            }
            for (id, kind) in &self.named {
                if *kind == ObjectKind::Tree {
                    walk.walk(*id, Root::Named, self.progress)?;
                }
            }
            let mut wanted = walk.wanted();
            let blobs = self
                .named
                .iter()
                .filter(|(_, kind)| *kind == ObjectKind::Blob);
            wanted.extend(blobs.map(|(id, _)| *id));
            self.found.blobs.retain(|id| wanted.contains(id));
        }
        Ok(())
    }

    fn send_tree(&mut self, id: ObjectId, bases: &[(ObjectId, bool)], level: &mut Level) {
        if !self.theirs.contains(&id) && self.sent.insert(id) {
            if self.limits.filter.keeps(ObjectKind::Tree) {
                self.found.trees.push(id);
            }
            level.push(id, bases);
        }
    }

    fn send_blob(&mut self, id: ObjectId) {
        if !self.theirs.contains(&id) && self.sent.insert(id) {
            self.found.blobs.push(id);
        }
    }

    fn send_tag(&mut self, id: ObjectId) {
        if !self.theirs.contains(&id) && self.sent.insert(id) {
            self.found.tags.push(id);
        }
    }

    /// The objects that the other side may be taken to have for deltas to build on. One that asked for some objects only
    /// has what the filter let pass: its trees, if these are whole, and not the blobs they name.
    fn take_thin_bases(&mut self) -> IdSet {
        let filter = &self.limits.filter;
        let mut bases = std::mem::take(&mut self.theirs);
        if !filter.is_everything() {
            match filter.keeps(ObjectKind::Tree) && !filter.limits_depth() {
                true => bases.retain(|id| !self.their_blobs.contains(id)),
                false => bases.clear(),
            }
        }
        bases
    }

    fn tags(&mut self, tags: &[(ObjectId, ObjectId)]) -> Result<(), ReadError> {
        let some_are_left_out = !self.limits.filter.is_everything() && !tags.is_empty();
        let found: Option<IdSet> = some_are_left_out.then(|| self.found.ids().collect());
        for (tag, peeled) in tags {
            if found.as_ref().unwrap_or(&self.sent).contains(peeled) {
                let mut chain = Vec::new();
                follow_tags(self.db, *tag, &mut |id, kind| chain.push((id, kind)))?;
                for (id, kind) in chain {
                    if kind == ObjectKind::Tag {
                        self.send_tag(id);
                    }
                }
            }
        }
        Ok(())
    }
}

/// Visits an object and, while it is a tag, what it names.
pub(crate) fn follow_tags(
    db: &Database,
    id: ObjectId,
    visit: &mut dyn FnMut(ObjectId, ObjectKind),
) -> Result<(), ReadError> {
    let (last, _) = db.peel(id)?;
    let mut at = id;
    loop {
        let header = db.header(&at)?.ok_or_else(|| db.not_found(at))?;
        visit(at, header.kind);
        if at == last {
            return Ok(());
        }
        let data = db.bytes_of(at, ObjectKind::Tag)?;
        at = tag_target(&data)
            .map_err(|source| ReadError::decode(at, source))?
            .0;
    }
}
