//! `undo` and `redo`: a branch back and forth along what was done to it.

use bstr::ByteSlice;
use clap::Args;
use packhouse_repo::store::{Snapshot, StoreError};

use super::failure::Failure;
use super::flags::BranchFlag;
use super::log::short;
use super::output::{self, Format, text_of};
use super::ref_change::RefChange;
use super::select;
use super::session::Session;

/// Move a branch back by a number of commits
#[derive(Args, Debug)]
pub(crate) struct UndoArgs {
    /// How many
    #[arg(default_value_t = 1, value_name = "STEPS")]
    steps: u64,
    #[command(flatten)]
    branch: BranchFlag,
}

/// Move a branch to where it was before it was moved back
#[derive(Args, Debug)]
pub(crate) struct RedoArgs {
    /// How many moves
    #[arg(default_value_t = 1, value_name = "STEPS")]
    steps: u64,
    #[command(flatten)]
    branch: BranchFlag,
}

pub(crate) fn undo(args: UndoArgs, session: &Session) -> Result<(), Failure> {
    let hint = "`log` shows the commits there are";
    walk(session, &args.branch, |tip| tip.undo(args.steps), hint)
}

pub(crate) fn redo(args: RedoArgs, session: &Session) -> Result<(), Failure> {
    let hint = "`reflog` shows the moves there were";
    walk(session, &args.branch, |tip| tip.redo(args.steps), hint)
}

fn walk(
    session: &Session,
    branch: &BranchFlag,
    step: impl FnOnce(&Snapshot) -> Result<Snapshot, StoreError>,
    hint: &str,
) -> Result<(), Failure> {
    let store = session.open()?;
    let branch = select::branch_name(&store, branch)?;
    // What it moves from is what is found here.
    let _turn = store.exclusive()?;
    let tip = select::tip(&store, &branch)?;
    let change = RefChange::of(&store.branches(), &branch);
    let now = match step(&tip) {
        Err(error @ StoreError::Invalid { .. }) => return Err(Failure::from(error).hint(hint)),
        now => now?,
    };
    let moved = change.to(&now).saying(text_of(now.message()));
    let format = if session.json() {
        Format::Json
    } else {
        Format::Text
    };
    output::value(format, &moved, |out| {
        write!(out, "Branch now at: {} - ", short(&now))?;
        out.write_all(now.message().lines().next().unwrap_or_default())?;
        out.write_all(b"\n")
    })
}
