//! Repacking: the packs of a repository give way to fewer.
//!
//! A full repack leaves one pack of exactly what the refs reach, with deltas and a bitmap index beside it, so that objects
//! are counted without walking and a clone is a copy of bytes; what the refs do not reach is kept in another pack. Between
//! two of them many small packs are merged, the sizes of those that are left at least doubling. Packs of what the refs did
//! not reach are left as they are until their time has come, and dropped then (`drop`).
//!
//! What always holds:
//! - new packs are written, checked and in the bucket before one transaction lists them in the place of the old ones; a
//!   crash before it leaves packs that nobody lists, which a sweep finds, and a crash after it leaves nothing to do;
//! - the transaction is refused unless all packs that are to go are still listed, so two nodes do no harm to each other;
//! - no object is lost: whatever an old pack has, a new one has, or the repack is given up; but for those that a drop takes,
//!   which no ref reaches and nothing builds on (`packhouse_catalog::Repack` has the invariant);
//! - readers keep the packs they have open, and old packs stay in the bucket for the sweep's grace period; writers go on,
//!   and what they add is not touched.

mod drop;
mod plan;
mod queue;
mod with_git;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use packhouse_catalog::{PackSource, Repack, RepackError, RepoId};
use tokio::sync::SemaphorePermit;

pub use self::drop::DropReport;
pub use self::plan::RepackHow;
pub(crate) use self::queue::RepackQueue;

use self::plan::{PackFact, RepackPlan, plan};
use self::write::{Input, Output, WriteError};
use super::slot::SharedSlot;
use super::state::State;
use super::{Engine, Hosted, StoredPack, now_ms};
use crate::error::RepoError;

/// What a repack did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepackReport {
    /// Packs that gave way.
    pub replaced: u64,
    /// Packs that took their place.
    pub packs: u64,
    /// Objects in them.
    pub objects: u64,
    /// Objects among those that no ref reaches.
    pub unreachable: u64,
    /// Bytes of the new packs.
    pub pack_bytes: u64,
    /// Whether all that is reachable is in one pack with bitmaps now.
    pub is_full: bool,
    /// Whether `git` chose the deltas.
    pub by_git: bool,
}

impl Hosted {
    /// Repacks a repository now. `None`: there is nothing to do, or somebody else did it meanwhile. Setting `stop` gives
    /// it up.
    pub async fn repack(
        &self,
        id: RepoId,
        how: RepackHow,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<RepackReport>, RepoError> {
        let row = self.engine.catalog.repo_by_id(id).await?;
        let row = row.ok_or(RepoError::Gone)?;
        let slot = self.engine.slot(row.id, row.org);
        self.engine.repack_slot(&slot, how, stop).await
    }

    /// Repositories whose packs are due, each once, as soon as there are some. Who asks once has to go on asking.
    pub async fn repacks_due(&self) -> Vec<RepoId> {
        self.engine.repacks.due().await
    }
}

impl Engine {
    /// Has a repository repacked later, if that is due.
    pub(crate) fn note_packs(&self, id: RepoId, state: &State) {
        if self.repacks.is_listening() && plan(&facts(state), RepackHow::WhenDue).is_some() {
            self.repacks.ask(id);
        }
    }

    async fn repack_slot(
        &self,
        slot: &SharedSlot,
        how: RepackHow,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<RepackReport>, RepoError> {
        let _turn = self.repack_turn(&stop).await?;
        let state = slot.newest(self).await?;
        match plan(&facts(&state), how) {
            Some(plan) => self.repack_by(slot, &state, plan, stop).await,
            None => Ok(None),
        }
    }

    /// One at a time: each takes memory and processors. Setting `stop` ends the waiting.
    async fn repack_turn(&self, stop: &AtomicBool) -> Result<SemaphorePermit<'_>, RepoError> {
        /// How often it is asked whether to stop.
        const LOOK: Duration = Duration::from_millis(200);
        let turn = self.repacking.acquire();
        tokio::pin!(turn);
        loop {
            tokio::select! {
                turn = &mut turn => return turn.map_err(|_| RepoError::Stopped),
                () = self.ended.cancelled() => return Err(RepoError::Stopped),
                () = tokio::time::sleep(LOOK) => {
                    if stop.load(Ordering::Relaxed) {
                        return Err(RepoError::Stopped);
                    }
                }
            }
        }
    }

    async fn repack_by(
        &self,
        slot: &SharedSlot,
        state: &State,
        plan: RepackPlan,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<RepackReport>, RepoError> {
        let is_full = matches!(plan, RepackPlan::Full(_));
        let (RepackPlan::Full(places) | RepackPlan::Merge(places)) = plan;
        let chosen: Vec<_> = places.iter().map(|at| state.packs[*at].clone()).collect();
        let input = Input {
            database: state.view.database.clone(),
            packs: chosen.iter().map(|open| open.pack.clone()).collect(),
            tips: state.view.tips(),
            tail: state.tail.iter().map(|row| row.objects.clone()).collect(),
            folder: self.scratch.ready().to_owned(),
            git: self.git.clone(),
            stop,
            stopping: self.stopping.clone(),
        };
        let write = move || match is_full {
            true => write::full(&input),
            false => write::merge(&input),
        };
        let written = tokio::task::spawn_blocking(write).await;
        let written = written.map_err(|_| RepoError::Stopped)?.map_err(failed)?;
        let replaced: Vec<_> = chosen.iter().map(|open| open.key).collect();
        if replaced.is_empty() && written.packs.is_empty() {
            return Ok(None);
        }
        self.replace_packs(slot, state.generation(), replaced, written, is_full)
            .await
    }

    /// Stores the new packs, made from the state of a generation, and lists them in the place of the old ones. `None`:
    /// others were faster.
    async fn replace_packs(
        &self,
        slot: &SharedSlot,
        made_at: i64,
        replaced: Vec<[u8; 32]>,
        written: Output,
        is_full: bool,
    ) -> Result<Option<RepackReport>, RepoError> {
        let mut report = RepackReport {
            replaced: replaced.len() as u64,
            packs: written.packs.len() as u64,
            is_full,
            by_git: written.by_git,
            ..RepackReport::default()
        };
        let mut stored: Vec<StoredPack> = Vec::new();
        for (pack, source) in written.packs {
            report.objects += pack.objects;
            report.pack_bytes += pack.pack_bytes;
            if source == PackSource::Unreachable {
                report.unreachable += pack.objects;
            }
            stored.push(self.store_pack(slot.org, Arc::new(pack), source).await?);
        }
        loop {
            let repack = Repack {
                repo: slot.id,
                replaced: replaced.clone(),
                packs: stored.iter().map(|pack| pack.row.clone()).collect(),
                at_ms: now_ms(),
                made_at,
                drops_at: None,
            };
            let condemned = match self.catalog.repack(repack).await {
                Ok(generation) => {
                    slot.state(self, generation).await?;
                    return Ok(Some(report));
                }
                Err(RepackError::Raced | RepackError::Stale) => return Ok(None),
                Err(RepackError::Catalog(error)) => return Err(error.into()),
                Err(RepackError::Condemned { keys }) => keys,
            };
            // They lay in the bucket since a repack that crashed long ago.
            for pack in &mut stored {
                if condemned.contains(&pack.row.key) {
                    *pack = self.store_pack_again(slot.org, pack).await?;
                }
            }
        }
    }
}

fn facts(state: &State) -> Vec<PackFact> {
    let facts = state.packs.iter().map(|open| PackFact {
        objects: open.pack.object_count(),
        source: open.source,
        apart_at_ms: open.apart_at_ms,
    });
    facts.collect()
}

fn failed(error: WriteError) -> RepoError {
    match error {
        error if error.is_cancelled() => RepoError::Stopped,
        error => RepoError::Repack(Arc::new(error)),
    }
}

/// The `git` program that chooses deltas, unless told otherwise: the one on the path.
pub(crate) fn default_git() -> Option<PathBuf> {
    Some(PathBuf::from("git"))
}
