//! What the engine counts, for whoever exposes metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the histogram's buckets, in seconds.
pub const BUCKETS_SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// Durations, counted by size.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS_SECONDS.len() + 1],
    sum_micros: AtomicU64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = BUCKETS_SECONDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BUCKETS_SECONDS.len());
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Counts per bucket of [`BUCKETS_SECONDS`], the last one for what is longer than all; not cumulated.
    pub fn counts(&self) -> [u64; BUCKETS_SECONDS.len() + 1] {
        std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed))
    }

    /// The sum of all durations, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6
    }
}

/// Counters of one engine since it was opened.
#[derive(Debug, Default)]
pub struct Stats {
    /// How long writes took from being queued to being durable.
    pub publish: Histogram,
    /// How long folds took.
    pub fold: Histogram,
    /// Writes that became visible.
    pub published: AtomicU64,
    /// Groups they were committed in.
    pub groups: AtomicU64,
    /// Groups prepared again because another node was faster.
    pub conflicts: AtomicU64,
    /// Bytes put into tail rows.
    pub tail_bytes: AtomicU64,
    /// Packs made visible.
    pub packs: AtomicU64,
    /// Views loaded from the catalog.
    pub views_loaded: AtomicU64,
    /// Views answered from memory.
    pub views_cached: AtomicU64,
    /// Folds that failed and will be tried again.
    pub folds_failed: AtomicU64,
    /// Packs fetched from the bucket.
    pub packs_fetched: AtomicU64,
    /// Layers of histories made.
    pub history_layers: AtomicU64,
    /// Packs stored a second time, since a sweep was deleting what had their name.
    pub packs_stored_again: AtomicU64,
    /// Objects of packs that this node dropped since no ref reached them.
    pub dropped_objects: AtomicU64,
    /// Bytes of those packs.
    pub dropped_bytes: AtomicU64,
    /// Deleted repositories whose rows this node removed.
    pub swept_repositories: AtomicU64,
    /// Keys that this node deleted from the bucket in sweeps.
    pub swept_keys: AtomicU64,
    /// Bytes of them.
    pub swept_bytes: AtomicU64,
}

impl Stats {
    pub(crate) fn add(counter: &AtomicU64, value: u64) {
        counter.fetch_add(value, Ordering::Relaxed);
    }
}
