//! Merges, cherry-picks and reverts.

use packhouse_api::{
    MergeBranches, MergePreview, MergedBranches, PreviewMergeQuery, ReplayCommits, ReplayedCommits,
    paths,
};
use reqwest::Method;

use super::branches::not_blank;
use super::call::{Call, SILENCE_OF_DIFFS};
use super::error::HostedError;
use super::repo::HostedRepo;

impl HostedRepo {
    /// Merges a branch into another.
    ///
    /// # Errors
    ///
    /// `merge_conflict` and `head_moved` among others; [`super::ApiError::conflict`] has the paths.
    pub async fn merge(&self, request: &MergeBranches) -> Result<MergedBranches, HostedError> {
        not_blank("target_branch", &request.target_branch)?;
        let call = Call::new(Method::POST, paths::MERGE, &["git:write"]);
        self.caller.json(call.write(request)?).await
    }

    /// What a merge would come to, conflicts included.
    pub async fn preview_merge(
        &self,
        query: &PreviewMergeQuery,
    ) -> Result<MergePreview, HostedError> {
        let mut call = Call::new(Method::GET, paths::MERGE_PREVIEW, &["git:read"]).query(query)?;
        call.silence = SILENCE_OF_DIFFS;
        self.caller.json(call).await
    }

    /// Makes commits again on another branch.
    ///
    /// # Errors
    ///
    /// As [`HostedRepo::merge`]; then no commit is made.
    pub async fn cherry_pick(
        &self,
        request: &ReplayCommits,
    ) -> Result<ReplayedCommits, HostedError> {
        let call = Call::new(Method::POST, paths::CHERRY_PICK, &["git:write"]);
        self.caller.json(call.write(request)?).await
    }

    /// Undoes commits by new ones.
    ///
    /// # Errors
    ///
    /// As [`HostedRepo::merge`]; then no commit is made.
    pub async fn revert(&self, request: &ReplayCommits) -> Result<ReplayedCommits, HostedError> {
        let call = Call::new(Method::POST, paths::REVERT, &["git:write"]);
        self.caller.json(call.write(request)?).await
    }
}
