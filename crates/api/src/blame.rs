//! Blame: which commit each line of a file came from.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /repos/blame`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct BlameQuery {
    /// Path of the file from the root of the tree.
    pub path: String,
    /// Branch, tag or commit; the default branch if absent.
    #[param(nullable = false)]
    pub r#ref: Option<String>,
    /// Whether `ref` is an ephemeral branch. Also taken as `ref_is_ephemeral`.
    #[param(nullable = false)]
    pub ephemeral: Option<bool>,
    /// Lines, as `git blame -L` takes them (`10,20`, `10,+5`, `/regex/,+3`, `:regex` for a function); up to 16 times. All if absent.
    #[param(nullable = false)]
    pub range: Option<Vec<String>>,
    /// Whether lines that moved within the file are followed to where they were.
    #[param(nullable = false)]
    pub detect_moves: Option<bool>,
}

/// Answer of `GET /repos/blame`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BlamedFile {
    /// What `ref` was resolved to: the branch's name, the full name of an ephemeral branch, or the commit.
    pub r#ref: String,
    /// Path of the file.
    pub path: String,
    /// Commit that has the file.
    pub commit_sha: String,
    /// The lines that were asked about, in order.
    pub lines: Vec<BlameLine>,
}

/// Where one line came from.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BlameLine {
    /// Its number in the file, from 1.
    pub line_number: u64,
    /// Commit that wrote it.
    pub commit_sha: String,
    /// Its number in that commit's version of the file.
    pub original_line_number: u64,
    /// Path of the file in that commit.
    pub original_path: String,
    /// Parent that has the version before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub previous_commit_sha: Option<String>,
    /// Who wrote it.
    pub author_name: String,
    /// Address of who wrote it.
    pub author_email: String,
    /// When it was written, RFC 3339 in UTC with whole seconds.
    pub author_time: String,
    /// Who committed it.
    pub committer_name: String,
    /// Address of who committed it.
    pub committer_email: String,
    /// When it was committed, RFC 3339 in UTC with whole seconds.
    pub committer_time: String,
    /// First line of the commit's message.
    pub summary: String,
}
