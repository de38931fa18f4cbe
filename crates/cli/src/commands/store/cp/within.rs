//! Within the store, also from one ref to another.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use bstr::{BStr, BString, ByteSlice};
use packhouse_repo::store::{CopyBetween, Snapshot, join};

use super::{CpArgs, basename, delete_needs_a_folder, has_pivot};
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
    let is_only = groups.iter().map(|(_, paths)| paths.len()).sum::<usize>() == 1;
    for (snapshot, paths) in groups.iter().filter(|group| is_same_ref(&group.0, &tip)) {
        for path in paths {
            let to = place_of(path, folder, exact);
            // Among others, as of a pattern, one that is there already is nothing to do.
            let is_there = to == path.trim_with(|char| char == '/') && !is_only;
            if !is_there {
                check_copied_out(snapshot, path, &to, folder)?;
            }
        }
    }
    let options = CopyBetween {
        delete: args.delete,
        ignore_existing: args.ignore_existing,
        exact,
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

/// Whether two snapshots are one state of one branch.
pub(crate) fn is_same_ref(one: &Snapshot, other: &Snapshot) -> bool {
    one.commit() == other.commit() && one.ref_name() == other.ref_name()
}

/// Whether a path is in a folder, at any depth.
pub(crate) fn is_below(path: &[u8], folder: &[u8]) -> bool {
    match folder.is_empty() {
        true => !path.is_empty(),
        false => path
            .strip_prefix(folder)
            .is_some_and(|rest| rest.starts_with(b"/")),
    }
}

/// The failure of a copy of a thing onto or into itself.
pub(crate) fn into_itself(from: &[u8], to: &[u8]) -> Failure {
    let (from, to) = (from.as_bstr(), to.as_bstr());
    Failure::new(match from == to {
        true => format!("Source and destination are the same: {from}"),
        false => format!("':{from}' cannot be copied into itself: ':{to}'"),
    })
    .hint("name another place to copy to")
}

/// Where a source goes, but for a pivot.
fn place_of(path: &BString, folder: &[u8], exact: bool) -> BString {
    let from = path.trim_with(|char| char == '/');
    match exact || from.is_empty() || path.ends_with(b"/") {
        true => BString::from(folder),
        false => join(folder, &basename(OsStr::from_bytes(from))),
    }
}

/// Checks that a source is copied to another place, and not into itself.
fn check_copied_out(
    snapshot: &Snapshot,
    path: &BString,
    to: &BString,
    folder: &[u8],
) -> Result<(), Failure> {
    let from = path.trim_with(|char| char == '/');
    if has_pivot(path) {
        return Ok(());
    }
    if folder == from || to == from {
        return Err(into_itself(from, from));
    }
    if !is_below(to, from) {
        return Ok(());
    }
    // What is in a folder is as many sources. The one on the way to the destination need not be there yet.
    let copied = match from.is_empty() || path.ends_with(b"/") {
        true => {
            let skip = from.len() + usize::from(!from.is_empty());
            let name = to[skip..].find_byte(b'/');
            &to[..name.map_or(to.len(), |len| skip + len)]
        }
        false => from,
    };
    match snapshot.exists(copied)? {
        true => Err(into_itself(from, to)),
        false => Ok(()),
    }
}

fn is_single_file(args: &CpArgs, snapshot: &Snapshot, path: &BString) -> Result<bool, Failure> {
    let is_pattern = !args.glob.no_glob && has_wildcard(path);
    if is_pattern || path.is_empty() || path.ends_with(b"/") || has_pivot(path) {
        return Ok(false);
    }
    Ok(!snapshot.is_dir(path)?)
}
