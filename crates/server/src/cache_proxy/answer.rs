//! Answers, and what they say of where they come from.

use axum::body::Body;
use axum::response::Response;
use futures::TryStreamExt;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, EXPIRES, LOCATION, PRAGMA, RETRY_AFTER, WARNING, WWW_AUTHENTICATE,
};
use http::{HeaderName, HeaderValue, StatusCode};
use packhouse_api::ErrorCode;
use packhouse_client::cache::ServedCopy;

use super::path::Target;
use crate::error::ApiError;
use crate::git::{forbid_caching, lfs_refusal};

/// Says where an answer comes from.
const CACHE: HeaderName = HeaderName::from_static("x-packhouse-cache");

/// What of an upstream's answer is passed on.
const PASSED_ON: [HeaderName; 7] = [
    CONTENT_TYPE,
    WWW_AUTHENTICATE,
    RETRY_AFTER,
    CACHE_CONTROL,
    EXPIRES,
    PRAGMA,
    WARNING,
];

/// Where an answer comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// From here, and nothing had to be fetched.
    Hit,
    /// From here, after objects were fetched.
    Miss,
    /// From the upstream, as it came.
    Relayed,
    /// From here, while the upstream cannot be reached.
    Stale,
    /// Nowhere: it is refused.
    Refused,
}

impl Outcome {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Miss => "miss",
            Outcome::Relayed => "relayed",
            Outcome::Stale => "stale",
            Outcome::Refused => "refused",
        }
    }

    /// Marks an answer.
    pub(super) fn mark(self, mut response: Response) -> Response {
        let value = HeaderValue::from_static(self.as_str());
        response.headers_mut().insert(CACHE, value);
        response
    }
}

/// An answer of Git's protocol from here.
pub(super) fn from_here(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    forbid_caching(response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Says how old an answer is that the upstream could not be asked for.
pub(super) fn warn(response: &mut Response, copy: &ServedCopy) {
    let text = format!(
        "110 packhouse \"the upstream cannot be reached; this is what it had at {}\"",
        copy.asked_at()
    );
    if let Ok(value) = HeaderValue::try_from(text) {
        response.headers_mut().insert(WARNING, value);
    }
}

/// Why an upstream gives no answer of use.
pub(super) enum Unreachable {
    /// It is not there, or does not answer in time.
    Silent(String, StatusCode),
    /// It says that it does not work.
    Failing(reqwest::Response),
}

/// What a caller reads for whom there is nothing while the upstream gives no answer of use.
pub(super) fn unreachable(target: &Target, why: &Unreachable) -> Response {
    let (status, what, after) = match why {
        Unreachable::Silent(_, status) => (*status, "cannot be reached".to_owned(), None),
        Unreachable::Failing(answer) => {
            let status = answer.status();
            // As this server itself works.
            let as_gateway = match status {
                StatusCode::INTERNAL_SERVER_ERROR => StatusCode::BAD_GATEWAY,
                status => status,
            };
            let what = format!("answers with HTTP status {}", status.as_u16());
            (as_gateway, what, answer.headers().get(RETRY_AFTER).cloned())
        }
    };
    let words = format!(
        "{} {what}, and there is no copy that this caller is known to be allowed to read",
        target.url
    );
    let mut response = ApiError::new(ErrorCode::Unavailable, words).into_git_response();
    *response.status_mut() = status;
    if let Some(after) = after {
        response.headers_mut().insert(RETRY_AFTER, after);
    }
    response
}

/// An upstream's answer, as it comes.
pub(super) fn relayed(answer: reqwest::Response) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    for name in PASSED_ON {
        for value in answer.headers().get_all(&name) {
            response.headers_mut().append(&name, value.clone());
        }
    }
    let pieces = answer
        .bytes_stream()
        .map_err(|error| std::io::Error::other(error.without_url()));
    *response.body_mut() = Body::from_stream(pieces);
    response
}

/// Where the upstream sends the caller, as a place here: its credentials are for this upstream and no other.
pub(super) fn redirected(
    target: &Target,
    answer: &reqwest::Response,
) -> Result<Response, ApiError> {
    let place = answer.headers().get(LOCATION);
    let place = place.and_then(|place| place.to_str().ok());
    let next = place.and_then(|place| answer.url().join(place).ok());
    let here = next.as_ref().and_then(|next| target.path_here(next));
    let Some(value) = here.and_then(|here| HeaderValue::try_from(here).ok()) else {
        let there = match next {
            Some(mut next) => {
                let _ = next.set_username("");
                let _ = next.set_password(None);
                next.set_query(None);
                next.to_string()
            }
            None => "a place that is no URL".to_owned(),
        };
        return Err(ApiError::new(
            ErrorCode::NotSupported,
            format!(
                "{} sends its callers to {there}; use that URL, as credentials for one host are not for another",
                target.url
            ),
        ));
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    response.headers_mut().insert(LOCATION, value);
    Ok(response)
}

/// What a client of Git LFS reads.
pub(super) fn no_large_files(target: &Target) -> Response {
    let error = ApiError::new(
        ErrorCode::NotSupported,
        format!(
            "files of Git LFS are not cached here; run: git config lfs.url {}/info/lfs",
            target.url
        ),
    );
    lfs_refusal(error)
}
