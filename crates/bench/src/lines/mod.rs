//! The lines of the report.

mod cache;
mod cache_serve;
mod commits;
mod create;
mod diffs;
mod forks;
mod git;
mod grep;
mod large;
mod last_commits;
mod merges;
mod million;
mod sequential;
pub(crate) mod store;
mod webhook;

use crate::report::Row;
use crate::{Bench, Result};

/// Measures one line or a few that belong together.
pub(crate) type Line = fn(&Bench, &tokio::runtime::Runtime) -> Result<Vec<Row>>;

/// Every line, in the order of the report.
pub(crate) fn all() -> Vec<(&'static str, Line)> {
    vec![
        ("commits-sqlite", commits::sqlite as Line),
        ("commits-postgres", commits::postgres),
        ("sequential", sequential::line),
        ("create", create::line),
        ("git-clone", git::clone::line),
        ("git-large-clone", git::clone::large),
        ("git-clones", git::clones::line),
        ("git-fetch", git::fetch::line),
        ("git-partial", git::partial::line),
        ("git-ls-remote", git::ls_remote::line),
        ("git-push", git::push::line),
        ("git-receive", git::receive::line),
        ("git-fit", git::fit::line),
        ("git-memory", git::memory::line),
        ("webhook-sqlite", webhook::sqlite),
        ("webhook-postgres", webhook::postgres),
        ("branch-diff", diffs::line),
        ("million", million::line),
        ("large", large::line),
        ("forks", forks::line),
        ("last-commits", last_commits::line),
        ("grep", grep::line),
        ("merge-preview", merges::preview),
        ("merge-crowd", merges::crowd),
        ("store-sequential", store::sequential),
        ("store-wide", store::wide),
        ("store-one-commit", store::one_commit),
        ("store-copy-in", store::copy_in),
        ("store-read", store::read),
        ("store-listings", store::listings),
        ("store-path-log", store::path_log),
        ("store-large", store::large),
        ("store-crowd", store::crowd),
        ("cache-unchanged", cache::unchanged),
        ("cache-crowd", cache::crowd),
        ("cache-checkout", cache::checkout),
        ("cache-many", cache::many),
        ("cache-serve", cache_serve::line),
    ]
}
