//! `hash`: the id of a commit, a folder or a file.

use std::ffi::OsString;

use clap::Args;
use packhouse_repo::store::FileType;
use serde::Serialize;

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::output::{self, FormatFlag, name_of};
use super::ref_path::RefPath;
use super::select;
use super::session::Session;

/// Print the id of a commit, a folder or a file
#[derive(Args, Debug)]
pub(crate) struct HashArgs {
    /// A ref for its commit, or `ref:path` for what is there [default: the current branch]
    target: Option<OsString>,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    #[command(flatten)]
    format: FormatFlag,
}

#[derive(Serialize)]
struct Found {
    hash: String,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

pub(crate) fn run(args: HashArgs, session: &Session) -> Result<(), Failure> {
    let place = match &args.target {
        Some(target) => RefPath::parse_with_bare_ref(target)?,
        None => RefPath::default(),
    };
    select::check([&place], &args.branch, &args.snapshot)?;
    let store = session.open()?;
    let snapshot = select::snapshot(&store, &place, &args.branch, &args.snapshot)?;
    let found = if place.path.is_empty() {
        Found {
            hash: snapshot.commit().to_string(),
            kind: "commit",
            path: None,
        }
    } else {
        let stat = snapshot.stat(&place.path)?;
        Found {
            hash: stat.id.to_string(),
            kind: match stat.file_type {
                FileType::Tree => "tree",
                FileType::Commit => "commit",
                _ => "blob",
            },
            path: Some(name_of(&place.path)),
        }
    };
    output::value(session.format(args.format), &found, |out| {
        writeln!(out, "{}", found.hash)
    })
}
