//! Git's smart HTTP protocol: finds the repository, checks the caller, and lets `wire` talk.
//!
//! Answers and refusals are those of `git http-backend`, so that every `git` shows them to a person as it should.

mod advertise;
mod bundle;
mod inflate;
mod lfs;
mod path;
mod rpc;
mod single;

pub(crate) use inflate::{Encoding, Limited};
pub(crate) use lfs::refusal as lfs_refusal;
pub(crate) use path::{Endpoint, GitPath};
pub(crate) use rpc::{ended, receive_limits};
pub use single::{GitAccess, git_router};

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CACHE_CONTROL, EXPIRES, PRAGMA};
use http::{HeaderMap, HeaderValue, Method};
use packhouse_api::ErrorCode;
use packhouse_catalog::Origin;
use packhouse_repo::Repository;
use packhouse_wire::{Service, Version};

use crate::auth::{Caller, LfsTokens, Scope, token};
use crate::error::ApiError;
use crate::state::AppState;

/// What a person reads whose `git` sent no token.
const NO_TOKEN: &str =
    "a token is needed; it is the password of the URL: https://t:TOKEN@HOST/REPOSITORY.git";

/// Requests that come of one `info/refs`, itself included: a clone asks for the refs and then for objects, a large push
/// probes before it sends. A client that is admitted there is not cut off in the middle, where `git` would show a
/// status and no reason.
const EXCHANGE: u32 = 3;

/// How the metrics call a request for `path`, which may be no path of Git's.
pub(crate) fn route_label(path: &str) -> &'static str {
    match GitPath::parse(path).map(|path| path.endpoint) {
        Some(Endpoint::InfoRefs) => "git info/refs",
        Some(Endpoint::Rpc(Service::UploadPack)) => "git upload-pack",
        Some(Endpoint::Rpc(Service::ReceivePack)) => "git receive-pack",
        Some(Endpoint::Bundle) => "git clone.bundle",
        Some(Endpoint::Lfs) => "lfs",
        Some(Endpoint::Other) => "git other",
        None => "none",
    }
}

/// Marks an answer as one that no cache may keep, in the words of `git http-backend`.
pub(crate) fn forbid_caching(headers: &mut HeaderMap) {
    headers.insert(
        EXPIRES,
        HeaderValue::from_static("Fri, 01 Jan 1980 00:00:00 GMT"),
    );
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-cache, max-age=0, must-revalidate"),
    );
}

/// Answers a request for one of Git's paths.
pub(crate) async fn serve(state: AppState, path: GitPath, request: Request) -> Response {
    let answered = match path.endpoint {
        Endpoint::InfoRefs => advertise::serve(state, path, request).await,
        Endpoint::Rpc(service) => rpc::serve(state, path, service, request).await,
        Endpoint::Bundle => bundle::serve(state, path, request).await,
        Endpoint::Lfs => return lfs::serve(state, path, request).await,
        Endpoint::Other => other(state, path, request).await,
    };
    answered.unwrap_or_else(ApiError::into_git_response)
}

/// Files of the dumb protocol, and whatever else may be asked for below a repository. The caller learns that it
/// is not there only when it may know that the repository is.
async fn other(state: AppState, path: GitPath, request: Request) -> Result<Response, ApiError> {
    open(&state, &path, Asked::by(&request), Scope::GitRead, 1).await?;
    Err(ApiError::new(
        ErrorCode::RouteNotFound,
        "no such path in a repository",
    ))
}

fn expect_method(request: &Request, method: Method, allow: &'static str) -> Result<(), ApiError> {
    if request.method() == method {
        Ok(())
    } else {
        Err(ApiError::method_not_allowed(allow))
    }
}

fn version(headers: &HeaderMap) -> Version {
    Version::from_header(
        headers
            .get("git-protocol")
            .and_then(|value| value.to_str().ok()),
    )
}

pub(crate) fn scope_of(service: Service) -> Scope {
    match service {
        Service::UploadPack => Scope::GitRead,
        Service::ReceivePack => Scope::GitWrite,
    }
}

/// What of a request says who sent it.
struct Asked<'r> {
    headers: &'r HeaderMap,
    origin: Option<Arc<Origin>>,
}

impl Asked<'_> {
    fn by(request: &Request) -> Asked<'_> {
        Asked {
            headers: request.headers(),
            origin: request.extensions().get::<Arc<Origin>>().cloned(),
        }
    }
}

/// The repository at `path` and who asks for it, if they may use it for `scope` and the rate limits have room for `ahead`
/// requests.
async fn open(
    state: &AppState,
    path: &GitPath,
    asked: Asked<'_>,
    scope: Scope,
    ahead: u32,
) -> Result<(Caller, Repository), ApiError> {
    let Asked { headers, origin } = asked;
    let token = token(headers).ok_or_else(|| ApiError::new(ErrorCode::Unauthorized, NO_TOKEN))?;
    let caller = match path.endpoint {
        Endpoint::Lfs if LfsTokens::is_one(&token) => state.lfs_tokens.verify(&token).await?,
        _ => state.authenticate_token(&token).await?,
    };
    let caller = caller.sent_from(origin);
    let repository = open_for(state, &caller, path, scope, ahead).await?;
    Ok((caller, repository))
}

/// Why somebody may not use a repository.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// They may use another one.
    AnotherRepo,
    /// The request was refused for what it is, or there is no such repository.
    Refused(ApiError),
}

impl From<ApiError> for OpenError {
    fn from(error: ApiError) -> OpenError {
        OpenError::Refused(error)
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> ApiError {
        match error {
            OpenError::AnotherRepo => {
                ApiError::new(ErrorCode::Forbidden, "the token is for another repository")
            }
            OpenError::Refused(error) => error,
        }
    }
}

/// The repository at `path`, if `caller` may use it for `scope` and the rate limits have room for `ahead` requests.
/// Whoever speaks Git's protocol passes here, over HTTP and over SSH.
pub(crate) async fn open_for(
    state: &AppState,
    caller: &Caller,
    path: &GitPath,
    scope: Scope,
    ahead: u32,
) -> Result<Repository, OpenError> {
    state.admit(caller, ahead)?;
    // A token is for one repository, and the URL has to name that one.
    if !path.names(caller.issuer(), caller.repo()?) {
        return Err(OpenError::AnotherRepo);
    }
    if path.is_import && scope == Scope::GitRead {
        return Err(ApiError::new(ErrorCode::Forbidden, "this URL takes pushes only").into());
    }
    Ok(state.open(caller, scope).await?)
}

/// An answer of Git's protocol.
fn answer(content_type: String, body: Body) -> Result<Response, ApiError> {
    let mut response = Response::new(body);
    forbid_caching(response.headers_mut());
    let content_type = HeaderValue::try_from(content_type).map_err(ApiError::internal)?;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, content_type);
    Ok(response)
}
