//! `branch`: lists, makes, moves and deletes branches.

use clap::{Args, Subcommand};
use packhouse_repo::store::{Snapshot, Store};
use serde::Serialize;

use super::failure::Failure;
use super::flags::{NewRef, RefName, SnapshotFlags, ref_value};
use super::output::{self, FormatFlag};
use super::ref_change::RefChange;
use super::select;
use super::session::Session;
use crate::error::{FAILURE, SUCCESS};

/// List, make, move and delete branches
#[derive(Args, Debug)]
pub(crate) struct BranchArgs {
    #[command(subcommand)]
    command: Option<BranchCommand>,
}

#[derive(Debug, Subcommand)]
enum BranchCommand {
    /// List the branches
    List(FormatFlag),
    Set(SetArgs),
    /// Exit with 0 if there is such a branch, else with 1
    Exists(RefName),
    /// Delete a branch; its commits stay until gc removes them
    Delete(RefName),
    Hash(HashArgs),
    Current(CurrentArgs),
}

/// Make a branch at the current branch or another commit
#[derive(Args, Debug)]
struct SetArgs {
    #[command(flatten)]
    new: NewRef,
    /// Begin with an empty commit
    #[arg(long)]
    empty: bool,
    /// One commit with the same files and no history
    #[arg(long)]
    squash: bool,
    /// Put the files on top of the branch, as one commit
    #[arg(long)]
    append: bool,
}

/// Print the commit of a branch
#[derive(Args, Debug)]
struct HashArgs {
    #[command(flatten)]
    of: RefName,
    #[command(flatten)]
    snapshot: SnapshotFlags,
    #[command(flatten)]
    format: FormatFlag,
}

/// Print the current branch, or choose it with -b
#[derive(Args, Debug)]
struct CurrentArgs {
    /// Make this the current branch
    #[arg(short, long, value_name = "NAME", value_parser = ref_value())]
    branch: Option<String>,
    #[command(flatten)]
    format: FormatFlag,
}

#[derive(Serialize)]
struct Tip<'a> {
    branch: &'a str,
    hash: String,
}

#[derive(Serialize)]
struct Current<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Found<'a> {
    branch: &'a str,
    exists: bool,
}

pub(crate) fn run(args: BranchArgs, session: &Session) -> Result<u8, Failure> {
    let store = session.open()?;
    match args.command {
        None => list(&store, session, FormatFlag::default())?,
        Some(BranchCommand::List(format)) => list(&store, session, format)?,
        Some(BranchCommand::Set(args)) => set(&store, session, &args)?,
        Some(BranchCommand::Exists(args)) => {
            let exists = store.branches().contains(&args.name)?;
            session.report(&Found {
                branch: &args.name,
                exists,
            })?;
            return Ok(match exists {
                true => SUCCESS,
                false => FAILURE,
            });
        }
        Some(BranchCommand::Delete(args)) => delete(&store, session, &args.name)?,
        Some(BranchCommand::Hash(args)) => hash(&store, session, &args)?,
        Some(BranchCommand::Current(args)) => current(&store, session, &args)?,
    }
    Ok(SUCCESS)
}

fn list(store: &Store, session: &Session, format: FormatFlag) -> Result<(), Failure> {
    let mut names = store.branches().names()?;
    names.sort_unstable();
    output::names(session.format(format), &names)
}

fn delete(store: &Store, session: &Session, name: &str) -> Result<(), Failure> {
    let branches = store.branches();
    let _turn = store.exclusive()?;
    let gone = RefChange::of(&branches, name);
    branches.delete(name)?;
    session.tell(format_args!("Deleted branch {name}"));
    session.report(&gone)
}

fn set(store: &Store, session: &Session, args: &SetArgs) -> Result<(), Failure> {
    let NewRef {
        name,
        source,
        snapshot,
        force,
    } = &args.new;
    let branches = store.branches();
    // What is replaced is what is found here.
    let _turn = store.exclusive()?;
    let change = RefChange::of(&branches, name);
    let exists = branches.contains(name)?;
    let is_first = branches.is_empty()?;
    if args.empty && (snapshot.any() || source.branch.is_some() || args.squash || args.append) {
        return Err(
            Failure::new("--empty cannot be combined with what names a commit").hint(
                "leave out -b, --ref, --path, --match, --before, --back, --squash and --append",
            ),
        );
    }
    if args.append && !exists {
        return Err(Failure::new(format!("Branch not found: {}", name))
            .hint("--append needs a branch to append to"));
    }
    if exists && !force && !args.append {
        return Err(
            Failure::new(format!("Branch already exists: {}", name)).hint("--force moves it")
        );
    }
    let now = if args.empty {
        branches.set_empty(name)?
    } else {
        let chosen = select::chosen(store, source, snapshot)?;
        let target = match (args.append, args.squash) {
            (true, _) => chosen.squash(Some(&branches.get(name)?), None)?,
            (false, true) => chosen.squash(None, None)?,
            (false, false) => chosen,
        };
        branches.set(name, &target)?
    };
    if is_first && branches.current_name()?.is_none() {
        // Whoever clones gets the branch that `HEAD` names.
        branches.set_current(name)?;
    }
    session.tell(format_args!("Set branch {name}"));
    session.report(&change.to(&now))
}

fn hash(store: &Store, session: &Session, args: &HashArgs) -> Result<(), Failure> {
    let tip = select::tip(store, &args.of.name)?;
    let found: Snapshot = select::filtered(tip, &args.snapshot)?;
    let shown = Tip {
        branch: &args.of.name,
        hash: found.commit().to_string(),
    };
    output::value(session.format(args.format), &shown, |out| {
        writeln!(out, "{}", shown.hash)
    })
}

fn current(store: &Store, session: &Session, args: &CurrentArgs) -> Result<(), Failure> {
    if let Some(name) = &args.branch {
        store.branches().set_current(name)?;
        session.tell(format_args!("Current branch set to {name}"));
        return session.report(&Current { name });
    }
    let branches = store.branches();
    let name = match branches.current_name()? {
        Some(name) => name,
        None => return Err(select::no_current(branches.head_name()?.as_deref())),
    };
    output::value(
        session.format(args.format),
        &Current { name: &name },
        |out| writeln!(out, "{name}"),
    )
}
