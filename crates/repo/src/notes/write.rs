//! Notes added, appended to and removed, each as one commit on the newest state of their ref.

use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::BString;
use bytes::Bytes;
use packhouse_object::{
    CollisionError, Commit, EditTreeError, EntryMode, HashKind, NewObject, ObjectId, ObjectKind,
    PathEdit, ReadError, RefName, RepoPath, Signature, edit_tree,
};

use super::{Layout, edits, find, text, tree_of};
use crate::change::{Change, RefEdit};
use crate::error::{PublishError, RepoError};
use crate::receive::{RefChange, RefPolicy};
use crate::repository::Repository;
use crate::view::View;

/// The longest note that is written, in bytes.
const MAX_NOTE_BYTES: usize = 16 << 20;

/// A change of one note.
pub struct NoteRequest {
    /// The ref of the notes.
    pub notes_ref: RefName,
    /// The object it is about.
    pub object: ObjectId,
    /// What becomes of it.
    pub action: NoteAction,
    /// Where the ref must be; the null id: it must not exist.
    pub expected: Option<ObjectId>,
    /// Who writes the note, and when.
    pub author: Signature,
    /// What the caller may do.
    pub policy: Arc<dyn RefPolicy>,
    /// Who asked, for the reflog.
    pub who: String,
}

/// What becomes of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoteAction {
    /// It is written; there must be none.
    Add(BString),
    /// It is written, behind the one that is there and an empty line.
    Append(BString),
    /// It is removed.
    Remove,
}

/// A note that was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteOutcome {
    /// Where the ref was.
    pub base: Option<ObjectId>,
    /// Where it is.
    pub commit: ObjectId,
}

/// A note was not changed.
#[derive(Debug, thiserror::Error)]
pub enum NoteError {
    /// There is no such object.
    #[error("no object {object}")]
    ObjectMissing {
        /// The object.
        object: ObjectId,
    },
    /// The object has a note already.
    #[error("{object} already has a note in `{notes_ref}`; append to it, or delete it first")]
    Exists {
        /// The object.
        object: ObjectId,
        /// The ref of the notes.
        notes_ref: RefName,
        /// Where it is.
        found: ObjectId,
    },
    /// The object has no note.
    #[error("{object} has no note in `{notes_ref}`")]
    Missing {
        /// The object.
        object: ObjectId,
        /// The ref of the notes.
        notes_ref: RefName,
        /// Where it is.
        found: Option<ObjectId>,
    },
    /// The ref is not where the caller expects it.
    #[error("`{notes_ref}` is at {}, not at {expected}", found.map_or_else(|| "no commit".to_owned(), |id| id.to_string()))]
    RefMoved {
        /// The ref of the notes.
        notes_ref: RefName,
        /// What the caller expects.
        expected: ObjectId,
        /// Where it is.
        found: Option<ObjectId>,
    },
    /// The ref cannot be created beside one that is a folder of it, or in it.
    #[error("`{notes_ref}` cannot exist beside `{by}`")]
    NameTaken {
        /// The ref of the notes.
        notes_ref: RefName,
        /// The ref in the way.
        by: RefName,
    },
    /// What the ref names holds no notes, or something else where the note would go.
    #[error("`{notes_ref}` cannot take the note: {reason}")]
    NotNotes {
        /// The ref of the notes.
        notes_ref: RefName,
        /// Why.
        reason: String,
        /// Where it is.
        found: ObjectId,
    },
    /// The note would be too long.
    #[error("a note has at most {limit} bytes; this one would have {size}")]
    TooLong {
        /// Its size.
        size: usize,
        /// The most there may be.
        limit: usize,
    },
    /// The note is a SHA-1 collision attack.
    #[error(transparent)]
    Collision(#[from] CollisionError),
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

impl NoteError {
    /// Where the ref is, if the refusal is about that.
    pub fn found(&self) -> Option<ObjectId> {
        match self {
            NoteError::Exists { found, .. } | NoteError::NotNotes { found, .. } => Some(*found),
            NoteError::Missing { found, .. } | NoteError::RefMoved { found, .. } => *found,
            _ => None,
        }
    }
}

impl From<ReadError> for NoteError {
    fn from(error: ReadError) -> Self {
        NoteError::Repo(error.into())
    }
}

impl Repository {
    /// Changes one note. Either the note and its commit are visible afterwards, or nothing is.
    pub async fn change_note(&self, request: NoteRequest) -> Result<NoteOutcome, NoteError> {
        let who = request.who.clone();
        let written = self
            .publish(&who, Vec::new(), move |view| prepare(view, &request))
            .await;
        match written {
            Ok((outcome, _)) => Ok(outcome),
            Err(PublishError::Refused(error)) => Err(error),
            Err(PublishError::Repo(error)) => Err(error.into()),
        }
    }
}

fn prepare(view: &View, request: &NoteRequest) -> Result<(Change, NoteOutcome), NoteError> {
    let (database, object) = (view.database(), &request.object);
    let base = expected_base(view, request)?;
    if request.action != NoteAction::Remove && !database.contains(object)? {
        return Err(NoteError::ObjectMissing { object: *object });
    }
    let root = root(view, request, base)?;
    let note = match note_blob(view, request, root, base)? {
        Some(data) => Some(NewObject::new(ObjectKind::Blob, data)?),
        None => None,
    };
    let changes = BTreeMap::from([(*object, note.as_ref().map(|blob| blob.id))]);
    let mut objects: Vec<NewObject> = Vec::new();
    let edits = path_edits(edits(database, root, &changes, Layout::Git)?);
    let mut trees = Vec::new();
    let complete = database.with_objects(note.iter().cloned());
    let tree =
        edit_tree(&complete, Some(root), &edits, &mut trees).map_err(|error| match error {
            EditTreeError::Read(error) => NoteError::from(error),
            error => NoteError::NotNotes {
                notes_ref: request.notes_ref.clone(),
                reason: error.to_string(),
                found: base.unwrap_or(root),
            },
        })?;
    for new in note.into_iter().chain(trees) {
        // Git wants the empty tree stored where something names it, though everybody knows it by heart.
        if new.id.is_empty_tree() || !database.contains(&new.id)? {
            objects.push(new);
        }
    }
    let message = match request.action {
        NoteAction::Add(_) => "Notes added by 'git notes add'",
        NoteAction::Append(_) => "Notes added by 'git notes append'",
        NoteAction::Remove => "Notes removed by 'git notes remove'",
    };
    let commit = Commit {
        tree,
        parents: base.into_iter().collect(),
        author: request.author.clone(),
        committer: request.author.clone(),
        extra_headers: Vec::new(),
        message: format!("{message}\n").into(),
    };
    let commit = NewObject::new(ObjectKind::Commit, commit.encode())?;
    let outcome = NoteOutcome {
        base,
        commit: commit.id,
    };
    let edit = RefEdit {
        name: request.notes_ref.clone(),
        old: base,
        new: Some(commit.id),
        message: format!("notes: {message}"),
    };
    objects.push(commit);
    let edits = vec![edit];
    Ok((Change { objects, edits }, outcome))
}

/// Where the ref is, if the caller may move it from there.
fn expected_base(view: &View, request: &NoteRequest) -> Result<Option<ObjectId>, NoteError> {
    let notes_ref = &request.notes_ref;
    let found = view.refs().get(notes_ref).map(|entry| entry.target);
    let at = found.unwrap_or(ObjectId::null(HashKind::Sha1));
    if let Some(expected) = request.expected.filter(|expected| *expected != at) {
        return Err(NoteError::RefMoved {
            notes_ref: notes_ref.clone(),
            expected,
            found,
        });
    }
    if found.is_none()
        && let Some(by) = view.refs().in_the_way(notes_ref)
    {
        return Err(NoteError::NameTaken {
            notes_ref: notes_ref.clone(),
            by,
        });
    }
    let change = match found {
        Some(_) => RefChange::FastForward,
        None => RefChange::Create,
    };
    request
        .policy
        .allows(notes_ref, change)
        .map_err(|reason| NoteError::Denied { reason })?;
    Ok(found)
}

/// The tree of notes at `base`.
fn root(view: &View, request: &NoteRequest, base: Option<ObjectId>) -> Result<ObjectId, NoteError> {
    let Some(base) = base else {
        return Ok(ObjectId::empty_tree(HashKind::Sha1));
    };
    // The new commit follows the one the ref names, which has to be one.
    let kind = view.database().header(&base)?.map(|header| header.kind);
    match kind {
        Some(ObjectKind::Commit) => tree_of(view.database(), base)?,
        _ => None,
    }
    .ok_or_else(|| NoteError::NotNotes {
        notes_ref: request.notes_ref.clone(),
        reason: "it names no commit".to_owned(),
        found: base,
    })
}

/// The content of the note after the change; `None`: it is removed.
fn note_blob(
    view: &View,
    request: &NoteRequest,
    root: ObjectId,
    base: Option<ObjectId>,
) -> Result<Option<Bytes>, NoteError> {
    let (database, object) = (view.database(), &request.object);
    let notes_ref = || request.notes_ref.clone();
    let data = match &request.action {
        NoteAction::Remove if find(database, root, object)?.is_empty() => {
            return Err(NoteError::Missing {
                object: *object,
                notes_ref: notes_ref(),
                found: base,
            });
        }
        NoteAction::Remove => return Ok(None),
        NoteAction::Add(new) => match base {
            Some(found) if !find(database, root, object)?.is_empty() => {
                return Err(NoteError::Exists {
                    object: *object,
                    notes_ref: notes_ref(),
                    found,
                });
            }
            _ => new.clone(),
        },
        NoteAction::Append(new) => match text(database, root, object)? {
            Some(mut old) if !old.is_empty() => {
                old.push(b'\n');
                old.extend_from_slice(new);
                old
            }
            _ => new.clone(),
        },
    };
    if data.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLong {
            size: data.len(),
            limit: MAX_NOTE_BYTES,
        });
    }
    Ok(Some(Vec::from(data).into()))
}

fn path_edits(edits: BTreeMap<BString, Option<ObjectId>>) -> Vec<PathEdit> {
    let edit = |(path, note): (BString, Option<ObjectId>)| {
        let path = RepoPath::parse(path).expect("digits and slashes are a path");
        match note {
            Some(id) => PathEdit::Upsert {
                path,
                mode: EntryMode::Blob,
                id,
            },
            None => PathEdit::Delete { path },
        }
    };
    edits.into_iter().map(edit).collect()
}
