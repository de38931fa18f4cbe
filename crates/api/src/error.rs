//! The one table of error codes: the word in the body, the HTTP status, the word in `result.status`, and whether
//! sending the same request again can help.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, as a program tells one failure from another.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorCode {
    /// The request is malformed: a header, a query, a JSON body, an NDJSON line, a path, a name.
    Invalid,
    /// No token, or one that is malformed, expired, not yet valid, or signed by no key of its issuer.
    Unauthorized,
    /// A valid token that lacks the scope, or names another repository.
    Forbidden,
    /// The token's ref policy refuses the change.
    PolicyDenied,
    /// No route at this path.
    RouteNotFound,
    /// The repository of the token does not exist.
    RepositoryNotFound,
    /// No such branch, tag or commit, or the repository is empty.
    RefNotFound,
    /// No such file or folder.
    PathNotFound,
    /// The organisation has no credential of that id.
    CredentialNotFound,
    /// The organisation, or the repository, has no such webhook.
    WebhookNotFound,
    /// The organisation, or the repository, has no such SSH key.
    SshKeyNotFound,
    /// The webhook has no such delivery, or its event is no longer kept.
    DeliveryNotFound,
    /// The path exists, this method does not.
    MethodNotAllowed,
    /// The client sent nothing for too long.
    Timeout,
    /// The repository exists already.
    RepositoryExists,
    /// The repository is deleted already.
    RepositoryDeleted,
    /// The repository has a credential for its upstream already.
    CredentialExists,
    /// The change cannot be made on what is there: the branch exists elsewhere, a race was lost, a file is in the way.
    Conflict,
    /// The repository's first sync with its upstream is not done yet.
    SyncInProgress,
    /// `expected_head_sha` is not where the branch is.
    HeadMoved,
    /// A merge, as it was asked for, is not possible: both sides changed the same, there is no fast-forward, or the
    /// histories have nothing in common.
    MergeConflict,
    /// `If-Match` or `If-Unmodified-Since` does not hold.
    PreconditionFailed,
    /// The server is not set up for this: a GitHub App, or a key for credentials, is missing.
    NotConfigured,
    /// More bytes than this server takes.
    TooLarge,
    /// The repository would have more bytes than it may.
    QuotaExceeded,
    /// A body in a format that the route does not take.
    UnsupportedMediaType,
    /// The byte range starts after the end of the file.
    RangeNotSatisfiable,
    /// The answer would take more time than this server gives to one request.
    TooExpensive,
    /// More requests than the organisation, or the repository, may make; `Retry-After` says when to come again.
    RateLimited,
    /// The server failed; the details are in its log under the request id.
    Internal,
    /// This server does not do what was asked.
    NotSupported,
    /// Too much work at once, or a store that does not answer.
    Unavailable,
}

/// The closed set of words that `result.status` may hold; the SDKs know no other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResultStatus {
    /// Done.
    Ok,
    /// The expected head is not the head.
    PreconditionFailed,
    /// Cannot be made on what is there.
    Conflict,
    /// Repository, branch or path missing.
    NotFound,
    /// Malformed request.
    Invalid,
    /// The client was too slow.
    Timeout,
    /// No valid token.
    Unauthorized,
    /// Scope or policy.
    Forbidden,
    /// Try again later.
    Unavailable,
    /// The server failed.
    Internal,
    /// Any other failure.
    Failed,
}

impl ErrorCode {
    /// Every code, in the order of the table.
    pub const ALL: [ErrorCode; 32] = [
        ErrorCode::Invalid,
        ErrorCode::Unauthorized,
        ErrorCode::Forbidden,
        ErrorCode::PolicyDenied,
        ErrorCode::RouteNotFound,
        ErrorCode::RepositoryNotFound,
        ErrorCode::RefNotFound,
        ErrorCode::PathNotFound,
        ErrorCode::CredentialNotFound,
        ErrorCode::WebhookNotFound,
        ErrorCode::SshKeyNotFound,
        ErrorCode::DeliveryNotFound,
        ErrorCode::MethodNotAllowed,
        ErrorCode::Timeout,
        ErrorCode::RepositoryExists,
        ErrorCode::RepositoryDeleted,
        ErrorCode::CredentialExists,
        ErrorCode::Conflict,
        ErrorCode::SyncInProgress,
        ErrorCode::HeadMoved,
        ErrorCode::MergeConflict,
        ErrorCode::PreconditionFailed,
        ErrorCode::NotConfigured,
        ErrorCode::TooLarge,
        ErrorCode::QuotaExceeded,
        ErrorCode::UnsupportedMediaType,
        ErrorCode::RangeNotSatisfiable,
        ErrorCode::TooExpensive,
        ErrorCode::RateLimited,
        ErrorCode::Internal,
        ErrorCode::NotSupported,
        ErrorCode::Unavailable,
    ];

    /// The table: word, HTTP status, `result.status`, retry.
    const fn row(self) -> (&'static str, u16, ResultStatus, bool) {
        use ResultStatus as R;
        match self {
            ErrorCode::Invalid => ("invalid", 400, R::Invalid, false),
            ErrorCode::Unauthorized => ("unauthorized", 401, R::Unauthorized, false),
            ErrorCode::Forbidden => ("forbidden", 403, R::Forbidden, false),
            ErrorCode::PolicyDenied => ("policy_denied", 403, R::Forbidden, false),
            ErrorCode::RouteNotFound => ("route_not_found", 404, R::NotFound, false),
            ErrorCode::RepositoryNotFound => ("repository_not_found", 404, R::NotFound, false),
            ErrorCode::RefNotFound => ("ref_not_found", 404, R::NotFound, false),
            ErrorCode::PathNotFound => ("path_not_found", 404, R::NotFound, false),
            ErrorCode::CredentialNotFound => ("credential_not_found", 404, R::NotFound, false),
            ErrorCode::WebhookNotFound => ("webhook_not_found", 404, R::NotFound, false),
            ErrorCode::SshKeyNotFound => ("ssh_key_not_found", 404, R::NotFound, false),
            ErrorCode::DeliveryNotFound => ("delivery_not_found", 404, R::NotFound, false),
            ErrorCode::MethodNotAllowed => ("method_not_allowed", 405, R::Invalid, false),
            ErrorCode::Timeout => ("timeout", 408, R::Timeout, true),
            ErrorCode::RepositoryExists => ("repository_exists", 409, R::Conflict, false),
            ErrorCode::RepositoryDeleted => ("repository_deleted", 409, R::Conflict, false),
            ErrorCode::CredentialExists => ("credential_exists", 409, R::Conflict, false),
            ErrorCode::Conflict => ("conflict", 409, R::Conflict, true),
            ErrorCode::SyncInProgress => ("sync_in_progress", 409, R::Conflict, true),
            ErrorCode::HeadMoved => ("head_moved", 409, R::PreconditionFailed, false),
            ErrorCode::MergeConflict => ("merge_conflict", 409, R::Conflict, false),
            ErrorCode::PreconditionFailed => {
                ("precondition_failed", 412, R::PreconditionFailed, false)
            }
            ErrorCode::NotConfigured => ("not_configured", 412, R::Failed, false),
            ErrorCode::TooLarge => ("too_large", 413, R::Invalid, false),
            ErrorCode::QuotaExceeded => ("quota_exceeded", 413, R::Failed, false),
            ErrorCode::UnsupportedMediaType => ("unsupported_media_type", 415, R::Invalid, false),
            ErrorCode::RangeNotSatisfiable => ("range_not_satisfiable", 416, R::Invalid, false),
            ErrorCode::TooExpensive => ("too_expensive", 422, R::Timeout, false),
            ErrorCode::RateLimited => ("rate_limited", 429, R::Unavailable, true),
            ErrorCode::Internal => ("internal", 500, R::Internal, true),
            ErrorCode::NotSupported => ("not_supported", 501, R::Failed, false),
            ErrorCode::Unavailable => ("unavailable", 503, R::Unavailable, true),
        }
    }

    /// The word in the body's `code`.
    pub const fn word(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status that carries it.
    pub const fn http_status(self) -> u16 {
        self.row().1
    }

    /// The word in `result.status` of a commit write.
    pub const fn result_status(self) -> ResultStatus {
        self.row().2
    }

    /// Whether the same request may succeed if it is sent again, unchanged.
    pub const fn is_retryable(self) -> bool {
        self.row().3
    }

    /// The code that `word` stands for.
    pub fn from_word(word: &str) -> Option<ErrorCode> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }
}

/// Body of every failed request except a commit write.
///
/// `error` and `message` hold the same text: some SDK methods read one, some the other.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What failed, for a person.
    pub error: String,
    /// The same text again.
    pub message: String,
    /// What failed, for a program: a word of the error table.
    pub code: String,
}

impl ErrorBody {
    /// The body for `code` with `message` in both text fields.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> ErrorBody {
        let message = message.into();
        ErrorBody {
            error: message.clone(),
            message,
            code: code.word().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_code_has_its_own_word_and_an_error_status() {
        let words: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert!((400..600).contains(&code.http_status()), "{code:?}");
            assert_ne!(code.result_status(), ResultStatus::Ok, "{code:?}");
            assert_eq!(ErrorCode::from_word(code.word()), Some(code));
        }
    }
}
