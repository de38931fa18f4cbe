//! `POST /repos/commit-pack`: one commit, sent as newline-delimited JSON.
//!
//! The first line is a [`MetadataLine`], every other one a [`BlobChunkLine`].

use crate::error::ResultStatus;
use crate::object::{object, objects, optional_object};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use utoipa::ToSchema;

/// First line of the body.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct MetadataLine {
    /// What to commit, and where.
    #[serde(deserialize_with = "object")]
    pub metadata: CommitMetadata,
}

/// What to commit, and where.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct CommitMetadata {
    /// Branch to move, short name.
    pub target_branch: String,
    /// Message of the commit.
    pub commit_message: String,
    /// Who wrote it.
    #[serde(deserialize_with = "object")]
    pub author: Person,
    /// Who commits it; the author if absent.
    #[serde(
        default,
        deserialize_with = "optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub committer: Option<Person>,
    /// Commit that the branch must be at (or its base, if the branch is created). Also taken as `expected_target_sha`.
    #[serde(
        default,
        alias = "expected_target_sha",
        skip_serializing_if = "Option::is_none"
    )]
    pub expected_head_sha: Option<String>,
    /// Branch to start from if the target does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_branch: Option<String>,
    /// Whether the target is an ephemeral branch. Also taken as `target_is_ephemeral`.
    #[serde(default, alias = "target_is_ephemeral")]
    pub ephemeral: bool,
    /// Whether the base is an ephemeral branch. Also taken as `base_is_ephemeral`.
    #[serde(default, alias = "base_is_ephemeral")]
    pub ephemeral_base: bool,
    /// What changes.
    #[serde(default, deserialize_with = "objects")]
    pub files: Vec<FileChange>,
}

/// Author or committer.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
    /// When, RFC 3339; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

/// One changed path.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct FileChange {
    /// Path from the root of the tree.
    pub path: String,
    /// Names the content in the lines that follow; any text.
    #[serde(default)]
    pub content_id: String,
    /// What happens to the path.
    #[serde(default)]
    pub operation: FileOperation,
    /// Git's mode of an upsert: `100644` (if absent), `100755`, `120000` or `160000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// What happens to a path.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FileOperation {
    /// The file is written, new or over what is there.
    #[default]
    Upsert,
    /// The file or folder is removed.
    Delete,
}

/// A line that carries content.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BlobChunkLine<'a> {
    /// A piece of one content.
    #[serde(borrow, deserialize_with = "object")]
    pub blob_chunk: BlobChunk<'a>,
}

/// A piece of one content, 4 MiB at most.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BlobChunk<'a> {
    /// Content it belongs to.
    #[serde(borrow)]
    pub content_id: Cow<'a, str>,
    /// The bytes in standard base64, padded.
    #[serde(borrow)]
    pub data: Cow<'a, str>,
    /// Whether it is the last piece of this content.
    pub eof: bool,
}

/// A line of `POST /repos/diff-commit` that carries a piece of the diff.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DiffChunkLine<'a> {
    /// A piece of the diff.
    #[serde(borrow, deserialize_with = "object")]
    pub diff_chunk: DiffChunk<'a>,
}

/// A piece of a diff, 4 MiB at most.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DiffChunk<'a> {
    /// The bytes in standard base64, padded.
    #[serde(borrow)]
    pub data: Cow<'a, str>,
    /// Whether it is the last piece.
    pub eof: bool,
}

/// Answer of a commit write, also of a failed one.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CommitResponse {
    /// The commit; `null` if none was made.
    pub commit: Option<CommitSummary>,
    /// What happened to the branch.
    pub result: RefUpdate,
    /// What failed; the text of `result.message` again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
    /// The same text again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
    /// What failed, for a program: a word of the error table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<String>,
}

/// The commit that was made.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CommitSummary {
    /// Its id.
    pub commit_sha: String,
    /// Id of its tree.
    pub tree_sha: String,
    /// Short name of the branch.
    pub target_branch: String,
    /// Bytes written for it.
    pub pack_bytes: u64,
    /// Files upserted.
    pub blob_count: u64,
}

/// What happened to the branch.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct RefUpdate {
    /// Short name of the branch; empty if the request never named one.
    pub branch: String,
    /// The same again, under its newer name.
    #[serde(default)]
    #[schema(required = true)]
    pub target_branch: String,
    /// Where it was; zeros if it did not exist, empty if unknown.
    pub old_sha: String,
    /// Where it is now; empty if it did not move.
    pub new_sha: String,
    /// Whether it moved.
    pub success: bool,
    /// How it went.
    pub status: ResultStatus,
    /// Why it failed; empty after a success.
    pub message: String,
}
