//! What `/metrics` tells of SSH.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// Upper bounds of the buckets of run times, in seconds.
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0];

/// Counters of one server's SSH. Clones are the same counters.
#[derive(Clone, Debug)]
pub(crate) struct SshMetrics {
    /// Open connections.
    pub(super) connections: IntGauge,
    /// Bytes from clients, as they came through the network.
    pub(super) received: IntCounter,
    /// Bytes to clients.
    pub(super) sent: IntCounter,
    logins: IntCounterVec,
    commands: IntCounterVec,
    durations: HistogramVec,
}

impl SshMetrics {
    /// Counters at zero, shown by `registry`.
    pub(crate) fn new(registry: &Registry) -> Result<SshMetrics, prometheus::Error> {
        let metrics = SshMetrics {
            connections: IntGauge::new("packhouse_ssh_connections", "Open SSH connections")?,
            received: IntCounter::new(
                "packhouse_ssh_received_bytes_total",
                "Bytes received over SSH",
            )?,
            sent: IntCounter::new("packhouse_ssh_sent_bytes_total", "Bytes sent over SSH")?,
            logins: IntCounterVec::new(
                Opts::new(
                    "packhouse_ssh_logins_total",
                    "SSH connections that logged in, and those that ended before",
                ),
                &["outcome"],
            )?,
            commands: IntCounterVec::new(
                Opts::new("packhouse_ssh_commands_total", "Commands run over SSH"),
                &["command", "outcome"],
            )?,
            durations: HistogramVec::new(
                HistogramOpts::new("packhouse_ssh_command_seconds", "Time that commands took")
                    .buckets(BUCKETS.to_vec()),
                &["command"],
            )?,
        };
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.received.clone()))?;
        registry.register(Box::new(metrics.sent.clone()))?;
        registry.register(Box::new(metrics.logins.clone()))?;
        registry.register(Box::new(metrics.commands.clone()))?;
        registry.register(Box::new(metrics.durations.clone()))?;
        Ok(metrics)
    }

    /// Counts a connection by how it got on: `accepted`, `refused`, or `crowded`.
    pub(super) fn login(&self, outcome: &str) {
        self.logins.with_label_values(&[outcome]).inc();
    }

    /// Counts one command.
    pub(super) fn ran(&self, command: &str, outcome: &str, took: Duration) {
        self.commands.with_label_values(&[command, outcome]).inc();
        self.durations
            .with_label_values(&[command])
            .observe(took.as_secs_f64());
    }
}
