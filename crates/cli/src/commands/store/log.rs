//! `log`: the commits of a branch.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use bstr::ByteSlice;
use clap::Args;
use packhouse_repo::store::{Snapshot, Store};
use serde::Serialize;

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::moment;
use super::output::{FormatFlag, List, text_of};
use super::ref_path::{Place, RefPath};
use super::select;
use super::session::{Session, warn};

/// Show commits, newest first
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// `ref:path`, or a path; what is no path in the branch may also be a ref
    target: Option<OsString>,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    #[command(flatten)]
    format: FormatFlag,
}

#[derive(Serialize)]
struct Shown {
    hash: String,
    message: String,
    time: String,
    author_name: String,
    author_email: String,
    branch: Option<String>,
}

pub(crate) fn run(args: LogArgs, session: &Session) -> Result<(), Failure> {
    let mut flags = args.snapshot;
    let target = args.target.as_deref().map(Place::parse).transpose()?;
    let bare = match &target {
        Some(Place::Local(bare)) => Some(bare.clone()),
        _ => None,
    };
    if let Some(Place::Stored(place)) = &target {
        select::check([place], &args.branch, &flags)?;
    }
    let store = session.open()?;
    let mut place = match target {
        Some(Place::Stored(place)) => place,
        Some(Place::Local(bare)) => of_bare(&store, bare, &args.branch, &flags)?,
        None => RefPath::default(),
    };
    if !place.path.is_empty() {
        if flags.path.is_some() {
            let why = "Cannot use --path together with a path in the target";
            return Err(
                Failure::new(why).hint("leave out --path, or end the target after the colon")
            );
        }
        flags.path = Some(OsString::from_vec(std::mem::take(&mut place.path).into()));
    }
    let mut start = select::base(&store, &place, &args.branch, &flags)?;
    if let Some(back) = flags.back {
        start = select::back(start, back)?;
    }
    let branch = start.ref_name().map(str::to_owned);
    let mut list = List::new(session.format(args.format));
    let mut is_empty = true;
    for commit in start.log(select::log_filter(&flags)?)? {
        let commit = commit?;
        is_empty = false;
        list.item(
            || shown(&commit, branch.clone()),
            |out| {
                write!(out, "{}  {}  ", short(&commit), time(&commit))?;
                out.write_all(commit.message().lines().next().unwrap_or_default())?;
                out.write_all(b"\n")
            },
        )?;
    }
    list.finish()?;
    if let Some(bare) = bare
        && is_empty
        && flags.matching.is_none()
        && flags.before.is_none()
    {
        let bare = bare.display();
        warn(format_args!(
            "hint: no commit there has changed a path '{bare}'; `branch list` and `tag list` show the refs there are"
        ));
    }
    Ok(())
}

/// What an argument without a colon means: a path, unless it is none in the branch and a ref is called so.
fn of_bare(
    store: &Store,
    bare: OsString,
    branch: &BranchFlag,
    flags: &SnapshotFlags,
) -> Result<RefPath, Failure> {
    let path = RefPath::parse(&bare)?;
    let is_free = flags.name.is_none() && branch.branch.is_none();
    if is_free && let Ok(rev) = RefPath::parse_with_bare_ref(&bare) {
        let head = select::base(store, &RefPath::default(), branch, flags)?;
        let is_path = head.exists(bare.as_bytes()).unwrap_or(false);
        if !is_path && select::base(store, &rev, branch, flags).is_ok() {
            select::check([&rev], branch, flags)?;
            return Ok(rev);
        }
    }
    Ok(path)
}

/// The first seven digits of a commit.
pub(crate) fn short(snapshot: &Snapshot) -> String {
    snapshot.commit().to_string()[..7].to_owned()
}

/// When a commit was recorded.
pub(crate) fn time(snapshot: &Snapshot) -> String {
    let (seconds, offset_minutes) = snapshot.calendar_time();
    moment::iso(seconds, offset_minutes)
}

fn shown(commit: &Snapshot, branch: Option<String>) -> Shown {
    Shown {
        hash: commit.commit().to_string(),
        message: text_of(commit.message()),
        time: time(commit),
        author_name: text_of(commit.author_name()),
        author_email: text_of(commit.author_email()),
        branch,
    }
}
