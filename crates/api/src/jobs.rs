//! Jobs: work that goes on after the request that asked for it was answered.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /jobs` and `GET /repos/jobs`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListJobsQuery {
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Jobs per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /jobs` and `GET /repos/jobs`, newest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedJobs {
    /// One page.
    pub jobs: Vec<JobInfo>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It waits for its turn, or for its next attempt.
    Waiting,
    /// A server is at it.
    Running,
    /// It is done.
    Done,
    /// It was given up.
    Failed,
}

/// One job. Of a kind there is one for each thing it is done to, and asking for it again begins it anew.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct JobInfo {
    /// Its id.
    pub id: String,
    /// What is done, such as `sync`.
    pub kind: String,
    /// The repository it is about, if it is about one that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub repo_id: Option<String>,
    /// How it stands.
    pub status: JobStatus,
    /// How often it was begun since it was asked for.
    pub attempts: i64,
    /// When it was last asked for, RFC 3339 in UTC.
    pub requested_at: String,
    /// When it was last begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub started_at: Option<String>,
    /// When it last ended, well or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub finished_at: Option<String>,
    /// When it is begun next, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_attempt_at: Option<String>,
    /// Why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}
