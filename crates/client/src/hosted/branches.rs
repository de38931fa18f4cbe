//! Branches and tags.

use packhouse_api::{
    BranchDetails, CreateBranch, CreateTag, CreatedBranch, CreatedTag, DeleteBranch, DeleteTag,
    DeletedBranch, DeletedTag, FoundBranch, FoundTag, GetBranchQuery, GetTagQuery,
    ListBranchesQuery, ListTagsQuery, ListedBranches, ListedTags, TagInfo, paths,
};
use reqwest::Method;

use super::call::Call;
use super::error::HostedError;
use super::repo::HostedRepo;

impl HostedRepo {
    /// One page of the branches, oldest first.
    pub async fn list_branches(
        &self,
        query: &ListBranchesQuery,
    ) -> Result<ListedBranches, HostedError> {
        self.caller.get(paths::BRANCHES, &["git:read"], query).await
    }

    /// One branch.
    pub async fn get_branch(&self, query: &GetBranchQuery) -> Result<BranchDetails, HostedError> {
        let found: FoundBranch = self.caller.get(paths::BRANCH, &["git:read"], query).await?;
        Ok(found.branch)
    }

    /// Creates a branch, moves it forward, or promotes an ephemeral one.
    pub async fn create_branch(
        &self,
        request: &CreateBranch,
    ) -> Result<CreatedBranch, HostedError> {
        not_blank("target_branch", &request.target_branch)?;
        let call = Call::new(Method::POST, paths::CREATE_BRANCH, &["git:write"]);
        self.caller.json(call.write(request)?).await
    }

    /// Deletes a branch.
    pub async fn delete_branch(
        &self,
        request: &DeleteBranch,
    ) -> Result<DeletedBranch, HostedError> {
        not_blank("name", &request.name)?;
        let call = Call::new(Method::DELETE, paths::BRANCHES, &["git:write"]);
        self.caller.json(call.write(request)?).await
    }

    /// One page of the tags, by name.
    pub async fn list_tags(&self, query: &ListTagsQuery) -> Result<ListedTags, HostedError> {
        self.caller.get(paths::TAGS, &["git:read"], query).await
    }

    /// One tag.
    pub async fn get_tag(&self, query: &GetTagQuery) -> Result<TagInfo, HostedError> {
        let found: FoundTag = self.caller.get(paths::TAG, &["git:read"], query).await?;
        Ok(found.tag)
    }

    /// Creates a lightweight tag.
    pub async fn create_tag(&self, request: &CreateTag) -> Result<CreatedTag, HostedError> {
        not_blank("name", &request.name)?;
        let call = Call::new(Method::POST, paths::TAGS, &["git:write"]);
        self.caller.json(call.write(request)?).await
    }

    /// Deletes a tag.
    pub async fn delete_tag(&self, request: &DeleteTag) -> Result<DeletedTag, HostedError> {
        not_blank("name", &request.name)?;
        let call = Call::new(Method::DELETE, paths::TAGS, &["git:read", "git:write"]);
        self.caller.json(call.write(request)?).await
    }
}

/// Refuses what is empty or only white space.
pub(super) fn not_blank(field: &str, text: &str) -> Result<(), HostedError> {
    match text.trim().is_empty() {
        true => Err(HostedError::Invalid(format!("{field} is required"))),
        false => Ok(()),
    }
}
