//! What `/metrics` tells of jobs.

use std::fmt::Write as _;
use std::time::Duration;

use packhouse_catalog::JobState;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Upper bounds of the buckets of run times, in seconds.
const BUCKETS: [f64; 10] = [
    0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0,
];

/// Counters of one server's jobs. Clones are the same counters.
#[derive(Clone, Debug)]
pub struct JobMetrics {
    runs: IntCounterVec,
    durations: HistogramVec,
}

impl JobMetrics {
    /// Counters at zero, shown by `registry`.
    pub fn new(registry: &Registry) -> Result<JobMetrics, prometheus::Error> {
        let runs = IntCounterVec::new(
            Opts::new("packhouse_job_runs_total", "Runs of jobs that ended"),
            &["kind", "outcome"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new("packhouse_job_seconds", "Time that runs of jobs took")
                .buckets(BUCKETS.to_vec()),
            &["kind"],
        )?;
        registry.register(Box::new(runs.clone()))?;
        registry.register(Box::new(durations.clone()))?;
        Ok(JobMetrics { runs, durations })
    }

    pub(super) fn ended(&self, kind: &str, outcome: &str, took: Duration) {
        self.runs.with_label_values(&[kind, outcome]).inc();
        self.durations
            .with_label_values(&[kind])
            .observe(took.as_secs_f64());
    }
}

/// How many jobs of each kind there are, as a gauge.
pub(crate) fn render_counts(text: &mut String, counts: &[(String, JobState, i64)]) {
    let name = "packhouse_jobs";
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "# HELP {name} Jobs that wait or run, on all nodes\n# TYPE {name} gauge\n"
    );
    for (kind, state, count) in counts {
        let state = state.as_str();
        let _ = writeln!(text, "{name}{{kind=\"{kind}\",state=\"{state}\"}} {count}");
    }
}
