//! Moving refs in one transaction, on which the `reference-transaction` hook has a say.

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::directory::{DirectoryError, RefsMoved};
use packhouse_repo::{RefEdit, RepoError};
use packhouse_wire::Messages;

use super::hook_line::hook_input;
use super::hooks::HookCall;
use super::sink::DirectorySink;
use super::update::{hook_failed, say_error};
use crate::error::ProgramError;

impl DirectorySink {
    /// Moves refs in one transaction. Returns whether they moved; why not has been told.
    pub(super) fn move_refs(
        &self,
        edits: &[RefEdit],
        messages: &dyn Messages,
    ) -> Result<bool, ProgramError> {
        let mut asked = false;
        let mut broken = None;
        let agreed = &mut || {
            asked = true;
            match self.ask_about(edits, "prepared", messages) {
                Ok(agreed) => agreed,
                Err(error) => {
                    broken = Some(error);
                    false
                }
            }
        };
        let moved = self
            .place
            .repository
            .move_refs(edits, &self.place.who, agreed);
        if let Some(error) = broken {
            return Err(error);
        }
        let refused = match moved {
            Ok(RefsMoved::Moved) => {
                // The refs have moved: what the hook thinks of that changes nothing.
                let _ = self.ask_about(edits, "committed", messages);
                return Ok(true);
            }
            Ok(RefsMoved::Declined) => "ref updates aborted by hook".to_owned(),
            Ok(RefsMoved::Stale { name, found }) => {
                let expected = edits.iter().find(|edit| edit.name == name);
                stale(&name, expected.and_then(|edit| edit.old), found)
            }
            Err(RepoError::Directory(error)) => match refusal(&error) {
                Some(text) => text,
                None => return Err(RepoError::Directory(error).into()),
            },
            Err(error) => return Err(error.into()),
        };
        say_error(messages, &refused);
        if asked {
            let _ = self.ask_about(edits, "aborted", messages);
        }
        Ok(false)
    }

    fn ask_about(
        &self,
        edits: &[RefEdit],
        state: &str,
        messages: &dyn Messages,
    ) -> Result<bool, ProgramError> {
        let name = "reference-transaction";
        if !self.place.hooks.has(name) {
            return Ok(true);
        }
        let lines = edits
            .iter()
            .map(|edit| (edit.name.as_bytes(), edit.old, edit.new));
        let call = HookCall {
            name,
            arguments: vec![state.into()],
            variables: &[],
            input: Some(hook_input(lines)),
        };
        self.place.hooks.run(call, messages).map_err(hook_failed)
    }
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
        DirectoryError::Locked { .. }
        | DirectoryError::EditedTwice { .. }
        | DirectoryError::Damaged { .. } => Some(error.to_string()),
        _ => None,
    }
}
