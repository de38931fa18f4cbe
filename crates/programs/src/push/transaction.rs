//! Moving refs in one transaction, on which the `reference-transaction` hook has a say, and whoever has changed files
//! that would go with them.

use std::path::Path;

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::directory::{DirectoryError, RefsMoved, StandsFor};
use packhouse_repo::{RefEdit, RepoError};
use packhouse_wire::Messages;

use super::hook_line::hook_input;
use super::hooks::HookCall;
use super::sink::DirectorySink;
use super::update::{Planned, hook_failed, say_error};
use super::working_copy::{Followers, Stuck};
use crate::error::ProgramError;
use crate::moment::utc_now;
use crate::object_places::QUARANTINE;

/// What git advises where a lock is there already.
const ANOTHER_PROCESS: &str = "\
Another git process seems to be running in this repository, e.g.
an editor opened by 'git commit'. Please make sure all processes
are terminated then try again. If it still fails, a git process
may have crashed in this repository earlier:
remove the file manually to continue.";

/// How a transaction ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// All its refs moved.
    Moved,
    /// None did. The client has been told why.
    Refused,
    /// None did, since files that go with one of them cannot.
    Stuck(Stuck),
}

impl DirectorySink {
    /// Moves refs in one transaction, and the files of working copies that go with them.
    pub(super) fn move_refs(
        &self,
        planned: &[Planned],
        messages: &dyn Messages,
    ) -> Result<Ended, ProgramError> {
        if self.place.hooks.environment().present(QUARANTINE).is_some() {
            // What is in there may yet be thrown away.
            say_error(
                messages,
                "ref updates forbidden inside quarantine environment",
            );
            return Ok(Ended::Refused);
        }
        let edits: Vec<RefEdit> = planned.iter().map(|planned| planned.edit.clone()).collect();
        let at = match self.place.moment() {
            Ok(at) => at,
            Err(why) if self.are_logged(&edits)? => {
                say_error(messages, &why);
                return Ok(Ended::Refused);
            }
            // Nobody is told of it.
            Err(_) => utc_now(),
        };
        let mut followers = Followers::of(planned, &self.place.hooks);
        let mut asked = false;
        let mut objection = None;
        let agreed = &mut || {
            let may_move = (|| {
                followers.check().map_err(Objection::Stuck)?;
                asked = true;
                let agreed = self.ask_about(planned, "prepared", messages);
                match agreed.map_err(Objection::Broken)? {
                    true => followers.bring(messages).map_err(Objection::Stuck),
                    false => Err(Objection::Declined),
                }
            })();
            objection = may_move.err();
            objection.is_none()
        };
        let moved = self
            .place
            .repository
            .move_refs(&edits, &self.place.who, at, agreed);
        if let Ok(RefsMoved::Moved) = moved {
            // The refs have moved: what the hook thinks of that changes nothing.
            let _ = self.ask_about(planned, "committed", messages);
            return Ok(Ended::Moved);
        }
        // A move that failed may have been made all the same.
        let is_at = |name: &RefName, new: ObjectId| {
            let target = self.place.repository.target(name);
            moved.is_err() && target.is_ok_and(|target| target == Some(new))
        };
        followers.take_back(&is_at, messages);
        let ended = match (moved, objection) {
            (_, Some(Objection::Broken(error))) => return Err(error),
            (_, Some(Objection::Stuck(stuck))) => Ok(stuck),
            (Ok(RefsMoved::Stale { name, found }), _) => {
                let expected = edits.iter().find(|edit| edit.name == name);
                Err(stale(&name, expected.and_then(|edit| edit.old), found))
            }
            (Ok(_), _) => Err("ref updates aborted by hook".to_owned()),
            (Err(RepoError::Directory(DirectoryError::Damaged { path, reason })), _) => {
                Err(self.broken(&edits, &path, &reason))
            }
            (Err(RepoError::Directory(DirectoryError::Locked { lock, .. })), _) => {
                Err(self.locked(&edits, &lock))
            }
            (Err(RepoError::Directory(error)), _) => match refusal(&error) {
                Some(text) => Err(text),
                None => return Err(RepoError::Directory(error).into()),
            },
            (Err(error), _) => return Err(error.into()),
        };
        if let Err(text) = &ended {
            say_error(messages, text);
        }
        if asked {
            let _ = self.ask_about(planned, "aborted", messages);
        }
        Ok(ended.map_or(Ended::Refused, Ended::Stuck))
    }

    /// Whether a line of a reflog tells of any of these moves.
    fn are_logged(&self, edits: &[RefEdit]) -> Result<bool, ProgramError> {
        let repository = &self.place.repository;
        for edit in edits.iter().filter(|edit| edit.new.is_some()) {
            let is_logged = match repository.stands_for(&edit.name)? {
                StandsFor::Other(target) => repository.is_logged(&target),
                StandsFor::Itself | StandsFor::Nothing => repository.is_logged(&edit.name),
            };
            if is_logged {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What is told of a file that is damaged: in git's words if it is a ref's, which one of these edits is about.
    fn broken(&self, edits: &[RefEdit], path: &Path, reason: &str) -> String {
        let name = self.name_of(path);
        let Some(name) = name.filter(|name| name.starts_with("refs/")) else {
            return format!("`{}` is damaged: {reason}", path.display());
        };
        let own = edits
            .iter()
            .find(|edit| edit.name.as_bytes() == name.as_bytes());
        let edit = own.or(edits.first());
        let edited = edit.map_or(name.to_owned(), |edit| edit.name.to_string());
        format!(
            "cannot lock ref '{edited}': unable to resolve reference '{name}': reference broken"
        )
    }

    /// What is told of a lock that somebody else holds, in git's words.
    fn locked(&self, edits: &[RefEdit], lock: &Path) -> String {
        let told = format!(
            "Unable to create '{}': File exists.\n\n{ANOTHER_PROCESS}",
            lock.display()
        );
        let name = self
            .name_of(lock)
            .and_then(|name| name.strip_suffix(".lock"));
        let is_it =
            |edit: &&RefEdit| name.is_some_and(|name| edit.name.as_bytes() == name.as_bytes());
        // That of a ref which a symbolic one stands for, or whose name is a part of another's, is told of the one that is pushed.
        let edit = edits.iter().find(is_it).or(edits.first());
        match (name, edit) {
            (Some("packed-refs"), _) | (_, None) => told,
            (Some("HEAD"), _) => format!("cannot lock ref 'HEAD': {told}"),
            (_, Some(edit)) => format!("cannot lock ref '{}': {told}", edit.name),
        }
    }

    /// What a file of the repository is called there.
    fn name_of<'p>(&self, path: &'p Path) -> Option<&'p str> {
        let repository = &self.place.repository;
        let name = path
            .strip_prefix(repository.own_dir())
            .or_else(|_| path.strip_prefix(repository.git_dir()));
        name.ok().and_then(Path::to_str)
    }

    fn ask_about(
        &self,
        planned: &[Planned],
        state: &str,
        messages: &dyn Messages,
    ) -> Result<bool, ProgramError> {
        let name = "reference-transaction";
        if !self.place.hooks.has(name) {
            return Ok(true);
        }
        let lines = planned.iter().map(|planned| {
            let edit = &planned.edit;
            let old = edit.old.filter(|_| !planned.is_unseen);
            (edit.name.as_bytes(), old, edit.new)
        });
        let call = HookCall {
            name,
            arguments: vec![state.into()],
            variables: &[],
            input: Some(hook_input(lines)),
        };
        self.place.hooks.run(call, messages).map_err(hook_failed)
    }
}

/// Why refs do not move that could.
#[derive(Debug)]
enum Objection {
    /// The hook is against it.
    Declined,
    Stuck(Stuck),
    /// The hook could not be asked.
    Broken(ProgramError),
}

/// In git's words, where a ref is not where it was expected.
fn stale(name: &RefName, expected: Option<ObjectId>, found: Option<ObjectId>) -> String {
    match (expected, found) {
        (None, _) => format!("cannot lock ref '{name}': reference already exists"),
        (Some(_), None) => {
            format!("cannot lock ref '{name}': unable to resolve reference '{name}'")
        }
        (Some(expected), Some(found)) => {
            format!("cannot lock ref '{name}': is at {found} but expected {expected}")
        }
    }
}

/// What is the push's own fault, or that of others who write at the same time.
fn refusal(error: &DirectoryError) -> Option<String> {
    match error {
        DirectoryError::NameConflict { name, existing } => Some(format!(
            "cannot lock ref '{name}': '{existing}' exists; cannot create '{name}'"
        )),
        DirectoryError::EditedTwice { .. } => Some(error.to_string()),
        _ => None,
    }
}
