//! `mv`: renames and moves files and folders.

use std::ffi::OsString;

use bstr::BStr;
use clap::Args;
use packhouse_repo::store::Rename;

use super::changes::{self, Counted, Shown};
use super::failure::Failure;
use super::flags::{
    BranchFlag, DryRunFlag, GlobFlag, MessageFlag, ParentFlags, SnapshotFlags, TagFlags,
};
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
    /// Folders with everything in them
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(flatten)]
    glob: GlobFlag,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    message: MessageFlag,
    #[command(flatten)]
    dry_run: DryRunFlag,
    #[command(flatten)]
    tag: TagFlags,
    #[command(flatten)]
    parents: ParentFlags,
}

pub(crate) fn run(args: MvArgs, session: &Session) -> Result<(), Failure> {
    let places = args
        .paths
        .iter()
        .map(stored)
        .collect::<Result<Vec<_>, _>>()?;
    let Some((dest, sources)) = places
        .split_last()
        .filter(|(_, sources)| !sources.is_empty())
    else {
        return Err(Failure::new(
            "mv requires at least two arguments (SRC... DEST)",
        ));
    };
    select::check(&places, &args.branch, &SnapshotFlags::default())?;
    let store = session.open()?;
    let branch = select::writable_branch(&store, &places, &args.branch)?;
    changes::check_tag(&store, &args.tag)?;
    let tip = select::tip(&store, &branch)?;
    let sources = expand(&tip, sources.iter().map(|place| &place.path), args.glob)?;
    let options = Rename {
        recursive: args.recursive,
        dry_run: args.dry_run.dry_run,
        message: args.message.message,
        parents: select::parents(&store, &args.parents.parents)?,
    };
    let moved = tip.rename(&sources, &dest.path, &options)?;
    if !options.dry_run {
        changes::tag(session, &store, &moved, &args.tag)?;
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
