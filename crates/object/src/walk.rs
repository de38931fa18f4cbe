//! Walking history from its tips, newest commit date first, as `git rev-list` does.

use std::sync::Arc;

use crate::graph::{DateQueue, Graph};
use crate::limit::limit;
use crate::{Commit, Database, IdSet, ObjectId, ReadError};

/// The commits reachable from some tips, newest commit date first; of equal dates, the one met
/// first. Tags stand for their commits.
///
/// Without [`CommitWalk::hide`] a commit is read only shortly before it is returned.
pub struct CommitWalk {
    db: Database,
    state: State,
}

enum State {
    /// Not begun.
    Tips {
        tips: Vec<ObjectId>,
        hidden: Vec<ObjectId>,
    },
    Open {
        queue: DateQueue<(ObjectId, Arc<Commit>)>,
        seen: IdSet,
    },
    Limited(std::vec::IntoIter<ObjectId>),
    Ended,
}

impl CommitWalk {
    /// A walk from `tips`.
    pub fn new(db: &Database, tips: impl IntoIterator<Item = ObjectId>) -> CommitWalk {
        let tips = tips.into_iter().collect();
        CommitWalk {
            db: db.clone(),
            state: State::Tips {
                tips,
                hidden: Vec::new(),
            },
        }
    }

    /// Leaves out these commits and all they reach. Only before the first commit is taken.
    pub fn hide(mut self, ids: impl IntoIterator<Item = ObjectId>) -> CommitWalk {
        if let State::Tips { hidden, .. } = &mut self.state {
            hidden.extend(ids);
        }
        self
    }

    fn begin(&self, tips: &[ObjectId], hidden: &[ObjectId]) -> Result<State, ReadError> {
        let peel = |ids: &[ObjectId]| {
            ids.iter()
                .map(|id| self.db.peel_to_commit(id))
                .collect::<Result<Vec<_>, _>>()
        };
        let (tips, hidden) = (peel(tips)?, peel(hidden)?);
        if !hidden.is_empty() {
            let mut graph = Graph::new(&self.db);
            let limited = limit(&mut graph, tips, hidden, &())?;
            let ids: Vec<_> = limited
                .commits
                .iter()
                .map(|commit| graph.id(*commit))
                .collect();
            return Ok(State::Limited(ids.into_iter()));
        }
        let (mut queue, mut seen) = (DateQueue::new(), IdSet::default());
        for tip in tips {
            self.meet(tip, &mut queue, &mut seen)?;
        }
        Ok(State::Open { queue, seen })
    }

    fn meet(
        &self,
        id: ObjectId,
        queue: &mut DateQueue<(ObjectId, Arc<Commit>)>,
        seen: &mut IdSet,
    ) -> Result<(), ReadError> {
        if seen.insert(id) {
            let (commit, seconds) = self.db.commit_and_time(id)?;
            queue.push(seconds, (id, Arc::new(commit)));
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Option<(ObjectId, Arc<Commit>)>, ReadError> {
        // An error ends the walk: the state is put back only when the step is done.
        let mut state = std::mem::replace(&mut self.state, State::Ended);
        if let State::Tips { tips, hidden } = &state {
            state = self.begin(tips, hidden)?;
        }
        let found = match &mut state {
            State::Tips { .. } | State::Ended => None,
            State::Limited(ids) => match ids.next() {
                Some(id) => Some((id, Arc::new(self.db.commit(id)?))),
                None => None,
            },
            State::Open { queue, seen } => {
                let found = queue.pop();
                if let Some((_, commit)) = &found {
                    for parent in &commit.parents {
                        self.meet(*parent, queue, seen)?;
                    }
                }
                found
            }
        };
        self.state = state;
        Ok(found)
    }
}

impl Iterator for CommitWalk {
    type Item = Result<(ObjectId, Arc<Commit>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

impl std::fmt::Debug for CommitWalk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CommitWalk({:?})", self.db)
    }
}
