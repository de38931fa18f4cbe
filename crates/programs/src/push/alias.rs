//! Symbolic refs among those that are pushed: the refs that they stand for move, once, and none outside the namespace.

use packhouse_object::ObjectId;
use packhouse_repo::directory::StandsFor;
use packhouse_wire::{Command, Messages};

use super::decide::Verdict;
use super::sink::DirectorySink;
use super::update::{id_text, say_error};
use crate::error::ProgramError;

/// How much of an id a person is shown.
const SHORT_ID: usize = 7;

impl DirectorySink {
    /// Refuses what would move a ref that the client cannot name, or one ref to two places. Where a symbolic ref and what it
    /// stands for are pushed alike, one move is enough.
    pub(super) fn check_aliases(
        &self,
        commands: &[Command],
        verdicts: &mut [Verdict],
        messages: &dyn Messages,
    ) -> Result<(), ProgramError> {
        for (at, command) in commands.iter().enumerate() {
            let name = &command.name;
            let Some(stored) = self.source.stored(name.as_bytes()) else {
                continue;
            };
            if !verdicts[at].is_open() {
                continue;
            }
            let stands_for = self.place.repository.stands_for(&stored)?;
            let target = match &stands_for {
                StandsFor::Itself => continue,
                StandsFor::Other(target) => self.source.shown_as(target),
                StandsFor::Nothing => None,
            };
            let Some(target) = target else {
                say_error(
                    messages,
                    &format!("refusing update to broken symref '{name}'"),
                );
                verdicts[at].refuse_if_open("broken symref");
                continue;
            };
            let is_target = |other: &Command| other.name.as_bytes() == target;
            let Some(of) = commands.iter().position(is_target) else {
                continue;
            };
            let other = &commands[of];
            if (other.old, other.new) == (command.old, command.new) {
                verdicts[at] = Verdict::Follows(of);
                continue;
            }
            let text = format!(
                "refusing inconsistent update between symref '{name}' ({}) and its target '{}' ({})",
                way(command),
                other.name,
                way(other)
            );
            say_error(messages, &text);
            for at in [at, of] {
                verdicts[at].refuse_if_open("inconsistent aliased update");
            }
        }
        Ok(())
    }
}

/// Has those that follow another fare like that.
pub(super) fn settle(verdicts: &mut [Verdict]) {
    for at in 0..verdicts.len() {
        if let Verdict::Follows(of) = verdicts[at]
            && let Verdict::Refused(reason) = &verdicts[of]
        {
            verdicts[at] = Verdict::Refused(reason.clone());
        }
    }
}

fn way(command: &Command) -> String {
    let short = |id: Option<ObjectId>| id_text(id)[..SHORT_ID].to_owned();
    format!("{}..{}", short(command.old), short(command.new))
}
