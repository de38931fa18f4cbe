//! `rm`: removes files and folders.

use std::ffi::OsString;

use bstr::{BStr, BString};
use clap::Args;
use packhouse_repo::store::{Remove, Snapshot, StoreError};

use super::changes::{self, Counted, Shown};
use super::failure::Failure;
use super::flags::{GlobFlag, RearrangeFlags, SnapshotFlags};
use super::ls::has_wildcard;
use super::ref_path::RefPath;
use super::select;
use super::session::Session;

/// Remove files, and folders with -R
#[derive(Args, Debug)]
pub(crate) struct RmArgs {
    /// Files, folders or patterns, all in one branch
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    flags: RearrangeFlags,
}

pub(crate) fn run(args: RmArgs, session: &Session) -> Result<(), Failure> {
    let flags = args.flags;
    let places = args
        .paths
        .iter()
        .map(|path| RefPath::parse(path))
        .collect::<Result<Vec<_>, _>>()?;
    select::check(&places, &flags.branch, &SnapshotFlags::default())?;
    let store = session.open()?;
    let branch = select::writable_branch(&store, &places, &flags.branch)?;
    changes::check_tag(&store, &flags.commit.tag)?;
    let tip = select::tip(&store, &branch)?;
    let sources = expand(&tip, places.iter().map(|place| &place.path), flags.glob)?;
    let options = Remove {
        recursive: flags.recursive,
        dry_run: flags.dry_run.dry_run,
        message: flags.commit.message.clone(),
        parents: select::parents(&store, &flags.commit.parents)?,
    };
    let removed = match tip.remove(&sources, &options) {
        // Everything was asked for.
        Err(StoreError::SourceNotFound { path }) if path.is_empty() => {
            return Err(Failure::new("Nothing to remove: the branch is empty")
                .hint("`log` shows the commits there are"));
        }
        removed => removed?,
    };
    if !options.dry_run {
        changes::tag(session, &store, &removed, &flags.commit.tag)?;
    }
    let shown = Shown {
        before: BStr::new(":"),
        dry_run: options.dry_run,
        done: "Removed",
        counted: Counted::All,
    };
    changes::finish(session, &removed, &shown)
}

/// Replaces patterns by what they find in `snapshot`.
///
/// # Errors
///
/// One finds nothing.
pub(crate) fn expand<'a>(
    snapshot: &Snapshot,
    paths: impl IntoIterator<Item = &'a BString>,
    flag: GlobFlag,
) -> Result<Vec<BString>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if flag.no_glob || !has_wildcard(path) {
            found.push(path.clone());
            continue;
        }
        let matches = snapshot.glob(path)?;
        if matches.is_empty() {
            return Err(no_match(path.as_ref()));
        }
        found.extend(matches);
    }
    Ok(found)
}

/// The failure of a pattern that finds nothing.
pub(crate) fn no_match(pattern: &BStr) -> Failure {
    Failure::new(format!("File not found: nothing matches {pattern}"))
        .hint("--no-glob takes `*` and `?` as they are")
}
