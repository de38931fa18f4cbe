//! Diffs: of a branch, of a commit.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /repos/branches/diff`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct BranchDiffQuery {
    /// The branch whose changes are asked for; also as `ref`.
    pub branch: String,
    /// What it is compared with: the default branch if absent; also as `base_ref`.
    #[param(nullable = false)]
    pub base: Option<String>,
    /// Whether `branch` is an ephemeral branch; also as `ref_is_ephemeral`.
    #[param(nullable = false)]
    pub ephemeral: Option<bool>,
    /// Whether `base` is an ephemeral branch; also as `base_is_ephemeral`.
    #[param(nullable = false)]
    pub ephemeral_base: Option<bool>,
    /// Only these files, and those in these folders; may be given several times. Nothing of them is filtered.
    #[serde(default)]
    #[param(required = false)]
    pub path: Vec<String>,
}

/// Query of `GET /repos/diff`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[into_params(parameter_in = Query)]
pub struct CommitDiffQuery {
    /// The commit whose changes are asked for; also as `ref`.
    pub sha: String,
    /// What it is compared with: its first parent if absent; also as `base_ref`.
    #[serde(rename = "baseSha")]
    #[param(nullable = false)]
    pub base_sha: Option<String>,
    /// Whether `git apply` must take the answer on the very tree of the base; also as `git_apply_compatible`.
    /// Otherwise a given base is replaced by the common ancestor, and changes in amounts of white space do not count.
    #[serde(rename = "gitApplyCompatible")]
    #[param(nullable = false)]
    pub git_apply_compatible: Option<bool>,
    /// Whether a branch that `sha` names is an ephemeral one.
    #[param(nullable = false)]
    pub ref_is_ephemeral: Option<bool>,
    /// Whether a branch that `baseSha` names is an ephemeral one.
    #[param(nullable = false)]
    pub base_is_ephemeral: Option<bool>,
    /// Only these files, and those in these folders; may be given several times. Nothing of them is filtered.
    #[serde(default)]
    #[param(required = false)]
    pub path: Vec<String>,
}

/// Answer of `GET /repos/branches/diff`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct BranchDiff {
    /// The branch.
    pub branch: String,
    /// What it was compared with.
    pub base: String,
    /// The common ancestor that the branch's files were compared with; absent for unrelated histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merge_base_sha: Option<String>,
    /// The files that are shown.
    pub files: Vec<DiffFile>,
    /// The files that are not.
    pub filtered_files: Vec<FilteredFile>,
    /// How much changed.
    pub stats: DiffStats,
}

/// Answer of `GET /repos/diff`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CommitDiff {
    /// The commit.
    pub sha: String,
    /// The base; absent for a first commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub base_sha: Option<String>,
    /// The common ancestor that the commit's files were compared with; absent where the base itself was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub merge_base_sha: Option<String>,
    /// The files that are shown.
    pub files: Vec<DiffFile>,
    /// The files that are not.
    pub filtered_files: Vec<FilteredFile>,
    /// How much changed.
    pub stats: DiffStats,
}

/// How much changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct DiffStats {
    /// Files that differ, filtered ones too.
    pub files: u64,
    /// New lines. Files of more than 16 MiB, and those behind the first 64 MiB of filtered files, are not compared.
    pub additions: u64,
    /// Lines that are gone.
    pub deletions: u64,
    /// Both together.
    pub changes: u64,
}

/// A file that differs, with its diff.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct DiffFile {
    /// Where it is, or was.
    pub path: String,
    /// What happened, in Git's words: `A`, `M`, `D`, `T`, `R` or `C` with the similarity in percent.
    pub state: String,
    /// Where it was, of a renamed or copied file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub old_path: Option<String>,
    /// What `git diff --full-index` prints of it; nothing if all that differs are amounts of white space. Where it must
    /// do as a patch, text in another encoding than UTF-8 is a binary patch; elsewhere odd bytes are replaced.
    pub raw: String,
    /// Bytes of `raw`.
    pub bytes: u64,
    /// Whether the file ends with a line break.
    pub is_eof: bool,
    /// New lines.
    #[serde(default)]
    #[schema(required = true)]
    pub additions: u64,
    /// Lines that are gone.
    #[serde(default)]
    #[schema(required = true)]
    pub deletions: u64,
}

/// A file that differs and is not shown: binary, a lock file, over 500 KB, with more than 2,000 changed lines, or met
/// after 30 seconds of comparing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
pub struct FilteredFile {
    /// Where it is, or was.
    pub path: String,
    /// What happened, in Git's words.
    pub state: String,
    /// Where it was, of a renamed or copied file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub old_path: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether the file ends with a line break; `false` of a file that was not read.
    pub is_eof: bool,
}
