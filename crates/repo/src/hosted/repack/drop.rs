//! Dropping what no ref has reached for long.
//!
//! A full repack sets objects apart that no ref reaches. When their time has come, it is looked whether all that refs reach
//! now is there without them; if it is, one transaction takes their packs out of the list. If not, since a branch was put
//! back on an old commit or something was committed that was there before, a full repack first puts what is reached with the
//! rest.
//!
//! What stays has to be closed, reached or not: whoever names an object that is there relies on all that it reaches. So
//! packs wait as long as anything names what is in them, such as a commit that a branch left lately and that builds on one
//! which was left long ago.
//!
//! `packhouse_catalog::Repack` says why nothing is lost by this, whoever writes at the same time: the transaction is
//! refused unless nothing was written since it was looked, and a write that was checked before is checked again.
//!
//! A repository that is written to all the time, with no moment between two writes, keeps what it has until the next sweep.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packhouse_catalog::{PackSource, Repack, RepackError, RepoId};
use packhouse_object::{
    Database, NewObject, ObjectCache, ObjectId, Pack, Progress, ReadError, Wanted, count_to_send,
};

use super::plan::{RepackHow, plan};
use super::{facts, tips_of};
use crate::error::RepoError;
use crate::hosted::closure;
use crate::hosted::packs::OpenPack;
use crate::hosted::slot::SharedSlot;
use crate::hosted::state::State;
use crate::hosted::stats::Stats;
use crate::hosted::{Engine, Hosted};

/// How often it is looked again since something was written meanwhile. Only what was written is looked at then.
const ATTEMPTS: u32 = 32;
/// Bytes of decoded objects that are remembered while it is looked.
const CACHE_BYTES: u64 = 32 << 20;

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
    /// Drops the objects of a repository that were set apart at `by_ms` or before and that no ref reaches. `None`: there are
    /// none, or the repository is written to so much that it was never looked at in time. Setting `stop` gives it up.
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
        let mut is_repacked = false;
        for _ in 0..ATTEMPTS {
            let state = slot.newest(self).await?;
            let is_due = |open: &&OpenPack| {
                open.source == PackSource::Unreachable
                    && open.apart_at_ms.is_some_and(|at_ms| at_ms <= by_ms)
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
            let input = Input {
                kept: kept.iter().map(|open| open.pack.clone()).collect(),
                unsure: kept
                    .iter()
                    .filter(is_unsure)
                    .map(|open| open.pack.clone())
                    .collect(),
                tail: state.tail.iter().map(|row| row.objects.clone()).collect(),
                wants: tips_of(&state),
                haves: seen.map_or_else(Vec::new, |seen| seen.tips),
                stop: stop.clone(),
                stopping: self.stopping.clone(),
            };
            let looked = tokio::task::spawn_blocking(move || input.look()).await;
            match looked.map_err(|_| RepoError::Stopped)?? {
                Found::Reached if !is_repacked => {
                    is_repacked = true;
                    self.take_back(slot, &state, &stop).await?;
                    continue;
                }
                // Others repack too, or bring back more and more.
                Found::Reached => return Ok(keep(slot, "a ref reaches some of it")),
                Found::Named => return Ok(keep(slot, "something younger names some of it")),
                Found::Unused => {}
            }
            let dropped = Repack {
                repo: slot.id,
                replaced: due.iter().map(|open| open.key).collect(),
                packs: Vec::new(),
                at_ms: super::now_ms(),
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
                        tips: tips_of(&state),
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

    /// Puts what refs reach of what was set apart with the rest.
    async fn take_back(
        &self,
        slot: &SharedSlot,
        state: &State,
        stop: &Arc<AtomicBool>,
    ) -> Result<(), RepoError> {
        if let Some(plan) = plan(&facts(state), RepackHow::Full) {
            self.repack_by(slot, state, plan, stop.clone()).await?;
        }
        Ok(())
    }
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

/// What is looked at.
struct Input {
    /// The packs that stay.
    kept: Vec<Arc<Pack>>,
    /// Those of them that need not have all that their objects reach, and were not looked through yet.
    unsure: Vec<Arc<Pack>>,
    tail: Vec<Arc<Vec<NewObject>>>,
    /// What refs point to.
    wants: Vec<ObjectId>,
    /// What was found to be there, with all that it reaches.
    haves: Vec<ObjectId>,
    stop: Arc<AtomicBool>,
    stopping: Arc<AtomicBool>,
}

impl Progress for Input {
    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.stopping.load(Ordering::Relaxed)
    }
}

/// How what may go is used.
enum Found {
    /// A ref reaches some of it.
    Reached,
    /// Something that stays names some of it.
    Named,
    /// Not at all.
    Unused,
}

impl Input {
    fn look(&self) -> Result<Found, RepoError> {
        // With nothing remembered: what the repository remembers of objects may be of the packs that go.
        let database = Database::new(Arc::new(ObjectCache::new(CACHE_BYTES)), 0)
            .with_packs(self.kept.clone())
            .with_objects(self.tail().cloned());
        let looked = match self.has_all(&database) {
            Ok(false) => return Ok(Found::Reached),
            Ok(true) => self.is_closed(&database),
            Err(error) => Err(error.into()),
        };
        match looked {
            Ok(()) => Ok(Found::Unused),
            Err(RepoError::Vanished { .. }) => Ok(Found::Named),
            Err(RepoError::Read(ReadError::Cancelled)) => Err(RepoError::Stopped),
            Err(error) => Err(error),
        }
    }

    fn tail(&self) -> impl Iterator<Item = &NewObject> {
        self.tail.iter().flat_map(|row| row.iter())
    }

    /// Whether all that the refs reach is in the packs that stay, or in the tail.
    fn has_all(&self, database: &Database) -> Result<bool, ReadError> {
        // A short look comes to its end without asking.
        if self.cancelled() {
            return Err(ReadError::Cancelled);
        }
        let wanted = Wanted {
            wants: self.wants.clone(),
            haves: self.haves.clone(),
            ..Wanted::default()
        };
        let reached = match count_to_send(database, &wanted, self) {
            Err(ReadError::NotFound { .. }) => return Ok(false),
            reached => reached?,
        };
        for id in reached.others() {
            if !self.is_there(database, id)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether what stays names only what stays; [`RepoError::Vanished`] if not.
    fn is_closed(&self, database: &Database) -> Result<(), RepoError> {
        let mut look = |id: ObjectId| {
            if self.cancelled() {
                return Err(RepoError::Stopped);
            }
            match self.is_there(database, &id)? {
                true => Ok(()),
                false => Err(RepoError::Vanished { id }),
            }
        };
        for object in self.tail() {
            closure::each_named_by(object, &mut look)?;
        }
        for pack in &self.unsure {
            closure::each_named_in(pack, &mut look)?;
        }
        Ok(())
    }

    fn is_there(&self, database: &Database, id: &ObjectId) -> Result<bool, ReadError> {
        // A database has the empty tree whether it is stored or not.
        match id.is_empty_tree() {
            true => {
                Ok(database.place_in_packs(id).is_some()
                    || self.tail().any(|object| object.id == *id))
            }
            false => database.contains(id),
        }
    }
}
