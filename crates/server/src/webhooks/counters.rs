//! What `/metrics` shows of webhooks.

use prometheus::{Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry};

/// Upper bounds of the buckets of delays, in seconds.
const DELAY_BUCKETS: [f64; 12] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86_400.0,
];

/// Counters of the deliveries of this node, and the state of all queues.
#[derive(Clone, Debug)]
pub(crate) struct WebhookCounters {
    attempts: IntCounterVec,
    /// Time from an event to its receipt.
    pub(super) delay: Histogram,
    /// Queues that have something to deliver.
    pub(super) queues: IntGauge,
    /// How long the queue waits that is due longest.
    pub(super) overdue_seconds: IntGauge,
}

/// What an attempt came to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    Delivered,
    Failed,
    GivenUp,
}

impl WebhookCounters {
    /// Counters at zero, shown by `registry`.
    pub(crate) fn new(registry: &Registry) -> Result<WebhookCounters, prometheus::Error> {
        let attempts = IntCounterVec::new(
            Opts::new(
                "packhouse_webhook_attempts_total",
                "Attempts to deliver an event; given_up ones were the last",
            ),
            &["outcome"],
        )?;
        let delay = Histogram::with_opts(
            HistogramOpts::new(
                "packhouse_webhook_delay_seconds",
                "Time from an event to its receipt",
            )
            .buckets(DELAY_BUCKETS.to_vec()),
        )?;
        let queues = IntGauge::new(
            "packhouse_webhook_queues",
            "Queues of all nodes that have something to deliver: one per webhook and repository",
        )?;
        let overdue_seconds = IntGauge::new(
            "packhouse_webhook_overdue_seconds",
            "How long the queue waits that is due longest",
        )?;
        registry.register(Box::new(attempts.clone()))?;
        registry.register(Box::new(delay.clone()))?;
        registry.register(Box::new(queues.clone()))?;
        registry.register(Box::new(overdue_seconds.clone()))?;
        let counters = WebhookCounters {
            attempts,
            delay,
            queues,
            overdue_seconds,
        };
        for outcome in [Outcome::Delivered, Outcome::Failed, Outcome::GivenUp] {
            counters.attempts(outcome).reset();
        }
        Ok(counters)
    }

    pub(super) fn attempted(&self, outcome: Outcome) {
        self.attempts(outcome).inc();
    }

    fn attempts(&self, outcome: Outcome) -> prometheus::IntCounter {
        self.attempts.with_label_values(&[match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Failed => "failed",
            Outcome::GivenUp => "given_up",
        }])
    }
}
