//! Where a history ends that is asked for in part: shallow clones.

use crate::graph::Graph;
use crate::limit::{Marks, limit, limit_since};
use crate::{Database, IdSet, ObjectId, ObjectKind, Progress, ReadError};

/// The depth at which nothing is cut (`--unshallow`), as Git counts it.
pub const INFINITE_DEPTH: u32 = 0x7fff_ffff;

/// Commits are reported, and cancelling is looked for, once for so many of them.
const COMMITS_PER_REPORT: u64 = 1024;

/// Where history is cut, and what is on this side of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boundary {
    /// The last commits that are there. Their parents, if they have any, are not.
    pub shallow: Vec<ObjectId>,
    /// The commits that are there with all their parents.
    pub inside: IdSet,
}

/// Cuts the history of `heads` so that no commit is more than `depth` commits away from the nearest of them; at 1 the heads
/// alone are left. Tags stand for their commits, other objects have no history.
///
/// The commits of `cut` are where the repository's own history ends: what is asked for ends there too. As in Git, a
/// commit at the full depth is a boundary even if it has no parents.
pub fn cut_at_depth(
    db: &Database,
    cut: &IdSet,
    heads: &[ObjectId],
    depth: u32,
    progress: &dyn Progress,
) -> Result<Boundary, ReadError> {
    let mut graph = Graph::cut(db, cut);
    let mut seen = Seen::default();
    let mut level = Vec::new();
    for id in commits_of(db, heads)? {
        seen.meet(graph.number(id)?, &mut level);
    }
    let mut boundary = Boundary::default();
    let mut at = 1;
    let mut looked_at = 0u64;
    while !level.is_empty() {
        let mut next = Vec::new();
        for commit in level {
            looked_at += 1;
            if looked_at.is_multiple_of(COMMITS_PER_REPORT) {
                progress.counting(looked_at);
                if progress.cancelled() {
                    return Err(ReadError::Cancelled);
                }
            }
            let id = graph.id(commit);
            let is_last = depth != INFINITE_DEPTH && at >= depth;
            if is_last || cut.contains(&id) {
                boundary.shallow.push(id);
                continue;
            }
            boundary.inside.insert(id);
            for parent in graph.parents(commit)? {
                seen.meet(parent, &mut next);
            }
        }
        at = at.saturating_add(1);
        level = next;
    }
    Ok(boundary)
}

/// Cuts the history of `tips` so that nothing is left that `excluded` reach, nor anything of a time before `since` (of the
/// committer, in seconds since 1970) with what that reaches. `None`: nothing is left at all.
pub fn cut_by_rules(
    db: &Database,
    cut: &IdSet,
    tips: &[ObjectId],
    excluded: &[ObjectId],
    since: Option<i64>,
    progress: &dyn Progress,
) -> Result<Option<Boundary>, ReadError> {
    let mut graph = Graph::cut(db, cut);
    let (tips, excluded) = (commits_of(db, tips)?, commits_of(db, excluded)?);
    let selected = match since {
        Some(_) => limit_since(&mut graph, tips, excluded, since, progress)?,
        None => limit(&mut graph, tips, excluded, progress)?,
    };
    if selected.commits.is_empty() {
        return Ok(None);
    }
    let mut is_selected = Marks::default();
    for commit in &selected.commits {
        is_selected.set(*commit, 1);
    }
    let mut boundary = Boundary::default();
    for commit in selected.commits {
        let parents = graph.parents(commit)?;
        match parents.iter().all(|parent| is_selected.has(*parent, 1)) {
            true => drop(boundary.inside.insert(graph.id(commit))),
            false => boundary.shallow.push(graph.id(commit)),
        }
    }
    Ok(Some(boundary))
}

fn commits_of(db: &Database, ids: &[ObjectId]) -> Result<Vec<ObjectId>, ReadError> {
    let mut commits = Vec::with_capacity(ids.len());
    for id in ids {
        let (id, kind) = db.peel(id)?;
        if kind == ObjectKind::Commit {
            commits.push(id);
        }
    }
    Ok(commits)
}

#[derive(Default)]
struct Seen(Marks);

impl Seen {
    fn meet(&mut self, commit: u32, level: &mut Vec<u32>) {
        if !self.0.has(commit, 1) {
            self.0.set(commit, 1);
            level.push(commit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::{Commit, NewObject, ObjectCache, Signature};

    /// Commits with the given parents (by position, all before them), and a database of them.
    fn history(parents: &[Vec<usize>]) -> (Database, Vec<ObjectId>) {
        let tree = NewObject::new(ObjectKind::Tree, Vec::new()).unwrap();
        let mut ids: Vec<ObjectId> = Vec::new();
        let mut objects = vec![tree.clone()];
        for (number, parents) in parents.iter().enumerate() {
            let person = Signature {
                name: "A".into(),
                email: "a@example.com".into(),
                seconds: 1_000 + number as i64,
                offset_minutes: 0,
            };
            let commit = Commit {
                tree: tree.id,
                parents: parents.iter().map(|parent| ids[*parent]).collect(),
                author: person.clone(),
                committer: person,
                extra_headers: Vec::new(),
                message: number.to_string().into(),
            };
            let object = NewObject::new(ObjectKind::Commit, commit.encode()).unwrap();
            ids.push(object.id);
            objects.push(object);
        }
        let db = Database::new(Arc::new(ObjectCache::new(1 << 20)), 1).with_objects(objects);
        (db, ids)
    }

    /// How far each commit is from the nearest head, by trying every path that can still be shorter.
    fn distances(
        parents: &[Vec<usize>],
        cut: &BTreeSet<usize>,
        heads: &[usize],
    ) -> BTreeMap<usize, u32> {
        let mut found: BTreeMap<usize, u32> = BTreeMap::new();
        let mut open: Vec<(usize, u32)> = heads.iter().map(|head| (*head, 1)).collect();
        while let Some((commit, distance)) = open.pop() {
            if found.get(&commit).is_some_and(|known| *known <= distance) {
                continue;
            }
            found.insert(commit, distance);
            if !cut.contains(&commit) {
                open.extend(parents[commit].iter().map(|parent| (*parent, distance + 1)));
            }
        }
        found
    }

    fn histories() -> impl Strategy<Value = Vec<Vec<usize>>> {
        prop::collection::vec(
            prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            1..25,
        )
        .prop_map(|commits| {
            let parents = |(at, picks): (usize, Vec<prop::sample::Index>)| match at {
                0 => Vec::new(),
                // Mostly near ones, so that histories get deep.
                at => picks
                    .iter()
                    .map(|pick| at - 1 - pick.index(at.min(4)))
                    .collect::<BTreeSet<_>>()
                    .into_iter()
                    .collect(),
            };
            commits.into_iter().enumerate().map(parents).collect()
        })
    }

    proptest! {
        #[test]
        fn the_boundary_is_where_the_shortest_way_has_the_asked_length(
            parents in histories(),
            heads in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
            cut in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            depth in prop_oneof![1u32..8, Just(INFINITE_DEPTH)],
        ) {
            let (db, ids) = history(&parents);
            let heads: Vec<usize> = heads.iter().map(|head| head.index(ids.len())).collect();
            let cut: BTreeSet<usize> = cut.iter().map(|cut| cut.index(ids.len())).collect();
            let distances = distances(&parents, &cut, &heads);
            let cut_ids: IdSet = cut.iter().map(|cut| ids[*cut]).collect();
            let head_ids: Vec<ObjectId> = heads.iter().map(|head| ids[*head]).collect();
            let boundary = cut_at_depth(&db, &cut_ids, &head_ids, depth, &()).unwrap();
            let expected = |is_last: bool| -> IdSet {
                distances
                    .iter()
                    .filter(|(_, distance)| **distance <= depth)
                    .filter(|(commit, distance)| {
                        is_last == (cut.contains(commit) || **distance == depth)
                    })
                    .map(|(commit, _)| ids[*commit])
                    .collect()
            };
            let shallow: IdSet = boundary.shallow.iter().copied().collect();
            prop_assert_eq!(shallow.len(), boundary.shallow.len());
            prop_assert_eq!(shallow, expected(true));
            prop_assert_eq!(boundary.inside, expected(false));
        }
    }

    #[test]
    fn what_is_excluded_is_cut_with_all_that_it_reaches() {
        // 0 - 1 - 2 - 3 - 5
        //      \ - - 4 - /
        let parents = [vec![], vec![0], vec![1], vec![2], vec![1], vec![3, 4]];
        let (db, ids) = history(&parents);
        let none = IdSet::default();
        let cut = |excluded: &[usize], since| {
            let excluded: Vec<_> = excluded.iter().map(|at| ids[*at]).collect();
            let cut = cut_by_rules(&db, &none, &[ids[5]], &excluded, since, &()).unwrap();
            cut.map(|boundary| {
                let place = |id: &ObjectId| ids.iter().position(|other| other == id).unwrap();
                let mut shallow: Vec<_> = boundary.shallow.iter().map(place).collect();
                let mut inside: Vec<_> = boundary.inside.iter().map(place).collect();
                shallow.sort_unstable();
                inside.sort_unstable();
                (shallow, inside)
            })
        };
        assert_eq!(cut(&[1], None), Some((vec![2, 4], vec![3, 5])));
        assert_eq!(cut(&[2], None), Some((vec![3, 4], vec![5])));
        assert_eq!(cut(&[3], None), Some((vec![4, 5], vec![])));
        assert_eq!(cut(&[5], None), None);
        assert_eq!(cut(&[], Some(1_002)), Some((vec![2, 4], vec![3, 5])));
        assert_eq!(cut(&[], Some(0)), Some((vec![], vec![0, 1, 2, 3, 4, 5])));
        assert_eq!(cut(&[], Some(2_000)), None);
        assert_eq!(cut(&[3], Some(1_002)), Some((vec![4, 5], vec![])));
    }
}
