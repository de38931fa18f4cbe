//! `/events`: events as they happen, as server-sent events (HTML, section 9.2).

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use packhouse_api::{ErrorBody, ErrorCode, EventsQuery};
use packhouse_catalog::{Catalog, CatalogError, Event, OrgId, Position, RepoId};
use tokio::sync::Notify;

use super::input::Query;
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::events::{format_id, message, parse_id};
use crate::state::AppState;
use crate::turns::Turn;

/// Events read at a time: what a slow reader makes wait.
const PAGE: u32 = 100;

/// How often the catalog is looked at for what other servers committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often it is looked at after a change was told, until what changed is there. What is committed may be in its final
/// place only when older transactions have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// How often as that at most.
const LOOKS_AGAIN: u32 = 10;

/// Silence after which the reader is told that the connection is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Names of repositories that one stream remembers.
const MAX_NAMES: usize = 1000;

/// Streams events of the repository that the token names, or of all of its organisation, as server-sent events.
///
/// The stream ends with the token, and about a second after its key was revoked or the repository deleted.
#[utoipa::path(
    get, path = "/api/v1/events", operation_id = "stream_events", tag = "webhooks", params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was received; goes before `after`."),
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(crate) async fn stream(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let repo = scope_of(&state, &caller).await?;
    let turn = state.event_streams.take(&caller.turn_for()).await?;
    let catalog = state.hosted.catalog().clone();
    let after = match asked_start(&headers, &query)? {
        Some(after) if after.tick > 0 && repo.is_some_and(|repo| repo != after.repo) => {
            let message = "the event to go on after is one of another repository";
            return Err(ApiError::invalid(message));
        }
        Some(after) => after,
        None => end_of(&catalog, caller.org(), repo).await?,
    };
    let reader = Reader {
        changed: state.wakes.of(caller.org(), repo),
        catalog,
        repo,
        after,
        names: HashMap::new(),
        is_new: true,
        is_gone: false,
        state,
        caller,
        _turn: turn,
    };
    let pieces = futures::stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((piece.map_err(axum::Error::new), reader))
    });
    let mut response = Body::from_stream(pieces.boxed()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that gather answers would keep events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The repository whose events the caller may read; `None`: those of the whole organisation.
async fn scope_of(state: &AppState, caller: &Caller) -> Result<Option<RepoId>, ApiError> {
    if caller.is_for_org() && caller.may(Scope::OrgRead) {
        return Ok(None);
    }
    caller.need(Scope::GitRead)?;
    let name = caller.repo()?;
    let found = state.hosted.catalog().repo(caller.org(), name).await?;
    let row = found.ok_or_else(|| {
        let message = format!("repository `{name}` not found");
        ApiError::new(ErrorCode::RepositoryNotFound, message)
    })?;
    Ok(Some(row.id))
}

fn asked_start(headers: &HeaderMap, query: &EventsQuery) -> Result<Option<Position>, ApiError> {
    let header = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .filter(|id| !id.is_empty());
    let Some(id) = header.or(query.after.as_deref()) else {
        return Ok(None);
    };
    let position = parse_id(id.trim());
    let message = "`after` or `Last-Event-ID` is not the id of an event";
    position.map(Some).ok_or_else(|| ApiError::invalid(message))
}

/// A position after everything there is.
async fn end_of(catalog: &Catalog, org: OrgId, repo: Option<RepoId>) -> Result<Position, ApiError> {
    let end = catalog.org_events_end(org).await?;
    let Some(repo) = repo else {
        return Ok(end);
    };
    let row = catalog.repo_by_id(repo).await?;
    let generation = row.map_or(0, |row| row.generation);
    Ok(Position {
        repo,
        generation,
        ..end
    })
}

/// One stream. It reads only when its client has taken what was read before.
struct Reader {
    state: AppState,
    caller: Caller,
    catalog: Catalog,
    repo: Option<RepoId>,
    after: Position,
    names: HashMap<RepoId, String>,
    changed: Arc<Notify>,
    is_new: bool,
    /// The repository was found deleted: what has happened to it until then is the end.
    is_gone: bool,
    _turn: Turn,
}

impl Reader {
    /// The next piece of the stream; `None`: the server stops, the repository is deleted, or the token counts no longer.
    async fn next(&mut self) -> Option<Result<Bytes, CatalogError>> {
        if std::mem::take(&mut self.is_new) {
            // Where it starts, so that a client that comes back before the first event misses none.
            let id = format_id(self.after);
            return Some(Ok(Bytes::from(format!("retry: 1000\nid: {id}\n\n"))));
        }
        let silent_until = tokio::time::Instant::now() + KEEP_ALIVE;
        let mut looks_again = 0;
        loop {
            let changed = self.changed.clone();
            let mut changed = std::pin::pin!(changed.notified());
            // From here on no change is missed, also while the catalog is read.
            changed.as_mut().enable();
            if self.state.stopping.is_cancelled() {
                return None;
            }
            let read = self.read().await;
            // After reading: nothing is sent that happened when the token did not count any more.
            let time_left = match self.state.time_left(&self.caller).await {
                Ok(time_left) => time_left?,
                Err(error) => return Some(Err(error)),
            };
            match read {
                Ok(text) if text.is_empty() => {}
                read => return Some(read.map(Bytes::from)),
            }
            if self.is_gone {
                return None;
            }
            if looks_again == 0 {
                match self.find_gone().await {
                    Ok(false) => {}
                    // It may have been deleted, which is an event, after the events were read.
                    Ok(true) => continue,
                    Err(error) => return Some(Err(error)),
                }
            }
            let pause = if looks_again > 0 {
                LOOK_AGAIN
            } else {
                LOOK_EVERY
            };
            tokio::select! {
                () = self.state.stopping.cancelled() => return None,
                () = tokio::time::sleep(time_left) => return None,
                () = changed => looks_again = LOOKS_AGAIN,
                () = tokio::time::sleep(pause) => looks_again = looks_again.saturating_sub(1),
                () = tokio::time::sleep_until(silent_until) => {
                    return Some(Ok(Bytes::from_static(b": alive\n\n")));
                }
            }
        }
    }

    /// Looks whether the repository that is followed was deleted, and says so.
    async fn find_gone(&mut self) -> Result<bool, CatalogError> {
        if let (Some(repo), Ok(name)) = (self.repo, self.caller.repo()) {
            let found = self.catalog.repo(self.caller.org(), name).await?;
            self.is_gone = found.is_none_or(|row| row.id != repo);
        }
        Ok(self.is_gone)
    }

    /// A page of events as text; empty if there is none.
    async fn read(&mut self) -> Result<String, CatalogError> {
        let events = match self.repo {
            Some(repo) => {
                let after = (self.after.generation, self.after.ordinal);
                self.catalog.repo_events(repo, after, PAGE).await?
            }
            None => {
                let org = self.caller.org();
                self.catalog.org_events(org, self.after, PAGE).await?
            }
        };
        let mut text = String::new();
        for event in events {
            let name = self.name(&event).await?;
            let message = message(&event, &name, self.caller.issuer());
            self.after = event.position;
            // A body is one line: JSON escapes line ends.
            let _ = write!(
                text,
                "id: {}\nevent: {}\ndata: {}\n\n",
                format_id(event.position),
                message.kind,
                message.body
            );
        }
        Ok(text)
    }

    async fn name(&mut self, event: &Event) -> Result<String, CatalogError> {
        let repo = event.position.repo;
        if let Some(name) = self.names.get(&repo) {
            return Ok(name.clone());
        }
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        let names = self.catalog.repo_names(repo).await?;
        let (_, name) = names.unwrap_or_default();
        self.names.insert(repo, name.clone());
        Ok(name)
    }
}
