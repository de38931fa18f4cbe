//! What `/metrics` shows, in the text format of Prometheus.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use packhouse_repo::Hosted;
use packhouse_repo::hosted::{BUCKETS_SECONDS, Histogram, OpenNow, Stats};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};

use crate::jobs::JobMetrics;
use crate::rate::{Limited, TooMany};
use crate::ssh::SshMetrics;
use crate::turns::TurnMetrics;
use crate::webhooks::WebhookCounters;

/// Upper bounds of the buckets of request durations, in seconds.
const REQUEST_BUCKETS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0,
];

/// Counters of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    /// Bytes of request bodies.
    pub bytes_in: IntCounter,
    /// Bytes of response bodies.
    pub bytes_out: IntCounter,
    /// Open connections.
    pub connections: IntGauge,
    rate_limited: IntCounterVec,
    jobs: JobMetrics,
    ssh: SshMetrics,
    turns: TurnMetrics,
    /// Deliveries.
    pub(crate) webhooks: WebhookCounters,
}

impl Metrics {
    /// Counters at zero.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("packhouse_http_requests_total", "Requests answered"),
            &["route", "method", "status"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "packhouse_http_request_seconds",
                "Time until the head of the answer",
            )
            .buckets(REQUEST_BUCKETS.to_vec()),
            &["route"],
        )?;
        let bytes_in = IntCounter::new(
            "packhouse_http_request_bytes_total",
            "Bytes of request bodies",
        )?;
        let bytes_out = IntCounter::new(
            "packhouse_http_response_bytes_total",
            "Bytes of response bodies",
        )?;
        let connections = IntGauge::new("packhouse_http_connections", "Open connections")?;
        let rate_limited = IntCounterVec::new(
            Opts::new(
                "packhouse_rate_limited_total",
                "Requests refused by a rate limit",
            ),
            &["limit"],
        )?;
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        registry.register(Box::new(bytes_in.clone()))?;
        registry.register(Box::new(bytes_out.clone()))?;
        registry.register(Box::new(connections.clone()))?;
        registry.register(Box::new(rate_limited.clone()))?;
        let jobs = JobMetrics::new(&registry)?;
        let ssh = SshMetrics::new(&registry)?;
        let turns = TurnMetrics::new(&registry)?;
        let webhooks = WebhookCounters::new(&registry)?;
        Ok(Metrics {
            webhooks,
            registry,
            requests,
            durations,
            bytes_in,
            bytes_out,
            connections,
            rate_limited,
            jobs,
            ssh,
            turns,
        })
    }

    /// Counters of jobs.
    pub(crate) fn jobs(&self) -> &JobMetrics {
        &self.jobs
    }

    /// Counters of turns.
    pub(crate) fn turns(&self) -> &TurnMetrics {
        &self.turns
    }

    /// Counters of SSH.
    pub(crate) fn ssh(&self) -> &SshMetrics {
        &self.ssh
    }

    /// Counts one request that a rate limit refused.
    pub(crate) fn rate_limited(&self, refused: &TooMany) {
        let limit = match refused.limit {
            Limited::Org(_) => "org",
            Limited::Repo(_) => "repo",
        };
        self.rate_limited.with_label_values(&[limit]).inc();
    }

    /// Counts one answered request.
    pub fn answered(&self, route: &str, method: &str, status: &str, took: Duration) {
        self.requests
            .with_label_values(&[route, method, status])
            .inc();
        self.durations
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }

    /// Everything, with what the storage engine counts and how much heavy work of each kind is under way.
    pub(crate) fn render(&self, hosted: &Hosted, under_way: &[(&str, usize)]) -> String {
        let mut text = Vec::new();
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "could not encode metrics");
        }
        let mut text = String::from_utf8_lossy(&text).into_owned();
        render_engine(&mut text, hosted.stats());
        render_open(&mut text, hosted.open_now());
        let name = "packhouse_under_way";
        let _ = write!(
            text,
            "# HELP {name} Requests of the kinds that take turns\n# TYPE {name} gauge\n"
        );
        for (kind, count) in under_way {
            let _ = writeln!(text, "{name}{{kind=\"{kind}\"}} {count}");
        }
        text
    }
}

fn render_engine(text: &mut String, engine: &Stats) {
    histogram(
        text,
        "packhouse_publish_seconds",
        "Time from a write being queued to being durable",
        &engine.publish,
    );
    histogram(
        text,
        "packhouse_fold_seconds",
        "Time to fold a tail into a pack",
        &engine.fold,
    );
    for (name, help, value) in [
        (
            "packhouse_published_total",
            "Writes made visible",
            &engine.published,
        ),
        (
            "packhouse_publish_groups_total",
            "Groups that writes were committed in",
            &engine.groups,
        ),
        (
            "packhouse_publish_conflicts_total",
            "Groups prepared again because another node was faster",
            &engine.conflicts,
        ),
        (
            "packhouse_tail_bytes_total",
            "Bytes put into tail rows",
            &engine.tail_bytes,
        ),
        ("packhouse_packs_total", "Packs made visible", &engine.packs),
        (
            "packhouse_packs_fetched_total",
            "Packs fetched from the bucket",
            &engine.packs_fetched,
        ),
        (
            "packhouse_history_layers_total",
            "Layers of the indexes of histories made",
            &engine.history_layers,
        ),
        (
            "packhouse_packs_stored_again_total",
            "Packs stored a second time, since a sweep was deleting what had their name",
            &engine.packs_stored_again,
        ),
        (
            "packhouse_dropped_objects_total",
            "Objects of packs that were dropped since no ref reached them",
            &engine.dropped_objects,
        ),
        (
            "packhouse_dropped_bytes_total",
            "Bytes of those packs",
            &engine.dropped_bytes,
        ),
        (
            "packhouse_swept_repositories_total",
            "Deleted repositories whose rows were removed",
            &engine.swept_repositories,
        ),
        (
            "packhouse_swept_keys_total",
            "Keys deleted from the bucket in sweeps",
            &engine.swept_keys,
        ),
        (
            "packhouse_swept_bytes_total",
            "Bytes deleted from the bucket in sweeps",
            &engine.swept_bytes,
        ),
        (
            "packhouse_views_loaded_total",
            "Views loaded from the catalog",
            &engine.views_loaded,
        ),
        (
            "packhouse_views_cached_total",
            "Views answered from memory",
            &engine.views_cached,
        ),
        (
            "packhouse_folds_failed_total",
            "Folds that failed and will be tried again",
            &engine.folds_failed,
        ),
    ] {
        let value = value.load(Ordering::Relaxed);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}\n"
        );
    }
}

fn render_open(text: &mut String, open: OpenNow) {
    for (name, help, value) in [
        (
            "packhouse_open_repositories",
            "Repositories in this node's memory",
            open.repositories,
        ),
        (
            "packhouse_open_tail_rows",
            "Tail rows of the open repositories",
            open.tail_rows,
        ),
        (
            "packhouse_open_packs",
            "Packs of the open repositories",
            open.packs,
        ),
    ] {
        let _ = write!(
            text,
            "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"
        );
    }
}

fn histogram(text: &mut String, name: &str, help: &str, values: &Histogram) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} histogram\n");
    let mut total = 0;
    let counts = values.counts();
    for (bound, count) in BUCKETS_SECONDS.iter().zip(counts) {
        total += count;
        let _ = writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {total}");
    }
    total += counts.last().copied().unwrap_or_default();
    let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {total}");
    let _ = writeln!(
        text,
        "{name}_sum {}\n{name}_count {total}",
        values.sum_seconds()
    );
}
