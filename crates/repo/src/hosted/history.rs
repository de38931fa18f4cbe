//! The index of each repository's history: layers in the bucket, mapped on the node.
//!
//! It is a cache. Layers are found by listing the repository's folder in the bucket, since a listing that misses one
//! costs no more than making it anew; a node that has none fetches them, and makes only what nobody has made.
//!
//! ```text
//! orgs/ORG/repos/REPO/history/COMMITS-KEY.layer
//! ```
//! `COMMITS` is how many commits there are with the layer, eight hexadecimal digits: the layer below is named by what
//! stands in the layer itself, and the one with the most commits is on top.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use packhouse_bucket::{Key, Listed};
use packhouse_object::{
    BuildHistoryError, FinishedHistoryLayer, HistoryIndex, HistoryKey, HistoryLayer, ObjectId,
    extend_history,
};
use parking_lot::Mutex;

use crate::error::RepoError;
use crate::hosted::slot::{SharedSlot, Slot};
use crate::hosted::stats::Stats;
use crate::hosted::{Engine, now_ms};
use crate::view::View;

/// A layer that is in no index any more stays for as long as a node may be about to fetch it.
const STALE_AFTER_MS: i64 = 3_600_000;

/// The index of one repository on this node.
#[derive(Default)]
pub(crate) struct History {
    /// `None`: it was not looked for yet.
    index: Mutex<Option<HistoryIndex>>,
    /// One loads or extends it at a time; the others wait and find it done.
    turn: tokio::sync::Mutex<()>,
    /// A task that extends it is on its way.
    extending: AtomicBool,
}

impl History {
    fn known(&self) -> Option<HistoryIndex> {
        self.index.lock().clone()
    }

    fn keep(&self, index: &HistoryIndex) {
        *self.index.lock() = Some(index.clone());
    }
}

impl Engine {
    /// The index as this node or another one has made it so far.
    pub(crate) async fn history(&self, slot: &Slot) -> HistoryIndex {
        if let Some(index) = slot.history.known() {
            return index;
        }
        let _turn = slot.history.turn.lock().await;
        self.history_in_turn(slot).await
    }

    async fn history_in_turn(&self, slot: &Slot) -> HistoryIndex {
        if let Some(index) = slot.history.known() {
            return index;
        }
        let index = match self.load_history(slot).await {
            Ok(index) => index,
            Err(error) => {
                tracing::warn!(repo = slot.id.0, %error, "the index of a history could not be read and will be made anew");
                HistoryIndex::default()
            }
        };
        slot.history.keep(&index);
        index
    }

    /// The index with what `tips` reach in it. Goes on to its end even if nobody waits for it.
    pub(crate) async fn extended_history(
        self: &Arc<Self>,
        slot: &SharedSlot,
        view: &Arc<View>,
        tips: Vec<ObjectId>,
    ) -> Result<HistoryIndex, RepoError> {
        let (engine, slot, view) = (self.clone(), slot.clone(), view.clone());
        let task = self
            .tasks
            .spawn(async move { engine.extend_history(&slot, &view, tips).await });
        task.await.map_err(|_| RepoError::Stopped)?
    }

    /// Extends the index in the background, unless that is under way.
    pub(crate) fn extend_history_later(
        self: &Arc<Self>,
        slot: &SharedSlot,
        view: &Arc<View>,
        tips: Vec<ObjectId>,
    ) {
        if slot.history.extending.swap(true, Ordering::Relaxed) {
            return;
        }
        let (engine, slot, view) = (self.clone(), slot.clone(), view.clone());
        self.tasks.spawn(async move {
            let extended = engine.extend_history(&slot, &view, tips).await;
            slot.history.extending.store(false, Ordering::Relaxed);
            if let Err(error) = extended
                && !engine.stopping.load(Ordering::Relaxed)
            {
                tracing::warn!(repo = slot.id.0, %error, "the index of a history could not be extended");
            }
        });
    }

    async fn extend_history(
        &self,
        slot: &Slot,
        view: &View,
        tips: Vec<ObjectId>,
    ) -> Result<HistoryIndex, RepoError> {
        let _turn = slot.history.turn.lock().await;
        let base = self.history_in_turn(slot).await;
        if tips.iter().all(|tip| base.position(tip).is_some()) {
            return Ok(base);
        }
        // One at a time: it takes all processors, and memory by the length of the history.
        let one = self.history_builds.acquire().await;
        let _one = one.map_err(|_| RepoError::Stopped)?;
        let (database, index) = (view.database().clone(), base.clone());
        let (folder, stopping) = (self.scratch.ready().to_owned(), self.stopping.clone());
        let built = tokio::task::spawn_blocking(move || {
            extend_history(&database, &index, &tips, &folder, &stopping)
        });
        let built = built.await.map_err(|_| RepoError::Stopped)??;
        let Some((kept, layer)) = built else {
            return Ok(base);
        };
        Stats::add(&self.stats.history_layers, 1);
        let mut layers = base.layers()[..kept].to_vec();
        layers.push(Arc::new(self.store_layer(slot, layer).await?));
        let index = HistoryIndex::new(layers).map_err(BuildHistoryError::from)?;
        slot.history.keep(&index);
        if let Err(error) = self.sweep_history(slot, &index).await {
            tracing::warn!(repo = slot.id.0, %error, "old layers of a history stay in the bucket");
        }
        Ok(index)
    }

    /// Opens a layer, and puts it into the bucket.
    async fn store_layer(
        &self,
        slot: &Slot,
        layer: FinishedHistoryLayer,
    ) -> Result<HistoryLayer, RepoError> {
        let opened = open_layer(layer.path.to_path_buf()).await?;
        let key = layer_key(slot, layer.end, &layer.key);
        // It is of use to this node even where the bucket does not take it.
        if let Err(error) = self.packs.put(&key, &layer.path).await {
            tracing::warn!(repo = slot.id.0, %error, "a layer of a history is on this node only");
        }
        Ok(opened)
    }

    async fn open_stored(&self, key: &Key) -> Result<HistoryLayer, RepoError> {
        match open_layer(self.packs.file(key).await?).await {
            Err(error) if is_damaged(&error) => {
                tracing::warn!(%key, %error, "a layer of a history is thrown away");
                self.packs.discard(key).await?;
                open_layer(self.packs.file(key).await?).await
            }
            opened => opened,
        }
    }

    /// The index that is in the bucket, if there is one.
    async fn load_history(&self, slot: &Slot) -> Result<HistoryIndex, RepoError> {
        let mut names: Vec<_> = self
            .stored_layers(slot)
            .await?
            .into_iter()
            .filter_map(|stored| LayerName::parse(&stored.key))
            .collect();
        names.sort_unstable();
        let mut last = None;
        // The next best one, where the best does not have all its layers any more.
        for top in names.into_iter().rev().take(3) {
            match self.load_from(slot, top).await {
                Ok(index) => return Ok(index),
                Err(error) => last = Some(error),
            }
        }
        last.map_or_else(|| Ok(HistoryIndex::default()), Err)
    }

    async fn load_from(&self, slot: &Slot, top: LayerName) -> Result<HistoryIndex, RepoError> {
        let mut layers = Vec::new();
        let mut next = Some(top);
        while let Some(name) = next {
            let layer = self
                .open_stored(&layer_key(slot, name.end, &name.key))
                .await?;
            next = layer.below().map(|key| LayerName {
                end: layer.first(),
                key,
            });
            layers.insert(0, Arc::new(layer));
        }
        Ok(HistoryIndex::new(layers).map_err(BuildHistoryError::from)?)
    }

    async fn stored_layers(&self, slot: &Slot) -> Result<Vec<Listed>, RepoError> {
        let folder = folder(slot);
        let mut listed = self.packs.list(&folder);
        let mut found = Vec::new();
        while let Some(stored) = listed.next().await {
            found.push(stored?);
        }
        Ok(found)
    }

    /// Deletes layers that are not of `index`, once nobody reads them any more.
    async fn sweep_history(&self, slot: &Slot, index: &HistoryIndex) -> Result<(), RepoError> {
        let used: Vec<Key> = index
            .layers()
            .iter()
            .map(|layer| layer_key(slot, layer.end(), &layer.key()))
            .collect();
        for stored in self.stored_layers(slot).await? {
            let is_old = now_ms() - stored.modified_ms > STALE_AFTER_MS;
            if is_old && !used.contains(&stored.key) {
                self.packs.delete(&stored.key).await?;
            }
        }
        Ok(())
    }
}

async fn open_layer(path: std::path::PathBuf) -> Result<HistoryLayer, RepoError> {
    let opened = tokio::task::spawn_blocking(move || HistoryLayer::open(&path));
    let opened = opened.await.map_err(|_| RepoError::Stopped)?;
    Ok(opened.map_err(BuildHistoryError::from)?)
}

fn is_damaged(error: &RepoError) -> bool {
    use packhouse_object::HistoryLayerError::Damaged;
    matches!(
        error,
        RepoError::History(BuildHistoryError::Layer(Damaged { .. }))
    )
}

fn folder(slot: &Slot) -> String {
    format!("orgs/{}/repos/{}/history", slot.org.0, slot.id.0)
}

fn layer_key(slot: &Slot, end: u32, key: &HistoryKey) -> Key {
    let hex = blake3::Hash::from_bytes(*key).to_hex();
    let text = format!("{}/{end:08x}-{hex}.layer", folder(slot));
    Key::parse(&text).expect("words and hexadecimal digits make a key")
}

/// What the name of a layer says. The one with the most commits comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LayerName {
    end: u32,
    key: HistoryKey,
}

impl LayerName {
    fn parse(key: &Key) -> Option<LayerName> {
        let (_, name) = key.as_str().rsplit_once('/')?;
        let (end, key) = name.strip_suffix(".layer")?.split_once('-')?;
        Some(LayerName {
            end: u32::from_str_radix(end, 16).ok()?,
            key: *blake3::Hash::from_hex(key).ok()?.as_bytes(),
        })
    }
}
