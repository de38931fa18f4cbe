//! What a call can come to other than an answer.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use packhouse_api::{CommitResponse, ErrorCode, MergeErrorBody};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// Why a call of the hosted API failed. Never holds a token.
#[derive(Debug, thiserror::Error)]
pub enum HostedError {
    /// The server refused the request or failed.
    #[error(transparent)]
    Api(Box<ApiError>),
    /// A commit was not made, or a note not written: the ref is where it was.
    #[error(transparent)]
    RefUpdate(Box<RefUpdateError>),
    /// An argument that no server would take; nothing was sent.
    #[error("{0}")]
    Invalid(String),
    /// The key signs no tokens.
    #[error(transparent)]
    Key(#[from] super::KeyError),
    /// The server was not reached: nothing was done.
    #[error("could not connect to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The connection broke after the request was sent: a write may have been done or not.
    #[error("the connection to {host} broke")]
    Broken {
        /// Host and port.
        host: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server was silent for too long: a write may have been done or not.
    #[error("{host} was silent for {} seconds", .silence.as_secs())]
    TimedOut {
        /// Host and port.
        host: String,
        /// How long.
        silence: Duration,
    },
    /// An answer that does not say what the API says it does.
    #[error("the answer of {host} to {request} is not understood: {reason}")]
    Answer {
        /// Host and port.
        host: String,
        /// Method and path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was to be sent could not be read; nothing was committed.
    #[error("could not read what is to be sent")]
    Source(#[source] std::io::Error),
}

/// A failure as the server told it.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// Word of the error table, where the body has one: see [`ApiError::code`].
    pub code: Option<String>,
    /// What failed, for a person.
    pub message: String,
    /// Method and path of the request.
    pub request: String,
    /// Headers of the answer.
    pub headers: HeaderMap,
    /// Body of the answer, at most 1 MiB of it.
    pub body: Bytes,
}

/// A commit that was not made, or a note that was not written.
#[derive(Clone, Debug, Default)]
pub struct RefUpdateError {
    /// A word of the closed set of `result.status`, such as `precondition_failed`; `unknown` if nothing tells.
    pub status: String,
    /// What failed, for a person.
    pub message: String,
    /// Branch that did not move, if the server named it.
    pub branch: Option<String>,
    /// Where it is, if the server said.
    pub old_sha: Option<String>,
    /// Where it would have gone, if the server said.
    pub new_sha: Option<String>,
    /// The answer behind it.
    pub answer: Option<ApiError>,
}

impl HostedError {
    /// The failure as the server told it, if it answered at all.
    pub fn api(&self) -> Option<&ApiError> {
        match self {
            HostedError::Api(error) => Some(error),
            HostedError::RefUpdate(error) => error.answer.as_ref(),
            _ => None,
        }
    }

    /// HTTP status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.api().map(|error| error.status)
    }
}

impl ApiError {
    /// The kind of failure, where the server is one that names it.
    pub fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_word(self.code.as_deref()?)
    }

    /// What a merge, cherry-pick or revert is in conflict with.
    pub fn conflict(&self) -> Option<MergeErrorBody> {
        serde_json::from_slice(&self.body).ok()
    }

    /// How long the server asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        crate::retry_after::retry_after(self.headers.get(RETRY_AFTER)?.to_str().ok()?)
    }

    pub(super) fn new(
        status: StatusCode,
        headers: HeaderMap,
        request: String,
        body: Bytes,
    ) -> ApiError {
        let json: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let field = |name: &str| {
            let text = json.as_ref()?.get(name)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let message = field("message").or_else(|| field("error"));
        ApiError {
            status: status.as_u16(),
            code: field("code"),
            message: message.unwrap_or_else(|| match status.canonical_reason() {
                Some(reason) => format!("HTTP {} {reason}", status.as_u16()),
                None => format!("HTTP {}", status.as_u16()),
            }),
            request,
            headers,
            body,
        }
    }
}

impl RefUpdateError {
    /// What a commit write came to that made no commit. Takes the body as far as it says something.
    pub(super) fn of_commit(answer: ApiError) -> RefUpdateError {
        let inferred = status_word(answer.status);
        let Ok(body) = serde_json::from_slice::<CommitResponse>(&answer.body) else {
            return RefUpdateError {
                status: inferred.to_owned(),
                message: answer.message.clone(),
                answer: Some(answer),
                ..RefUpdateError::default()
            };
        };
        let given = |text: String| (!text.is_empty()).then_some(text);
        RefUpdateError {
            status: word(&body.result.status).unwrap_or_else(|| inferred.to_owned()),
            message: given(body.result.message).unwrap_or_else(|| answer.message.clone()),
            branch: given(body.result.branch),
            old_sha: given(body.result.old_sha),
            new_sha: given(body.result.new_sha),
            answer: Some(answer),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Display for RefUpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}
impl std::error::Error for RefUpdateError {}

impl From<ApiError> for HostedError {
    fn from(error: ApiError) -> HostedError {
        HostedError::Api(Box::new(error))
    }
}

impl From<RefUpdateError> for HostedError {
    fn from(error: RefUpdateError) -> HostedError {
        HostedError::RefUpdate(Box::new(error))
    }
}

/// A unit variant as it is on the wire.
pub(super) fn word(value: &impl serde::Serialize) -> Option<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Some(word),
        _ => None,
    }
}

/// The word of `result.status` that an HTTP status stands for where the body has none.
fn status_word(status: u16) -> &'static str {
    match status {
        400 | 422 => "invalid",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        408 | 499 | 504 => "timeout",
        409 => "conflict",
        412 => "precondition_failed",
        429 | 502 | 503 => "unavailable",
        500 => "internal",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> ApiError {
        ApiError::new(
            StatusCode::from_u16(status).unwrap(),
            HeaderMap::new(),
            "POST /x".to_owned(),
            Bytes::copy_from_slice(body.as_bytes()),
        )
    }

    #[test]
    fn the_message_is_the_servers_whatever_field_holds_it() {
        let both = answer(404, r#"{"error":"e","message":"m","code":"ref_not_found"}"#);
        assert_eq!(
            (both.message.as_str(), both.code()),
            ("m", Some(ErrorCode::RefNotFound))
        );
        assert_eq!(answer(400, r#"{"error":"e"}"#).message, "e");
        assert_eq!(answer(502, "<html>").message, "HTTP 502 Bad Gateway");
        assert_eq!(answer(599, "[1]").message, "HTTP 599");
    }

    #[test]
    fn a_refused_commit_says_what_the_result_says_or_what_the_status_means() {
        let result = r#"{"commit":null,"result":{"branch":"main","old_sha":"1","new_sha":"","success":false,
            "status":"precondition_failed","message":"moved"}}"#;
        let error = RefUpdateError::of_commit(answer(409, result));
        assert_eq!(error.status, "precondition_failed");
        assert_eq!(
            (error.branch.as_deref(), error.old_sha.as_deref()),
            (Some("main"), Some("1"))
        );
        assert_eq!((error.new_sha, error.message.as_str()), (None, "moved"));
        for (status, word) in [
            (401, "unauthorized"),
            (409, "conflict"),
            (503, "unavailable"),
            (418, "unknown"),
        ] {
            let error = RefUpdateError::of_commit(answer(status, "oops"));
            assert_eq!((error.status.as_str(), error.branch), (word, None));
        }
    }
}
