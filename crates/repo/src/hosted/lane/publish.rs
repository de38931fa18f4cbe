//! A prepared group made durable and visible.

use std::sync::Arc;

use packhouse_catalog::{PackSource, Publish, PublishError as CatalogPublishError, Published};
use packhouse_object::NewObject;

use super::prepare::Sum;
use super::{ROW_BYTES, StoredPack};
use crate::error::RepoError;
use crate::hosted::pack_of::pack_of;
use crate::hosted::packs::OpenPack;
use crate::hosted::slot::SharedSlot;
use crate::hosted::state::{State, TailRow};
use crate::hosted::stats::Stats;
use crate::hosted::{Engine, tail};

pub(super) enum CommitFailure {
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

/// Makes a prepared group durable and visible; answers the state that results.
pub(super) async fn publish(
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
