//! Files: read one, list many, with the commit that changed each last.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET` and `HEAD /repos/file`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct FileQuery {
    /// Path of the file from the root of the tree.
    pub path: String,
    /// Branch, tag or commit; the default branch if absent.
    #[param(nullable = false)]
    pub r#ref: Option<String>,
    /// Whether `ref` is an ephemeral branch. Also taken as `ref_is_ephemeral`.
    #[param(nullable = false)]
    #[serde(alias = "ref_is_ephemeral")]
    pub ephemeral: Option<bool>,
    /// Accepted for older clients; the same as `ephemeral` where that is absent.
    #[param(nullable = false)]
    pub ephemeral_base: Option<bool>,
}

/// Query of `GET /repos/files`. Without `cursor` and `limit` the answer holds every file.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListFilesQuery {
    /// Branch, tag or commit; the default branch if absent.
    #[param(nullable = false)]
    pub r#ref: Option<String>,
    /// Whether `ref` is an ephemeral branch. Also taken as `ref_is_ephemeral`.
    #[param(nullable = false)]
    #[serde(alias = "ref_is_ephemeral")]
    pub ephemeral: Option<bool>,
    /// Folder to list; the root if absent.
    #[param(nullable = false)]
    pub path: Option<String>,
    /// Whether to descend into folders; true if absent.
    #[param(nullable = false)]
    pub recursive: Option<bool>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Entries per page: 1,000 if absent or 0, 5,000 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /repos/files`, in the order of a Git tree.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedFiles {
    /// Paths of the files (no folders) of this page.
    pub paths: Vec<String>,
    /// Every entry of this page; folders too where the list is not recursive.
    #[serde(default)]
    #[schema(required = true)]
    pub entries: Vec<FileEntry>,
    /// What `ref` was resolved to: the branch's name, the full name of an ephemeral branch, or the commit.
    pub r#ref: String,
    /// Where the next page starts; a paginated list only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page; a paginated list only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub has_more: Option<bool>,
}

/// Query of `GET /repos/files/metadata`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct FilesMetadataQuery {
    /// Branch, tag or commit; the default branch if absent.
    #[param(nullable = false)]
    pub r#ref: Option<String>,
    /// Whether `ref` is an ephemeral branch.
    #[param(nullable = false)]
    #[serde(alias = "ref_is_ephemeral")]
    pub ephemeral: Option<bool>,
    /// Folder to list; the root if absent.
    #[param(nullable = false)]
    pub path: Option<String>,
    /// Accepted and not heeded: the list is always of all files below `path`.
    #[param(nullable = false)]
    pub recursive: Option<bool>,
    /// `next_cursor` of the page before.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Files per page: 200 if absent or 0, 1,000 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /repos/files/metadata`, in the order of a Git tree.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FilesMetadata {
    /// One page.
    pub files: Vec<FileMetadata>,
    /// The commits that the files name, by their ids.
    pub commits: BTreeMap<String, LastCommit>,
    /// What `ref` was resolved to: the branch's name, the full name of an ephemeral branch, or the commit.
    pub r#ref: String,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    #[serde(default)]
    #[schema(required = true)]
    pub has_more: bool,
}

/// One file, link or submodule.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FileMetadata {
    /// Path from the root of the tree.
    pub path: String,
    /// Git's mode, six octal digits.
    pub mode: String,
    /// Bytes of the file; of a link, of its target; 0 for a submodule.
    pub size: u64,
    /// The commit that changed it last, as `git log -1 -- PATH` says.
    pub last_commit_sha: String,
    /// What it is.
    pub r#type: EntryKind,
}

/// A commit that changed a file last.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct LastCommit {
    /// The name of who wrote it.
    pub author: String,
    /// When it was committed, RFC 3339 in UTC with whole seconds.
    pub date: String,
    /// Message without the newline at its end.
    pub message: String,
}

/// One entry of a tree.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
pub struct FileEntry {
    /// Path from the root of the tree.
    pub path: String,
    /// What it is.
    pub r#type: EntryKind,
    /// Git's mode, six octal digits.
    pub mode: String,
}

/// What a tree entry is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A file.
    Blob,
    /// A folder.
    Tree,
    /// A symbolic link.
    Symlink,
    /// A commit of another repository.
    Submodule,
}
