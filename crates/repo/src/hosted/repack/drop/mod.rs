//! Dropping what no ref has reached for long.
//!
//! A full repack sets objects apart that no ref reaches. When their time has come, it is looked whether anything uses them: a
//! ref reaches some since a branch was put back on an old commit or something was committed that was there before, or an
//! object that stays names some. What is used goes into packs of its own first (`look`); then one transaction takes the old
//! packs out of the list.
//!
//! What stays has to be closed, reached or not: whoever names an object that is there relies on all that it reaches. So
//! objects are kept as long as anything names them, such as a commit that a branch left lately and that builds on one which
//! was left long ago; their time begins anew.
//!
//! `packhouse_catalog::Repack` says why nothing is lost by this, whoever writes at the same time: the transaction is
//! refused unless nothing was written since it was looked, and a write that was checked before is checked again.
//!
//! A repository that is written to all the time, with no moment between two writes, keeps what it has until the next sweep.

mod look;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use packhouse_catalog::{PackSource, Repack, RepackError, RepoId};
use packhouse_object::{ObjectId, Pack};

use self::look::{Found, Look};
use super::write::Output;
use crate::error::RepoError;
use crate::hosted::packs::{OpenPack, PackKey};
use crate::hosted::slot::SharedSlot;
use crate::hosted::state::State;
use crate::hosted::stats::Stats;
use crate::hosted::{Engine, Hosted, now_ms};

/// How often it is looked again since something was written meanwhile. Only what was written is looked at then.
const ATTEMPTS: u32 = 32;
/// How often what is used may be put into packs of its own. Each time it is less, unless others use more and more.
const RESCUES: u32 = 4;

/// What was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropReport {
    /// Packs.
    pub packs: u64,
    /// Objects in them. Some may be in other packs too, and are there as before.
    pub objects: u64,
    /// Bytes of the packs.
    pub pack_bytes: u64,
}

impl Hosted {
    /// Drops the objects of a repository that were set apart at `by_ms` or before and that nothing uses. `None`: all of it is
    /// used, there is none, or the repository is written to so much that it was never looked at in time. Setting `stop` gives it up.
    pub async fn drop_unreachable(
        &self,
        id: RepoId,
        by_ms: i64,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<DropReport>, RepoError> {
        let row = self.engine.catalog.repo_by_id(id).await?;
        let row = row.ok_or(RepoError::Gone)?;
        let slot = self.engine.slot(row.id, row.org);
        self.engine.drop_from(&slot, by_ms, stop).await
    }
}

/// What was found to be there without the packs that are to go, and to name nothing in them.
struct Seen {
    tips: Vec<ObjectId>,
    packs_generation: i64,
}

impl Engine {
    async fn drop_from(
        &self,
        slot: &SharedSlot,
        by_ms: i64,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<DropReport>, RepoError> {
        let _turn = self.repack_turn(&stop).await?;
        let mut last: Option<Seen> = None;
        let mut rescues = 0;
        let mut first_due: Option<HashMap<PackKey, i64>> = None;
        for _ in 0..ATTEMPTS {
            let state = slot.newest(self).await?;
            let first_due = first_due.get_or_insert_with(|| due_by(&state, by_ms));
            // One that is set apart anew is none of them, even if all of it is the same.
            let is_due = |open: &&OpenPack| {
                open.apart_at_ms.is_some() && open.apart_at_ms.as_ref() == first_due.get(&open.key)
            };
            let (due, kept): (Vec<_>, Vec<_>) = state.packs.iter().partition(is_due);
            if due.is_empty() {
                return Ok(None);
            }
            // Packs that changed may have been those that had it.
            let seen = last
                .take()
                .filter(|seen| seen.packs_generation == state.packs_generation);
            let is_unsure =
                |open: &&&OpenPack| seen.is_none() && open.source != PackSource::Reachable;
            let unsure = kept.iter().filter(is_unsure);
            let look = Look {
                unsure: unsure.map(|open| open.pack.clone()).collect(),
                kept: kept.iter().map(|open| open.pack.clone()).collect(),
                due: due.iter().map(|open| open.pack.clone()).collect(),
                tail: state.tail.iter().map(|row| row.objects.clone()).collect(),
                wants: state.view.tips(),
                haves: seen.map_or_else(Vec::new, |seen| seen.tips),
                folder: self.scratch.ready().to_owned(),
                stop: stop.clone(),
                stopping: self.stopping.clone(),
            };
            let looked = tokio::task::spawn_blocking(move || look.run()).await;
            match looked.map_err(|_| RepoError::Stopped)?? {
                Found::Unused => {}
                Found::Used(_) if rescues == RESCUES => {
                    return Ok(keep(slot, "more and more of it is used again"));
                }
                Found::Used(packs) => {
                    rescues += 1;
                    let packs = Output {
                        packs,
                        by_git: false,
                    };
                    self.replace_packs(slot, state.generation(), Vec::new(), packs, false)
                        .await?;
                    continue;
                }
            }
            let dropped = Repack {
                repo: slot.id,
                replaced: due.iter().map(|open| open.key).collect(),
                packs: Vec::new(),
                at_ms: now_ms(),
                made_at: state.generation(),
                drops_at: Some(state.generation()),
            };
            match self.catalog.repack(dropped).await {
                Ok(generation) => {
                    let report = report(&due);
                    Stats::add(&self.stats.dropped_objects, report.objects);
                    Stats::add(&self.stats.dropped_bytes, report.pack_bytes);
                    self.org_usages.forget(slot.org);
                    slot.state(self, generation).await?;
                    return Ok(Some(report));
                }
                Err(RepackError::Stale) => {
                    last = Some(Seen {
                        tips: state.view.tips(),
                        packs_generation: state.packs_generation,
                    });
                }
                Err(RepackError::Raced | RepackError::Condemned { .. }) => {
                    return Ok(keep(slot, "its packs have changed"));
                }
                Err(RepackError::Catalog(error)) => return Err(error.into()),
            }
        }
        Ok(keep(slot, "the repository is written to all the time"))
    }
}

/// The packs that were set apart at `by_ms` or before, and when that was.
fn due_by(state: &State, by_ms: i64) -> HashMap<PackKey, i64> {
    let apart = state.packs.iter();
    let apart = apart.filter_map(|open| Some((open.key, open.apart_at_ms?)));
    apart.filter(|(_, at_ms)| *at_ms <= by_ms).collect()
}

/// Says that nothing is dropped, and why. The next sweep looks again.
fn keep(slot: &SharedSlot, reason: &str) -> Option<DropReport> {
    tracing::info!(
        repo = slot.id.0,
        reason,
        "what no ref reaches is kept for now"
    );
    None
}

fn report(due: &[&OpenPack]) -> DropReport {
    let sum = |of: fn(&Pack) -> u64| due.iter().map(|open| of(&open.pack)).sum();
    DropReport {
        packs: due.len() as u64,
        objects: sum(Pack::object_count),
        pack_bytes: sum(Pack::bytes),
    }
}
