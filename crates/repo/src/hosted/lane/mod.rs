//! The queue of writes of one repository, committed in groups.
//!
//! While one group is being made durable the next one gathers. A group is prepared in order, each write on the
//! result of the one before, and published as one row and one ref transaction. So a branch is not limited to one
//! commit per durable write, and a write whose expected head is not what the group reached is refused exactly as
//! if it had come later. A refusal is answered only on a state that is durable and was the newest when checked.
//!
//! A write fails alone: whatever goes wrong while it is prepared or laid over the view is answered to it, leaves
//! nothing behind, and the writes after it are prepared as if it had never been queued. Only what fails for the whole
//! group, which is to read the state and to make the group durable, is answered to all of it.

mod prepare;
mod publish;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use packhouse_catalog::{NewPack, Origin};
use packhouse_object::FinishedPack;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::prepare::{Bounds, Outcome, prepare_group};
use self::publish::{CommitFailure, publish};
use crate::error::RepoError;
use crate::hosted::Engine;
use crate::hosted::packs::OpenPack;
use crate::hosted::slot::SharedSlot;
use crate::hosted::state::State;
use crate::hosted::stats::Stats;
use crate::repository::Prepare;
use crate::view::View;

/// Writes of one group at most.
const GROUP_WRITES: usize = 256;

/// Undeflated bytes of a group that still go into a tail row; more become a pack.
const ROW_BYTES: usize = 1 << 20;

/// How often a group is prepared again because other nodes were faster.
const ATTEMPTS: u32 = 64;

/// A tail this many times past its limits makes writers wait for the fold.
const BACKPRESSURE: u64 = 16;

/// A write that waits for its turn.
pub(crate) struct Waiting {
    pub who: String,
    /// Where it came from, for the audit log.
    pub origin: Option<Arc<Origin>>,
    pub packs: Vec<StoredPack>,
    pub prepare: Box<dyn Prepare>,
    /// A generation the repository was known to have reached when the write came: all that the write builds on was there
    /// in it, or came later.
    pub seen: i64,
    /// The same of its packs, which may have been looked through on a later state.
    pub packs_seen: i64,
    pub since: Instant,
    pub reply: oneshot::Sender<Reply>,
}

/// `None`: refused.
pub(crate) type Reply = Result<Option<Arc<View>>, RepoError>;

/// A pack that is in the bucket and waits to become visible.
#[derive(Clone)]
pub(crate) struct StoredPack {
    pub open: OpenPack,
    pub row: NewPack,
    /// What was stored, in case it has to be stored again.
    pub files: Arc<FinishedPack>,
}

#[derive(Default)]
pub(crate) struct Lane {
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    running: bool,
}

/// Queues a write and sees to it that the lane runs.
pub(crate) fn enqueue(engine: &Arc<Engine>, slot: &SharedSlot, write: Waiting) {
    let start = {
        let mut queue = slot.lane.queue.lock();
        queue.waiting.push_back(write);
        !std::mem::replace(&mut queue.running, true)
    };
    if start {
        let (engine, slot) = (engine.clone(), slot.clone());
        let tracker = engine.tasks.clone();
        tracker.spawn(async move { drive(&engine, &slot).await });
    }
}

/// Commits groups until nothing waits.
async fn drive(engine: &Arc<Engine>, slot: &SharedSlot) {
    // A panic must not leave the lane marked as running: later writes would wait for ever.
    let reset = ResetOnDrop(slot);
    loop {
        let group: Vec<Waiting> = {
            let mut queue = slot.lane.queue.lock();
            if queue.waiting.is_empty() {
                queue.running = false;
                std::mem::forget(reset);
                return;
            }
            let take = queue.waiting.len().min(GROUP_WRITES);
            queue.waiting.drain(..take).collect()
        };
        let left = commit_group(engine, slot, group).await;
        let mut queue = slot.lane.queue.lock();
        for write in left.into_iter().rev() {
            queue.waiting.push_front(write);
        }
    }
}

struct ResetOnDrop<'a>(&'a SharedSlot);

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lane.queue.lock();
        queue.running = false;
        // Dropping the writes closes their reply channels, which their callers read as a failure.
        queue.waiting.clear();
    }
}

/// Commits one group and answers it; what did not fit into the group comes back.
async fn commit_group(
    engine: &Arc<Engine>,
    slot: &SharedSlot,
    mut group: Vec<Waiting>,
) -> Vec<Waiting> {
    let seen = group.iter().map(|write| write.seen).max().unwrap_or(0);
    let mut state = match ready_state(engine, slot, seen).await {
        Ok(state) => state,
        Err(error) => return fail(group, error),
    };
    // Whether `state` was the newest at some moment after the whole group was queued.
    let mut verified = false;
    for _ in 0..ATTEMPTS {
        let bounds = match engine.quota(slot.org, &state).await {
            Ok(quota) => Bounds {
                quota,
                file_bytes: engine.file_bytes,
            },
            Err(error) => return fail(group, error),
        };
        let prepared = match prepare_group(group, state.clone(), bounds).await {
            Ok(prepared) => prepared,
            Err(error) => return fail_none(error),
        };
        group = prepared.writes;
        if !verified && prepared.has_refusal {
            let newest = match slot.newest(engine).await {
                Ok(newest) => newest,
                Err(error) => return fail(group.into_iter().chain(prepared.left).collect(), error),
            };
            verified = true;
            if newest.generation() != state.generation() {
                state = newest;
                group.extend(prepared.left);
                continue;
            }
        }
        if prepared.sum.edits.is_empty() && prepared.sum.objects.is_empty() {
            answer(engine, group, prepared.outcomes, &state.view);
            return prepared.left;
        }
        match publish(engine, slot, &state, prepared.sum).await {
            Ok(next) => {
                answer(engine, group, prepared.outcomes, &next.view);
                return prepared.left;
            }
            // What others took is in the room that is looked at next.
            Err(CommitFailure::NoRoom) => group.extend(prepared.left),
            Err(CommitFailure::Moved) => {
                Stats::add(&engine.stats.conflicts, 1);
                group.extend(prepared.left);
                state = match slot.newest(engine).await {
                    Ok(newest) => newest,
                    Err(error) => return fail(group, error),
                };
                verified = true;
            }
            Err(CommitFailure::Other(error)) => {
                return fail(group.into_iter().chain(prepared.left).collect(), error);
            }
        }
    }
    fail(
        group,
        RepoError::Contended {
            name: "a ref of the repository".to_owned(),
            attempts: ATTEMPTS,
        },
    )
}

/// The state to prepare on; waits for a fold first where the tail is far past its limits.
async fn ready_state(
    engine: &Arc<Engine>,
    slot: &SharedSlot,
    seen: i64,
) -> Result<State, RepoError> {
    let state = slot.state(engine, seen).await?;
    let limits = engine.fold_limits;
    if state.tail.len() as u64 >= limits.rows.saturating_mul(BACKPRESSURE)
        || state.tail_bytes() >= limits.bytes.saturating_mul(BACKPRESSURE)
    {
        engine.fold_slot(slot).await?;
        return slot.newest(engine).await;
    }
    Ok(state)
}

fn answer(engine: &Engine, group: Vec<Waiting>, outcomes: Vec<Outcome>, view: &Arc<View>) {
    for (write, outcome) in group.into_iter().zip(outcomes) {
        engine.stats.publish.observe(write.since.elapsed());
        let reply = match outcome {
            Outcome::Written => {
                Stats::add(&engine.stats.published, 1);
                Ok(Some(view.clone()))
            }
            Outcome::Nothing => Ok(Some(view.clone())),
            Outcome::Refused => Ok(None),
            Outcome::Failed(error) => Err(error),
        };
        // A caller that went away does not take its write back.
        let _ = write.reply.send(reply);
    }
}

fn fail(group: Vec<Waiting>, error: RepoError) -> Vec<Waiting> {
    let error = Arc::new(error);
    for write in group {
        let _ = write.reply.send(Err(RepoError::share(&error)));
    }
    Vec::new()
}

/// The group went down with the thread that prepared it; its reply channels are closed.
fn fail_none(error: RepoError) -> Vec<Waiting> {
    tracing::error!(%error, "preparing a group of writes failed");
    Vec::new()
}
