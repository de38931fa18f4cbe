//! `/ssh-keys`: who may come in by SSH.
//!
//! A token that may change an organisation's webhooks may register keys for all of its repositories, one that may delete
//! a repository keys for that one; and a key may do no more than the token that registers it.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use http::StatusCode;
use packhouse_api::{
    AddSshKey, ErrorBody, ErrorCode, ListSshKeysQuery, ListedSshKeys, RevokedSshKey, SshKey,
};
use packhouse_catalog::{NewAuditEntry, NewSshKey, RepoId, SshKeyRow};
use serde_json::json;

use super::input::{Query, read_json, shown};
use super::page::List;
use super::webhooks::Level;
use super::{page, time};
use crate::auth::{Caller, GIT_SIGN, Scope, SshPublicKey};
use crate::error::ApiError;
use crate::state::AppState;

/// Longest name of a user, as in a token.
const MAX_USER_CHARS: usize = 200;

/// What a key may be allowed, and what of it the token that registers it has to be allowed. Who may push may say whose
/// signatures count.
const SCOPES: [(&str, Scope); 3] = [
    ("git:read", Scope::GitRead),
    ("git:write", Scope::GitWrite),
    (GIT_SIGN, Scope::GitWrite),
];

/// What a key is allowed if nothing is asked for.
const DEFAULT_SCOPES: [&str; 2] = ["git:read", "git:write"];

/// Registers a key: for the repository that the token names, or for all of its organisation.
#[utoipa::path(
    post, path = "/api/v1/ssh-keys", operation_id = "add_ssh_key", tag = "ssh-keys", request_body = AddSshKey,
    responses(
        (status = 201, body = SshKey), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
    )
)]
pub(crate) async fn add(
    State(state): State<AppState>,
    caller: Caller,
    body: Body,
) -> Result<(StatusCode, Json<SshKey>), ApiError> {
    let level = Level::to_write(&state, &caller).await?;
    let request: AddSshKey = read_json(body, state.limits.json_bytes).await?;
    let key = SshPublicKey::parse(&request.public_key)
        .map_err(|error| ApiError::invalid(format!("`public_key`: {error}")))?;
    let user = check_user(request.user.as_deref())?;
    let scopes = check_scopes(&caller, request.scopes)?;
    let now_ms = time::now_seconds() * 1000;
    let expires_at_ms = check_end(request.expires_at.as_deref(), now_ms)?;
    let (repo, repo_name) = match request.repo_id {
        Some(name) => (
            Some(named_repo(&state, &caller, &level, &name).await?),
            Some(name),
        ),
        None => (level.repo(), caller.repo().ok().map(str::to_owned)),
    };
    let new = NewSshKey {
        fingerprint: key.fingerprint().to_owned(),
        public_key: key.line().to_owned(),
        user,
        repo,
        scopes,
        expires_at_ms,
    };
    let detail =
        json!({ "user": new.user, "scopes": new.scopes, "expires_at": expires_at_ms.map(show_ms) });
    let entry = NewAuditEntry {
        repo,
        detail: Some(detail.to_string()),
        ..caller.audit_entry("ssh_key.add", key.fingerprint())
    };
    let catalog = state.hosted.catalog().audited(entry);
    if !catalog.add_ssh_key(caller.org(), new.clone()).await? {
        let message = format!(
            "key {} is registered already; revoke it first",
            key.fingerprint()
        );
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    let row = SshKeyRow {
        org: caller.org(),
        org_name: caller.issuer().to_owned(),
        key: new,
        repo_name,
        created_at_ms: now_ms,
    };
    Ok((StatusCode::CREATED, Json(show(row))))
}

/// Lists keys: those for the repository that the token names, or all of its organisation.
#[utoipa::path(
    get, path = "/api/v1/ssh-keys", operation_id = "list_ssh_keys", tag = "ssh-keys", params(ListSshKeysQuery),
    responses(
        (status = 200, body = ListedSshKeys), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<ListSshKeysQuery>,
) -> Result<Json<ListedSshKeys>, ApiError> {
    let level = Level::to_read(&state, &caller).await?;
    let limit = page::limit(query.limit, 20, 100);
    let level_id = level.repo().map(|repo| repo.to_string());
    let list = List::of_org(
        "ssh-keys",
        caller.org(),
        &[level_id.as_deref().unwrap_or_default()],
    );
    let after = list.after_as(query.cursor.as_deref(), |place| Some(place.to_owned()))?;
    let mut rows = state
        .hosted
        .catalog()
        .ssh_keys(
            caller.org(),
            level.repo(),
            after.as_deref().unwrap_or_default(),
            limit as u32 + 1,
        )
        .await?;
    let has_more = page::cut(&mut rows, limit);
    let next_cursor = rows
        .last()
        .filter(|_| has_more)
        .map(|row| list.cursor(row.key.fingerprint.as_bytes()));
    Ok(Json(ListedSshKeys {
        ssh_keys: rows.into_iter().map(show).collect(),
        next_cursor,
        has_more,
    }))
}

/// Revokes a key. Commands that it started go on; it starts no more, not even over a connection that is open.
#[utoipa::path(
    delete, path = "/api/v1/ssh-keys/{fingerprint}", operation_id = "revoke_ssh_key", tag = "ssh-keys",
    params(("fingerprint" = String, Path, description = "Fingerprint of the key, with `/` as `%2F`.")),
    responses(
        (status = 200, body = RevokedSshKey), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    caller: Caller,
    Path(fingerprint): Path<String>,
) -> Result<Json<RevokedSshKey>, ApiError> {
    let level = Level::to_write(&state, &caller).await?;
    let catalog = state.hosted.catalog();
    let found = find(&state, &caller, &level, &fingerprint).await?;
    let missing = || {
        let message = format!("no SSH key `{}` here", shown(&fingerprint));
        ApiError::new(ErrorCode::SshKeyNotFound, message)
    };
    let row = found.ok_or_else(missing)?;
    let entry = NewAuditEntry {
        repo: row.key.repo,
        ..caller.audit_entry("ssh_key.revoke", &fingerprint)
    };
    let catalog = catalog.audited(entry);
    if !catalog.revoke_ssh_key(caller.org(), &fingerprint).await? {
        return Err(missing());
    }
    Ok(Json(RevokedSshKey {
        message: "SSH key revoked".to_owned(),
        fingerprint,
    }))
}

/// The key with that fingerprint, if it is on the caller's level.
async fn find(
    state: &AppState,
    caller: &Caller,
    level: &Level,
    fingerprint: &str,
) -> Result<Option<SshKeyRow>, ApiError> {
    // A key that has ended can be revoked as well, so the moment is one at which none had.
    let rows = state
        .hosted
        .catalog()
        .ssh_key(fingerprint, i64::MIN)
        .await?;
    Ok(rows.into_iter().find(|row| {
        row.org == caller.org() && (level.repo().is_none() || row.key.repo == level.repo())
    }))
}

/// The repository that a request restricts its key to.
async fn named_repo(
    state: &AppState,
    caller: &Caller,
    level: &Level,
    name: &str,
) -> Result<RepoId, ApiError> {
    if level.repo().is_some() && caller.repo()? != name {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            format!("the token is for another repository than `{}`", shown(name)),
        ));
    }
    let found = state.hosted.catalog().repo(caller.org(), name).await?;
    found.map(|row| row.id).ok_or_else(|| {
        ApiError::new(
            ErrorCode::RepositoryNotFound,
            format!("repository `{}` not found", shown(name)),
        )
    })
}

fn check_user(user: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(user) = user.map(str::trim) else {
        return Ok(None);
    };
    if user.is_empty()
        || user.chars().count() > MAX_USER_CHARS
        || user.chars().any(char::is_control)
    {
        return Err(ApiError::invalid(format!(
            "`user` has 1 to {MAX_USER_CHARS} characters, none of them a control character"
        )));
    }
    Ok(Some(user.to_owned()))
}

/// The scopes as they are stored: those that were asked for, or all that come in.
fn check_scopes(caller: &Caller, asked: Option<Vec<String>>) -> Result<String, ApiError> {
    if !caller.policy().is_empty() {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "a token with ref policies registers no keys, which have none",
        ));
    }
    let asked = asked.unwrap_or_else(|| DEFAULT_SCOPES.map(str::to_owned).to_vec());
    let is_known = |word: &String| SCOPES.iter().any(|(known, _)| known == word);
    if asked.is_empty() || !asked.iter().all(is_known) {
        return Err(ApiError::invalid(
            "`scopes` holds one or more of `git:read`, `git:write` and `git:sign`",
        ));
    }
    let mut words = Vec::new();
    for (word, needed) in SCOPES {
        if asked.iter().any(|asked| asked == word) {
            caller.need(needed)?;
            words.push(word);
        }
    }
    Ok(words.join(" "))
}

fn check_end(expires_at: Option<&str>, now_ms: i64) -> Result<Option<i64>, ApiError> {
    let Some(text) = expires_at else {
        return Ok(None);
    };
    let (seconds, _) = time::parse_rfc3339(text).ok_or_else(|| {
        ApiError::invalid("`expires_at` is no RFC 3339 time such as 2030-01-31T12:00:00Z")
    })?;
    let ms = seconds.saturating_mul(1000);
    if ms <= now_ms {
        return Err(ApiError::invalid("`expires_at` is in the past"));
    }
    Ok(Some(ms))
}

fn show_ms(ms: i64) -> String {
    time::rfc3339(ms / 1000)
}

fn show(row: SshKeyRow) -> SshKey {
    SshKey {
        fingerprint: row.key.fingerprint,
        public_key: row.key.public_key,
        user: row.key.user,
        repo_id: row.key.repo.map(|_| row.repo_name.unwrap_or_default()),
        scopes: row.key.scopes.split(' ').map(str::to_owned).collect(),
        created_at: show_ms(row.created_at_ms),
        expires_at: row.key.expires_at_ms.map(show_ms),
    }
}
