//! What a request says, with errors in the API's own shape.

use axum::body::Body;
use axum::extract::FromRequestParts;
use bytes::Bytes;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use packhouse_api::ErrorCode;
use packhouse_object::{ObjectId, RefName, RepoPath};
use packhouse_repo::Namespace;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::body::BodyError;
use crate::error::ApiError;
use crate::rest::json_object::expect_object;
use crate::rest::{json_fields, query_fields};

/// The query of a request.
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query<T>, ApiError> {
        // What is not UTF-8 would be read as something else, and another file be found.
        let given = parts.uri.query().unwrap_or_default();
        if percent_decode_str(given).decode_utf8().is_err() {
            return Err(ApiError::invalid(
                "the query is not valid: its percent-encoding is not UTF-8; names that are not UTF-8 cannot be asked for",
            ));
        }
        query_fields::read(&parts.uri).map(Query)
    }
}

/// The whole body, `limit` bytes at most.
pub(super) async fn read_body(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
            ErrorCode::TooLarge,
            format!("the body has more than {limit} bytes"),
        )),
        Err(error) => Err(body_error(error.as_ref())),
    }
}

/// The failure to report when a body does not arrive.
pub(super) fn body_error(error: &(dyn std::error::Error + 'static)) -> ApiError {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<BodyError>() {
            Some(slow @ BodyError::Slow) => {
                return ApiError::new(ErrorCode::Timeout, slow.to_string());
            }
            Some(broken) => return ApiError::invalid(broken.to_string()),
            None => cause = error.source(),
        }
    }
    ApiError::invalid("the request body broke off")
}

/// The JSON object of a body.
pub(super) async fn read_json<T: DeserializeOwned>(
    body: Body,
    limit: usize,
) -> Result<T, ApiError> {
    parse_json(&read_body(body, limit).await?)
}

/// The JSON object in `bytes`.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    expect_object("the body", bytes)?;
    json_fields::read(bytes).map_err(|refused| refused.told("the body is not valid"))
}

/// The ref of a branch that a request calls `name`; `field` says where.
pub(super) fn branch(field: &str, name: &str, namespace: Namespace) -> Result<RefName, ApiError> {
    let name = name.trim();
    if name.is_empty() {
        return Err(ApiError::invalid(format!("`{field}` is empty")));
    }
    if name.starts_with("refs/") {
        return Err(ApiError::invalid(format!(
            "`{field}` is a short branch name and does not start with `refs/`"
        )));
    }
    let parsed = match namespace {
        Namespace::Default => RefName::branch(name),
        Namespace::Ephemeral => RefName::ephemeral_branch(name),
    };
    parsed.map_err(|error| ApiError::invalid(format!("`{field}`: {error}")))
}

/// `text` without blanks around it, unless nothing else is there.
pub(super) fn non_blank(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// A whole commit id that a request gives; `field` says where.
pub(super) fn commit_id(field: &str, text: &str) -> Result<ObjectId, ApiError> {
    ObjectId::from_hex(text.as_bytes()).map_err(|_| {
        ApiError::invalid(format!(
            "`{field}`: `{}` is no commit id of 40 hexadecimal digits",
            shown(text)
        ))
    })
}

/// A path that a request names.
pub(super) fn path(path: &str) -> Result<RepoPath, ApiError> {
    RepoPath::parse(path)
        .map_err(|error| ApiError::invalid(format!("path `{}`: {error}", shown(path))))
}

/// `text` as an error message may show it: one line, not too long.
pub(crate) fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    let mut shown: String = text
        .chars()
        .take(MAX_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
