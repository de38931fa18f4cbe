//! The moves of a push as hooks read them.

use packhouse_object::ObjectId;
use packhouse_wire::{Command, RefReport};

use super::update::id_text;

/// A move as hooks read it.
#[derive(Clone, Debug)]
pub(super) struct HookLine {
    pub(super) name: Vec<u8>,
    pub(super) old: Option<ObjectId>,
    pub(super) new: Option<ObjectId>,
}

impl HookLine {
    pub(super) fn of(command: &Command) -> HookLine {
        HookLine {
            name: command.name.as_bytes().to_vec(),
            old: command.old,
            new: command.new,
        }
    }

    /// What was done in the place of this.
    pub(super) fn but(&self, report: &RefReport) -> HookLine {
        HookLine {
            name: report.name.clone().unwrap_or_else(|| self.name.clone()),
            old: report.old.or(self.old),
            new: report.new.or(self.new),
        }
    }
}

/// What a hook that reads moves is given.
pub(super) fn hook_input<'l>(
    lines: impl Iterator<Item = (&'l [u8], Option<ObjectId>, Option<ObjectId>)>,
) -> Vec<u8> {
    let mut input = Vec::new();
    for (name, old, new) in lines {
        input.extend_from_slice(format!("{} {} ", id_text(old), id_text(new)).as_bytes());
        input.extend_from_slice(name);
        input.push(b'\n');
    }
    input
}
