//! For those who run the server: is it alive, is it ready, what is it doing.

use std::time::Duration;

use axum::extract::State;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};

use packhouse_repo::{Hosted, is_read_only, is_storage_full};

use crate::error::chain;
use crate::jobs::render_counts;
use crate::state::AppState;

/// How long the catalog may take to answer a readiness probe.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process answers.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the process can do work, so the catalog answers, and there is room to write on the disks of this machine.
///
/// A database elsewhere that takes no writes leaves a server ready, and is only told: every other server is in the same
/// position, and if all of them were left out nobody could read either. What would write is answered with 503.
pub(crate) async fn readyz(State(state): State<AppState>) -> (StatusCode, &'static str) {
    match readiness(&state.hosted).await {
        Ok(how) => (StatusCode::OK, how),
        Err(why_not) => (StatusCode::SERVICE_UNAVAILABLE, why_not),
    }
}

/// How ready, or why not.
async fn readiness(hosted: &Hosted) -> Result<&'static str, &'static str> {
    let catalog = hosted.catalog();
    let told = |error: &dyn std::error::Error| tracing::warn!(error = chain(error), "not ready");
    match tokio::time::timeout(READY_WITHIN, catalog.ping()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            told(&error);
            return Err("the catalog fails\n");
        }
        Err(_) => return Err("the catalog does not answer\n"),
    }
    match tokio::time::timeout(READY_WITHIN, hosted.check_room()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            told(&error);
            return Err(match is_storage_full(&error) {
                true => "the disk is full\n",
                false => "the disk fails\n",
            });
        }
        Err(_) => return Err("the disk does not answer\n"),
    }
    match tokio::time::timeout(READY_WITHIN, catalog.check_writes()).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => {
            told(&error);
            match (is_storage_full(&error), is_read_only(&error)) {
                (true, _) => Ok("ready to read only: the database has no room\n"),
                (_, true) => Ok("ready to read only: the database takes no writes\n"),
                _ => Err("the catalog fails\n"),
            }
        }
        Err(_) => Err("the catalog does not answer\n"),
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
    let writes = state.hosted.catalog().check_writes();
    if let Ok(writes) = tokio::time::timeout(READY_WITHIN, writes).await {
        render_takes_writes(&mut text, writes.is_ok());
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}

/// Whether the database takes writes, as a gauge: a server that can only read is ready all the same.
fn render_takes_writes(text: &mut String, takes_writes: bool) {
    let name = "packhouse_catalog_takes_writes";
    let value = u8::from(takes_writes);
    text.push_str(&format!(
        "# HELP {name} Whether the catalog's database takes writes\n# TYPE {name} gauge\n{name} {value}\n"
    ));
}
