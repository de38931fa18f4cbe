//! `/audit`, `/repos/audit`: what was done, by whom, from where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /audit`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// Only what is about this repository, or about deleted ones of this name.
    pub repo: Option<String>,
    /// What follows these entries: `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Entries per page: 50 unless said otherwise, at most 500.
    pub limit: Option<u32>,
    /// Only what was done by this one.
    pub who: Option<String>,
    /// Only what was done in this way, such as `ref.delete`; `webhook.*` is everything that begins so.
    pub kind: Option<String>,
    /// Only what was done then or later, RFC 3339.
    pub since: Option<String>,
    /// Only what was done before then, RFC 3339.
    pub until: Option<String>,
}

/// Query of `GET /repos/audit`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct RepoAuditQuery {
    /// What follows these entries: `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Entries per page: 50 unless said otherwise, at most 500.
    pub limit: Option<u32>,
    /// Only what was done by this one.
    pub who: Option<String>,
    /// Only what was done in this way, such as `ref.delete`; `webhook.*` is everything that begins so.
    pub kind: Option<String>,
    /// Only what was done then or later, RFC 3339.
    pub since: Option<String>,
    /// Only what was done before then, RFC 3339.
    pub until: Option<String>,
}

impl From<RepoAuditQuery> for AuditQuery {
    fn from(query: RepoAuditQuery) -> AuditQuery {
        let RepoAuditQuery {
            cursor,
            limit,
            who,
            kind,
            since,
            until,
        } = query;
        AuditQuery {
            repo: None,
            cursor,
            limit,
            who,
            kind,
            since,
            until,
        }
    }
}

/// One change that was made.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct AuditEntryInfo {
    /// Its id; no two entries have the same.
    pub id: String,
    /// What was done, such as `ref.update` or `webhook.delete`.
    pub kind: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Who did it: the subject of the token.
    pub who: String,
    /// The address of the client, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub address: Option<String>,
    /// The id of the request (`X-Request-Id`), or of the run of a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub request_id: Option<String>,
    /// The repository it was done to, also a deleted one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub repo_id: Option<String>,
    /// Name or id of what it was done to: a ref in full, a repository, a webhook, a credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target: Option<String>,
    /// Where the ref was; 40 zeros: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub before: Option<String>,
    /// Where the ref went; 40 zeros: it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub after: Option<String>,
    /// Why the ref moved, as the reflog has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
    /// More about it, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<BTreeMap<String, String>>,
}

/// A page of the audit log, newest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedAuditEntries {
    /// The entries. With a filter there may be few or none although there are more: go on while `has_more`.
    pub entries: Vec<AuditEntryInfo>,
    /// Where the next page begins, if there is more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is more.
    pub has_more: bool,
}
