//! What a proxy counts, in the text format of Prometheus.

use prometheus::{Encoder, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use super::answer::Outcome;

/// Counters of one proxy.
#[derive(Debug)]
pub(super) struct ProxyMetrics {
    registry: Registry,
    requests: IntCounterVec,
    fetches: IntCounter,
}

impl ProxyMetrics {
    pub(super) fn new() -> Result<ProxyMetrics, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "packhouse_cache_requests_total",
                "Requests answered, by what is asked and where the answer comes from",
            ),
            &["route", "outcome"],
        )?;
        let fetches = IntCounter::new(
            "packhouse_cache_fetches_total",
            "Answers for which objects were fetched from an upstream",
        )?;
        let registry = Registry::new();
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(fetches.clone()))?;
        Ok(ProxyMetrics {
            registry,
            requests,
            fetches,
        })
    }

    pub(super) fn answered(&self, route: &str, outcome: Outcome) {
        self.requests
            .with_label_values(&[route, outcome.as_str()])
            .inc();
    }

    pub(super) fn fetched(&self) {
        self.fetches.inc();
    }

    pub(super) fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}
