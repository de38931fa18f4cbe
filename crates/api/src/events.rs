//! Events: what happened to repositories, as it happens.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /events`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Id of an event: the stream goes on after it. `0`: everything there is. Absent, as the header `Last-Event-ID` too:
    /// only what comes.
    #[param(nullable = false)]
    pub after: Option<String>,
}

/// The repository of an event.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct EventRepository {
    /// Its id.
    pub id: String,
    /// Its path under the server: the id again.
    pub url: String,
}

/// A ref moved: the body of a `push`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct PushEvent {
    /// Where.
    pub repository: EventRepository,
    /// Full name of the ref.
    #[serde(rename = "ref")]
    pub ref_name: String,
    /// Where it was; zeros if it was created.
    pub before: String,
    /// Where it is; zeros if it was deleted.
    pub after: String,
    /// Name of the organisation.
    pub customer_id: String,
    /// When, RFC 3339 in UTC.
    pub pushed_at: String,
}
