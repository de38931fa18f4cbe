//! `/webhooks`: subscribe to events, look at deliveries, deliver again.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use packhouse_api::{
    CreateWebhook, DeletedWebhook, ErrorBody, ErrorCode, ListWebhooksQuery, ListedWebhooks,
    ReplayWebhook, ReplayedWebhook, Webhook,
};
use packhouse_catalog::{Hook, HookId, NewAuditEntry, NewHook, RepoId};
use reqwest::Url;
use serde_json::json;

use super::input::{Query, read_json};
use super::page::List;
use super::{page, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::events::{KINDS, is_wanted, parse_id};
use crate::state::AppState;
use crate::webhooks::new_secret;

/// Webhooks of one repository, and webhooks of all of them that one organisation may have.
const MAX_WEBHOOKS: i64 = 50;
/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 2000;
/// Shortest and longest secret, in bytes.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 16..=256;
/// Patterns beside the kinds themselves.
const PATTERNS: [&str; 3] = ["*", "repo.*", "repo.sync.*"];

/// Subscribes to events: of the repository that the token names, or of all of its organisation.
#[utoipa::path(
    post, path = "/api/v1/webhooks", operation_id = "create_webhook", tag = "webhooks", request_body = CreateWebhook,
    responses(
        (status = 201, body = Webhook), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<(StatusCode, Json<Webhook>), ApiError> {
    let level = Level::to_write(&state, &caller).await?;
    let request: CreateWebhook = read_json(body, state.limits.json_bytes).await?;
    let url = check_url(&state, &request.url)?;
    let events = check_events(request.events)?;
    let secret = match request.secret {
        Some(secret) if SECRET_BYTES.contains(&secret.len()) && !secret.contains('\0') => secret,
        Some(_) => {
            let (least, most) = (SECRET_BYTES.start(), SECRET_BYTES.end());
            let message = format!("`secret` needs {least} to {most} bytes without NUL");
            return Err(ApiError::invalid(message));
        }
        None => new_secret().ok_or_else(|| ApiError::internal("no random bytes"))?,
    };
    let catalog = state.hosted.catalog();
    let hook = NewHook {
        org: caller.org(),
        repo: level.repo(),
        url,
        events,
        secret,
    };
    let hook = catalog
        .audited(entry_of(&caller, "webhook.create", &hook))
        .create_hook_of(hook, MAX_WEBHOOKS)
        .await?
        .ok_or_else(|| {
            let message = format!("there are {MAX_WEBHOOKS} webhooks already; delete one first");
            ApiError::new(ErrorCode::Conflict, message)
        })?;
    state.webhooks.hooks_changed();
    let secret = Some(hook.secret.clone());
    let webhook = Webhook {
        secret,
        ..show(&state, hook).await?
    };
    Ok((StatusCode::CREATED, Json(webhook)))
}

/// Lists webhooks: those of the repository that the token names, or all of its organisation.
#[utoipa::path(
    get, path = "/api/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks", params(ListWebhooksQuery),
    responses(
        (status = 200, body = ListedWebhooks), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListWebhooksQuery>,
) -> Result<Json<ListedWebhooks>, ApiError> {
    let level = Level::to_read(&state, &caller).await?;
    let limit = page::limit(query.limit, 20, 100);
    let level_id = level.repo().map(|repo| repo.to_string());
    let list = List::of_org(
        "webhooks",
        caller.org(),
        &[level_id.as_deref().unwrap_or_default()],
    );
    let after = list.after_as(query.cursor.as_deref(), parse_hook)?;
    let after = after.unwrap_or(HookId(0));
    let mut hooks = state
        .hosted
        .catalog()
        .hooks(caller.org(), level.repo(), after, limit as u32 + 1)
        .await?;
    let has_more = page::cut(&mut hooks, limit);
    let next_cursor = hooks
        .last()
        .filter(|_| has_more)
        .map(|hook| list.cursor(hook.id.to_string().as_bytes()));
    let mut webhooks = Vec::new();
    for hook in hooks {
        webhooks.push(show(&state, hook).await?);
    }
    Ok(Json(ListedWebhooks {
        webhooks,
        next_cursor,
        has_more,
    }))
}

/// Describes a webhook.
#[utoipa::path(
    get, path = "/api/v1/webhooks/{id}", operation_id = "get_webhook", tag = "webhooks", params(("id" = String, Path, description = "Id of the webhook.")),
    responses(
        (status = 200, body = Webhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn find(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Webhook>, ApiError> {
    let level = Level::to_read(&state, &caller).await?;
    let hook = level.hook(&state, &caller, &id).await?;
    Ok(Json(show(&state, hook).await?))
}

/// Deletes a webhook. What waits for it is not delivered any more.
#[utoipa::path(
    delete, path = "/api/v1/webhooks/{id}", operation_id = "delete_webhook", tag = "webhooks", params(("id" = String, Path, description = "Id of the webhook.")),
    responses(
        (status = 200, body = DeletedWebhook), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<DeletedWebhook>, ApiError> {
    let level = Level::to_write(&state, &caller).await?;
    let hook = level.hook(&state, &caller, &id).await?;
    let entry = entry(&caller, "webhook.delete", &hook);
    let catalog = state.hosted.catalog().audited(entry);
    if !catalog.delete_hook(caller.org(), hook.id).await? {
        return Err(not_found(&id));
    }
    state.webhooks.hooks_changed();
    Ok(Json(DeletedWebhook {
        id: hook.id.to_string(),
        message: "webhook deleted".to_owned(),
    }))
}

/// Delivers everything after an event again, in order.
#[utoipa::path(
    post, path = "/api/v1/webhooks/{id}/replay", operation_id = "replay_events", tag = "webhooks", request_body = ReplayWebhook,
    params(("id" = String, Path, description = "Id of the webhook.")),
    responses(
        (status = 200, body = ReplayedWebhook), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn replay(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<String>,
    body: Body,
) -> Result<Json<ReplayedWebhook>, ApiError> {
    let level = Level::to_write(&state, &caller).await?;
    let hook = level.hook(&state, &caller, &id).await?;
    let request: ReplayWebhook = read_json(body, state.limits.json_bytes).await?;
    let after = parse_id(&request.after)
        .ok_or_else(|| ApiError::invalid("`after` is not the id of an event"))?;
    let now_ms = state.webhooks.now_ms();
    let entry = NewAuditEntry {
        detail: Some(json!({ "after": request.after }).to_string()),
        ..entry(&caller, "webhook.replay", &hook)
    };
    let catalog = state.hosted.catalog().audited(entry);
    // One less: other events may share the moment of this one and come after it.
    let tick = (after.tick - 1).max(0);
    if !catalog
        .replay_hook(caller.org(), hook.id, tick, now_ms)
        .await?
    {
        return Err(not_found(&id));
    }
    state.webhooks.hooks_changed();
    Ok(Json(ReplayedWebhook {
        id: hook.id.to_string(),
        message: "everything after the event will be delivered again".to_owned(),
    }))
}

/// What a token is for: one repository, or a whole organisation.
pub(super) enum Level {
    Repo(RepoId),
    Org,
}

impl Level {
    /// The level at which the caller may change webhooks.
    pub(super) async fn to_write(state: &AppState, caller: &Caller) -> Result<Level, ApiError> {
        if caller.is_for_org() && caller.may(Scope::OrgWrite) {
            return Ok(Level::Org);
        }
        Level::of_repo(state, caller).await
    }

    /// The level at which the caller may see webhooks.
    pub(super) async fn to_read(state: &AppState, caller: &Caller) -> Result<Level, ApiError> {
        if caller.is_for_org() && caller.may(Scope::OrgRead) {
            return Ok(Level::Org);
        }
        Level::of_repo(state, caller).await
    }

    async fn of_repo(state: &AppState, caller: &Caller) -> Result<Level, ApiError> {
        if caller.is_for_org() && !caller.may(Scope::RepoWrite) {
            let message = "the token lacks the scope `org:write` (`org:read` to look only)";
            return Err(ApiError::new(ErrorCode::Forbidden, message));
        }
        caller.need(Scope::RepoWrite)?;
        let name = caller.repo()?;
        let found = state.hosted.catalog().repo(caller.org(), name).await?;
        let row = found.ok_or_else(|| {
            let message = format!("repository `{name}` not found");
            ApiError::new(ErrorCode::RepositoryNotFound, message)
        })?;
        Ok(Level::Repo(row.id))
    }

    /// The repository, if it is that of one.
    pub(super) fn repo(&self) -> Option<RepoId> {
        match self {
            Level::Repo(repo) => Some(*repo),
            Level::Org => None,
        }
    }

    /// The webhook of that id, if it is on this level.
    pub(super) async fn hook(
        &self,
        state: &AppState,
        caller: &Caller,
        id: &str,
    ) -> Result<Hook, ApiError> {
        let missing = || not_found(id);
        let hook = parse_hook(id).ok_or_else(missing)?;
        let hook = state.hosted.catalog().hook(hook).await?;
        let hook = hook.filter(|hook| hook.org == caller.org());
        let hook = hook.filter(|hook| match self {
            Level::Repo(repo) => hook.repo == Some(*repo),
            Level::Org => true,
        });
        hook.ok_or_else(missing)
    }
}

/// What the audit log is to say of something done to a webhook.
pub(super) fn entry(caller: &Caller, kind: &'static str, hook: &Hook) -> NewAuditEntry {
    NewAuditEntry {
        repo: hook.repo,
        ..caller.audit_entry(kind, &hook.id.to_string())
    }
}

/// The same of one that is created: its id is not known yet. Of its URL the host alone is told; the rest may be a secret.
fn entry_of(caller: &Caller, kind: &'static str, hook: &NewHook) -> NewAuditEntry {
    let url = Url::parse(&hook.url).ok();
    let host = url.as_ref().and_then(Url::host_str);
    let detail = json!({ "host": host, "events": hook.events });
    NewAuditEntry {
        repo: hook.repo,
        target: None,
        detail: Some(detail.to_string()),
        ..caller.audit_entry(kind, "")
    }
}

fn not_found(id: &str) -> ApiError {
    let id = super::input::shown(id);
    ApiError::new(
        ErrorCode::WebhookNotFound,
        format!("no webhook `{id}` here"),
    )
}

fn parse_hook(id: &str) -> Option<HookId> {
    let digits = id.bytes().all(|byte| byte.is_ascii_digit());
    id.parse().ok().filter(|_| digits).map(HookId)
}

fn check_url(state: &AppState, url: &str) -> Result<String, ApiError> {
    let refuse = |reason: &str| ApiError::invalid(format!("`url` cannot be used: {reason}"));
    if url.len() > MAX_URL_BYTES {
        return Err(refuse("it is too long"));
    }
    let parsed = Url::parse(url.trim()).map_err(|error| refuse(&error.to_string()))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        let reason = "it holds a user or a password; deliveries are signed with `secret` instead";
        return Err(refuse(reason));
    }
    state
        .egress
        .check_url(&parsed)
        .map_err(|error| refuse(&error.to_string()))?;
    Ok(parsed.into())
}

fn check_events(events: Option<Vec<String>>) -> Result<String, ApiError> {
    let events = events.unwrap_or_else(|| vec![KINDS[0].to_owned()]);
    if events.is_empty() {
        return Err(ApiError::invalid(
            "`events` is empty; leave it out for `push`",
        ));
    }
    let mut checked: Vec<&str> = Vec::new();
    for event in &events {
        let known = KINDS.iter().chain(&PATTERNS).find(|known| *known == event);
        let Some(known) = known else {
            let event = super::input::shown(event);
            let known = [&KINDS[..], &PATTERNS[..]].concat().join("`, `");
            let message = format!("`{event}` is no kind of event; there are `{known}`");
            return Err(ApiError::invalid(message));
        };
        if !checked.contains(known) {
            checked.push(known);
        }
    }
    debug_assert!(KINDS.iter().any(|kind| is_wanted(checked[0], kind)));
    Ok(checked.join(" "))
}

async fn show(state: &AppState, hook: Hook) -> Result<Webhook, ApiError> {
    let repo_id = match hook.repo {
        None => None,
        Some(repo) => {
            let names = state.hosted.catalog().repo_names(repo).await?;
            names.map(|(_, name)| name)
        }
    };
    Ok(Webhook {
        id: hook.id.to_string(),
        url: hook.url,
        events: hook.events.split(' ').map(str::to_owned).collect(),
        repo_id,
        created_at: time::rfc3339(hook.created_at_ms / 1000),
        secret: None,
    })
}
