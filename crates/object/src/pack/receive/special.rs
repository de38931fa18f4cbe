//! That the files Git itself reads are sound: `.gitmodules` and `.gitattributes`.
//!
//! Any object of the repository may be what a tree of the pack names so, whatever it was named before. Their ids are
//! gathered with the other links, and their content is read when the pack is known to be complete.

use std::collections::HashMap;

use super::budget::Budget;
use super::{Context, ReceiveError};
use crate::{Database, ObjectId, SpecialFile, SpecialFileError};

/// What the trees of a pack name so, each once, with the position of a tree that does.
#[derive(Default)]
pub(super) struct SpecialFiles(HashMap<(ObjectId, SpecialFile), u32>);

impl SpecialFiles {
    /// Adds one; they may not be more than `limit`, which bounds the memory they take.
    pub(super) fn add(
        &mut self,
        id: ObjectId,
        file: SpecialFile,
        by: u32,
        limit: u64,
    ) -> Result<(), ReceiveError> {
        self.0.entry((id, file)).or_insert(by);
        match self.0.len() as u64 > limit {
            true => Err(ReceiveError::TooManySpecialFiles { limit }),
            false => Ok(()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Judges them all. `database` has the objects of the pack and of the repository; what is read counts as work for
    /// the pack, which has `pack_bytes`.
    pub(super) fn check(
        self,
        database: &Database,
        context: Context<'_>,
        budget: &Budget,
        pack_bytes: u64,
        id_at: impl Fn(u32) -> ObjectId,
    ) -> Result<(), ReceiveError> {
        for ((id, file), by) in self.0 {
            context.check_cancelled()?;
            let header = database.header(&id).map_err(ReceiveError::Base)?;
            budget.spend(header.map_or(0, |header| header.size), pack_bytes)?;
            let mut judge = |fault: SpecialFileError| match context.tolerates(id, &fault) {
                true => Ok(()),
                false => Err(fault),
            };
            file.judge_blob(database, id, &mut judge)
                .map_err(ReceiveError::Base)?
                .map_err(|reason| ReceiveError::BadSpecialFile {
                    id,
                    file,
                    named_by: id_at(by),
                    reason,
                })?;
        }
        Ok(())
    }
}
