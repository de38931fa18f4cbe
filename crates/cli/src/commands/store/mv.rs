//! `mv`: renames and moves files and folders.

use std::ffi::OsString;

use bstr::BStr;
use clap::Args;
use packhouse_repo::store::Rename;

use super::changes::{self, Counted, Shown};
use super::failure::Failure;
use super::flags::{RearrangeFlags, SnapshotFlags};
use super::ref_path::{Place, RefPath};
use super::rm::expand;
use super::select;
use super::session::Session;

/// Rename or move files, and folders with -R
#[derive(Args, Debug)]
pub(crate) struct MvArgs {
    /// What to move, then where to; each as `ref:path`, all in one branch
    #[arg(required = true, value_name = "SRC|DEST")]
    paths: Vec<OsString>,
    #[command(flatten)]
    flags: RearrangeFlags,
}

pub(crate) fn run(args: MvArgs, session: &Session) -> Result<(), Failure> {
    let flags = args.flags;
    let places = args
        .paths
        .iter()
        .map(stored)
        .collect::<Result<Vec<_>, _>>()?;
    let Some((dest, sources)) = places
        .split_last()
        .filter(|(_, sources)| !sources.is_empty())
    else {
        let why = "mv requires at least two arguments (SRC... DEST)";
        return Err(Failure::new(why).hint("as in `mv :old.txt :new.txt`"));
    };
    select::check(&places, &flags.branch, &SnapshotFlags::default())?;
    let store = session.open()?;
    let branch = select::writable_branch(&store, &places, &flags.branch)?;
    changes::check_tag(&store, &flags.commit.tag)?;
    let tip = select::tip(&store, &branch)?;
    let sources = expand(&tip, sources.iter().map(|place| &place.path), flags.glob)?;
    let options = Rename {
        recursive: flags.recursive,
        dry_run: flags.dry_run.dry_run,
        message: flags.commit.message.clone(),
        parents: select::parents(&store, &flags.commit.parents)?,
    };
    let moved = tip.rename(&sources, &dest.path, &options)?;
    if !options.dry_run {
        changes::tag(session, &store, &moved, &flags.commit.tag)?;
    }
    let shown = Shown {
        before: BStr::new(":"),
        dry_run: options.dry_run,
        done: "Moved",
        counted: Counted::Written,
    };
    changes::finish(session, &moved, &shown)
}

fn stored(argument: &OsString) -> Result<RefPath, Failure> {
    match Place::parse(argument)? {
        Place::Stored(place) => Ok(place),
        Place::Local(path) => Err(
            Failure::new(format!("'{}' is no repo path", path.display()))
                .hint("begin paths in the repository with ':'"),
        ),
    }
}
