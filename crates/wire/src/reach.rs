//! Reachability among commits, as far as negotiation needs it.

use packhouse_object::{Database, IdSet, ObjectId, ReadError};

/// Finds out whether commits reach one of a growing set of goals.
///
/// Positive answers stay true while the set grows and are kept; negative ones are forgotten with it.
///
/// Where history is `cut`, commits have no parents: the client lacks them.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    cut: IdSet,
    goals: IdSet,
    oldest: Option<i64>,
    reaching: IdSet,
}

struct Frame {
    id: ObjectId,
    parents: Vec<ObjectId>,
    next: usize,
}

impl Reach {
    /// Without goals yet, in a history that ends at the commits of `cut`.
    pub(crate) fn cut_at(cut: IdSet) -> Reach {
        Reach {
            cut,
            ..Reach::default()
        }
    }

    /// Adds a goal: a commit that the client has, and with it its parents, which it then has too.
    pub(crate) fn add(&mut self, db: &Database, id: ObjectId) -> Result<(), ReadError> {
        if let Some((parents, time)) = links(db, id, &self.cut)? {
            self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
            self.goals.insert(id);
            self.goals.extend(parents);
        }
        Ok(())
    }

    /// Whether every one of `tips` is a goal or has one among its ancestors. Below the tips, commits older
    /// than every commit added are not looked behind: with clocks far apart the answer may be no where yes
    /// would be true, and the client then goes on naming commits for a while. Since a tip is looked behind
    /// whatever its age, tips are best given oldest first, as by git: younger ones then find what it reaches.
    pub(crate) fn all_reach(
        &mut self,
        db: &Database,
        tips: &[ObjectId],
    ) -> Result<bool, ReadError> {
        let Some(oldest) = self.oldest else {
            return Ok(tips.is_empty());
        };
        let mut barren = IdSet::default();
        for tip in tips {
            if !self.reaches(db, *tip, oldest, &mut barren)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Depth first, so that the path to a goal is known when one is found: all on it reach it.
    fn reaches(
        &mut self,
        db: &Database,
        tip: ObjectId,
        oldest: i64,
        barren: &mut IdSet,
    ) -> Result<bool, ReadError> {
        let mut path: Vec<Frame> = Vec::new();
        let mut entering = Some(tip);
        loop {
            if let Some(id) = entering.take() {
                if self.goals.contains(&id) || self.reaching.contains(&id) {
                    self.reaching.extend(path.iter().map(|frame| frame.id));
                    return Ok(true);
                }
                if !barren.contains(&id) {
                    match links(db, id, &self.cut)? {
                        Some((parents, time)) if time >= oldest || path.is_empty() => {
                            path.push(Frame {
                                id,
                                parents,
                                next: 0,
                            })
                        }
                        // Not known to be barren: as a tip it would be looked behind.
                        Some(_) => {}
                        None => {
                            barren.insert(id);
                        }
                    }
                }
            }
            let Some(frame) = path.last_mut() else {
                return Ok(false);
            };
            match frame.parents.get(frame.next) {
                Some(parent) => {
                    frame.next += 1;
                    entering = Some(*parent);
                }
                None => {
                    barren.insert(frame.id);
                    path.pop();
                }
            }
        }
    }
}

/// `commits` by their committer's time, the order in which [`Reach::all_reach`] finds most.
pub(crate) fn oldest_first(
    db: &Database,
    commits: &[ObjectId],
) -> Result<Vec<ObjectId>, ReadError> {
    let mut dated = Vec::with_capacity(commits.len());
    for id in commits {
        let links = links(db, *id, &IdSet::default())?;
        dated.push((links.map(|(_, time)| time), *id));
    }
    dated.sort_by_key(|(time, _)| *time);
    Ok(dated.into_iter().map(|(_, id)| id).collect())
}

/// Parents and committer time of a commit; `None` for what is no commit or is not there.
fn links(
    db: &Database,
    id: ObjectId,
    cut: &IdSet,
) -> Result<Option<(Vec<ObjectId>, i64)>, ReadError> {
    match db.commit_links(id) {
        Ok((_, _, time)) if cut.contains(&id) => Ok(Some((Vec::new(), time))),
        Ok((_, parents, time)) => Ok(Some((parents, time))),
        Err(ReadError::WrongKind { .. }) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use packhouse_object::{
        Commit, NewObject, ObjectCache, ObjectKind, Signature, unreached_commits,
    };

    use super::*;

    /// Commits with the given times and parents (by position), and a database of them.
    pub(crate) fn history(commits: &[(i64, &[usize])]) -> (Database, Vec<ObjectId>) {
        let tree = NewObject::new(ObjectKind::Tree, Vec::new()).unwrap();
        let mut ids: Vec<ObjectId> = Vec::new();
        let mut objects = vec![tree.clone()];
        for (number, (seconds, parents)) in commits.iter().enumerate() {
            let person = Signature {
                name: "A".into(),
                email: "a@example.com".into(),
                seconds: *seconds,
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

    fn reach(db: &Database, goals: &[ObjectId]) -> Reach {
        let mut reach = Reach::default();
        goals.iter().for_each(|goal| reach.add(db, *goal).unwrap());
        reach
    }

    #[test]
    fn every_tip_must_reach_a_goal() {
        // 0 - 1 - 2 - 4
        //      \ - 3      5: another root
        let (db, ids) = history(&[
            (10, &[]),
            (20, &[0]),
            (30, &[1]),
            (31, &[1]),
            (40, &[2]),
            (50, &[]),
        ]);
        let mut from_1 = reach(&db, &[ids[1]]);
        assert!(from_1.all_reach(&db, &[ids[4], ids[3], ids[1]]).unwrap());
        assert!(!from_1.all_reach(&db, &[ids[4], ids[5]]).unwrap());
        assert!(!reach(&db, &[ids[4]]).all_reach(&db, &[ids[3]]).unwrap());
        // The parent of a goal is one: who has the commit has it too.
        assert!(reach(&db, &[ids[3]]).all_reach(&db, &[ids[2]]).unwrap());
        assert!(!Reach::default().all_reach(&db, &[ids[0]]).unwrap());
    }

    #[test]
    fn goals_added_later_count() {
        let (db, ids) = history(&[(10, &[]), (20, &[]), (30, &[1])]);
        let mut reach = reach(&db, &[ids[0]]);
        assert!(!reach.all_reach(&db, &[ids[2]]).unwrap());
        reach.add(&db, ids[1]).unwrap();
        assert!(reach.all_reach(&db, &[ids[2], ids[0]]).unwrap());
    }

    #[test]
    fn a_clock_far_behind_delays_but_does_not_mislead() {
        // 2 claims to be older than 0, which it descends from.
        let (db, ids) = history(&[(100, &[]), (110, &[0]), (5, &[1]), (120, &[2])]);
        assert!(!reach(&db, &[ids[0]]).all_reach(&db, &[ids[3]]).unwrap());
        assert!(reach(&db, &[ids[1]]).all_reach(&db, &[ids[2]]).unwrap());
    }

    #[test]
    fn an_old_tip_is_looked_behind_for_the_others_too() {
        // 1 is older than the goal it reaches; 3 reaches the goal by it alone.
        let (db, ids) = history(&[(100, &[]), (5, &[0]), (110, &[1]), (120, &[2])]);
        let tips = oldest_first(&db, &[ids[3], ids[1]]).unwrap();
        assert_eq!(tips, [ids[1], ids[3]]);
        assert!(reach(&db, &[ids[0]]).all_reach(&db, &tips).unwrap());
    }

    #[test]
    fn a_client_has_nothing_behind_where_its_history_ends() {
        let (db, ids) = history(&[(10, &[]), (20, &[0]), (30, &[1]), (31, &[1])]);
        let mut reach = Reach::cut_at([ids[2]].into_iter().collect());
        reach.add(&db, ids[2]).unwrap();
        // 3 shares with it only what is behind the end.
        assert!(!reach.all_reach(&db, &[ids[3]]).unwrap());
        let wanted = [ids[0]].into_iter().collect();
        let cut = [ids[1]].into_iter().collect();
        let left = unreached_commits(&db, &wanted, &[ids[3]], &cut, &()).unwrap();
        assert_eq!(left, wanted);
    }

    #[test]
    fn ancestors_of_tips_are_found_and_others_are_not() {
        let (db, ids) = history(&[(10, &[]), (20, &[0]), (30, &[1]), (31, &[1])]);
        let wanted: IdSet = [ids[0], ids[3]].into_iter().collect();
        let left = |tips: &[ObjectId]| {
            unreached_commits(&db, &wanted, tips, &IdSet::default(), &()).unwrap()
        };
        assert_eq!(left(&[ids[2]]).into_iter().collect::<Vec<_>>(), [ids[3]]);
        assert!(left(&[ids[2], ids[3]]).is_empty());
    }

    #[test]
    fn what_is_missing_ends_history_and_only_commits_are_reached() {
        let (db, ids) = history(&[(10, &[]), (20, &[0]), (30, &[1]), (40, &[1]), (50, &[3])]);
        let commit = |id: ObjectId| {
            let data = db.bytes_of(id, ObjectKind::Commit).unwrap();
            NewObject::new(ObjectKind::Commit, data.to_vec()).unwrap()
        };
        // Without 1, and with a tag of what is not there.
        let tag = format!("object {}\ntype commit\ntag t\n\n", ids[1]);
        let tag = NewObject::new(ObjectKind::Tag, tag.into_bytes()).unwrap();
        let tree = db.commit(ids[0]).unwrap().tree;
        let kept = [0, 2, 3, 4].map(|at| commit(ids[at]));
        let db = Database::new(Arc::new(ObjectCache::new(1 << 20)), 2)
            .with_objects(kept.into_iter().chain([tag.clone()]));
        let wanted: IdSet = [ids[0], ids[1], ids[3], tree].into_iter().collect();
        let tips = [ids[4], ids[2], tag.id, ids[1]];
        let left = unreached_commits(&db, &wanted, &tips, &IdSet::default(), &()).unwrap();
        assert_eq!(left, [ids[0], ids[1], tree].into_iter().collect());
    }
}
