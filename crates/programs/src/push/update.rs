//! One ref of a push: whether it may move, in git's order and words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use packhouse_object::{Database, ObjectId, ObjectKind, ReadError, RefName, is_ancestor};
use packhouse_repo::RefEdit;
use packhouse_wire::{Command, Messages};

use super::deny::Deny;
use super::hooks::HookCall;
use super::place::{PushPlace, WorkingCopy};
use crate::error::ProgramError;

/// Git's id of what does not exist.
const NOTHING: &str = "0000000000000000000000000000000000000000";

/// The reason of a ref whose transaction is refused.
pub(super) const FAILED: &str = "failed to update ref";

/// Git's words to whoever has not said what is to become of pushes to a branch whose files are somewhere.
const ON_CURRENT_BRANCH: &str = "\
By default, updating the current branch in a non-bare repository
is denied, because it will make the index and work tree inconsistent
with what you pushed, and will require 'git reset --hard' to match
the work tree to HEAD.

You can set the 'receive.denyCurrentBranch' configuration variable
to 'ignore' or 'warn' in the remote repository to allow pushing into
its current branch; however, this is not recommended unless you
arranged to update its work tree to match what you pushed in some
other way.

To squelch this message and still keep the default behaviour, set
'receive.denyCurrentBranch' configuration variable to 'refuse'.";

/// The same of deletions of the branch that `HEAD` names.
const ON_DELETING_CURRENT: &str = "\
By default, deleting the current branch is denied, because the next
'git clone' won't result in any file checked out, causing confusion.

You can set 'receive.denyDeleteCurrent' configuration variable to
'warn' or 'ignore' in the remote repository to allow deleting the
current branch, with or without a warning message.

To squelch this message, you can set it to 'refuse'.";

/// Why a ref does not move.
pub(super) enum Refusal {
    /// The reason as git shows it.
    Reason(&'static str),
    /// The server's own failure.
    Failure(ProgramError),
}

impl From<ProgramError> for Refusal {
    fn from(error: ProgramError) -> Refusal {
        Refusal::Failure(error)
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Refusal {
        Refusal::Failure(ProgramError::Repo(error.into()))
    }
}

impl From<&'static str> for Refusal {
    fn from(reason: &'static str) -> Refusal {
        Refusal::Reason(reason)
    }
}

/// Shows the client an error.
pub(super) fn say_error(messages: &dyn Messages, text: &str) {
    say(messages, &format!("error: {text}\n"));
}

fn say(messages: &dyn Messages, text: &str) {
    match messages.are_seen() {
        true => messages.show(text.as_bytes()),
        false => {
            use std::io::Write;
            // Nobody is left to tell if that is closed.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

/// `old` or `new` of a command as hooks read it.
pub(super) fn id_text(id: Option<ObjectId>) -> String {
    id.map_or_else(|| NOTHING.to_owned(), |id| id.to_string())
}

/// A move that may be made.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) edit: RefEdit,
    /// Whether the client did not say where the ref is that it deletes.
    pub(super) is_unseen: bool,
    /// The working copy whose files go with the ref.
    pub(super) followed_by: Option<WorkingCopy>,
}

/// The move that a command comes to. `stored` is the name of its ref in the repository, `current` the branch of `HEAD`.
pub(super) fn check(
    place: &PushPlace,
    command: &Command,
    stored: &RefName,
    database: &Database,
    current: Option<&RefName>,
    messages: &dyn Messages,
) -> Result<Planned, Refusal> {
    let name = &command.name;
    let settings = &place.settings;
    let shown = place.shown_in(stored)?;
    let is_shown = shown.is_some();
    let mut followed_by = None;
    if let Some(copy) = shown {
        match settings.deny_current_branch {
            Deny::Ignore => {}
            Deny::Warn => say(messages, "warning: updating the current branch\n"),
            Deny::UpdateInstead => followed_by = command.new.map(|_| copy),
            deny @ (Deny::Refuse | Deny::Unset) => {
                say_error(
                    messages,
                    &format!("refusing to update checked out branch: {name}"),
                );
                if deny == Deny::Unset {
                    say_error(messages, ON_CURRENT_BRANCH);
                }
                return Err("branch is currently checked out".into());
            }
        }
    }
    if let Some(new) = command.new
        && !database.contains(&new)?
    {
        say_error(
            messages,
            &format!("unpack should have generated {new}, but I can't find it!"),
        );
        return Err("bad pack".into());
    }
    let is_branch = name.as_bytes().starts_with(b"refs/heads/");
    // Git asks these settings only where the client says where the ref is, so that whoever does not say it may delete it.
    let is_there = || matches!(place.repository.target(stored), Ok(Some(_)));
    if command.new.is_none() && (command.old.is_some() || is_there()) {
        if settings.deny_deletes && is_branch {
            say_error(messages, &format!("denying ref deletion for {name}"));
            return Err("deletion prohibited".into());
        }
        if is_shown || current == Some(stored) {
            match settings.deny_delete_current {
                Deny::Ignore => {}
                Deny::Warn => say(messages, "warning: deleting the current branch\n"),
                deny => {
                    if deny == Deny::Unset {
                        say_error(messages, ON_DELETING_CURRENT);
                    }
                    say_error(
                        messages,
                        &format!("refusing to delete the current branch: {name}"),
                    );
                    return Err("deletion of the current branch prohibited".into());
                }
            }
        }
    }
    if let (true, true, Some(old), Some(new)) = (
        settings.deny_non_fast_forwards,
        is_branch,
        command.old,
        command.new,
    ) {
        let is_commit = |id: ObjectId| -> Result<bool, ReadError> {
            let header = database.header(&id)?;
            Ok(header.is_some_and(|header| header.kind == ObjectKind::Commit))
        };
        if !is_commit(old)? || !is_commit(new)? {
            return Err("bad ref".into());
        }
        if !is_ancestor(database, old, new)? {
            let text = format!("denying non-fast-forward {name} (you should pull first)");
            say_error(messages, &text);
            return Err("non-fast-forward".into());
        }
    }
    let call = HookCall {
        name: "update",
        arguments: vec![
            OsStr::from_bytes(name.as_bytes()).into(),
            id_text(command.old).into(),
            id_text(command.new).into(),
        ],
        ..HookCall::default()
    };
    if !place.hooks.run(call, messages).map_err(hook_failed)? {
        say_error(messages, &format!("hook declined to update {name}"));
        return Err("hook declined".into());
    }
    let mut old = command.old;
    let is_unseen = command.new.is_none()
        && match command.old {
            Some(old) => !database.contains(&old)?,
            None => true,
        };
    if is_unseen {
        let found = place.repository.target(stored);
        let warning = match found {
            Ok(Some(_)) => "warning: allowing deletion of corrupt ref\n",
            // What git says of a damaged one too, before it finds that it is there after all.
            _ => "warning: deleting a non-existent ref\n",
        };
        say(messages, warning);
        if let Ok(found) = found {
            old = found;
        }
    }
    if let Some(new) = command.new
        && stored.branch_short().is_some()
        && database
            .header(&new)?
            .is_some_and(|header| header.kind != ObjectKind::Commit)
    {
        let text = format!(
            "cannot update ref '{stored}': trying to write non-commit object {new} to branch '{stored}'"
        );
        say_error(messages, &text);
        return Err(FAILED.into());
    }
    Ok(Planned {
        edit: RefEdit {
            name: stored.clone(),
            old,
            new: command.new,
            message: "push".to_owned(),
        },
        is_unseen,
        followed_by,
    })
}

pub(super) fn hook_failed(source: std::io::Error) -> ProgramError {
    ProgramError::Io {
        action: "run a hook in",
        path: ".".into(),
        source,
    }
}
