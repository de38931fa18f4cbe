//! Which commit changed a path last: for any number of paths in one walk.
//!
//! The answer is that of `git log -1 -- PATH`. From a commit it goes on to the first parent that has the path as it is
//! there; the commit without such a parent is the one. So each path is at one commit at a time, and paths that are at
//! the same commit go on together, as a group. A group moves past a commit at the cost of what the commit changes.

use std::collections::BTreeMap;

use bstr::BString;

use super::build::{Missing, MissingCommit, Parent};
use super::changed_trees::differing;
use super::layer::Changes;
use super::watch::LayerWatch;
use super::{CommitPosition, HistoryIndex};
use crate::{Database, ObjectId, ReadError};

/// The commit that changed a path last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastChange {
    /// Its id.
    pub commit: ObjectId,
    /// When it was committed, in seconds since the epoch.
    pub seconds: i64,
}

/// The last changes of some paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastChanges {
    /// In the order of the paths. `None` only for a path that is nowhere in the history.
    pub changes: Vec<Option<LastChange>>,
    /// Commits on the way that the index lacks.
    pub missing: usize,
}

/// The commits that changed `paths` (files, folders or submodules) last as of `tip`.
///
/// `None` if the index lacks more than `max_missing` of the commits that `tip` reaches: for those, trees have to be
/// read, and it is better to extend the index.
pub fn last_changes(
    db: &Database,
    index: &HistoryIndex,
    tip: ObjectId,
    paths: &[BString],
    max_missing: usize,
) -> Result<Option<LastChanges>, ReadError> {
    let Some(missing) = Missing::collect(db, index, &[tip], max_missing)? else {
        return Ok(None);
    };
    let start = match missing.commits.len().checked_sub(1) {
        // The tip is behind all that it reaches.
        Some(last) => Place::Missing(last as u32),
        None => match index.position(&tip) {
            Some(position) => Place::Indexed(position),
            None => Place::Indexed(
                index
                    .position(&db.peel_to_commit(tip)?)
                    .ok_or(ReadError::NotFound { id: tip })?,
            ),
        },
    };
    let mut walk = Walk {
        db,
        index,
        missing: &missing,
        paths,
        changes: vec![None; paths.len()],
        group_of: vec![0; paths.len()],
        groups: vec![Group {
            members: (0..paths.len() as u32).collect(),
            count: paths.len(),
        }],
        waiting: BTreeMap::new(),
        watches: index.layers().iter().map(|_| None).collect(),
    };
    walk.run(start)?;
    Ok(Some(LastChanges {
        changes: walk.changes,
        missing: missing.commits.len(),
    }))
}

/// Where a commit is. What the index lacks comes behind all it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Indexed(CommitPosition),
    Missing(u32),
}

/// A path whose last change is known is in no group.
const NO_GROUP: u32 = u32::MAX;

/// Paths that are at the same commit.
struct Group {
    /// With some that have left it.
    members: Vec<u32>,
    /// How many have not.
    count: usize,
}

struct Walk<'a> {
    db: &'a Database,
    index: &'a HistoryIndex,
    missing: &'a Missing,
    paths: &'a [BString],
    changes: Vec<Option<LastChange>>,
    group_of: Vec<u32>,
    groups: Vec<Group>,
    /// Children are taken before their parents, so all that comes to a commit is there when its turn comes.
    waiting: BTreeMap<Place, u32>,
    watches: Vec<Option<LayerWatch>>,
}

impl Walk<'_> {
    fn run(&mut self, start: Place) -> Result<(), ReadError> {
        let mut next = Some((start, 0));
        while let Some((place, group)) = next {
            next = match place {
                Place::Indexed(commit) => self.pass_indexed(commit, group)?,
                Place::Missing(commit) => self.pass_missing(commit, group)?,
            };
            // One group alone goes on without waiting.
            next = match next {
                Some((place, group)) if self.waits_before(place) => {
                    self.arrive(place, group);
                    self.waiting.pop_last()
                }
                Some(next) => Some(next),
                None => self.waiting.pop_last(),
            };
        }
        Ok(())
    }

    /// Whether another group has to go on before one at `place` does.
    fn waits_before(&self, place: Place) -> bool {
        let last = self.waiting.last_key_value();
        last.is_some_and(|(waiting, _)| *waiting >= place)
    }

    /// Lets a group go past a commit of the index; where to, if anywhere with all that is left of it.
    fn pass_indexed(
        &mut self,
        commit: CommitPosition,
        group: u32,
    ) -> Result<Option<(Place, u32)>, ReadError> {
        let index = self.index;
        let (layer_at, layer) = index.layer(commit);
        let Some(changes) = layer.changes(commit) else {
            let parents: Vec<Place> = layer.parents(commit).map(Place::Indexed).collect();
            return self.pass_unsaid(Place::Indexed(commit), &parents, group);
        };
        let changed = self.in_group(layer_at, group, changes);
        if let Some(parent) = layer.single_parent(commit) {
            for path in changed {
                self.note(path, Place::Indexed(commit));
            }
            return Ok(self.rest_of(group, Place::Indexed(parent)));
        }
        let parents: Vec<Place> = layer.parents(commit).map(Place::Indexed).collect();
        if changed.is_empty() {
            return Ok(self.rest_of(group, parents[0]));
        }
        let from_second = layer.changes_from_second(commit);
        let from_second = from_second.map(|changes| self.in_group(layer_at, group, changes));
        self.pass_on(
            Place::Indexed(commit),
            &parents,
            group,
            changed,
            from_second,
        )
    }

    /// The paths of a group that are among the changes of a layer's commit, ascending.
    fn in_group(&mut self, layer_at: usize, group: u32, changes: Changes<'_>) -> Vec<u32> {
        let (group_of, paths) = (&self.group_of, self.paths);
        let layer = &self.index.layers()[layer_at];
        let watch = self.watches[layer_at].get_or_insert_with(|| {
            let is_open = |path: &u32| group_of[*path as usize] != NO_GROUP;
            LayerWatch::new(layer, paths, (0..paths.len() as u32).filter(is_open))
        });
        let mut changed = Vec::new();
        for number in changes {
            watch.each(number, &mut |path| {
                if group_of[path as usize] == group {
                    changed.push(path);
                }
            });
        }
        // Files of a folder come as the same path.
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    fn pass_missing(&mut self, commit: u32, group: u32) -> Result<Option<(Place, u32)>, ReadError> {
        let MissingCommit { parents, .. } = &self.missing.commits[commit as usize];
        let place = |parent: &Parent| match parent {
            Parent::Indexed(position) => Place::Indexed(*position),
            Parent::Missing(place) => Place::Missing(*place),
        };
        let parents: Vec<Place> = parents.iter().map(place).collect();
        self.pass_unsaid(Place::Missing(commit), &parents, group)
    }

    /// Lets a group go past a commit of which it is not said what it changes.
    fn pass_unsaid(
        &mut self,
        commit: Place,
        parents: &[Place],
        group: u32,
    ) -> Result<Option<(Place, u32)>, ReadError> {
        let members = self.alive(group);
        let new = self.tree(commit);
        let old = parents
            .first()
            .map_or(ObjectId::empty_tree(new.kind()), |first| self.tree(*first));
        let changed = differing(self.db, old, new, self.paths, members)?;
        self.pass_on(commit, parents, group, changed, None)
    }

    /// Lets a group go on to the first of some parents, and those that `changed` against it to another one or nowhere.
    ///
    /// `from_second`, if that is known: what of the group is changed against the second parent, ascending.
    fn pass_on(
        &mut self,
        commit: Place,
        parents: &[Place],
        group: u32,
        mut changed: Vec<u32>,
        mut from_second: Option<Vec<u32>>,
    ) -> Result<Option<(Place, u32)>, ReadError> {
        let Some((first, others)) = parents.split_first() else {
            for path in changed {
                self.note(path, commit);
            }
            return Ok(None);
        };
        let tree = self.tree(commit);
        for parent in others {
            if changed.is_empty() {
                break;
            }
            let differing = match from_second.take() {
                Some(known) => known,
                None => {
                    let there = self.tree(*parent);
                    let mut found = differing(self.db, there, tree, self.paths, changed.clone())?;
                    found.sort_unstable();
                    found
                }
            };
            let is_same = |path: &u32| differing.binary_search(path).is_err();
            let (same, still): (Vec<u32>, Vec<u32>) = changed.into_iter().partition(is_same);
            self.split_off(same, *parent);
            changed = still;
        }
        for path in changed {
            self.note(path, commit);
        }
        Ok(self.rest_of(group, *first))
    }

    /// A group on its way to `place`, if anything is left of it.
    fn rest_of(&self, group: u32, place: Place) -> Option<(Place, u32)> {
        (self.groups[group as usize].count > 0).then_some((place, group))
    }

    /// Notes that a commit changed a path last.
    fn note(&mut self, path: u32, commit: Place) {
        if self.leave_group(path, NO_GROUP) {
            self.changes[path as usize] = Some(match commit {
                Place::Indexed(position) => LastChange {
                    commit: self.index.id(position),
                    seconds: self.index.seconds(position),
                },
                Place::Missing(place) => {
                    let commit = &self.missing.commits[place as usize];
                    LastChange {
                        commit: commit.id,
                        seconds: commit.seconds,
                    }
                }
            });
        }
    }

    /// Moves a path to another group, unless it has left all of them.
    fn leave_group(&mut self, path: u32, to: u32) -> bool {
        let from = std::mem::replace(&mut self.group_of[path as usize], to);
        if from == NO_GROUP {
            self.group_of[path as usize] = NO_GROUP;
            return false;
        }
        self.groups[from as usize].count -= 1;
        true
    }

    /// Makes a group of paths and sends it to `place`.
    fn split_off(&mut self, paths: Vec<u32>, place: Place) {
        if paths.is_empty() {
            return;
        }
        let group = self.groups.len() as u32;
        for path in &paths {
            self.leave_group(*path, group);
        }
        self.groups.push(Group {
            count: paths.len(),
            members: paths,
        });
        self.arrive(place, group);
    }

    /// Lets a group wait at `place`, together with one that is there already.
    fn arrive(&mut self, place: Place, group: u32) {
        let Some(present) = self.waiting.insert(place, group) else {
            return;
        };
        let (small, large) = match self.groups[present as usize].count {
            count if count < self.groups[group as usize].count => (present, group),
            _ => (group, present),
        };
        let moved = self.alive(small);
        for path in &moved {
            self.group_of[*path as usize] = large;
        }
        self.groups[small as usize] = Group {
            members: Vec::new(),
            count: 0,
        };
        let joined = &mut self.groups[large as usize];
        joined.count += moved.len();
        joined.members.extend(moved);
        self.waiting.insert(place, large);
    }

    fn alive(&self, group: u32) -> Vec<u32> {
        let members = &self.groups[group as usize].members;
        let is_in = |path: &&u32| self.group_of[**path as usize] == group;
        members.iter().filter(is_in).copied().collect()
    }

    fn tree(&self, commit: Place) -> ObjectId {
        match commit {
            Place::Indexed(position) => self.index.tree(position),
            Place::Missing(place) => self.missing.commits[place as usize].tree,
        }
    }
}
