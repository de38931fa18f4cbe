//! Which commits are meant, and in which order they are taken.

use std::collections::{HashMap, HashSet};

use packhouse_object::{Commit, CommitWalk, ObjectId};

use super::{Replay, ReplayCommits, ReplayError, ReplayKind};
use crate::view::View;

/// Commits of a range at most.
pub(super) const MAX_COMMITS: usize = 1000;

/// The commits of a request: picked oldest first, reverted newest first.
pub(super) fn select(view: &View, request: &Replay) -> Result<Vec<ObjectId>, ReplayError> {
    let resolve = |rev: &String| {
        let found = view.resolve(rev, request.namespace)?;
        let missing = || ReplayError::CommitMissing { rev: rev.clone() };
        Ok::<_, ReplayError>(found.ok_or_else(missing)?.id)
    };
    match &request.commits {
        ReplayCommits::One(rev) => Ok(vec![resolve(rev)?]),
        ReplayCommits::Range { .. } if request.message.is_some() => {
            Err(ReplayError::MessageForRange)
        }
        ReplayCommits::Range { from, to } => {
            let (from, to) = (resolve(from)?, resolve(to)?);
            let mut found = Vec::new();
            for commit in CommitWalk::new(view.database(), [to]).hide([from]) {
                let (id, commit) = commit?;
                found.push((id, commit));
                if found.len() > MAX_COMMITS {
                    return Err(ReplayError::TooMany);
                }
            }
            let mut oldest_first = parents_first(&found);
            if request.kind == ReplayKind::Revert {
                oldest_first.reverse();
            }
            Ok(oldest_first)
        }
    }
}

/// Commits, which are given newest first, in an order in which none comes before its parents, whatever their dates say.
fn parents_first<C: AsRef<Commit>>(newest_first: &[(ObjectId, C)]) -> Vec<ObjectId> {
    let by_id: HashMap<ObjectId, &Commit> = newest_first
        .iter()
        .map(|(id, commit)| (*id, commit.as_ref()))
        .collect();
    let mut ordered = Vec::with_capacity(newest_first.len());
    let (mut met, mut placed) = (HashSet::new(), HashSet::new());
    for (id, _) in newest_first.iter().rev() {
        let mut open = vec![*id];
        while let Some(id) = open.last().copied() {
            if met.insert(id) {
                let parents = by_id[&id].parents.iter();
                open.extend(
                    parents.filter(|parent| by_id.contains_key(*parent) && !met.contains(*parent)),
                );
                continue;
            }
            // Met again: its parents are in place.
            open.pop();
            if placed.insert(id) {
                ordered.push(id);
            }
        }
    }
    ordered
}
