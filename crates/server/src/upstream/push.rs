//! What is written here goes to the upstream: the second half of a sync, where a repository asks for it.
//!
//! Branches and tags here are compared with what the upstream last had. Each that differs is moved there by
//! compare-and-set, from where it was last seen. So a branch that was rewritten here is rewritten there only if nobody
//! there has moved it meanwhile, and what others pushed there is never overwritten. The first half has just fetched, so
//! what is still not where it was seen has gone its own way on both sides: it stays as it is on both, and people are told.
//!
//! Safe to do twice: what a run pushed and did not come to record is found there, and recorded, by the next one.

use packhouse_catalog::{PushEnd, RepoRow, UpstreamRow};
use packhouse_client::Credential;
use packhouse_client::remote::{PushEdit, PushRequest, Remote};
use packhouse_object::{ObjectId, Progress, RefName};
use packhouse_repo::{RefTargets, View, is_followed};
use tokio_util::sync::CancellationToken;

use super::connect::{self, scrubbed};
use super::sync::{Failure, SyncError, SyncHandler, followed, listed, told};
use crate::jobs::JobError;

/// How a push ended.
#[derive(Debug, Default)]
struct Pushed {
    /// What the upstream has now, where that changed.
    refs: Vec<(RefName, Option<ObjectId>)>,
    /// What the upstream did not take, and why.
    rejected: Vec<(RefName, String)>,
    /// What has gone its own way on both sides.
    diverged: Vec<RefName>,
}

impl SyncHandler {
    /// Whether branches or tags here are not where the upstream last had them. Notes if none are.
    pub(super) async fn has_to_push(
        &self,
        row: &RepoRow,
        upstream: &UpstreamRow,
    ) -> Result<bool, JobError> {
        if !upstream.upstream.push_through {
            return Ok(false);
        }
        let failed = |error: SyncError| JobError::Retry(told(error));
        let view = self.hosted.at(row).view().await;
        let view = view.map_err(|error| failed(error.into()))?;
        let recorded = self.recorded(row.id).await.map_err(failed)?;
        if local(&view) != recorded {
            return Ok(true);
        }
        let end = PushEnd {
            refs: Vec::new(),
            through: view.generation(),
            error: None,
        };
        let catalog = self.hosted.catalog();
        let ended = catalog.end_push(row.id, end, (self.clock)()).await;
        ended.map_err(|error| failed(error.into()))?;
        Ok(false)
    }

    /// Pushes what the upstream does not have, and records how that went.
    pub(super) async fn push_and_record(
        &self,
        row: &RepoRow,
        upstream: &UpstreamRow,
        credential: Option<Credential>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let catalog = self.hosted.catalog();
        let mut through = upstream.push_done;
        let pushed = self
            .push(row, upstream, credential.clone(), stop, &mut through)
            .await;
        let (pushed, failure) = match pushed {
            Ok(pushed) => {
                let failure = failure_of(&pushed, credential.as_ref());
                (pushed, failure)
            }
            Err(error) => match self.failure(error, credential.as_ref(), stop) {
                failure @ Failure::Error { .. } => (Pushed::default(), Some(failure)),
                stopped @ Failure::Stopped => return Err(stopped),
            },
        };
        let bytes = |id: ObjectId| id.as_slice().to_vec();
        let refs = pushed.refs.into_iter();
        let end = PushEnd {
            refs: refs
                .map(|(name, target)| (name.as_bytes().to_vec(), target.map(bytes)))
                .collect(),
            through,
            error: failure.as_ref().map(|failure| match failure {
                Failure::Error { text, .. } => text.clone(),
                Failure::Stopped => String::new(),
            }),
        };
        catalog.end_push(row.id, end, (self.clock)()).await?;
        failure.map_or(Ok(()), Err)
    }

    /// `through` becomes the generation that is compared with the upstream.
    async fn push(
        &self,
        row: &RepoRow,
        upstream: &UpstreamRow,
        credential: Option<Credential>,
        stop: &CancellationToken,
        through: &mut i64,
    ) -> Result<Pushed, SyncError> {
        let view = self.hosted.at(row).view().await?;
        *through = view.generation();
        let recorded = self.recorded(row.id).await?;
        if local(&view) == recorded {
            return Ok(Pushed::default());
        }
        // Whoever detached or changed their mind meanwhile wants nothing more to go there.
        let found = self.hosted.catalog().upstream(row.id).await?;
        if stop.is_cancelled() || !found.is_some_and(|found| found.upstream.push_through) {
            return Err(SyncError::Detached);
        }
        let remote = connect::remote(&self.upstreams, &upstream.upstream.url, credential)?;
        let progress = self.patience(stop);
        let pushing =
            tokio::task::spawn_blocking(move || push(&remote, &view, &recorded, &progress));
        let pushed = pushing.await.map_err(|_| SyncError::Panicked)??;
        tracing::info!(
            repo = row.name,
            moved = pushed.refs.len(),
            rejected = pushed.rejected.len(),
            diverged = pushed.diverged.len(),
            "pushed to its upstream"
        );
        Ok(pushed)
    }
}

/// The branches and tags here.
fn local(view: &View) -> RefTargets {
    let refs = view.refs().iter().filter(|(name, _)| is_followed(name));
    refs.map(|(name, entry)| (name.clone(), entry.target))
        .collect()
}

fn push(
    remote: &Remote,
    view: &View,
    recorded: &RefTargets,
    progress: &dyn Progress,
) -> Result<Pushed, SyncError> {
    let connection = remote.connect_to_push(progress)?;
    let compared = compare(&local(view), recorded, &followed(connection.refs()));
    let mut pushed = Pushed {
        refs: compared.there,
        rejected: Vec::new(),
        diverged: compared.diverged,
    };
    let request = PushRequest {
        edits: &compared.edits,
        database: view.database(),
        // One that the upstream refuses, because it protects a branch, holds up no other.
        atomic: false,
    };
    let report = connection.push(&request)?;
    for (name, reason) in report.rejected(&compared.edits) {
        pushed.rejected.push((name.clone(), reason.to_owned()));
    }
    let is_rejected = |name: &RefName| pushed.rejected.iter().any(|(other, _)| other == name);
    let moved = compared
        .edits
        .iter()
        .filter(|edit| !is_rejected(&edit.name));
    let moved: Vec<_> = moved.map(|edit| (edit.name.clone(), edit.new)).collect();
    pushed.refs.extend(moved);
    Ok(pushed)
}

/// What is to be done about refs that differ.
#[derive(Debug, Default, PartialEq)]
struct Comparison {
    /// They are where they were last seen, and go where they are here.
    edits: Vec<PushEdit>,
    /// They are there already.
    there: Vec<(RefName, Option<ObjectId>)>,
    /// They are neither where they were last seen nor where they are here.
    diverged: Vec<RefName>,
}

fn compare(local: &RefTargets, recorded: &RefTargets, there: &RefTargets) -> Comparison {
    let mut compared = Comparison::default();
    let deleted = recorded.keys().filter(|name| !local.contains_key(*name));
    // What goes away first: it may be in the way of what comes.
    for name in deleted.chain(local.keys()) {
        let (here, seen) = (local.get(name).copied(), recorded.get(name).copied());
        let there = there.get(name).copied();
        if here == seen {
            continue;
        }
        if there == here {
            compared.there.push((name.clone(), here));
        } else if there == seen {
            compared.edits.push(PushEdit {
                name: name.clone(),
                old: seen,
                new: here,
            });
        } else {
            compared.diverged.push(name.clone());
        }
    }
    compared
}

/// Why not everything is there; `None` if it is.
fn failure_of(pushed: &Pushed, credential: Option<&Credential>) -> Option<Failure> {
    let diverged = pushed.diverged.iter().map(|name| {
        let reason = "it has other commits there than here; merge them here or there".to_owned();
        (name.clone(), reason)
    });
    let diverged: Vec<_> = diverged.collect();
    let texts = [
        listed("have gone their own way in the upstream", &diverged),
        listed("were not taken by the upstream", &pushed.rejected),
    ];
    let text = texts.into_iter().flatten().collect::<Vec<_>>().join(". ");
    (!text.is_empty()).then(|| Failure::Error {
        text: scrubbed(text, credential),
        // Refs that have gone their own way meet again only if somebody does something.
        is_final: pushed.rejected.is_empty(),
    })
}

#[cfg(test)]
mod tests {
    use packhouse_object::HashKind;

    use super::*;

    fn id(number: u8) -> ObjectId {
        let mut bytes = ObjectId::null(HashKind::Sha1).as_slice().to_vec();
        bytes[0] = number;
        ObjectId::try_from(bytes.as_slice()).unwrap()
    }

    fn targets(number: Option<u8>) -> RefTargets {
        let name = RefName::branch("main").unwrap();
        number
            .into_iter()
            .map(|number| (name.clone(), id(number)))
            .collect()
    }

    /// What is done about one branch that is at these commits: here, where it was seen there, where it is there.
    fn fate(here: Option<u8>, seen: Option<u8>, there: Option<u8>) -> &'static str {
        let compared = compare(&targets(here), &targets(seen), &targets(there));
        match (
            compared.edits.as_slice(),
            compared.there.as_slice(),
            compared.diverged.as_slice(),
        ) {
            ([], [], []) => "nothing",
            ([edit], [], []) => {
                assert_eq!((edit.old, edit.new), (seen.map(id), here.map(id)));
                "moves"
            }
            ([], [(_, target)], []) => {
                assert_eq!(*target, here.map(id));
                "is there"
            }
            ([], [], [_]) => "diverged",
            _ => panic!("{compared:?}"),
        }
    }

    #[test]
    fn a_branch_moves_there_only_from_where_it_was_seen() {
        for (here, seen, there, expected) in [
            (Some(1), Some(1), Some(1), "nothing"),
            (Some(1), Some(1), Some(2), "nothing"),
            (None, None, Some(2), "nothing"),
            (Some(2), Some(1), Some(1), "moves"),
            (Some(2), None, None, "moves"),
            (None, Some(1), Some(1), "moves"),
            (Some(2), Some(1), Some(2), "is there"),
            (None, Some(1), None, "is there"),
            (Some(2), None, Some(2), "is there"),
            (Some(2), Some(1), Some(3), "diverged"),
            (Some(2), Some(1), None, "diverged"),
            (None, Some(1), Some(3), "diverged"),
            (Some(2), None, Some(3), "diverged"),
        ] {
            assert_eq!(
                fate(here, seen, there),
                expected,
                "{here:?} {seen:?} {there:?}"
            );
        }
    }
}
