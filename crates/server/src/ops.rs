//! For those who run the server: is it alive, is it ready, what is it doing.

use std::time::Duration;

use axum::extract::State;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};

use packhouse_repo::is_storage_full;

use crate::error::chain;
use crate::jobs::render_counts;
use crate::state::AppState;

/// How long the catalog may take to answer a readiness probe.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the process can do work, so the catalog answers, and there is room to write.
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    let hosted = &state.hosted;
    let why_not = match tokio::time::timeout(READY_WITHIN, hosted.catalog().ping()).await {
        Ok(Ok(())) => match tokio::time::timeout(READY_WITHIN, hosted.check_room()).await {
            Ok(Ok(())) => return (StatusCode::OK, "ready\n"),
            Ok(Err(error)) => {
                let why_not = match is_storage_full(&error) {
                    true => "the disk is full\n",
                    false => "the disk fails\n",
                };
                tracing::warn!(error = chain(&error), "not ready");
                why_not
            }
            Err(_) => "the disk does not answer\n",
        },
        Ok(Err(error)) => {
            tracing::warn!(error = chain(&error), "not ready");
            "the catalog fails\n"
        }
        Err(_) => "the catalog does not answer\n",
    };
    (StatusCode::SERVICE_UNAVAILABLE, why_not)
}

/// `GET /metrics`.
pub(crate) async fn metrics(
    State(state): State<AppState>,
) -> ([(HeaderName, &'static str); 1], String) {
    let mut text = state.metrics.render(&state.hosted, &state.under_way());
    // Everything else is worth showing when the catalog fails, too.
    let counts = state.hosted.catalog().count_jobs();
    if let Ok(Ok(counts)) = tokio::time::timeout(READY_WITHIN, counts).await {
        render_counts(&mut text, &counts);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
