//! `note`: texts attached to commits.

use std::ffi::OsString;
use std::io::Write as _;

use clap::{Args, Subcommand};
use packhouse_repo::store::{Notes, Store, StoreErrorKind};
use serde::Serialize;

use super::failure::Failure;
use super::flags::{BranchFlag, SnapshotFlags};
use super::output::{self, Format, FormatFlag};
use super::ref_path::RefPath;
use super::select;
use super::session::Session;

/// Read and write notes on commits, as `git notes` does
///
/// A commit is named by its whole id, a branch, a tag, or `:` for the current branch.
#[derive(Args, Debug)]
pub(crate) struct NoteArgs {
    #[command(subcommand)]
    command: NoteCommand,
    /// The set of notes
    #[arg(
        short = 'N',
        long,
        global = true,
        default_value = "commits",
        value_name = "NAME"
    )]
    namespace: String,
}

#[derive(Debug, Subcommand)]
enum NoteCommand {
    /// Print the note on a commit
    Get {
        /// The commit [default: the current branch]
        target: Option<OsString>,
    },
    /// Write the note on a commit
    Set {
        /// The commit [default: the current branch], then the text
        #[arg(required = true, num_args = 1..=2, value_name = "TARGET|TEXT")]
        words: Vec<OsString>,
    },
    /// Delete the note on a commit
    Delete {
        /// The commit [default: the current branch]
        target: Option<OsString>,
    },
    /// List the commits that have notes
    List {
        #[command(flatten)]
        format: FormatFlag,
    },
    /// Print the note on the current branch
    GetCurrent,
    /// Write the note on the current branch
    SetCurrent {
        /// The text
        text: OsString,
    },
}

/// What was done to a note.
#[derive(Serialize)]
struct Changed<'a> {
    namespace: &'a str,
    commit: &'a str,
    note: Option<&'a str>,
    old_note: Option<String>,
}

pub(crate) fn run(args: NoteArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    let notes = store.notes(&args.namespace)?;
    match args.command {
        NoteCommand::Get { target } => get(&store, session, &args.namespace, target),
        NoteCommand::GetCurrent => get(&store, session, &args.namespace, None),
        NoteCommand::Set { mut words } => {
            let text = text_of(words.pop().unwrap_or_default())?;
            change(&store, session, &args.namespace, words.pop(), Some(&text))
        }
        NoteCommand::SetCurrent { text } => {
            let text = text_of(text)?;
            change(&store, session, &args.namespace, None, Some(&text))
        }
        NoteCommand::Delete { target } => change(&store, session, &args.namespace, target, None),
        NoteCommand::List { format } => output::names(session.format(format), &notes.keys()?),
    }
}

/// Writes the note on a commit, or deletes it.
fn change(
    store: &Store,
    session: &Session,
    namespace: &str,
    target: Option<OsString>,
    note: Option<&str>,
) -> Result<(), Failure> {
    let notes = store.notes(namespace)?;
    let key = key(store, target)?;
    let _turn = store.exclusive()?;
    let changed = Changed {
        namespace,
        commit: &key,
        note,
        old_note: there(&notes, &key)?,
    };
    match note {
        Some(text) => notes.set(&key, text)?,
        None => notes.delete(&key)?,
    }
    let done = match note {
        Some(_) => "Set",
        None => "Deleted",
    };
    session.tell(format_args!("{done} note on {key}"));
    session.report(&changed)
}

/// The note that is there. One that is no text can be replaced and deleted all the same.
fn there(notes: &Notes, key: &str) -> Result<Option<String>, Failure> {
    match notes.get(key) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), StoreErrorKind::Key | StoreErrorKind::Value) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn get(
    store: &Store,
    session: &Session,
    namespace: &str,
    target: Option<OsString>,
) -> Result<(), Failure> {
    let text = store.notes(namespace)?.get(&key(store, target)?)?;
    if session.json() {
        return output::value(Format::Json, &text, |_| Ok(()));
    }
    let mut out = output::stdout();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// The id of the commit an argument names. A whole id needs no commit behind it.
fn key(store: &Store, target: Option<OsString>) -> Result<String, Failure> {
    let target = target.unwrap_or_default();
    if let Some(text) = target.to_str()
        && text.len() == 40
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Ok(text.to_ascii_lowercase());
    }
    let place = RefPath::parse_with_bare_ref(&target)?;
    if !place.path.is_empty() {
        return Err(Failure::new(format!(
            "'{}' names a file; notes are on commits",
            target.display()
        ))
        .hint("end it after the colon, or name a branch, a tag or a whole commit id"));
    }
    let (branch, flags) = (BranchFlag::default(), SnapshotFlags::default());
    Ok(select::base(store, &place, &branch, &flags)?
        .commit()
        .to_string())
}

fn text_of(text: OsString) -> Result<String, Failure> {
    text.into_string().map_err(|_| {
        Failure::new("The text of a note must be UTF-8")
            .hint("keep other data in a file, with `write`")
    })
}
