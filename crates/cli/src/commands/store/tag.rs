//! `tag`: lists, makes and deletes tags.

use clap::{Args, Subcommand};
use packhouse_repo::store::Store;
use serde::Serialize;

use super::changes;
use super::failure::Failure;
use super::flags::{NewRef, RefName};
use super::output::{self, FormatFlag};
use super::ref_change::RefChange;
use super::select;
use super::session::Session;
use crate::error::{FAILURE, SUCCESS};

/// List, make and delete tags
#[derive(Args, Debug)]
pub(crate) struct TagArgs {
    #[command(subcommand)]
    command: Option<TagCommand>,
}

#[derive(Debug, Subcommand)]
enum TagCommand {
    /// List the tags
    List(FormatFlag),
    /// Make a tag at the current branch or another commit
    Set(NewRef),
    /// Exit with 0 if there is such a tag, else with 1
    Exists(RefName),
    /// Delete a tag
    Delete(RefName),
    /// Print the commit of a tag
    Hash(HashArgs),
}

#[derive(Args, Debug)]
struct HashArgs {
    #[command(flatten)]
    of: RefName,
    #[command(flatten)]
    format: FormatFlag,
}

#[derive(Serialize)]
struct Tagged<'a> {
    tag: &'a str,
    hash: String,
}

#[derive(Serialize)]
struct Found<'a> {
    tag: &'a str,
    exists: bool,
}

pub(crate) fn run(args: TagArgs, session: &Session) -> Result<u8, Failure> {
    let store = session.open()?;
    match args.command {
        None => list(&store, session, FormatFlag::default())?,
        Some(TagCommand::List(format)) => list(&store, session, format)?,
        Some(TagCommand::Set(args)) => {
            let source = select::chosen(&store, &args.source, &args.snapshot)?;
            let _turn = store.exclusive()?;
            let change = RefChange::of(&store.tags(), &args.name);
            changes::set_tag(&store, &args.name, &source, "--force", args.force)?;
            session.tell(format_args!("Set tag {}", args.name));
            session.report(&change.to(&source))?;
        }
        Some(TagCommand::Exists(args)) => {
            let exists = store.tags().contains(&args.name)?;
            session.report(&Found {
                tag: &args.name,
                exists,
            })?;
            return Ok(match exists {
                true => SUCCESS,
                false => FAILURE,
            });
        }
        Some(TagCommand::Delete(args)) => {
            let tags = store.tags();
            let _turn = store.exclusive()?;
            let gone = RefChange::of(&tags, &args.name);
            tags.delete(&args.name)?;
            session.tell(format_args!("Deleted tag {}", args.name));
            session.report(&gone)?;
        }
        Some(TagCommand::Hash(args)) => hash(&store, session, &args)?,
    }
    Ok(SUCCESS)
}

fn list(store: &Store, session: &Session, format: FormatFlag) -> Result<(), Failure> {
    let mut names = store.tags().names()?;
    names.sort_unstable();
    output::names(session.format(format), &names)
}

fn hash(store: &Store, session: &Session, args: &HashArgs) -> Result<(), Failure> {
    let tagged = Tagged {
        tag: &args.of.name,
        hash: store.tags().get(&args.of.name)?.commit().to_string(),
    };
    output::value(session.format(args.format), &tagged, |out| {
        writeln!(out, "{}", tagged.hash)
    })
}
