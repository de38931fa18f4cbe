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

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use packhouse_catalog::{
    NewPack, Origin, PackSource, Publish, PublishError as CatalogPublishError, Published,
    RefEdit as CatalogEdit,
};
use packhouse_object::{FinishedPack, NewObject, ObjectId, ObjectKind};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::change::{Change, RefEdit};
use crate::error::RepoError;
use crate::hosted::pack_of::pack_of;
use crate::hosted::packs::OpenPack;
use crate::hosted::slot::SharedSlot;
use crate::hosted::state::{State, TailRow, handles, order};
use crate::hosted::stats::Stats;
use crate::hosted::{Engine, closure, now_ms, tail};
use crate::quota::{OverQuota, Quota};
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

/// What became of one write of a group.
enum Outcome {
    Written,
    Nothing,
    Refused,
    Failed(RepoError),
}

/// What the writes of a group come to together.
struct Sum {
    who: String,
    /// When it was prepared: the time that refs and reflog get, here as in the catalog.
    at_ms: i64,
    objects: Vec<NewObject>,
    edits: Vec<CatalogEdit>,
    packs: Vec<StoredPack>,
    view: View,
    /// The room that is left when it is written, if that is limited.
    quota: Option<Quota>,
    /// What it takes of its organisation's room at most, if that is limited.
    org_bytes: Option<u64>,
}

/// A group after preparing.
struct Prepared {
    writes: Vec<Waiting>,
    outcomes: Vec<Outcome>,
    /// Writes for which the group's row was full already.
    left: Vec<Waiting>,
    sum: Sum,
    /// Some write was refused, failed or had nothing to do, which is only true on the newest state.
    has_refusal: bool,
}

/// What the writes of a group may come to.
#[derive(Clone, Copy)]
struct Bounds {
    quota: Option<Quota>,
    /// Largest file.
    file_bytes: Option<u64>,
}

async fn prepare_group(
    group: Vec<Waiting>,
    state: State,
    bounds: Bounds,
) -> Result<Prepared, RepoError> {
    tokio::task::spawn_blocking(move || prepare_in_order(group, &state, bounds))
        .await
        .map_err(|_| RepoError::Stopped)
}

fn prepare_in_order(
    group: Vec<Waiting>,
    state: &State,
    Bounds { quota, file_bytes }: Bounds,
) -> Prepared {
    let now = now_ms();
    let mut packs = state.packs.to_vec();
    let mut prepared = Prepared {
        writes: Vec::with_capacity(group.len()),
        outcomes: Vec::with_capacity(group.len()),
        left: Vec::new(),
        sum: Sum {
            who: String::new(),
            at_ms: now,
            objects: Vec::new(),
            edits: Vec::new(),
            packs: Vec::new(),
            view: View::clone(&state.view),
            quota,
            org_bytes: None,
        },
        has_refusal: false,
    };
    let mut bytes = 0;
    for mut write in group {
        if bytes >= ROW_BYTES || !prepared.left.is_empty() {
            prepared.left.push(write);
            continue;
        }
        let mut view = prepared.sum.view.clone();
        let mut with_packs = None;
        if !write.packs.is_empty() {
            let mut more = packs.clone();
            more.extend(write.packs.iter().map(|pack| pack.open.clone()));
            order(&mut more);
            // What is read of packs that are not listed yet must not be remembered as the repository's.
            view.database = view
                .database
                .with_packs(handles(&more))
                .with_scope(unlisted_scope());
            with_packs = Some(more);
        }
        // A panic ends the write that caused it, not its neighbours: its reply channel closes with it.
        let Ok(laid) = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let laid = lay_over(&mut write, &view, now, file_bytes)?;
            still_there(&write, laid, state.dropped_generation)
        })) else {
            continue;
        };
        let quota = match &laid {
            Ok((change, _)) => room_after(prepared.sum.quota, change, &write, &packs),
            Err(_) => Ok(prepared.sum.quota),
        };
        let outcome = match (laid, quota) {
            (Err(outcome), _) => outcome,
            (Ok(_), Err(over)) => Outcome::Failed(over.into()),
            (Ok((change, next)), Ok(quota)) => {
                prepared.sum.quota = quota;
                bytes += change.object_bytes();
                let sum = &mut prepared.sum;
                sum.edits.extend(
                    change
                        .edits
                        .into_iter()
                        .map(|edit| catalog_edit(edit, &next, &write)),
                );
                sum.objects.extend(change.objects);
                sum.packs.extend(write.packs.iter().cloned());
                sum.who = write.who.clone();
                sum.view = next;
                packs = with_packs.unwrap_or(packs);
                Outcome::Written
            }
        };
        prepared.has_refusal |= !matches!(outcome, Outcome::Written);
        prepared.outcomes.push(outcome);
        prepared.writes.push(write);
    }
    let used = |quota: Option<Quota>| {
        quota
            .and_then(|quota| quota.org)
            .map(|room| room.used_bytes)
    };
    let (before, after) = (used(quota), used(prepared.sum.quota));
    prepared.sum.org_bytes = after.zip(before).map(|(after, before)| after - before);
    prepared
}

/// A scope of the object cache that none was given before. No repository has it: their scopes are ids, or hashes (`scope_of`
/// in `state.rs`) of which none is among the greatest numbers but by a chance of one in many millions of millions.
fn unlisted_scope() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(u64::MAX);
    NEXT.fetch_sub(1, Ordering::Relaxed)
}

/// The room that a write leaves; `known` are the packs that are listed before it.
fn room_after(
    quota: Option<Quota>,
    change: &Change,
    write: &Waiting,
    known: &[OpenPack],
) -> Result<Option<Quota>, OverQuota> {
    let Some(quota) = quota else {
        return Ok(None);
    };
    let is_new = |pack: &&StoredPack| known.iter().all(|known| known.key != pack.open.key);
    let packs = write.packs.iter().filter(is_new);
    let packs: u64 = packs.map(|pack| pack.open.pack.bytes()).sum();
    let objects = match change.objects.as_slice() {
        [] => 0,
        objects => tail::most_bytes(objects) as u64,
    };
    quota.with(packs + objects).map(Some)
}

/// The change a write asks for on `view`, and the view with it; or what became of the write instead.
fn lay_over(
    write: &mut Waiting,
    view: &View,
    now_ms: i64,
    file_bytes: Option<u64>,
) -> Result<(Change, View), Outcome> {
    let prepared = write.prepare.prepare(view);
    let change = prepared.map_err(|_| Outcome::Refused)?;
    if change.edits.is_empty() && change.objects.is_empty() {
        return Err(Outcome::Nothing);
    }
    if let Some(limit) = file_bytes
        && let Some(bytes) = largest_file(&change).filter(|bytes| *bytes > limit)
    {
        return Err(Outcome::Failed(RepoError::FileTooLarge { bytes, limit }));
    }
    match view.with_change(&change, now_ms) {
        Ok(next) => Ok((change, next)),
        Err(error) => Err(Outcome::Failed(error.into())),
    }
}

/// What was laid, if nothing that it builds on was dropped meanwhile.
fn still_there(
    write: &Waiting,
    laid: (Change, View),
    dropped_generation: i64,
) -> Result<(Change, View), Outcome> {
    let database = laid.1.database();
    if dropped_generation > write.seen {
        closure::check_change(database, &laid.0).map_err(Outcome::Failed)?;
    }
    if dropped_generation > write.packs_seen {
        let mut packs = write.packs.iter();
        let checked = packs.try_for_each(|pack| closure::check_pack(database, &pack.open.pack));
        checked.map_err(Outcome::Failed)?;
    }
    Ok(laid)
}

fn largest_file(change: &Change) -> Option<u64> {
    let files = change.objects.iter();
    files
        .filter(|object| object.kind == ObjectKind::Blob)
        .map(|object| object.data.len() as u64)
        .max()
}

enum CommitFailure {
    Moved,
    /// Other lanes took the organisation's room since it was looked at.
    NoRoom,
    Other(RepoError),
}

impl<E: Into<RepoError>> From<E> for CommitFailure {
    fn from(error: E) -> Self {
        CommitFailure::Other(error.into())
    }
}

fn catalog_edit(edit: RefEdit, after: &View, write: &Waiting) -> CatalogEdit {
    let bytes = |id: ObjectId| id.as_slice().to_vec();
    CatalogEdit {
        name: edit.name.as_bytes().to_vec(),
        old: edit.old.map(bytes),
        new: edit.new.map(bytes),
        peeled: after
            .refs
            .get(&edit.name)
            .and_then(|entry| entry.peeled)
            .map(bytes),
        message: edit.message,
        who: Some(write.who.clone()),
        origin: write.origin.clone(),
    }
}

/// Makes a prepared group durable and visible; answers the state that results.
async fn publish(
    engine: &Arc<Engine>,
    slot: &SharedSlot,
    state: &State,
    sum: Sum,
) -> Result<State, CommitFailure> {
    let Sum {
        who,
        at_ms,
        objects,
        edits,
        packs,
        view,
        quota,
        org_bytes,
    } = sum;
    let reserved = match org_bytes {
        None => None,
        Some(bytes) => {
            let reserved = engine.org_usages.reserve(slot.org, bytes);
            Some(reserved.ok_or(CommitFailure::NoRoom)?)
        }
    };
    let mut stored: Vec<StoredPack> = Vec::new();
    for pack in packs {
        let is_listed = |pack: &&OpenPack| pack.source != PackSource::Unreachable;
        let listed = state.packs.iter().filter(is_listed);
        let mut known = stored
            .iter()
            .map(|pack| pack.open.key)
            .chain(listed.map(|pack| pack.key));
        if !known.any(|key| key == pack.open.key) {
            stored.push(pack);
        }
    }
    let size: usize = objects.iter().map(|object| object.data.len()).sum();
    let mut row = None;
    let mut encoded = None;
    if size > ROW_BYTES {
        stored.push(store_as_pack(engine, slot, objects).await?);
    } else if !objects.is_empty() {
        let bytes = tail::encode(&objects);
        Stats::add(&engine.stats.tail_bytes, bytes.len() as u64);
        row = Some((bytes.len() as u64, Arc::new(objects)));
        encoded = Some(bytes);
    }
    let request = Publish {
        repo: slot.id,
        tail: encoded,
        packs: Vec::new(),
        edits,
        who,
        at_ms,
        // Nodes that each see room for their own write could exceed a quota together.
        only_at: quota
            .and_then(|quota| quota.repo)
            .filter(|room| room.left_bytes() < room.limit_bytes / 2)
            .map(|_| state.generation()),
        checked_at: state.generation(),
    };
    let published = list_and_publish(engine, slot, request, &mut stored).await;
    if let Some(reserved) = reserved
        && may_be_written(&published)
    {
        let of_packs = stored.iter().map(|pack| pack.open.pack.bytes());
        let of_tail = row.as_ref().map_or(0, |(bytes, _)| *bytes);
        reserved.written(of_packs.sum::<u64>() + of_tail);
    }
    let published = published?;
    Stats::add(&engine.stats.groups, 1);
    Stats::add(&engine.stats.packs, stored.len() as u64);
    let next = if published.generation == state.generation() + 1 {
        let row = row.map(|(bytes, objects)| TailRow {
            generation: published.generation,
            bytes,
            objects,
        });
        let open: Vec<OpenPack> = stored.iter().map(|pack| pack.open.clone()).collect();
        slot.keep(state.after_publish(published.generation, view, row, &open))
    } else {
        // A fold or another node came in between: the catalog says what the state is now.
        slot.state(engine, published.generation)
            .await
            .map_err(CommitFailure::Other)?
    };
    engine.note_growth(slot, &next);
    Ok(next)
}

fn may_be_written(published: &Result<Published, CommitFailure>) -> bool {
    match published {
        Ok(_) => true,
        Err(CommitFailure::Other(error)) => error.is_unconfirmed(),
        Err(CommitFailure::Moved | CommitFailure::NoRoom) => false,
    }
}

/// Publishes `request` with the packs of `stored`. Those that lay unlisted for so long that a sweep deletes them are
/// stored again first.
async fn list_and_publish(
    engine: &Engine,
    slot: &SharedSlot,
    mut request: Publish,
    stored: &mut [StoredPack],
) -> Result<Published, CommitFailure> {
    loop {
        request.packs = stored.iter().map(|pack| pack.row.clone()).collect();
        // Most writes list no pack, and are not refused for one: nothing of them is needed again.
        let again = (!stored.is_empty()).then(|| request.clone());
        let condemned = match engine.catalog.publish(request).await {
            Ok(published) => return Ok(published),
            Err(CatalogPublishError::Condemned { keys }) => keys,
            Err(CatalogPublishError::Moved { .. } | CatalogPublishError::Stale) => {
                return Err(CommitFailure::Moved);
            }
            Err(CatalogPublishError::RepoGone) => return Err(RepoError::Gone.into()),
            Err(CatalogPublishError::Catalog(error)) => return Err(error.into()),
        };
        request = again.ok_or(RepoError::Stopped)?;
        for pack in stored.iter_mut() {
            if condemned.contains(&pack.row.key) {
                *pack = engine.store_pack_again(slot.org, pack).await?;
            }
        }
    }
}

/// Writes objects that are too many for a tail row as a pack into the bucket.
async fn store_as_pack(
    engine: &Arc<Engine>,
    slot: &SharedSlot,
    objects: Vec<NewObject>,
) -> Result<StoredPack, RepoError> {
    let folder = engine.scratch.ready().to_owned();
    let finished = tokio::task::spawn_blocking(move || pack_of(&objects, &folder));
    let finished = finished.await.map_err(|_| RepoError::Stopped)??;
    engine
        .store_pack(slot.org, Arc::new(finished), PackSource::Commit)
        .await
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
