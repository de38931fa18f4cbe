//! `diff`: the files that differ between two commits.

use std::ffi::OsString;
use std::ops::ControlFlow;

use bstr::{BString, ByteSlice};
use clap::Args;
use packhouse_object::{TreeChange, diff_trees};
use packhouse_repo::store::StoreError;
use serde::Serialize;

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::output::{self, FormatFlag, List, name_of};
use super::ref_path::RefPath;
use super::select;
use super::session::Session;

/// Show which files the branch has added, modified and deleted since another commit
#[derive(Args, Debug)]
pub(crate) struct DiffArgs {
    /// What to compare the branch with: a ref, or `ref:`
    baseline: Option<OsString>,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    /// From the branch to the other commit
    #[arg(long)]
    reverse: bool,
    #[command(flatten)]
    format: FormatFlag,
}

#[derive(Serialize)]
struct Shown {
    path: String,
    status: char,
}

pub(crate) fn run(args: DiffArgs, session: &Session) -> Result<(), Failure> {
    let place = match &args.baseline {
        Some(baseline) => RefPath::parse_with_bare_ref(baseline)?,
        None => RefPath::default(),
    };
    select::check([&place], &args.branch, &args.snapshot)?;
    let store = session.open()?;
    let tip = select::tip(&store, &select::branch_name(&store, &args.branch)?)?;
    let baseline = select::snapshot(&store, &place, &args.branch, &args.snapshot)?;
    let (old, new) = match args.reverse {
        false => (&baseline, &tip),
        true => (&tip, &baseline),
    };
    let mut list = List::new(session.format(args.format));
    let mut written = Ok(());
    // The tip's database was opened first; the baseline may be newer if someone writes meanwhile.
    diff_trees(
        baseline.database(),
        Some(old.tree()),
        Some(new.tree()),
        &mut |change| {
            if is_at_or_below(&place.path, &change.path) {
                written = show(&mut list, &change);
            }
            match written {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        },
    )
    .map_err(StoreError::from)?;
    written?;
    list.finish()
}

fn show(list: &mut List, change: &TreeChange) -> Result<(), Failure> {
    let status = match (&change.old, &change.new) {
        (None, _) => 'A',
        (_, None) => 'D',
        _ => 'M',
    };
    list.item(
        || Shown {
            path: name_of(&change.path),
            status,
        },
        |out| output::path_line(out, &format!("{status}  "), change.path.as_bstr()),
    )
}

/// Whether `path` is at or below `folder`; everything is below the root.
fn is_at_or_below(folder: &BString, path: &BString) -> bool {
    let folder = folder.trim_end_with(|char| char == '/');
    folder.is_empty()
        || path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_limits_what_is_compared() {
        let below = |folder: &str, path: &str| is_at_or_below(&folder.into(), &path.into());
        assert!(below("", "a/b"));
        assert!(below("a", "a/b"));
        assert!(below("a/", "a/b"));
        assert!(below("a/b", "a/b"));
        assert!(!below("a", "ab"));
        assert!(!below("a/b", "a"));
    }
}
