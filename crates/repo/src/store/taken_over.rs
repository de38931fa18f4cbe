//! What a write takes over by its id: files of another snapshot, and further parents.
//!
//! A snapshot stays readable for as long as somebody holds it, also when no ref leads to its commit any more and a
//! collection (`git gc --prune=now`) has removed the objects. A branch never comes to name what is gone: whatever a write
//! sets and does not bring is looked up on disk before anything is written. That is one lookup for each file that is
//! copied or moved, and no content is read for it.

use std::collections::BTreeMap;

use bstr::BString;
use packhouse_object::{Database, ObjectId, ObjectKind};

use super::sink::BlobSink;
use super::tree_edit::Change;
use super::{FileType, Store, StoreError};

impl Store {
    /// Checks that the files that `entries` set are here, if they do not come with the write.
    pub(super) fn check_files(
        &self,
        entries: &BTreeMap<BString, Change>,
        sink: &BlobSink,
    ) -> Result<(), StoreError> {
        let set = entries.values().flatten();
        // The commit of a submodule is in another repository.
        let mut taken = set
            .filter(|(file_type, id)| *file_type != FileType::Commit && !sink.has(id))
            .peekable();
        if taken.peek().is_none() {
            return Ok(());
        }
        let database = self.database()?;
        taken.try_for_each(|(_, id)| check_object(&database, id))
    }

    /// Checks that the further parents of a commit are commits that are here.
    pub(super) fn check_parents(&self, parents: &[ObjectId]) -> Result<(), StoreError> {
        parents.iter().try_for_each(|parent| {
            self.check_commit(*parent).map_err(|error| match error {
                StoreError::NoSuchObject { id } => StoreError::invalid(format!(
                    "the parent {parent} is not in this repository: there is no such object: {id}"
                )),
                error => error,
            })
        })
    }

    /// Checks that a commit is here, with its tree and its parents: then all that it reaches is, as collections see to.
    pub(super) fn check_commit(&self, id: ObjectId) -> Result<(), StoreError> {
        let database = self.database()?;
        check_object(&database, &id)?;
        let kind = database.header(&id)?.map(|header| header.kind);
        if let Some(kind) = kind.filter(|kind| *kind != ObjectKind::Commit) {
            return Err(StoreError::invalid(format!(
                "{id} is a {kind}, not a commit"
            )));
        }
        self.check_named(&database, id)
    }

    /// Checks that what a commit names that is here is here, too: its tree and its parents.
    pub(super) fn check_named(&self, database: &Database, id: ObjectId) -> Result<(), StoreError> {
        let (tree, parents, _) = database.commit_links_once(id)?;
        let parents = self.parents_of(&id, &parents)?;
        let mut named = parents.iter().chain([&tree]);
        named.try_for_each(|id| check_object(database, id))
    }
}

/// Asks the disk: an object that was read is remembered for longer than it is there.
pub(super) fn check_object(database: &Database, id: &ObjectId) -> Result<(), StoreError> {
    match database.contains(id)? {
        true => Ok(()),
        // It may be in a pack that cannot be read.
        false if !database.damaged_packs().is_empty() => Err(database.not_found(id).into()),
        false => Err(StoreError::NoSuchObject { id: id.to_string() }),
    }
}
