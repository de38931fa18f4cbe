//! The paths of Git LFS below a repository. No large files are stored: a client learns so in LFS's own terms, once it has
//! shown that it may know of the repository.
//!
//! The API is that of the [LFS specification](https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md).

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use packhouse_api::{ErrorBody, ErrorCode};

use super::{Asked, GitPath, open};
use crate::auth::Scope;
use crate::error::ApiError;
use crate::state::AppState;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.git-lfs+json");

/// As `WWW-Authenticate`, for clients in which that opens a window.
const LFS_AUTHENTICATE: HeaderName = HeaderName::from_static("lfs-authenticate");

/// What somebody reads who wants to store or get a large file.
const NOT_STORED: &str = "this server stores no files for Git LFS; commit them without LFS, or set `lfs.url` to a server that does";

/// Answers a request for a path of LFS.
pub(super) async fn serve(state: AppState, path: GitPath, request: Request) -> Response {
    match open(&state, &path, Asked::by(&request), Scope::GitRead, 1).await {
        Ok(_) => refusal(ApiError::new(ErrorCode::NotSupported, NOT_STORED)),
        Err(error) => refusal(error),
    }
}

/// The error as a client of LFS reads it.
pub(crate) fn refusal(error: ApiError) -> Response {
    let told = Json(ErrorBody::new(error.code(), error.message())).into_response();
    let mut response = error.into_git_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, MEDIA_TYPE);
    if let Some(challenge) = headers.get(http::header::WWW_AUTHENTICATE).cloned() {
        headers.insert(LFS_AUTHENTICATE, challenge);
    }
    *response.body_mut() = told.into_body();
    response
}
