//! `/webhooks/{id}/deliveries`: what was delivered, and delivering it again.

use axum::Json;
use axum::extract::{Path, State};
use packhouse_api::{
    ErrorBody, ErrorCode, ListDeliveriesQuery, ListedDeliveries, WebhookDelivery,
    WebhookDeliveryState,
};
use packhouse_catalog::{DeliveryRow, DeliveryState, Event, Hook, HookId, NewAuditEntry, RepoId};
use serde_json::json;

use super::input::{Query, shown};
use super::page::List;
use super::webhooks::{Level, entry};
use super::{page, time};
use crate::auth::Caller;
use crate::error::ApiError;
use crate::events::{format_id, message};
use crate::state::AppState;
use crate::webhooks::delivery_id;

/// Lists deliveries of a webhook, those tried last first.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}/deliveries", operation_id = "list_deliveries", tag = "webhooks",
    params(("id" = String, Path, description = "Id of the webhook."), ListDeliveriesQuery),
    responses(
        (status = 200, body = ListedDeliveries), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ListDeliveriesQuery>,
) -> Result<Json<ListedDeliveries>, ApiError> {
    let level = Level::to_read(&state, &caller).await?;
    let hook = level.hook(&state, &caller, &id).await?;
    let limit = page::limit(query.limit, 20, 100);
    let list = List::new("deliveries", &[&hook.id.to_string()]);
    let before = list.after_as(query.cursor.as_deref(), parse_place)?;
    let before = before.unwrap_or((i64::MAX, RepoId(i64::MAX), i64::MAX, i64::MAX));
    let catalog = state.hosted.catalog();
    let mut rows = catalog
        .deliveries(hook.id, before, limit as u32 + 1)
        .await?;
    let has_more = page::cut(&mut rows, limit);
    let next_cursor = rows
        .last()
        .filter(|_| has_more)
        .map(|row| list.cursor(place_of(row).as_bytes()));
    let mut deliveries = Vec::new();
    for row in rows {
        // An event that is no longer kept takes its deliveries with it.
        if let Some(event) = event_of(&state, &row).await? {
            deliveries.push(show(&state, &hook, &event, row).await?);
        }
    }
    Ok(Json(ListedDeliveries {
        deliveries,
        next_cursor,
        has_more,
    }))
}

/// Delivers one event again: once, at once, beside what waits. The answer says what came of it.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", operation_id = "redeliver_event", tag = "webhooks",
    params(
        ("id" = String, Path, description = "Id of the webhook."),
        ("delivery" = String, Path, description = "Id of the delivery."),
    ),
    responses(
        (status = 200, body = WebhookDelivery), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn redeliver(
    State(state): State<AppState>,
    caller: Caller,
    Path((id, delivery)): Path<(String, String)>,
) -> Result<Json<WebhookDelivery>, ApiError> {
    let level = Level::to_write(&state, &caller).await?;
    let hook = level.hook(&state, &caller, &id).await?;
    let missing = || {
        let message = format!("no delivery `{}` of this webhook", shown(&delivery));
        ApiError::new(ErrorCode::DeliveryNotFound, message)
    };
    let place = parse_delivery(&delivery).filter(|place| place.0 == hook.id);
    let (_, repo, generation, ordinal) = place.ok_or_else(missing)?;
    let catalog = state.hosted.catalog();
    let row = catalog
        .delivery(hook.id, repo, generation, ordinal)
        .await?
        .ok_or_else(missing)?;
    let event = event_of(&state, &row).await?.ok_or_else(missing)?;
    let (org_name, repo_name) = catalog.repo_names(repo).await?.ok_or_else(missing)?;
    let message = message(&event, &repo_name, &org_name);
    let entry = NewAuditEntry {
        detail: Some(json!({ "delivery": delivery }).to_string()),
        ..entry(&caller, "webhook.redeliver", &hook)
    };
    let turn = state.redeliveries.take(&caller.turn_for()).await?;
    // A task of its own: what was sent is recorded though the client is gone by then.
    let sending = tokio::spawn({
        let (state, hook, event) = (state.clone(), hook.clone(), event.clone());
        async move {
            let _turn = turn;
            let mut sent = state.webhooks.send_now(&hook, &event, &message).await;
            if sent.state != DeliveryState::Delivered {
                // Whether it is tried again is for its queue to say, and that has not changed.
                sent.state = row.last.state;
            }
            let audited = state.hosted.catalog().audited(entry);
            audited.record_delivery(hook.id, repo, sent).await
        }
    });
    sending.await??;
    let row = catalog
        .delivery(hook.id, repo, generation, ordinal)
        .await?
        .ok_or_else(missing)?;
    Ok(Json(show(&state, &hook, &event, row).await?))
}

async fn event_of(state: &AppState, row: &DeliveryRow) -> Result<Option<Event>, ApiError> {
    let catalog = state.hosted.catalog();
    Ok(catalog
        .event(row.repo, row.last.generation, row.last.ordinal)
        .await?)
}

async fn show(
    state: &AppState,
    hook: &Hook,
    event: &Event,
    row: DeliveryRow,
) -> Result<WebhookDelivery, ApiError> {
    let names = state.hosted.catalog().repo_names(row.repo).await?;
    let (org_name, repo_name) = names.unwrap_or_default();
    let message = message(event, &repo_name, &org_name);
    Ok(WebhookDelivery {
        id: delivery_id(hook.id, event.position),
        event_id: format_id(event.position),
        event: message.kind,
        repo_id: repo_name,
        state: match row.last.state {
            DeliveryState::Delivered => WebhookDeliveryState::Delivered,
            DeliveryState::Retrying => WebhookDeliveryState::Retrying,
            DeliveryState::Failed => WebhookDeliveryState::Failed,
        },
        attempts: row.last.attempts.unsigned_abs(),
        attempted_at: time::rfc3339(row.last.at_ms.div_euclid(1000)),
        duration_ms: row.last.took_ms.unsigned_abs(),
        request_body: message.body,
        response_status: row.last.status,
        response_body: row.last.response,
        failure: row.last.error,
    })
}

fn place_of(row: &DeliveryRow) -> String {
    let last = &row.last;
    format!(
        "{}-{}-{}-{}",
        last.at_ms, row.repo, last.generation, last.ordinal
    )
}

fn parse_place(text: &str) -> Option<(i64, RepoId, i64, i64)> {
    let [at_ms, repo, generation, ordinal] = numbers(text)?;
    Some((at_ms, RepoId(repo), generation, ordinal))
}

fn parse_delivery(text: &str) -> Option<(HookId, RepoId, i64, i64)> {
    let [hook, repo, generation, ordinal] = numbers(text)?;
    Some((HookId(hook), RepoId(repo), generation, ordinal))
}

/// Four numbers with dashes between them.
fn numbers(text: &str) -> Option<[i64; 4]> {
    let parts: Option<Vec<i64>> = text.split('-').map(|part| part.parse().ok()).collect();
    parts?.try_into().ok()
}
