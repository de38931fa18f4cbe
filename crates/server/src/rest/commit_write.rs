//! What all commit writes share: where the commit goes and what it says, checked; and their answers.

use axum::Json;
use http::StatusCode;
use packhouse_api::{
    CommitMetadata, CommitResponse, CommitSummary, ErrorCode, Person, RefUpdate, ResultStatus,
};
use packhouse_object::{BString, EditTreeError, HashKind, ObjectId, RefName, Signature};
use packhouse_repo::patch::PatchError;
use packhouse_repo::{
    CommitError, CommitOnto, CommitOutcome, Namespace, RefChange, RefPolicy, Repository,
};

use super::input::{self, non_blank, shown};
use super::{namespace, resolve, time};
use crate::auth::Caller;
use crate::error::{ApiError, CommitFailure, chain};

/// Where a commit goes and what it says.
#[derive(Clone, Debug)]
pub(super) struct CommitWrite {
    /// Short name of the branch.
    pub branch: String,
    /// The branch.
    pub target: RefName,
    /// Where the branch lives.
    pub namespace: Namespace,
    /// Where the branch starts if it does not exist.
    pub base: Option<RefName>,
    /// What the branch must be at.
    pub expected_head: Option<ExpectedHead>,
    /// The message as it is stored, with a newline at its end.
    pub message: BString,
    /// Who wrote the change.
    pub author: Signature,
    /// Who commits it.
    pub committer: Signature,
}

/// How a client says where it believes the branch to be.
#[derive(Clone, Debug)]
pub(super) enum ExpectedHead {
    /// By commit.
    Id(ObjectId),
    /// By a name or an abbreviation, which older clients send.
    Name(String),
}

/// What a commit write answers.
pub(super) type Answer = Result<(StatusCode, Json<CommitResponse>), CommitFailure>;

impl CommitWrite {
    /// Checks what `metadata` says, apart from the files.
    pub(super) fn new(metadata: &CommitMetadata) -> Result<CommitWrite, ApiError> {
        let branch = metadata.target_branch.trim().to_owned();
        let namespace_of_target = namespace(Some(metadata.ephemeral));
        let target = input::branch("target_branch", &branch, namespace_of_target)?;
        let base = non_blank(metadata.base_branch.as_deref());
        if metadata.ephemeral_base && base.is_none() {
            return Err(ApiError::invalid("`ephemeral_base` needs `base_branch`"));
        }
        let base_namespace = namespace(Some(metadata.ephemeral_base));
        let base = base
            .map(|base| input::branch("base_branch", base, base_namespace))
            .transpose()?;
        let author = signature("author", &metadata.author)?;
        let committer = match &metadata.committer {
            Some(committer) => signature("committer", committer)?,
            None => author.clone(),
        };
        Ok(CommitWrite {
            branch,
            target,
            namespace: namespace_of_target,
            base,
            expected_head: non_blank(metadata.expected_head_sha.as_deref()).map(expected_head),
            message: message(&metadata.commit_message)?,
            author,
            committer,
        })
    }

    /// Refuses what the token's policy forbids. A commit never moves a branch backwards, so whether it creates the
    /// branch makes no difference.
    pub(super) fn allowed(&self, caller: &Caller) -> Result<(), ApiError> {
        caller
            .policy()
            .allows(&self.target, RefChange::FastForward)
            .map_err(|reason| ApiError::new(ErrorCode::PolicyDenied, reason))
    }

    /// The same for the repository, with the expected head looked up.
    pub(super) async fn onto(
        &self,
        repository: &Repository,
        caller: &Caller,
    ) -> Result<CommitOnto, ApiError> {
        let expected_head = match &self.expected_head {
            None => None,
            Some(ExpectedHead::Id(id)) => Some(*id),
            Some(ExpectedHead::Name(name)) => {
                let view = repository.view().await?;
                let found = resolve(&view, Some(name), self.namespace);
                Some(found.map_err(|error| not_a_head(error, name))?.id)
            }
        };
        Ok(CommitOnto {
            target: self.target.clone(),
            base: self.base.clone(),
            expected_head,
            message: self.message.clone(),
            author: self.author.clone(),
            committer: self.committer.clone(),
            who: caller.who().to_owned(),
        })
    }

    /// The failure of a write that got as far as naming its branch.
    pub(super) fn failed(&self, error: ApiError) -> CommitFailure {
        CommitFailure {
            error,
            branch: self.branch.clone(),
            old_sha: String::new(),
        }
    }

    /// The answer to a commit that was made, or not; `blob_count` files were written.
    pub(super) fn answer(
        &self,
        made: Result<CommitOutcome, CommitError>,
        blob_count: u64,
    ) -> Answer {
        let made = made.map_err(|error| self.refused(error))?;
        let old = made.old.unwrap_or(ObjectId::null(HashKind::Sha1));
        let response = CommitResponse {
            commit: Some(CommitSummary {
                commit_sha: made.commit.to_string(),
                tree_sha: made.tree.to_string(),
                target_branch: self.branch.clone(),
                pack_bytes: made.stored_bytes,
                blob_count,
            }),
            result: RefUpdate {
                branch: self.branch.clone(),
                target_branch: self.branch.clone(),
                old_sha: old.to_string(),
                new_sha: made.commit.to_string(),
                success: true,
                status: ResultStatus::Ok,
                message: String::new(),
            },
            error: None,
            message: None,
            code: None,
        };
        Ok((StatusCode::CREATED, Json(response)))
    }

    fn refused(&self, error: CommitError) -> CommitFailure {
        let mut old_sha = String::new();
        let code = match &error {
            CommitError::HeadMoved { found, .. } => {
                old_sha = found.map(|id| id.to_string()).unwrap_or_default();
                Some(ErrorCode::HeadMoved)
            }
            CommitError::BranchMissing { .. }
            | CommitError::BaseMissing { .. }
            | CommitError::RevisionMissing { .. } => Some(ErrorCode::RefNotFound),
            CommitError::NameTaken { .. } => Some(ErrorCode::Conflict),
            CommitError::Edit(error) => match error {
                EditTreeError::FileInTheWay { .. } | EditTreeError::FolderInTheWay { .. } => {
                    Some(ErrorCode::Conflict)
                }
                EditTreeError::Read(_) => None,
                _ => Some(ErrorCode::Invalid),
            },
            CommitError::Patch(error) => match &**error {
                PatchError::Conflict { .. } => Some(ErrorCode::Conflict),
                PatchError::TooLarge { .. } | PatchError::FileTooLarge { .. } => {
                    Some(ErrorCode::TooLarge)
                }
                PatchError::Malformed { .. }
                | PatchError::Empty
                | PatchError::Path { .. }
                | PatchError::Collision(_) => Some(ErrorCode::Invalid),
                _ => None,
            },
            CommitError::Repo(_) => None,
        };
        let error = match (code, error) {
            (Some(code), error) => ApiError::new(code, chain(&error)),
            (None, CommitError::Repo(error)) => error.into(),
            (None, error) => ApiError::failed(&error),
        };
        CommitFailure {
            error,
            branch: self.branch.clone(),
            old_sha,
        }
    }
}

fn not_a_head(error: ApiError, name: &str) -> ApiError {
    match error.code() {
        ErrorCode::RefNotFound => ApiError::invalid(format!(
            "`expected_head_sha`: `{}` is no commit",
            shown(name)
        )),
        _ => error,
    }
}

fn expected_head(text: &str) -> ExpectedHead {
    match ObjectId::from_hex(text.as_bytes()) {
        Ok(id) => ExpectedHead::Id(id),
        Err(_) => ExpectedHead::Name(text.to_owned()),
    }
}

/// The message of a commit as it is stored.
pub(super) fn message(text: &str) -> Result<BString, ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::invalid("`commit_message` is empty"));
    }
    if text.contains('\0') {
        return Err(ApiError::invalid(
            "`commit_message` contains a NUL character",
        ));
    }
    // As git does; readers of the API get the message without it again.
    Ok(BString::from(format!("{text}\n")))
}

/// `person` as Git writes it into a commit.
pub(super) fn signature(field: &str, person: &Person) -> Result<Signature, ApiError> {
    let part = |name: &str, text: &str| {
        let text = text.trim();
        if text.is_empty() {
            return Err(ApiError::invalid(format!("`{field}.{name}` is empty")));
        }
        // They delimit the parts of a commit's header, which knows no escapes.
        if text.contains(['<', '>', '\n', '\0']) {
            return Err(ApiError::invalid(format!(
                "`{field}.{name}` contains `<`, `>`, a newline or a NUL character"
            )));
        }
        Ok(BString::from(text))
    };
    let (seconds, offset_minutes) = match non_blank(person.timestamp.as_deref()) {
        None => (time::now_seconds(), 0),
        Some(text) => time::parse_rfc3339(text)
            .filter(|(seconds, _)| *seconds >= 0)
            .ok_or_else(|| {
                ApiError::invalid(format!(
                    "`{field}.timestamp` is no RFC 3339 time since 1970"
                ))
            })?,
    };
    Ok(Signature {
        name: part("name", &person.name)?,
        email: part("email", &person.email)?,
        seconds,
        offset_minutes,
    })
}
