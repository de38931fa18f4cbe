//! Webhooks: subscribe, look at deliveries, deliver again.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Body of `POST /webhooks`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct CreateWebhook {
    /// Where events are sent: http or https, without user and password.
    pub url: String,
    /// Kinds of events: `push`, `repo.created`, `repo.deleted`, `repo.sync.started`, `repo.sync.succeeded`,
    /// `repo.sync.failed`, or `repo.*`, `repo.sync.*` and `*` for more than one; `push` alone if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub events: Option<Vec<String>>,
    /// What deliveries are signed with, 16 characters at least; made by the server if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub secret: Option<String>,
}

/// A webhook.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// Where events are sent.
    pub url: String,
    /// Kinds of events.
    pub events: Vec<String>,
    /// The repository whose events are sent; absent: every repository of the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub repo_id: Option<String>,
    /// When it was created, RFC 3339 in UTC.
    pub created_at: String,
    /// What deliveries are signed with; only in the answer to its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub secret: Option<String>,
}

/// Query of `GET /webhooks`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListWebhooksQuery {
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Webhooks per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /webhooks`, oldest first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedWebhooks {
    /// One page.
    pub webhooks: Vec<Webhook>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// Answer of `DELETE /webhooks/{id}`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeletedWebhook {
    /// Its id.
    pub id: String,
    /// For a person.
    pub message: String,
}

/// Query of `GET /webhooks/{id}/deliveries`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListDeliveriesQuery {
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Deliveries per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /webhooks/{id}/deliveries`, those tried last first.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedDeliveries {
    /// One page.
    pub deliveries: Vec<WebhookDelivery>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// What became of one event at one webhook.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct WebhookDelivery {
    /// Its id: the same at every attempt, and in the header `X-Packhouse-Delivery`.
    pub id: String,
    /// The event: its place in the order of all events, and the header `X-Packhouse-Event`.
    pub event_id: String,
    /// Kind of the event.
    pub event: String,
    /// The repository.
    pub repo_id: String,
    /// How it stands.
    pub state: WebhookDeliveryState,
    /// How often it was tried.
    pub attempts: u64,
    /// When it was tried last, RFC 3339 in UTC.
    pub attempted_at: String,
    /// How long that took.
    pub duration_ms: u64,
    /// The body that is sent.
    pub request_body: String,
    /// HTTP status of the last answer; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub response_status: Option<u16>,
    /// Beginning of the last answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub response_body: Option<String>,
    /// Why there was no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub failure: Option<String>,
}

/// How a delivery stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WebhookDeliveryState {
    /// The receiver took it.
    Delivered,
    /// It failed, and will be tried again.
    Retrying,
    /// It failed for so long that it was given up.
    Failed,
}

/// Body of `POST /webhooks/{id}/replay`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct ReplayWebhook {
    /// Id of an event: everything after it is delivered again, in order; `0`: everything there is.
    pub after: String,
}

/// Answer of `POST /webhooks/{id}/replay`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ReplayedWebhook {
    /// The webhook.
    pub id: String,
    /// For a person.
    pub message: String,
}
