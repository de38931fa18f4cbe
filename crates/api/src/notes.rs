//! Notes: read, add, append, delete, and the refs that hold them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::commit_pack::Person;
use crate::error::{ErrorBody, ResultStatus};
use crate::object::optional_object;

/// Query of `GET /repos/notes`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct GetNoteQuery {
    /// Object the note is about: its whole id, or whatever names a commit. Also taken as `object_ref`.
    #[serde(alias = "object_ref")]
    pub sha: String,
    /// Ref of the notes: `reviews` and `notes/reviews` stand for `refs/notes/reviews`; `refs/notes/commits` if absent.
    /// Also taken as `notes_ref`.
    #[param(nullable = false)]
    #[serde(alias = "notes_ref")]
    pub r#ref: Option<String>,
}

/// Answer of `GET /repos/notes`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FoundNote {
    /// Object the note is about.
    pub sha: String,
    /// The note without the newline at its end.
    pub note: String,
    /// Commit that the notes' ref is at.
    pub ref_sha: String,
}

/// Body of `POST /repos/notes`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct WriteNote {
    /// Object the note is about: its whole id, or whatever names a commit. Also taken as `object_ref`.
    #[serde(alias = "object_ref")]
    pub sha: String,
    /// What becomes of a note that is there.
    #[serde(default)]
    pub action: NoteAction,
    /// The text.
    pub note: String,
    /// Ref of the notes, as in the query of `GET`. Also taken as `notes_ref`.
    #[serde(default, alias = "notes_ref", skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Commit that the notes' ref must be at; zeros if it must not exist. Also taken as `expected_notes_ref_sha`.
    #[serde(
        default,
        alias = "expected_notes_ref_sha",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_ref_sha: Option<String>,
    /// Who writes it; the server itself if absent.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub author: Option<Person>,
}

/// What becomes of a note that is there.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NoteAction {
    /// There must be none.
    #[default]
    Add,
    /// The new text goes behind it, after an empty line.
    Append,
}

/// Body of `DELETE /repos/notes`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct DeleteNote {
    /// Object the note is about. Also taken as `object_ref`.
    #[serde(alias = "object_ref")]
    pub sha: String,
    /// Ref of the notes, as in the query of `GET`. Also taken as `notes_ref`.
    #[serde(default, alias = "notes_ref", skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
    /// Commit that the notes' ref must be at. Also taken as `expected_notes_ref_sha`.
    #[serde(
        default,
        alias = "expected_notes_ref_sha",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_ref_sha: Option<String>,
    /// Who removes it; the server itself if absent.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub author: Option<Person>,
}

/// Answer of a change of a note, also of one that the notes themselves refuse.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct WrittenNote {
    /// Object the note is about.
    pub sha: String,
    /// Ref of the notes, in full.
    pub target_ref: String,
    /// The same again, under its newer name.
    #[serde(default)]
    #[schema(required = true)]
    pub notes_ref: String,
    /// Commit that the ref was at, if it was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub base_commit: Option<String>,
    /// Commit that the ref is at now; empty if it did not move.
    pub new_ref_sha: String,
    /// How it went.
    pub result: NoteResult,
}

/// How a change of a note went.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct NoteResult {
    /// Whether the note was changed.
    pub success: bool,
    /// How it went.
    pub status: ResultStatus,
    /// Why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
}

/// Body of a refused change of a note: of the request, or of what it met.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum RefusedNote {
    /// The request itself.
    Request(ErrorBody),
    /// What the ref or the object is like.
    Note(WrittenNote),
}

/// Query of `GET /repos/notes/refs`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListNotesRefsQuery {
    /// Only refs whose names start with it; `reviews/` stands for `refs/notes/reviews/`.
    #[param(nullable = false)]
    pub prefix: Option<String>,
    /// `next_cursor` of the page before, or the `cursor` of any ref: the list goes on after it.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Refs per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /repos/notes/refs`, by name.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedNotesRefs {
    /// One page.
    pub refs: Vec<NotesRefInfo>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
    /// What the names start with, in full.
    pub prefix: String,
}

/// One ref that holds notes.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct NotesRefInfo {
    /// Pass it as `cursor` to go on after this ref.
    pub cursor: String,
    /// Name, in full.
    pub r#ref: String,
    /// Commit it is at.
    pub sha: String,
}
