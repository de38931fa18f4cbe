//! Reachability among commits, as far as negotiation needs it.

use packhouse_object::{Database, IdSet, ObjectId, ObjectKind, ReadError, commit_links};

/// Finds out whether commits reach one of a growing set of goals.
///
/// Positive answers stay true while the set grows and are kept; negative ones are forgotten with it.
#[derive(Debug, Default)]
pub(crate) struct Reach {
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
    /// Adds a goal: a commit that the client has, and with it its parents, which it then has too.
    pub(crate) fn add(&mut self, db: &Database, id: ObjectId) -> Result<(), ReadError> {
        if let Some((parents, time)) = links(db, id)? {
            self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
            self.goals.insert(id);
            self.goals.extend(parents);
        }
        Ok(())
    }

    /// Whether every one of `tips` is a goal or has one among its ancestors. Below the tips, commits older
    /// than every commit added are not looked behind: with clocks far apart the answer may be no where yes
    /// would be true, and the client then goes on naming commits for a while.
    pub(crate) fn all_reach(&mut self, db: &Database, tips: &[ObjectId]) -> Result<bool, ReadError> {
        let Some(oldest) = self.oldest else { return Ok(tips.is_empty()) };
        let mut barren = IdSet::default();
        for tip in tips {
            if !self.reaches(db, *tip, oldest, &mut barren)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Depth first, so that the path to a goal is known when one is found: all on it reach it.
    fn reaches(&mut self, db: &Database, tip: ObjectId, oldest: i64, barren: &mut IdSet) -> Result<bool, ReadError> {
        let mut path: Vec<Frame> = Vec::new();
        let mut entering = Some(tip);
        loop {
            if let Some(id) = entering.take() {
                if self.goals.contains(&id) || self.reaching.contains(&id) {
                    self.reaching.extend(path.iter().map(|frame| frame.id));
                    return Ok(true);
                }
                if !barren.contains(&id) {
                    match links(db, id)? {
                        Some((parents, time)) if time >= oldest || path.is_empty() => path.push(Frame { id, parents, next: 0 }),
                        // Not known to be barren: as a tip it would be looked behind.
                        Some(_) => {}
                        None => {
                            barren.insert(id);
                        }
                    }
                }
            }
            let Some(frame) = path.last_mut() else { return Ok(false) };
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

/// Those of `wanted` that are no ancestor of any of `tips`. What is not a commit is never one.
pub(crate) fn unreachable_from(db: &Database, wanted: &IdSet, tips: impl IntoIterator<Item = ObjectId>) -> Result<IdSet, ReadError> {
    let mut left = wanted.clone();
    let mut seen = IdSet::default();
    let mut stack = Vec::new();
    for tip in tips {
        if db.contains(&tip)? {
            let (peeled, kind) = db.peel(tip)?;
            if kind == ObjectKind::Commit {
                stack.push(peeled);
            }
        }
    }
    while let Some(id) = stack.pop() {
        if left.is_empty() {
            break;
        }
        if seen.insert(id) {
            left.remove(&id);
            stack.extend(links(db, id)?.map(|(parents, _)| parents).unwrap_or_default());
        }
    }
    Ok(left)
}

/// Parents and committer time of a commit; `None` for what is no commit or is not there.
fn links(db: &Database, id: ObjectId) -> Result<Option<(Vec<ObjectId>, i64)>, ReadError> {
    match db.read(&id)? {
        Some(object) if object.kind == ObjectKind::Commit => {
            let (_, parents, time) = commit_links(&object.data).map_err(|source| ReadError::decode(id, source))?;
            Ok(Some((parents.to_vec(), time)))
        }
        _ => Ok(None),
    }
}
