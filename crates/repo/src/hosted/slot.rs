//! The place of one repository on this node: its newest known state and its queue of writes.

use std::sync::Arc;

use packhouse_catalog::{OrgId, RepoId};
use parking_lot::Mutex;

use crate::error::RepoError;
use crate::hosted::Engine;
use crate::hosted::history::History;
use crate::hosted::lane::Lane;
use crate::hosted::state::{Loader, State};
use crate::hosted::stats::Stats;

pub(crate) struct Slot {
    pub id: RepoId,
    pub org: OrgId,
    pub lane: Lane,
    pub history: History,
    state: Mutex<Option<State>>,
    /// One load at a time: readers that find the state too old wait for the first instead of loading again.
    loading: tokio::sync::Mutex<()>,
}

impl Slot {
    pub(crate) fn new(id: RepoId, org: OrgId) -> Slot {
        Slot {
            id,
            org,
            lane: Lane::default(),
            history: History::default(),
            state: Mutex::new(None),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    fn known(&self, at_least: i64) -> Option<State> {
        self.state
            .lock()
            .as_ref()
            .filter(|state| state.generation() >= at_least)
            .cloned()
    }

    /// A state no older than generation `at_least`.
    pub(crate) async fn state(&self, engine: &Engine, at_least: i64) -> Result<State, RepoError> {
        if let Some(state) = self.known(at_least) {
            Stats::add(&engine.stats.views_cached, 1);
            return Ok(state);
        }
        let _one = self.loading.lock().await;
        if let Some(state) = self.known(at_least) {
            return Ok(state);
        }
        self.load(engine).await
    }

    /// The newest state the catalog has.
    pub(crate) async fn newest(&self, engine: &Engine) -> Result<State, RepoError> {
        let row = engine
            .catalog
            .repo_by_id(self.id)
            .await?
            .ok_or(RepoError::Gone)?;
        if row.deleted_at_ms.is_some() {
            return Err(RepoError::Gone);
        }
        self.state(engine, row.generation).await
    }

    async fn load(&self, engine: &Engine) -> Result<State, RepoError> {
        Stats::add(&engine.stats.views_loaded, 1);
        let base = self.state.lock().clone();
        let loader = Loader {
            catalog: &engine.catalog,
            packs: &engine.packs,
            cache: &engine.cache,
        };
        let state = loader
            .load(self.id, base.as_ref())
            .await?
            .ok_or(RepoError::Gone)?;
        engine.note_packs(self.id, &state);
        Ok(self.keep(state))
    }

    /// Keeps `state` unless a newer one is there; answers the newer of both.
    pub(crate) fn keep(&self, state: State) -> State {
        let mut kept = self.state.lock();
        match kept.as_ref() {
            Some(present) if present.generation() >= state.generation() => present.clone(),
            _ => {
                *kept = Some(state.clone());
                state
            }
        }
    }

    /// Tail rows and packs of the newest known state.
    pub(crate) fn counts(&self) -> Option<(u64, u64)> {
        let state = self.state.lock();
        state
            .as_ref()
            .map(|state| (state.tail.len() as u64, state.packs.len() as u64))
    }

    /// About how much memory the slot takes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.state.lock().as_ref().map_or(1024, State::weight_bytes)
    }
}

/// A slot as its users hold it.
pub(crate) type SharedSlot = Arc<Slot>;
