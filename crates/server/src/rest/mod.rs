//! The HTTP API. One file per resource, one function per route.

mod abandoned;
pub(crate) mod archive;
pub(crate) mod audit;
pub(crate) mod blame;
pub(crate) mod branches;
pub(crate) mod commit_pack;
mod commit_write;
pub(crate) mod commits;
pub(crate) mod conditions;
pub(crate) mod deliveries;
pub(crate) mod diff_commit;
pub(crate) mod diffs;
pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod files;
pub(crate) mod files_metadata;
mod fork;
pub(crate) mod git_credentials;
pub(crate) mod grep;
mod input;
pub(crate) mod jobs;
mod json_fields;
mod json_object;
mod last_commit;
pub(crate) mod merge;
mod merge_preview;
mod ndjson;
pub(crate) mod notes;
mod openapi;
mod page;
mod query_fields;
mod query_pairs;
pub(crate) mod range;
pub(crate) mod replay;
pub(crate) mod repos;
pub(crate) mod restore;
pub(crate) mod ssh_keys;
pub(crate) mod tags;
pub(crate) mod time;
pub(crate) mod upstreams;
pub(crate) mod webhooks;

pub(crate) use openapi::{document as openapi_document, openapi};

pub(crate) use input::shown;

use packhouse_api::ErrorCode;
use packhouse_repo::{Namespace, Resolved, View, display_name};

use crate::error::ApiError;

fn namespace(ephemeral: Option<bool>) -> Namespace {
    if ephemeral == Some(true) {
        Namespace::Ephemeral
    } else {
        Namespace::Default
    }
}

/// The commit that `rev` names in `namespace`; the default branch if it names nothing.
fn resolve(view: &View, rev: Option<&str>, namespace: Namespace) -> Result<Resolved, ApiError> {
    let default = view.head();
    let rev = match rev.map(str::trim) {
        Some(rev) if !rev.is_empty() => rev.to_owned(),
        _ => display_name(default).to_string(),
    };
    let missing = || {
        let message = if view.refs().is_empty() {
            "the repository is empty: it has no commits yet".to_owned()
        } else {
            format!("no branch, tag or commit `{rev}`")
        };
        ApiError::new(ErrorCode::RefNotFound, message)
    };
    view.resolve(&rev, namespace)?.ok_or_else(missing)
}

/// What a `ref` was resolved to, as clients show it.
fn shown_ref(found: &Resolved) -> String {
    match &found.name {
        Some(name) if name.is_ephemeral() => name.as_bstr().to_string(),
        Some(name) => display_name(name).to_string(),
        None => found.id.to_string(),
    }
}
