//! What `/metrics` tells of turns.

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The counters of all kinds of turns.
#[derive(Clone, Debug)]
pub(crate) struct TurnMetrics {
    pub(super) waiting: IntGaugeVec,
    pub(super) waits: HistogramVec,
    pub(super) refused: IntCounterVec,
}

impl TurnMetrics {
    /// Counters at zero, shown by `registry`.
    pub(crate) fn new(registry: &Registry) -> Result<TurnMetrics, prometheus::Error> {
        let metrics = TurnMetrics {
            waiting: IntGaugeVec::new(
                Opts::new(
                    "packhouse_turns_waiting",
                    "Requests that wait for their turn",
                ),
                &["kind"],
            )?,
            waits: HistogramVec::new(
                HistogramOpts::new(
                    "packhouse_turn_wait_seconds",
                    "Time that requests waited for their turn",
                )
                .buckets(vec![0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 20.0]),
                &["kind"],
            )?,
            refused: IntCounterVec::new(
                Opts::new(
                    "packhouse_turns_refused_total",
                    "Requests that got no turn: the queue was full, of their organisation or of all, or none came in time",
                ),
                &["kind", "why"],
            )?,
        };
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.waits.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        Ok(metrics)
    }
}
