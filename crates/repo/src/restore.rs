//! A commit that brings back the files of another one.

use packhouse_object::{BString, ObjectId, ReadError};

use crate::commit::{CommitError, CommitOnto, CommitOutcome, NewTree, tree_of};
use crate::repository::Repository;
use crate::view::{Namespace, View};

/// The longest first line of a message that is quoted, in bytes.
const MAX_QUOTED_BYTES: usize = 200;

impl Repository {
    /// Makes one commit on top of the branch whose files are those of the commit that `rev` names.
    ///
    /// `rev` is looked up on the newest state. An empty message is replaced by one that names that commit.
    pub async fn restore(
        &self,
        onto: CommitOnto,
        rev: String,
        namespace: Namespace,
    ) -> Result<CommitOutcome, CommitError> {
        let says_nothing = onto.message.trim_ascii().is_empty();
        self.commit_onto(onto, Vec::new(), move |view, _| {
            let found = view.resolve(&rev, namespace)?;
            let found = found.ok_or_else(|| CommitError::RevisionMissing { rev: rev.clone() })?;
            let message = says_nothing.then(|| default_message(view, found.id));
            Ok(NewTree {
                tree: tree_of(view.database(), found.id)?,
                objects: Vec::new(),
                message: message.transpose()?,
            })
        })
        .await
    }
}

fn default_message(view: &View, commit: ObjectId) -> Result<BString, ReadError> {
    let message = view.database().commit(commit)?.in_utf8().message;
    let subject = message.split(|&byte| byte == b'\n').next();
    let subject = subject.unwrap_or_default().trim_ascii();
    let mut text = match subject.len() {
        1..=MAX_QUOTED_BYTES => [b"Restore \"", subject, b"\"\n\n"].concat(),
        _ => b"Restore an earlier commit\n\n".to_vec(),
    };
    text.extend_from_slice(format!("The files are those of commit {commit}.\n").as_bytes());
    Ok(text.into())
}
