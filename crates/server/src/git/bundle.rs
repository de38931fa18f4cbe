//! `GET clone.bundle`: what the repository had when it was repacked, in one file, for clones to begin with.
//!
//! Clients learn of it by the `bundle-uri` command, as a URL relative to the repository's own: so it is the host that the client
//! knows, with the same credentials. Whoever may fetch from the repository may have it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, RANGE, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use packhouse_api::ErrorCode;
use packhouse_repo::{Namespace, View};
use packhouse_wire::repository::source_of;
use packhouse_wire::{Bundle, CountCache, FetchOptions, Service, has_bundle, list_of_bundle};

use super::GitPath;
use crate::auth::Scope;
use crate::error::ApiError;
use crate::rest::conditions::{self, Outcome, Validators};
use crate::rest::range::{self, Asked};
use crate::state::AppState;
use crate::stream::written_by;
use crate::turns::Turn;

/// What the file is called below the repository: the name under which some clients look for one without being told.
pub(super) const NAME: &str = "clone.bundle";

/// How fetches over HTTP are answered: with the bundle, where there is one.
pub(super) fn fetch_options(view: &View) -> FetchOptions {
    FetchOptions {
        bundles: has_bundle(view.database()).then(|| list_of_bundle(NAME)),
        ..FetchOptions::default()
    }
}

/// Answers a request of somebody.
pub(super) async fn serve(
    state: AppState,
    path: GitPath,
    request: Request,
) -> Result<Response, ApiError> {
    let (caller, repository) =
        super::open(&state, &path, super::Asked::by(&request), Scope::GitRead, 1).await?;
    let turns = state.turns_of(Service::UploadPack);
    let turn = turns.take(&caller.turn_for()).await?;
    let view = repository.view().await?;
    send(request, view, path.namespace, state.counts.clone(), turn).await
}

/// Answers someone who may have it.
pub(super) async fn send(
    request: Request,
    view: Arc<View>,
    namespace: Namespace,
    counts: Arc<CountCache>,
    turn: Turn,
) -> Result<Response, ApiError> {
    let is_head = request.method() == Method::HEAD;
    if !is_head {
        super::expect_method(&request, Method::GET, "GET, HEAD")?;
    }
    let headers = request.into_parts().0.headers;
    let gone = EndOnDrop::default();
    let options = FetchOptions {
        counts: Some(counts),
        cancelled: gone.0.clone(),
        ..FetchOptions::default()
    };
    let source = source_of(view, namespace);
    let made = tokio::task::spawn_blocking(move || Bundle::of(&source, &options)).await?;
    drop(gone);
    let bundle = made
        .map_err(ApiError::from)?
        .ok_or_else(|| ApiError::new(ErrorCode::RouteNotFound, "the repository has no bundle"))?;
    answer(bundle, &headers, is_head, turn)
}

fn answer(
    bundle: Bundle,
    asked: &HeaderMap,
    is_head: bool,
    turn: Turn,
) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-git-bundle"),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    let Some((size, name)) = bundle.size_bytes().zip(bundle.name()) else {
        let body = match is_head {
            true => Body::empty(),
            false => written_by(move |out| {
                let _turn = turn;
                bundle.write(out, &()).map_err(io::Error::other)
            }),
        };
        return Ok((headers, body).into_response());
    };
    let etag = format!("\"{name}\"");
    let validators = Validators {
        etag: &etag,
        last_modified: None,
    };
    let value = |text: &str| HeaderValue::try_from(text).map_err(ApiError::internal);
    headers.insert(ETAG, value(&etag)?);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    match conditions::evaluate(asked, validators) {
        Outcome::Proceed => {}
        Outcome::NotModified => return Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        Outcome::Failed => {
            let message = "the bundle is not what `If-Match` expects";
            return Err(ApiError::new(ErrorCode::PreconditionFailed, message));
        }
    }
    let range = asked.get(RANGE).and_then(|range| range.to_str().ok());
    let range = range.filter(|_| conditions::range_applies(asked, validators));
    let (status, part) = match range::parse(range, size) {
        Asked::Whole => (StatusCode::OK, 0..size),
        Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Asked::Beyond => return Err(ApiError::range_not_satisfiable(size)),
    };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
        headers.insert(CONTENT_RANGE, value(&range)?);
    }
    let body = match is_head {
        true => Body::empty(),
        false => written_by(move |out| {
            let _turn = turn;
            let written = bundle.write_part(part, out, &());
            written.map_err(io::Error::other)
        }),
    };
    Ok((status, headers, body).into_response())
}

/// Ends the count of a request that is given up.
#[derive(Default)]
struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
