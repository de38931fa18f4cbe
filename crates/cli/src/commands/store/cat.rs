//! `cat`: the content of files.

use std::ffi::OsString;
use std::io::{self, Write};

use clap::Args;

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::output;
use super::ref_path::RefPath;
use super::select;
use super::session::Session;

/// Print files, one after the other
#[derive(Args, Debug)]
pub(crate) struct CatArgs {
    /// Files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<OsString>,
    #[command(flatten)]
    branch: BranchFlag,
    #[command(flatten)]
    snapshot: SnapshotFlags,
}

pub(crate) fn run(args: CatArgs, session: &Session) -> Result<(), Failure> {
    let places = args
        .paths
        .iter()
        .map(|path| RefPath::parse(path))
        .collect::<Result<Vec<_>, _>>()?;
    select::check(&places, &args.branch, &args.snapshot)?;
    let store = session.open()?;
    let mut out = output::stdout();
    for place in &places {
        let snapshot = select::snapshot(&store, place, &args.branch, &args.snapshot)?;
        let mut file = snapshot.reader(&place.path)?;
        io::copy(&mut file, &mut out)?;
    }
    Ok(out.flush()?)
}
