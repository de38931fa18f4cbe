//! `reflog`: what was done to a branch.

use bstr::ByteSlice;
use clap::Args;
use packhouse_repo::store::{ReflogLine, StoreErrorKind};
use serde::Serialize;

use super::failure::Failure;
use super::flags::BranchFlag;
use super::moment;
use super::output::{Format, FormatFlag, List, text_of};
use super::select;
use super::session::Session;

/// Show what was done to a branch, oldest first
#[derive(Args, Debug)]
pub(crate) struct ReflogArgs {
    #[command(flatten)]
    branch: BranchFlag,
    /// Only the newest N
    #[arg(short = 'n', long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    format: FormatFlag,
}

#[derive(Serialize)]
struct Shown {
    old_sha: String,
    new_sha: String,
    committer: String,
    timestamp: i64,
    time: String,
    message: String,
}

pub(crate) fn run(args: ReflogArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    let branch = select::branch_name(&store, &args.branch)?;
    select::tip(&store, &branch)?;
    let lines = match store.branches().reflog(&branch) {
        // A branch that was made by other means, or not moved yet.
        Err(error) if error.kind() == StoreErrorKind::NotFound => Vec::new(),
        lines => lines?,
    };
    let skipped = args
        .limit
        .map_or(0, |limit| lines.len().saturating_sub(limit));
    let lines = &lines[skipped..];
    let format = session.format(args.format);
    if format == Format::Text {
        return print(&branch, lines);
    }
    let mut list = List::new(format);
    for line in lines {
        list.item(|| shown(line), |_| Ok(()))?;
    }
    list.finish()
}

fn print(branch: &str, lines: &[ReflogLine]) -> Result<(), Failure> {
    let mut list = List::new(Format::Text);
    let heading = match lines.len() {
        0 => format!("No reflog entries for branch '{branch}'"),
        count => format!("Reflog for branch '{branch}' ({count} entries):"),
    };
    list.item(|| (), |out| writeln!(out, "{heading}"))?;
    for (number, line) in lines.iter().enumerate() {
        list.item(
            || (),
            |out| {
                let id = line.new.to_string();
                let time = moment::iso(line.timestamp, 0);
                write!(out, "  [{number}] {} ({time})  ", &id[..7])?;
                out.write_all(line.message.trim_end())?;
                out.write_all(b"\n")
            },
        )?;
    }
    list.finish()
}

fn shown(line: &ReflogLine) -> Shown {
    Shown {
        old_sha: line.old.to_string(),
        new_sha: line.new.to_string(),
        committer: line.committer.clone(),
        timestamp: line.timestamp,
        time: moment::iso(line.timestamp, 0),
        message: text_of(line.message.trim_end()),
    }
}
