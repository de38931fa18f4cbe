//! What a command did to a branch or a tag, in our own JSON form: the same of every command that moves one.

use packhouse_repo::store::{RefKind, RefMap, Snapshot};
use serde::Serialize;

/// A branch or a tag that was made, moved or deleted.
#[derive(Debug, Serialize)]
pub(crate) struct RefChange<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    branch: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    /// Where it is; `None` if it is gone.
    commit: Option<String>,
    /// Where it was; `None` if it is new.
    old_commit: Option<String>,
    /// What the commit says.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl<'a> RefChange<'a> {
    /// The ref `name` of `refs`, which is not changed yet.
    pub(crate) fn of(refs: &RefMap, name: &'a str) -> RefChange<'a> {
        let (branch, tag) = match refs.kind() {
            RefKind::Branch => (Some(name), None),
            RefKind::Tag => (None, Some(name)),
        };
        RefChange {
            branch,
            tag,
            commit: None,
            // One that names no commit can be deleted all the same.
            old_commit: refs.get(name).ok().as_ref().map(id),
            message: None,
        }
    }

    /// Now it is at `snapshot`.
    pub(crate) fn to(mut self, snapshot: &Snapshot) -> RefChange<'a> {
        self.commit = Some(id(snapshot));
        self
    }

    /// With what its commit says.
    pub(crate) fn saying(mut self, message: String) -> RefChange<'a> {
        self.message = Some(message);
        self
    }
}

fn id(snapshot: &Snapshot) -> String {
    snapshot.commit().to_string()
}
