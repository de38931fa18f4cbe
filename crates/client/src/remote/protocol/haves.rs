//! Which commits the other side is told that we have: from our tips backwards, newest first, until it knows enough.

use std::collections::BinaryHeap;

use packhouse_object::{Database, IdMap, ObjectId, ObjectKind, ReadError};

/// The walk. Ancestors of what the other side has are not named.
pub(super) struct Haves<'a> {
    db: &'a Database,
    queue: BinaryHeap<(i64, ObjectId)>,
    seen: IdMap<Seen>,
    /// How many in the queue the other side is not known to have.
    unknown: usize,
}

#[derive(Clone, Copy)]
struct Seen {
    /// Whether the other side is known to have it.
    common: bool,
    queued: bool,
}

impl<'a> Haves<'a> {
    /// From these objects, which have to be complete with all they reach; those that are not here are left out.
    pub(super) fn new(db: &'a Database, tips: &[ObjectId]) -> Result<Haves<'a>, ReadError> {
        let mut haves = Haves {
            db,
            queue: BinaryHeap::new(),
            seen: IdMap::default(),
            unknown: 0,
        };
        for tip in tips {
            if !db.contains(tip)? {
                continue;
            }
            if let (commit, ObjectKind::Commit) = db.peel(*tip)? {
                haves.meet(commit, false)?;
            }
        }
        Ok(haves)
    }

    fn meet(&mut self, id: ObjectId, common: bool) -> Result<(), ReadError> {
        match self.seen.get(&id) {
            None => {
                // A shallow clone ends early.
                if !self.db.contains(&id)? {
                    return Ok(());
                }
                let seconds = self.db.commit(id)?.committer.seconds;
                let queued = true;
                self.seen.insert(id, Seen { common, queued });
                self.queue.push((seconds, id));
                self.unknown += usize::from(!common);
                Ok(())
            }
            Some(seen) if common && !seen.common => self.mark_common(id),
            Some(_) => Ok(()),
        }
    }

    /// The other side has it, and with it all that it reaches.
    pub(super) fn mark_common(&mut self, id: ObjectId) -> Result<(), ReadError> {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let Some(seen) = self.seen.get_mut(&id).filter(|seen| !seen.common) else {
                continue;
            };
            seen.common = true;
            match seen.queued {
                true => self.unknown -= 1,
                // It was named already, so its parents were met.
                false => stack.extend(self.db.commit(id)?.parents),
            }
        }
        Ok(())
    }

    /// The next commit to name.
    pub(super) fn next(&mut self) -> Result<Option<ObjectId>, ReadError> {
        while self.unknown > 0 {
            let Some((_, id)) = self.queue.pop() else {
                break;
            };
            let common = match self.seen.get_mut(&id) {
                Some(seen) => {
                    seen.queued = false;
                    seen.common
                }
                None => false,
            };
            self.unknown -= usize::from(!common);
            for parent in self.db.commit(id)?.parents {
                self.meet(parent, common)?;
            }
            if !common {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }
}

/// The newest commits of these tips' histories that another repository on this machine has too, and the tips.
pub(crate) fn common(
    db: &Database,
    tips: &[ObjectId],
    other: &Database,
) -> Result<Vec<ObjectId>, ReadError> {
    let mut haves = Haves::new(db, tips)?;
    let mut found = tips.to_vec();
    let mut in_vain = 0;
    while in_vain < IN_VAIN_UNRELATED_MAX
        && let Some(id) = haves.next()?
    {
        if other.contains(&id)? {
            found.push(id);
            haves.mark_common(id)?;
            in_vain = 0;
        } else {
            in_vain += 1;
        }
    }
    Ok(found)
}

/// How the conversation about haves goes on.
pub(super) struct Patience {
    /// Named since the other side last knew one.
    in_vain: usize,
    knows_some: bool,
    batch: usize,
}

/// As many as git names in vain after something in common was found.
const IN_VAIN_MAX: usize = 256;
/// As many where nothing is in common: unrelated histories are not read to their end.
const IN_VAIN_UNRELATED_MAX: usize = 4096;
const BATCH_FIRST: usize = 16;
const BATCH_MAX: usize = 1024;

impl Patience {
    pub(super) fn new() -> Patience {
        Patience {
            in_vain: 0,
            knows_some: false,
            batch: BATCH_FIRST,
        }
    }

    /// The next commits to name; empty: enough was said.
    pub(super) fn batch(&mut self, haves: &mut Haves<'_>) -> Result<Vec<ObjectId>, ReadError> {
        let limit = match self.knows_some {
            true => IN_VAIN_MAX,
            false => IN_VAIN_UNRELATED_MAX,
        };
        let mut batch = Vec::new();
        if self.in_vain >= limit {
            return Ok(batch);
        }
        while batch.len() < self.batch
            && let Some(id) = haves.next()?
        {
            batch.push(id);
        }
        self.in_vain += batch.len();
        self.batch = (self.batch * 2).min(BATCH_MAX);
        Ok(batch)
    }

    /// The other side knows enough.
    pub(super) fn enough(&mut self) {
        self.in_vain = usize::MAX;
    }

    /// The other side knows one of them.
    pub(super) fn found(&mut self) {
        self.in_vain = 0;
        self.knows_some = true;
    }
}
