//! A group of writes prepared in order, each on the result of the one before.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use packhouse_catalog::RefEdit as CatalogEdit;
use packhouse_object::{NewObject, ObjectId, ObjectKind};

use super::{ROW_BYTES, StoredPack, Waiting};
use crate::change::{Change, RefEdit};
use crate::error::RepoError;
use crate::hosted::packs::OpenPack;
use crate::hosted::state::{State, handles, order};
use crate::hosted::{closure, now_ms, tail};
use crate::quota::{OverQuota, Quota};
use crate::view::View;

/// What became of one write of a group.
pub(super) enum Outcome {
    Written,
    Nothing,
    Refused,
    Failed(RepoError),
}

/// What the writes of a group come to together.
pub(super) struct Sum {
    pub(super) who: String,
    /// When it was prepared: the time that refs and reflog get, here as in the catalog.
    pub(super) at_ms: i64,
    pub(super) objects: Vec<NewObject>,
    pub(super) edits: Vec<CatalogEdit>,
    pub(super) packs: Vec<StoredPack>,
    pub(super) view: View,
    /// The room that is left when it is written, if that is limited.
    pub(super) quota: Option<Quota>,
    /// What it takes of its organisation's room at most, if that is limited.
    pub(super) org_bytes: Option<u64>,
}

/// A group after preparing.
pub(super) struct Prepared {
    pub(super) writes: Vec<Waiting>,
    pub(super) outcomes: Vec<Outcome>,
    /// Writes for which the group's row was full already.
    pub(super) left: Vec<Waiting>,
    pub(super) sum: Sum,
    /// Some write was refused, failed or had nothing to do, which is only true on the newest state.
    pub(super) has_refusal: bool,
}

/// What the writes of a group may come to.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) quota: Option<Quota>,
    /// Largest file.
    pub(super) file_bytes: Option<u64>,
}

pub(super) async fn prepare_group(
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
