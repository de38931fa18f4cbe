//! Folding: the rows of a tail become one pack.
//!
//! The pack is stored first; then one SQL transaction lists it and drops the rows, if they are still there. A crash
//! before that leaves a pack nobody lists, a crash after it leaves nothing to do. Readers keep the view they have.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use packhouse_catalog::{Fold, FoldError, OrgId, PackSource, RepoId};
use packhouse_object::NewObject;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::error::RepoError;
use crate::hosted::pack_of::pack_of;
use crate::hosted::slot::SharedSlot;
use crate::hosted::state::State;
use crate::hosted::stats::Stats;
use crate::hosted::{Engine, now_ms};

/// When a tail is folded.
#[derive(Clone, Copy, Debug)]
pub struct FoldLimits {
    /// Rows a tail may have.
    pub rows: u64,
    /// Bytes a tail may have.
    pub bytes: u64,
    /// How often the catalog is searched for tails past their limits that nobody reported: a node that
    /// was killed leaves such.
    pub search_every: Duration,
}

impl Default for FoldLimits {
    fn default() -> FoldLimits {
        FoldLimits {
            rows: 64,
            bytes: 4 << 20,
            search_every: Duration::from_secs(30),
        }
    }
}

/// What a fold did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoldReport {
    /// Rows folded.
    pub rows: u64,
    /// Objects in the new pack.
    pub objects: u64,
    /// Bytes of the new pack.
    pub pack_bytes: u64,
}

/// Repositories whose tails wait for folding, each at most once.
pub(crate) struct FoldQueue {
    asked: Mutex<HashSet<RepoId>>,
    sender: Mutex<Option<mpsc::UnboundedSender<(RepoId, OrgId)>>>,
}

/// The receiving end of the queue.
pub(crate) type Due = mpsc::UnboundedReceiver<(RepoId, OrgId)>;

impl FoldQueue {
    pub(crate) fn new() -> (FoldQueue, Due) {
        // Unbounded in form only: a repository is in it at most once.
        let (sender, due) = mpsc::unbounded_channel();
        (
            FoldQueue {
                asked: Mutex::default(),
                sender: Mutex::new(Some(sender)),
            },
            due,
        )
    }

    pub(crate) fn ask(&self, id: RepoId, org: OrgId) {
        if self.asked.lock().insert(id)
            && let Some(sender) = self.sender.lock().as_ref()
        {
            let _ = sender.send((id, org));
        }
    }

    pub(crate) fn stop(&self) {
        self.sender.lock().take();
    }

    fn taken(&self, id: RepoId) {
        self.asked.lock().remove(&id);
    }
}

/// Folds what is due, one at a time, until the queue is closed.
pub(crate) async fn run(engine: Weak<Engine>, mut due: Due) {
    let Some(every) = engine
        .upgrade()
        .map(|engine| engine.fold_limits.search_every)
    else {
        return;
    };
    let mut search = tokio::time::interval(every);
    search.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            next = due.recv() => {
                let (Some((id, org)), Some(engine)) = (next, engine.upgrade()) else { return };
                engine.folds.taken(id);
                let slot = engine.slot(id, org);
                if let Err(error) = engine.fold_slot(&slot).await {
                    Stats::add(&engine.stats.folds_failed, 1);
                    tracing::warn!(repo = id.0, %error, "folding failed; the next write or search will try again");
                }
            }
            _ = search.tick() => {
                let Some(engine) = engine.upgrade() else { return };
                if let Err(error) = engine.search_tails().await {
                    tracing::warn!(%error, "searching for tails to fold failed");
                }
            }
        }
    }
}

impl Engine {
    async fn search_tails(&self) -> Result<(), RepoError> {
        let limits = self.fold_limits;
        for id in self
            .catalog
            .repos_to_fold(limits.rows, limits.bytes, 1000)
            .await?
        {
            if let Some(row) = self.catalog.repo_by_id(id).await? {
                self.folds.ask(row.id, row.org);
            }
        }
        Ok(())
    }

    /// Folds the whole tail of a slot's repository. `None`: nothing to fold, or somebody else is at it.
    pub(crate) async fn fold_slot(
        &self,
        slot: &SharedSlot,
    ) -> Result<Option<FoldReport>, RepoError> {
        /// Longer than any fold should take; past it another node may try.
        const LEASE_MS: i64 = 120_000;
        let started = Instant::now();
        let state = slot.newest(self).await?;
        let Some(last) = state.tail.last().map(|row| row.generation) else {
            return Ok(None);
        };
        let holder = self.holder();
        if !self
            .catalog
            .lease_fold(slot.id, &holder, LEASE_MS, now_ms())
            .await?
        {
            return Ok(None);
        }
        let folded = self.fold_state(slot, &state, last).await;
        if !matches!(folded, Ok(Some(_))) {
            // A fold that was recorded has ended its lease; another one would keep others out until it runs out.
            self.catalog
                .lease_fold(slot.id, &holder, 0, now_ms())
                .await?;
        }
        self.stats.fold.observe(started.elapsed());
        folded
    }

    async fn fold_state(
        &self,
        slot: &SharedSlot,
        state: &State,
        through: i64,
    ) -> Result<Option<FoldReport>, RepoError> {
        let (rows, bytes) = (state.tail.len() as u64, state.tail_bytes());
        let objects: Vec<Arc<Vec<NewObject>>> =
            state.tail.iter().map(|row| row.objects.clone()).collect();
        let folder = self.scratch.ready().to_owned();
        let write = move || pack_of(objects.iter().flat_map(|row| row.iter()), &folder);
        let finished = tokio::task::spawn_blocking(write).await;
        let finished = Arc::new(finished.map_err(|_| RepoError::Stopped)??);
        let mut pack = self
            .store_pack(slot.org, finished.clone(), PackSource::Fold)
            .await?;
        let generation = loop {
            let fold = Fold {
                repo: slot.id,
                through,
                rows,
                bytes,
                pack: pack.row.clone(),
            };
            match self.catalog.fold(fold).await {
                Ok(generation) => break generation,
                // A fold that crashed long ago left the same pack behind.
                Err(FoldError::Condemned) => pack = self.store_pack_again(slot.org, &pack).await?,
                // Another node folded these rows first, and its pack holds them; or the repository was deleted.
                Err(FoldError::Raced) => return Ok(None),
                Err(FoldError::Catalog(error)) => return Err(error.into()),
            }
        };
        slot.state(self, generation).await?;
        Ok(Some(FoldReport {
            rows,
            objects: finished.objects,
            pack_bytes: finished.pack_bytes,
        }))
    }

    /// Names this node in leases.
    fn holder(&self) -> String {
        format!("{}-{:p}", std::process::id(), self)
    }
}
