//! A branch without files and without history.

use bytes::Bytes;
use packhouse_object::{NewObject, ObjectKind};

use super::message::new_commit;
use super::open::full_name;
use super::{RefMap, Snapshot, StoreError};
use crate::change::{Change, RefEdit};

impl RefMap {
    /// Points a branch to a new commit that holds nothing and follows nothing, wherever the branch was before.
    pub fn set_empty(&self, name: &str) -> Result<Snapshot, StoreError> {
        self.only_branches("a first commit")?;
        let full = full_name(self.kind(), name)?;
        let store = self.store();
        let tree = NewObject::new(ObjectKind::Tree, Bytes::new())?;
        let message = format!("Initialize {name}");
        let commit = new_commit(tree.id, Vec::new(), store.identity(), message.into());
        let commit = NewObject::new(ObjectKind::Commit, commit.encode())?;
        let _turn = store.exclusive()?;
        store.publish(Vec::new(), |view| {
            let edit = RefEdit {
                name: full.clone(),
                old: view.refs().get(&full).map(|present| present.target),
                new: Some(commit.id),
                message: "branch: Created empty".to_owned(),
            };
            let change = Change {
                objects: vec![tree.clone(), commit.clone()],
                edits: vec![edit],
            };
            Ok((change, ()))
        })?;
        self.get(name)
    }
}
