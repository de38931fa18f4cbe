//! For those who run the server: is it alive, is it ready, what is it doing.

use std::time::Duration;

use axum::extract::State;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};

use crate::jobs::render_counts;
use crate::state::AppState;

/// How long the catalog may take to answer a readiness probe.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the process can do work, so the catalog answers.
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    match tokio::time::timeout(READY_WITHIN, state.hosted.catalog().ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the catalog fails\n")
        }
        Err(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the catalog does not answer\n",
        ),
    }
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
