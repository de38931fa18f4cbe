//! Failed requests as responses. The only place that chooses a status and decides what a caller may know.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_RANGE, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use packhouse_api::{
    CommitResponse, ErrorBody, ErrorCode, MergeErrorBody, NoteResult, RefUpdate, RefusedNote,
    WrittenNote,
};
use packhouse_catalog::CatalogError;
use packhouse_object::{BuildHistoryError, ReadError};
use packhouse_repo::{ArchiveError, RepoError, is_read_only, is_storage_full};

use crate::turns::Crowded;
use crate::upstream::CredentialError;

/// What a client reads whose write found no room.
const STORAGE_FULL: &str = "the server has no room left to store this; try again later";

/// What a client reads whose write met a database that is for reading only, as while another takes over.
const READ_ONLY: &str = "the server's database takes no writes now; try again later";

/// Why a request failed: what the client reads, and what only the log keeps.
#[derive(Debug)]
pub struct ApiError {
    code: ErrorCode,
    message: String,
    /// Boxed, for it is rare and large.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl ApiError {
    /// A failure whose `message` the client may read.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ApiError {
        ApiError {
            code,
            message: message.into(),
            header: None,
        }
    }

    /// A malformed request.
    pub fn invalid(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Invalid, message)
    }

    /// A failure of the server: the cause goes to the log, the client learns nothing of it.
    pub fn internal(cause: impl std::fmt::Display) -> ApiError {
        tracing::error!(%cause, "request failed");
        ApiError::new(
            ErrorCode::Internal,
            "internal error; the server's log has the details under this request's id",
        )
    }

    /// A failure of the server in its own terms: [`ApiError::internal`], or that it can store nothing now.
    pub fn failed(error: &(dyn std::error::Error + 'static)) -> ApiError {
        let message = match (is_storage_full(error), is_read_only(error)) {
            (true, _) => STORAGE_FULL,
            (_, true) => READ_ONLY,
            _ => return ApiError::internal(chain(error)),
        };
        tracing::error!(
            cause = chain(error),
            "request failed: nothing can be stored"
        );
        let refused = ApiError::new(ErrorCode::Unavailable, message);
        refused.with(RETRY_AFTER, HeaderValue::from_static("10"))
    }

    /// A store that does not answer, or no memory for so much at once.
    pub fn unavailable(message: impl Into<String>) -> ApiError {
        ApiError::new(ErrorCode::Unavailable, message)
            .with(RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// A request more than its organisation or repository may make now, or than there are turns for; it may come again in `seconds`.
    pub fn rate_limited(message: impl Into<String>, seconds: u64) -> ApiError {
        ApiError::new(ErrorCode::RateLimited, message).with(RETRY_AFTER, seconds.into())
    }

    /// A method that the path does not take; `allow` lists those it does.
    pub fn method_not_allowed(allow: &'static str) -> ApiError {
        ApiError::new(
            ErrorCode::MethodNotAllowed,
            format!("method not allowed here; try {allow}"),
        )
        .with(ALLOW, HeaderValue::from_static(allow))
    }

    /// A byte range that starts after the end of a file of `size` bytes.
    pub fn range_not_satisfiable(size: u64) -> ApiError {
        let error = ApiError::new(
            ErrorCode::RangeNotSatisfiable,
            format!("range starts after the end of {size} bytes"),
        );
        match HeaderValue::try_from(format!("bytes */{size}")) {
            Ok(value) => error.with(CONTENT_RANGE, value),
            Err(_) => error,
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> ApiError {
        self.header = Some(Box::new((name, value)));
        self
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// What the client reads.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn finish(self, mut response: Response, challenge: &'static str) -> Response {
        *response.status_mut() = self.status();
        if self.code == ErrorCode::Unauthorized {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(header) = self.header {
            let (name, value) = *header;
            response.headers_mut().insert(name, value);
        }
        response
    }

    /// The failure as Git shows it to a person: plain text, and a challenge that makes Git send its credentials.
    pub fn into_git_response(self) -> Response {
        let mut response = format!("{}\n", self.message).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        crate::git::forbid_caching(headers);
        self.finish(response, "Basic realm=\"Packhouse\", charset=\"UTF-8\"")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = Json(ErrorBody::new(self.code, self.message.clone())).into_response();
        self.finish(body, "Bearer realm=\"Packhouse\"")
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            // Without `Retry-After`, and without a word about what was written: nobody knows.
            CatalogError::Unconfirmed { .. } if is_storage_full(&error) => {
                tracing::error!(cause = chain(&error), "request failed for want of room");
                ApiError::new(
                    ErrorCode::Unavailable,
                    "the server has no room left; look whether the change was made before trying again",
                )
            }
            error => ApiError::failed(&error),
        }
    }
}

impl From<Crowded> for ApiError {
    fn from(error: Crowded) -> Self {
        ApiError::rate_limited(error.to_string(), error.retry_seconds)
    }
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Catalog(error) => error.into(),
            error => ApiError::new(ErrorCode::NotConfigured, error.to_string()),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            // Whoever may read the tree could count its folders too.
            ReadError::TreeTooDeep { .. } => {
                ApiError::new(ErrorCode::NotSupported, error.to_string())
            }
            error => ApiError::failed(&error),
        }
    }
}

impl From<RepoError> for ApiError {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::Gone => ApiError::new(ErrorCode::RepositoryNotFound, "repository not found"),
            RepoError::Contended { .. } | RepoError::Vanished { .. } => {
                ApiError::new(ErrorCode::Conflict, error.to_string())
            }
            RepoError::Catalog(error) => error.into(),
            RepoError::Shared(shared) => match &*shared {
                RepoError::Catalog(error) => error.clone().into(),
                error => ApiError::failed(error),
            },
            RepoError::FileTooLarge { .. } => ApiError::new(ErrorCode::TooLarge, error.to_string()),
            RepoError::OverQuota(over) => ApiError::new(ErrorCode::QuotaExceeded, over.to_string()),
            // Without `Retry-After`: whoever waits for a write cannot know whether it was done.
            RepoError::Stopped => {
                ApiError::new(ErrorCode::Unavailable, "the server is shutting down")
            }
            RepoError::History(error @ BuildHistoryError::TooMany) => {
                ApiError::new(ErrorCode::NotSupported, error.to_string())
            }
            error => ApiError::failed(&error),
        }
    }
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Read(error) => error.into(),
            ArchiveError::TooManyEntries { .. } => {
                ApiError::new(ErrorCode::TooLarge, error.to_string())
            }
            ArchiveError::TooCostly => ApiError::invalid(format!(
                "{error}; give fewer or shorter ones in `include_globs` and `exclude_globs`"
            )),
            error => ApiError::failed(&error),
        }
    }
}

impl From<tokio::task::JoinError> for ApiError {
    fn from(error: tokio::task::JoinError) -> Self {
        ApiError::internal(error)
    }
}

/// A commit write that failed: the body says what became of the branch.
#[derive(Debug)]
pub(crate) struct CommitFailure {
    /// What failed.
    pub error: ApiError,
    /// Short name of the branch; empty if the request did not get as far as naming it.
    pub branch: String,
    /// Where the branch is, if the failure is about that.
    pub old_sha: String,
}

impl From<ApiError> for CommitFailure {
    fn from(error: ApiError) -> Self {
        CommitFailure {
            error,
            branch: String::new(),
            old_sha: String::new(),
        }
    }
}

impl IntoResponse for CommitFailure {
    fn into_response(self) -> Response {
        let CommitFailure {
            error,
            branch,
            old_sha,
        } = self;
        let body = CommitResponse {
            commit: None,
            result: RefUpdate {
                target_branch: branch.clone(),
                branch,
                old_sha,
                new_sha: String::new(),
                success: false,
                status: error.code.result_status(),
                message: error.message.clone(),
            },
            error: Some(error.message.clone()),
            message: Some(error.message.clone()),
            code: Some(error.code.word().to_owned()),
        };
        error.finish(Json(body).into_response(), "Bearer realm=\"Packhouse\"")
    }
}

/// A merge that failed: the body of a conflict says where it is.
#[derive(Debug)]
pub(crate) struct MergeFailure {
    /// What failed.
    pub error: ApiError,
    /// Paths in conflict.
    pub conflict_paths: Vec<String>,
    /// Best common ancestor, if there is one.
    pub merge_base_sha: Option<String>,
    /// The commit whose change is in conflict, if several are made.
    pub conflict_commit_sha: Option<String>,
}

impl From<ApiError> for MergeFailure {
    fn from(error: ApiError) -> Self {
        MergeFailure {
            error,
            conflict_paths: Vec::new(),
            merge_base_sha: None,
            conflict_commit_sha: None,
        }
    }
}

impl From<RepoError> for MergeFailure {
    fn from(error: RepoError) -> Self {
        ApiError::from(error).into()
    }
}

impl From<tokio::task::JoinError> for MergeFailure {
    fn from(error: tokio::task::JoinError) -> Self {
        ApiError::from(error).into()
    }
}

impl IntoResponse for MergeFailure {
    fn into_response(self) -> Response {
        let MergeFailure {
            error,
            conflict_paths,
            merge_base_sha,
            conflict_commit_sha,
        } = self;
        if error.status() != StatusCode::CONFLICT {
            return error.into_response();
        }
        let body = MergeErrorBody {
            conflict_paths,
            merge_base_sha,
            conflict_commit_sha,
            ..MergeErrorBody::new(error.code, error.message.clone())
        };
        error.finish(Json(body).into_response(), "Bearer realm=\"Packhouse\"")
    }
}

/// A change of a note that failed. Where the notes themselves are the reason, the body says where their ref is.
#[derive(Debug)]
pub(crate) enum NoteFailure {
    /// The request.
    Request(ApiError),
    /// What it met.
    Note {
        /// What failed.
        error: ApiError,
        /// The object.
        sha: String,
        /// The ref, in full.
        target_ref: String,
        /// Where the ref is.
        base_commit: Option<String>,
    },
}

impl From<ApiError> for NoteFailure {
    fn from(error: ApiError) -> Self {
        NoteFailure::Request(error)
    }
}

impl IntoResponse for NoteFailure {
    fn into_response(self) -> Response {
        let (error, body) = match self {
            NoteFailure::Request(error) => return error.into_response(),
            NoteFailure::Note {
                error,
                sha,
                target_ref,
                base_commit,
            } => {
                let body = WrittenNote {
                    sha,
                    notes_ref: target_ref.clone(),
                    target_ref,
                    base_commit,
                    new_ref_sha: String::new(),
                    result: NoteResult {
                        success: false,
                        status: error.code.result_status(),
                        message: Some(error.message.clone()),
                    },
                };
                (error, body)
            }
        };
        let response = Json(RefusedNote::Note(body)).into_response();
        error.finish(response, "Bearer realm=\"Packhouse\"")
    }
}

/// The message of an error and of everything that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
