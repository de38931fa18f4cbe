//! Tags created and deleted by name. They are lightweight: the ref names the commit itself.

use std::sync::Arc;

use packhouse_object::{ObjectId, ObjectKind, ReadError, RefName};

use crate::change::{Change, RefEdit};
use crate::error::{PublishError, RepoError};
use crate::new_commits::NewCommits;
use crate::receive::{RefChange, RefPolicy};
use crate::repository::Repository;
use crate::view::{Namespace, View};

/// A tag to create.
pub struct CreateTag {
    /// The tag.
    pub name: RefName,
    /// The commit it is for: any revision [`View::resolve`] knows.
    pub target: String,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// Who asked, for the reflog.
    pub who: String,
}

/// A tag to delete.
pub struct DeleteTag {
    /// The tag.
    pub name: RefName,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// Who asked, for the reflog.
    pub who: String,
}

/// A tag was neither created nor deleted.
#[derive(Debug, thiserror::Error)]
pub enum TagError {
    /// The target names no commit.
    #[error("no commit `{target}` to tag")]
    TargetMissing {
        /// As the caller wrote it.
        target: String,
    },
    /// The target is no commit.
    #[error("{target} is a {kind}, not a commit")]
    NotACommit {
        /// The object.
        target: ObjectId,
        /// What it is.
        kind: ObjectKind,
    },
    /// The tag does not exist.
    #[error("tag `{}` does not exist", short(name))]
    Missing {
        /// The tag.
        name: RefName,
    },
    /// The tag exists. Tags do not move: whoever wants that deletes it first.
    #[error("tag `{}` already exists at {found}", short(name))]
    Exists {
        /// The tag.
        name: RefName,
        /// Where it is.
        found: ObjectId,
    },
    /// The tag cannot be created beside a ref that is a folder of it, or in it.
    #[error("tag `{}` cannot exist beside `{by}`", short(name))]
    NameTaken {
        /// The tag.
        name: RefName,
        /// The ref in the way.
        by: RefName,
    },
    /// The caller may not do this.
    #[error("{reason}")]
    Denied {
        /// As git would show it.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl From<ReadError> for TagError {
    fn from(error: ReadError) -> Self {
        TagError::Repo(error.into())
    }
}

fn short(name: &RefName) -> String {
    name.strip_prefix("refs/tags/")
        .unwrap_or(name.as_bstr())
        .to_string()
}

impl Repository {
    /// Creates a tag and answers the commit it names.
    pub async fn create_tag(&self, request: CreateTag) -> Result<ObjectId, TagError> {
        let who = request.who.clone();
        written(
            self.publish(&who, Vec::new(), move |view| prepare_create(view, &request))
                .await,
        )
    }

    /// Deletes a tag and answers what it named.
    pub async fn delete_tag(&self, request: DeleteTag) -> Result<ObjectId, TagError> {
        let who = request.who.clone();
        written(
            self.publish(&who, Vec::new(), move |view| prepare_delete(view, &request))
                .await,
        )
    }
}

fn written(
    result: Result<(ObjectId, Arc<View>), PublishError<TagError>>,
) -> Result<ObjectId, TagError> {
    match result {
        Ok((id, _)) => Ok(id),
        Err(PublishError::Refused(error)) => Err(error),
        Err(PublishError::Repo(error)) => Err(error.into()),
    }
}

fn prepare_create(view: &View, request: &CreateTag) -> Result<(Change, ObjectId), TagError> {
    let name = &request.name;
    let target = commit_to_tag(view, &request.target)?;
    if let Some(entry) = view.refs().get(name) {
        return Err(TagError::Exists {
            name: name.clone(),
            found: entry.peeled.unwrap_or(entry.target),
        });
    }
    if let Some(by) = view.refs().in_the_way(name) {
        return Err(TagError::NameTaken {
            name: name.clone(),
            by,
        });
    }
    let commits = NewCommits::new(view, view.database(), None, target);
    request
        .policy
        .allows_commits(name, RefChange::Create, &commits)?
        .map_err(|reason| TagError::Denied { reason })?;
    let message = format!("tag: tagging {target}");
    Ok((moved(name, None, Some(target), message), target))
}

fn commit_to_tag(view: &View, target: &str) -> Result<ObjectId, TagError> {
    if let Ok(id) = ObjectId::from_hex(target.as_bytes())
        && let Some(header) = view.database().header(&id)?
        && header.kind != ObjectKind::Commit
    {
        return Err(TagError::NotACommit {
            target: id,
            kind: header.kind,
        });
    }
    let found = view.resolve(target, Namespace::Default)?;
    found
        .map(|found| found.id)
        .ok_or_else(|| TagError::TargetMissing {
            target: target.to_owned(),
        })
}

fn prepare_delete(view: &View, request: &DeleteTag) -> Result<(Change, ObjectId), TagError> {
    let name = &request.name;
    let entry = view
        .refs()
        .get(name)
        .ok_or_else(|| TagError::Missing { name: name.clone() })?;
    request
        .policy
        .allows(name, RefChange::Delete)
        .map_err(|reason| TagError::Denied { reason })?;
    let change = moved(name, Some(entry.target), None, "tag: deleted".to_owned());
    Ok((change, entry.peeled.unwrap_or(entry.target)))
}

fn moved(name: &RefName, old: Option<ObjectId>, new: Option<ObjectId>, message: String) -> Change {
    Change {
        objects: Vec::new(),
        edits: vec![RefEdit {
            name: name.clone(),
            old,
            new,
            message,
        }],
    }
}
