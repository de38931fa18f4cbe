//! `/audit` and `/repos/audit`: what was done, newest first.
//!
//! A page reads a bounded number of entries, whatever is asked for: a filter that fits few of them gets short pages, and
//! a cursor to go on.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use packhouse_api::{
    AuditEntryInfo, AuditQuery, ErrorBody, ErrorCode, ListedAuditEntries, RepoAuditQuery,
};
use packhouse_catalog::{AuditCursor, AuditEntry, AuditOf, AuditedChange, Catalog, OrgId, RepoId};
use serde_json::Value;

use super::input::{Query, non_blank, shown};
use super::page::List;
use super::{page, time};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// Entries read for one page at most.
const MAX_READ: usize = 5000;

/// Entries read at a time.
const READ_AT_ONCE: u32 = 250;

/// Repositories of one name, of which all but one are deleted, whose logs are read.
const MAX_OF_ONE_NAME: u32 = 100;

/// How much earlier than its place in the log an entry may say it was made: two nodes, two clocks.
const CLOCKS_DIFFER_MS: i64 = 10 * 60 * 1000;

/// Lists what was done in the organisation, newest first: who, what, when, from where, for which request.
#[utoipa::path(
    get, path = "/api/v1/audit", operation_id = "list_audit_entries", tag = "audit", params(AuditQuery),
    responses(
        (status = 200, body = ListedAuditEntries), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list_all(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
) -> Result<Json<ListedAuditEntries>, ApiError> {
    caller.need(Scope::OrgRead)?;
    let catalog = state.hosted.catalog();
    let logs = match non_blank(query.repo.as_deref()) {
        Some(name) => logs_of(catalog, caller.org(), name).await?,
        None => vec![AuditOf::Org(caller.org())],
    };
    let of = non_blank(query.repo.as_deref()).unwrap_or_default();
    listed(&state, &caller, logs, of, &query).await
}

/// Lists what was done to the repository that the token names, and to deleted ones of its name, newest first.
#[utoipa::path(
    get, path = "/api/v1/repos/audit", operation_id = "list_repository_audit_entries", tag = "audit", params(RepoAuditQuery),
    responses(
        (status = 200, body = ListedAuditEntries), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(query): Query<RepoAuditQuery>,
) -> Result<Json<ListedAuditEntries>, ApiError> {
    // It tells where others come from, which is not for everyone who may read the files.
    caller.need(Scope::RepoWrite)?;
    let catalog = state.hosted.catalog();
    let logs = logs_of(catalog, caller.org(), caller.repo()?).await?;
    listed(&state, &caller, logs, caller.repo()?, &query.into()).await
}

/// The logs of the repositories of that name, the newest first. One is deleted before the next is created, so their logs
/// follow one another.
async fn logs_of(catalog: &Catalog, org: OrgId, name: &str) -> Result<Vec<AuditOf>, ApiError> {
    let repos = catalog.repos_ever_named(org, name, MAX_OF_ONE_NAME).await?;
    if repos.is_empty() {
        return Err(ApiError::new(
            ErrorCode::RepositoryNotFound,
            format!("there never was a repository `{}`", shown(name)),
        ));
    }
    Ok(repos.into_iter().map(AuditOf::Repo).collect())
}

/// Which entries are wanted.
struct Filter<'q> {
    who: Option<&'q str>,
    kind: Option<&'q str>,
    since_ms: i64,
    until_ms: i64,
}

impl Filter<'_> {
    fn of(query: &AuditQuery) -> Result<Filter<'_>, ApiError> {
        let time = |field: &str, text: &Option<String>, default: i64| match non_blank(
            text.as_deref(),
        ) {
            None => Ok(default),
            Some(text) => match time::parse_rfc3339(text) {
                Some((seconds, _)) => Ok(seconds.saturating_mul(1000)),
                None => Err(ApiError::invalid(format!(
                    "`{field}`: `{}` is no time as RFC 3339 writes it, such as 2025-01-31T12:00:00Z",
                    shown(text)
                ))),
            },
        };
        Ok(Filter {
            who: non_blank(query.who.as_deref()),
            kind: non_blank(query.kind.as_deref()),
            since_ms: time("since", &query.since, i64::MIN)?,
            until_ms: time("until", &query.until, i64::MAX)?,
        })
    }

    fn wants(&self, entry: &AuditEntry) -> bool {
        let is_kind = |wanted: &str| match wanted.strip_suffix('*') {
            Some(start) => kind(entry).starts_with(start),
            None => kind(entry) == wanted,
        };
        (self.since_ms..self.until_ms).contains(&entry.at_ms)
            && self.who.is_none_or(|who| entry.who == who)
            && self.kind.is_none_or(is_kind)
    }

    /// Whether nothing before `entry` is wanted.
    fn ends_at(&self, entry: &AuditEntry) -> bool {
        entry.at_ms < self.since_ms.saturating_sub(CLOCKS_DIFFER_MS)
    }
}

async fn listed(
    state: &AppState,
    caller: &Caller,
    logs: Vec<AuditOf>,
    of: &str,
    query: &AuditQuery,
) -> Result<Json<ListedAuditEntries>, ApiError> {
    let limit = page::limit(query.limit, 50, 500);
    let catalog = state.hosted.catalog();
    let mut filter = Filter::of(query)?;
    if let Some(keep) = state.sweep.keep_audit {
        // A sweep comes to them later, and moves of refs stay in the reflog for good.
        filter.since_ms = filter.since_ms.max(state.sweep.before_ms(keep));
    }
    let asked = [&query.who, &query.kind, &query.since, &query.until];
    let asked = asked.map(|asked| non_blank(asked.as_deref()).unwrap_or_default());
    let list = List::of_org("audit", caller.org(), &[&[of][..], &asked].concat());
    let place = list.after_as(query.cursor.as_deref(), |place| parse_place(place, &logs))?;
    let mut place = place.unwrap_or((0, AuditCursor::START));
    let mut entries = Vec::new();
    let mut read = 0;
    let mut ended = true;
    'logs: while let Some(log) = logs.get(place.0) {
        let batch = catalog.audit_log(*log, place.1, READ_AT_ONCE).await?;
        let is_last = batch.len() < READ_AT_ONCE as usize;
        for entry in batch {
            if filter.ends_at(&entry) {
                break 'logs;
            }
            if entries.len() >= limit || read >= MAX_READ {
                ended = false;
                break 'logs;
            }
            read += 1;
            place.1 = entry.next;
            if filter.wants(&entry) {
                entries.push(entry);
            }
        }
        if is_last {
            place = (place.0 + 1, AuditCursor::START);
        }
    }
    let mut names = HashMap::new();
    for repo in entries.iter().filter_map(|entry| entry.repo) {
        if let std::collections::hash_map::Entry::Vacant(name) = names.entry(repo) {
            let found = catalog.repo_names(repo).await?;
            name.insert(found.map(|(_, name)| name));
        }
    }
    Ok(Json(ListedAuditEntries {
        entries: entries
            .into_iter()
            .map(|entry| show(entry, &names))
            .collect(),
        next_cursor: (!ended).then(|| list.cursor(format_place(place, &logs).as_bytes())),
        has_more: !ended,
    }))
}

fn kind(entry: &AuditEntry) -> &str {
    match &entry.what {
        AuditedChange::Other { kind, .. } => kind,
        AuditedChange::Ref { old: None, .. } => "ref.create",
        AuditedChange::Ref { new: None, .. } => "ref.delete",
        AuditedChange::Ref { .. } => "ref.update",
    }
}

fn show(entry: AuditEntry, names: &HashMap<RepoId, Option<String>>) -> AuditEntryInfo {
    let mut info = AuditEntryInfo {
        id: String::new(),
        kind: kind(&entry).to_owned(),
        at: time::rfc3339(entry.at_ms.div_euclid(1000)),
        who: entry.who,
        address: entry.address,
        request_id: entry.request_id,
        repo_id: entry
            .repo
            .and_then(|repo| names.get(&repo).cloned().flatten()),
        target: None,
        before: None,
        after: None,
        message: None,
        detail: None,
    };
    match entry.what {
        AuditedChange::Ref {
            generation,
            ordinal,
            name,
            old,
            new,
            message,
        } => {
            let repo = entry.repo.map_or(0, |repo| repo.0);
            info.id = format!("{repo}-{generation}-{ordinal}");
            info.target = Some(String::from_utf8_lossy(&name).into_owned());
            info.before = Some(crate::events::hex(old.as_deref()));
            info.after = Some(crate::events::hex(new.as_deref()));
            info.message = Some(message).filter(|message| !message.is_empty());
        }
        AuditedChange::Other {
            id, target, detail, ..
        } => {
            info.id = id.to_string();
            info.target = target;
            info.detail = detail.and_then(|detail| texts(&detail));
        }
    }
    info
}

/// What an entry's JSON object says; values that are no text as JSON writes them.
fn texts(detail: &str) -> Option<BTreeMap<String, String>> {
    let Ok(Value::Object(detail)) = serde_json::from_str(detail) else {
        return None;
    };
    let known = detail.into_iter().filter(|(_, value)| !value.is_null());
    let texts = known.map(|(name, value)| match value {
        Value::String(text) => (name, text),
        value => (name, value.to_string()),
    });
    Some(texts.collect())
}

/// A place as text: which log of `logs` by its id, and how far that was read.
fn format_place((log, cursor): (usize, AuditCursor), logs: &[AuditOf]) -> String {
    let id = logs.get(log).map_or(0, id_of);
    let (tick, repo, generation, ordinal) = cursor.refs;
    let (other_tick, other) = cursor.others;
    format!("{id}-{tick}-{repo}-{generation}-{ordinal}-{other_tick}-{other}")
}

fn parse_place(text: &str, logs: &[AuditOf]) -> Option<(usize, AuditCursor)> {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let number = |part: &str| part.parse::<i64>().ok().filter(|_| digits(part));
    let numbers: Option<Vec<i64>> = text.split('-').map(number).collect();
    let [id, tick, repo, generation, ordinal, other_tick, other] = numbers?.try_into().ok()?;
    let log = logs.iter().position(|log| id_of(log) == id)?;
    let cursor = AuditCursor {
        refs: (tick, repo, generation, ordinal),
        others: (other_tick, other),
    };
    Some((log, cursor))
}

fn id_of(log: &AuditOf) -> i64 {
    match log {
        AuditOf::Org(org) => org.0,
        AuditOf::Repo(repo) => repo.0,
    }
}
