//! Tags: list, create, describe, delete.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of `GET /repos/tags`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct ListTagsQuery {
    /// `next_cursor` of the page before, or the `cursor` of any tag: the list goes on after it.
    #[param(nullable = false)]
    pub cursor: Option<String>,
    /// Tags per page: 20 if absent or 0, 100 at most.
    #[param(nullable = false)]
    pub limit: Option<u32>,
}

/// Answer of `GET /repos/tags`, by name.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct ListedTags {
    /// One page.
    pub tags: Vec<TagInfo>,
    /// Where the next page starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_cursor: Option<String>,
    /// Whether there is a next page.
    pub has_more: bool,
}

/// One tag.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct TagInfo {
    /// Pass it as `cursor` to go on after this tag.
    pub cursor: String,
    /// Name, without `refs/tags/`.
    pub name: String,
    /// What it stands for: mostly a commit.
    pub sha: String,
    /// The tag object, of an annotated tag only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tag_object_sha: Option<String>,
    /// What `sha` is, if no commit: `tree` or `blob`. Git lets anything be tagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub target_type: Option<String>,
}

/// Query of `GET /repos/tag`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, Serialize)]
#[into_params(parameter_in = Query)]
pub struct GetTagQuery {
    /// Name, without `refs/tags/`.
    pub name: String,
}

/// Answer of `GET /repos/tag`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct FoundTag {
    /// The tag.
    pub tag: TagInfo,
}

/// Body of `POST /repos/tags`. One of `target` and `ref` is needed.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct CreateTag {
    /// Name, without `refs/tags/`.
    pub name: String,
    /// Commit to tag: its whole id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Commit to tag: branch, tag, commit or abbreviated commit; goes before `target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#ref: Option<String>,
}

/// Answer of `POST /repos/tags`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct CreatedTag {
    /// Name, without `refs/tags/`.
    pub name: String,
    /// The commit.
    pub sha: String,
    /// For a person.
    pub message: String,
}

/// Body of `DELETE /repos/tags`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
pub struct DeleteTag {
    /// Name, without `refs/tags/`.
    pub name: String,
}

/// Answer of `DELETE /repos/tags`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct DeletedTag {
    /// Name, without `refs/tags/`.
    pub name: String,
    /// For a person.
    pub message: String,
}
