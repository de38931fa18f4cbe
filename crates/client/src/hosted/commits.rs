//! Commits: list, describe, compare, make, restore.

use std::collections::HashSet;

use packhouse_api::{
    BranchDiff, BranchDiffQuery, CommitDiff, CommitDiffQuery, CommitInfo, CommitMetadata,
    CommitResponse, CommitSummary, FileChange, FileOperation, FoundCommit, GetCommitQuery,
    ListCommitsQuery, ListedCommits, MetadataLine, Person, RefUpdate, RestoreCommit,
    RestoreMetadata, paths,
};
use reqwest::Method;

use super::branches::not_blank;
use super::call::{Call, SILENCE_OF_DIFFS};
use super::error::{HostedError, RefUpdateError};
use super::repo::HostedRepo;
use super::upload::{Content, FileSource, Upload};

/// A commit that was made, and the branch that moved to it.
#[derive(Clone, Debug)]
pub struct MadeCommit {
    /// The commit.
    pub commit: CommitSummary,
    /// What happened to the branch.
    pub ref_update: RefUpdate,
}

/// A commit that is put together, to be sent in one request.
#[derive(Debug)]
#[must_use = "nothing is sent before `send`"]
pub struct CommitBuilder {
    repo: HostedRepo,
    metadata: CommitMetadata,
    contents: Vec<(String, FileSource)>,
}

impl HostedRepo {
    /// One page of the commits that a branch, tag or commit reaches, newest first.
    pub async fn list_commits(
        &self,
        query: &ListCommitsQuery,
    ) -> Result<ListedCommits, HostedError> {
        self.caller.get(paths::COMMITS, &["git:read"], query).await
    }

    /// One commit.
    pub async fn get_commit(&self, query: &GetCommitQuery) -> Result<CommitInfo, HostedError> {
        let found: FoundCommit = self.caller.get(paths::COMMIT, &["git:read"], query).await?;
        Ok(found.commit)
    }

    /// What a branch changes, since it left its base.
    pub async fn branch_diff(&self, query: &BranchDiffQuery) -> Result<BranchDiff, HostedError> {
        let mut call = Call::new(Method::GET, paths::BRANCH_DIFF, &["git:read"]).query(query)?;
        call.silence = SILENCE_OF_DIFFS;
        self.caller.json(call).await
    }

    /// What a commit changes.
    pub async fn commit_diff(&self, query: &CommitDiffQuery) -> Result<CommitDiff, HostedError> {
        let mut call = Call::new(Method::GET, paths::DIFF, &["git:read"]).query(query)?;
        call.silence = SILENCE_OF_DIFFS;
        self.caller.json(call).await
    }

    /// Starts a commit on top of `target_branch`, or of `base_branch` if there is none.
    pub fn commit(
        &self,
        target_branch: impl Into<String>,
        message: impl Into<String>,
        author: Person,
    ) -> CommitBuilder {
        self.commit_of(CommitMetadata {
            target_branch: target_branch.into(),
            commit_message: message.into(),
            author,
            ..CommitMetadata::default()
        })
    }

    /// Starts the commit that `metadata` describes; its `files` that are not deleted need [`CommitBuilder::content`].
    pub fn commit_of(&self, metadata: CommitMetadata) -> CommitBuilder {
        CommitBuilder {
            repo: self.clone(),
            metadata,
            contents: Vec::new(),
        }
    }

    /// Makes a commit of a patch, which is sent as it is read. `files` of `metadata` are not sent.
    ///
    /// # Errors
    ///
    /// [`HostedError::RefUpdate`] if the patch does not apply.
    pub async fn commit_diff_stream(
        &self,
        metadata: &CommitMetadata,
        diff: impl Into<FileSource>,
    ) -> Result<MadeCommit, HostedError> {
        check(metadata)?;
        let content = (Content::Diff, diff.into());
        self.make_commit(paths::DIFF_COMMIT, metadata, [content])
            .await
    }

    /// Makes a commit whose files are those of an earlier one.
    ///
    /// # Errors
    ///
    /// [`HostedError::RefUpdate`] if none was made.
    pub async fn restore_commit(
        &self,
        metadata: &RestoreMetadata,
    ) -> Result<MadeCommit, HostedError> {
        not_blank("target_branch", &metadata.target_branch)?;
        not_blank("target_commit_sha", &metadata.target_commit_sha)?;
        check_branch("target_branch", &metadata.target_branch)?;
        let call = Call::new(Method::POST, paths::RESTORE_COMMIT, &["git:write"]);
        let metadata = metadata.clone();
        self.made(call.write(&RestoreCommit { metadata })?).await
    }

    async fn make_commit(
        &self,
        path: &str,
        metadata: &CommitMetadata,
        contents: impl IntoIterator<Item = (Content, FileSource)>,
    ) -> Result<MadeCommit, HostedError> {
        let metadata = metadata.clone();
        let upload = Upload::new(&MetadataLine { metadata }, contents)
            .map_err(|error| HostedError::Invalid(error.to_string()))?;
        let call = Call::new(Method::POST, path, &["git:write"]);
        self.made(call.lines(upload)).await
    }

    /// Sends a commit write; whatever its answer says that is no success is a [`RefUpdateError`].
    async fn made(&self, call: Call) -> Result<MadeCommit, HostedError> {
        let answer: CommitResponse = match self.caller.json(call).await {
            Err(HostedError::Api(error)) => return Err(RefUpdateError::of_commit(*error).into()),
            answer => answer?,
        };
        let (result, commit) = (answer.result, answer.commit);
        match commit {
            Some(commit) if result.success => Ok(MadeCommit {
                commit,
                ref_update: result,
            }),
            _ => Err(RefUpdateError::of_result(result).into()),
        }
    }
}

impl CommitBuilder {
    /// Start from this branch if the target does not exist.
    pub fn base_branch(mut self, name: impl Into<String>) -> Self {
        self.metadata.base_branch = Some(name.into());
        self
    }

    /// Make no commit unless the branch (its base, if it does not exist) is at this commit.
    pub fn expected_head(mut self, sha: impl Into<String>) -> Self {
        self.metadata.expected_head_sha = Some(sha.into());
        self
    }

    /// The target is an ephemeral branch.
    pub fn ephemeral(mut self) -> Self {
        self.metadata.ephemeral = true;
        self
    }

    /// The base is an ephemeral branch.
    pub fn ephemeral_base(mut self) -> Self {
        self.metadata.ephemeral_base = true;
        self
    }

    /// Who commits; the author if not said.
    pub fn committer(mut self, person: Person) -> Self {
        self.metadata.committer = Some(person);
        self
    }

    /// Writes a file.
    pub fn file(self, path: impl Into<String>, source: impl Into<FileSource>) -> Self {
        self.file_with_mode(path, "100644", source)
    }

    /// Writes a file (`100644`, `100755`), a symbolic link (`120000`) or a submodule (`160000`).
    pub fn file_with_mode(
        mut self,
        path: impl Into<String>,
        mode: impl Into<String>,
        source: impl Into<FileSource>,
    ) -> Self {
        let content_id = self.content_id();
        self.metadata.files.push(FileChange {
            path: path.into(),
            content_id: content_id.clone(),
            operation: FileOperation::Upsert,
            mode: Some(mode.into()),
        });
        self.content(content_id, source)
    }

    /// Deletes a file or folder.
    pub fn delete(mut self, path: impl Into<String>) -> Self {
        let content_id = self.content_id();
        self.metadata.files.push(FileChange {
            path: path.into(),
            content_id,
            operation: FileOperation::Delete,
            mode: None,
        });
        self
    }

    /// The bytes of the file whose `content_id` in the metadata this is.
    pub fn content(mut self, content_id: impl Into<String>, source: impl Into<FileSource>) -> Self {
        self.contents.push((content_id.into(), source.into()));
        self
    }

    /// Sends the commit; files are read while they are sent.
    ///
    /// # Errors
    ///
    /// [`HostedError::RefUpdate`] if none was made, and [`HostedError::Source`] if a file could not be read.
    pub async fn send(self) -> Result<MadeCommit, HostedError> {
        let metadata = &self.metadata;
        check(metadata)?;
        let ids: HashSet<&str> = self.contents.iter().map(|(id, _)| id.as_str()).collect();
        let without = metadata.files.iter().find(|file| {
            file.operation == FileOperation::Upsert && !ids.contains(file.content_id.as_str())
        });
        if let Some(file) = without {
            return Err(HostedError::Invalid(format!(
                "no content for `{}`",
                file.path
            )));
        }
        let contents = self.contents.into_iter();
        let contents = contents.map(|(id, source)| (Content::Blob(id), source));
        self.repo
            .make_commit(paths::COMMIT_PACK, metadata, contents)
            .await
    }

    fn content_id(&self) -> String {
        format!("c{}", self.metadata.files.len() + 1)
    }
}

impl RefUpdateError {
    fn of_result(result: RefUpdate) -> RefUpdateError {
        let given = |text: String| (!text.is_empty()).then_some(text);
        // A success without a commit is none.
        let status = match result.success {
            true => "unknown".to_owned(),
            false => super::error::word(&result.status).unwrap_or_default(),
        };
        RefUpdateError {
            message: given(result.message).unwrap_or_else(|| "no commit was made".to_owned()),
            status,
            branch: given(result.branch),
            old_sha: given(result.old_sha),
            new_sha: given(result.new_sha),
            answer: None,
        }
    }
}

/// Refuses what no server takes, before anything is read or sent.
fn check(metadata: &CommitMetadata) -> Result<(), HostedError> {
    not_blank("target_branch", &metadata.target_branch)?;
    not_blank("commit_message", &metadata.commit_message)?;
    not_blank("author name", &metadata.author.name)?;
    not_blank("author email", &metadata.author.email)?;
    check_branch("target_branch", &metadata.target_branch)?;
    if let Some(base) = &metadata.base_branch {
        check_branch("base_branch", base)?;
    } else if metadata.ephemeral_base {
        let text = "ephemeral_base requires base_branch".to_owned();
        return Err(HostedError::Invalid(text));
    }
    Ok(())
}

fn check_branch(field: &str, name: &str) -> Result<(), HostedError> {
    match name.starts_with("refs/") {
        true => Err(HostedError::Invalid(format!(
            "{field} must not include refs/ prefix: `{name}`"
        ))),
        false => Ok(()),
    }
}
