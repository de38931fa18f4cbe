//! Within the store, also from one ref to another.

use bstr::{BStr, BString, ByteSlice};
use packhouse_repo::store::{CopyBetween, Snapshot};

use super::{CpArgs, delete_needs_a_folder, has_pivot};
use crate::commands::store::changes::{self, Counted, Shown};
use crate::commands::store::failure::Failure;
use crate::commands::store::ls::has_wildcard;
use crate::commands::store::ref_path::RefPath;
use crate::commands::store::rm::expand;
use crate::commands::store::select;
use crate::commands::store::session::Session;

pub(super) fn run(
    args: &CpArgs,
    session: &Session,
    sources: &[RefPath],
    dest: &RefPath,
) -> Result<(), Failure> {
    let dry_run = args.dry_run.dry_run;
    let store = session.open()?;
    let branch = select::writable_branch(&store, [dest], &args.branch)?;
    changes::check_tag(&store, &args.commit.tag)?;
    let tip = select::tip(&store, &branch)?;
    let mut groups = Vec::new();
    for place in sources {
        let snapshot = select::snapshot(&store, place, &args.branch, &args.snapshot)?;
        let paths = expand(&snapshot, [&place.path], args.glob)?;
        groups.push((snapshot, paths));
    }
    let folder = dest.path.trim_end_with(|char| char == '/');
    let exact = match sources {
        [source] if is_single_file(args, &groups[0].0, &source.path)? => {
            if args.delete {
                return Err(delete_needs_a_folder());
            }
            let into = folder.is_empty() || dest.path.ends_with(b"/") || tip.is_dir(folder)?;
            !into
        }
        _ => false,
    };
    let options = CopyBetween {
        delete: args.delete,
        ignore_existing: args.ignore_existing,
        exact,
        refuse_same: true,
        dry_run,
        message: args.commit.message.clone(),
        operation: None,
        parents: select::parents(&store, &args.commit.parents)?,
    };
    let sources = groups
        .iter()
        .map(|(snapshot, paths)| (snapshot, paths.as_slice()));
    let copied = tip.copy_from_each(sources, folder, &options)?;
    if !dry_run {
        changes::tag(session, &store, &copied, &args.commit.tag)?;
    }
    let shown = Shown {
        before: BStr::new(":"),
        dry_run,
        done: "Copied",
        counted: Counted::Written,
    };
    changes::finish(session, &copied, &shown)
}

fn is_single_file(args: &CpArgs, snapshot: &Snapshot, path: &BString) -> Result<bool, Failure> {
    let is_pattern = !args.glob.no_glob && has_wildcard(path);
    if is_pattern || path.is_empty() || path.ends_with(b"/") || has_pivot(path) {
        return Ok(false);
    }
    Ok(!snapshot.is_dir(path)?)
}
