//! `POST /repos` with a `base_repo` of this server: forks and snapshots.

use packhouse_api::{BaseRepo, CreateRepo, ErrorCode, InitialCommit};
use packhouse_catalog::{NewAuditEntry, RepoRow};
use packhouse_object::RefName;
use packhouse_repo::{self as repo, ForkError, ForkRequest};
use serde_json::json;

use super::commit_pack::{message, signature};
use super::input::{non_blank, shown};
use crate::auth::{Caller, Scope};
use crate::error::ApiError;
use crate::state::AppState;

/// What the API calls itself in `base_repo.provider`.
const PROVIDERS: [&str; 2] = ["code", "code.storage"];

/// Whether `base` names a repository of this server.
pub(super) fn is_here(base: &BaseRepo) -> bool {
    PROVIDERS.contains(&base.provider.trim())
}

/// Makes repository `name` from the one that `base` names. The caller may create repositories; whether they may read
/// that one is what the token within `base` says.
pub(super) async fn create(
    state: &AppState,
    caller: &Caller,
    name: &str,
    default_branch: Option<RefName>,
    request: &CreateRepo,
    base: &BaseRepo,
) -> Result<RepoRow, ApiError> {
    let snapshot = snapshot(request, base)?;
    let source = source(state, caller, base).await?;
    let at = non_blank(base.sha.as_deref()).or(non_blank(base.git_ref.as_deref()));
    let how = if snapshot.is_some() {
        "snapshot"
    } else {
        "fork"
    };
    let detail = json!({ "source": source.name, "operation": how, "at": at });
    let entry = NewAuditEntry {
        detail: Some(detail.to_string()),
        ..caller.audit_entry("repo.fork", name)
    };
    let request = ForkRequest {
        name: name.to_owned(),
        default_branch,
        at: at.map(str::to_owned),
        snapshot,
        who: caller.who().to_owned(),
        audit: Some(entry),
    };
    state.hosted.fork(&source, request).await.map_err(refused)
}

/// The first commit of a snapshot; `None` for a fork with its history.
fn snapshot(
    request: &CreateRepo,
    base: &BaseRepo,
) -> Result<Option<repo::InitialCommit>, ApiError> {
    match non_blank(base.operation.as_deref()).unwrap_or("fork") {
        "fork" if request.initial_commit.is_some() => Err(ApiError::invalid(
            "`initial_commit` goes with `base_repo.operation` `snapshot` only",
        )),
        "fork" => Ok(None),
        "snapshot" => {
            let given = request.initial_commit.clone().unwrap_or_default();
            initial_commit(&given, &base.name).map(Some)
        }
        other => Err(ApiError::invalid(format!(
            "`base_repo.operation` is `fork` or `snapshot`, not `{}`",
            shown(other)
        ))),
    }
}

fn initial_commit(given: &InitialCommit, source: &str) -> Result<repo::InitialCommit, ApiError> {
    let text = non_blank(given.message.as_deref())
        .map_or_else(|| format!("Snapshot of {source}"), str::to_owned);
    let author = given
        .author
        .clone()
        .unwrap_or_else(|| packhouse_api::Person {
            name: "Packhouse".to_owned(),
            email: "noreply@packhouse.invalid".to_owned(),
            timestamp: None,
        });
    let committer = given.committer.as_ref().unwrap_or(&author);
    Ok(repo::InitialCommit {
        message: message(&text)?,
        committer: signature("initial_commit.committer", committer)?,
        author: signature("initial_commit.author", &author)?,
    })
}

/// The repository to fork, if the nested token allows reading it.
async fn source(state: &AppState, caller: &Caller, base: &BaseRepo) -> Result<RepoRow, ApiError> {
    let name = base.name.trim();
    if let Some(owner) = non_blank(Some(&base.owner))
        && owner != caller.issuer()
    {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            format!(
                "`base_repo.owner` is `{}`, not your organisation `{}`; forks stay within one",
                shown(owner),
                caller.issuer()
            ),
        ));
    }
    let token = base.auth.as_ref().and_then(|auth| auth.token.as_deref());
    let token = non_blank(token).ok_or_else(|| {
        ApiError::new(
            ErrorCode::Unauthorized,
            "`base_repo.auth.token` is needed: a token with `git:read` for the repository to fork",
        )
    })?;
    let reader = state.authenticate_token(token).await.map_err(|error| {
        ApiError::new(
            error.code(),
            format!("`base_repo.auth.token`: {}", error.message()),
        )
    })?;
    let forbidden = |message| Err(ApiError::new(ErrorCode::Forbidden, message));
    if reader.org() != caller.org() {
        return forbidden(
            "`base_repo.auth.token` is of another organisation; forks stay within one".to_owned(),
        );
    }
    if reader.repo()? != name {
        return forbidden(format!(
            "`base_repo.auth.token` is not for repository `{}`",
            shown(name)
        ));
    }
    reader.need(Scope::GitRead)?;
    let found = state.hosted.catalog().repo(caller.org(), name).await?;
    let row = found.ok_or_else(|| {
        ApiError::new(
            ErrorCode::RepositoryNotFound,
            format!("repository `{}` not found", shown(name)),
        )
    })?;
    if row.syncing {
        return Err(state.sync_in_progress(&row).await?);
    }
    Ok(row)
}

fn refused(error: ForkError) -> ApiError {
    let code = match &error {
        ForkError::CommitMissing { .. } => ErrorCode::RefNotFound,
        ForkError::Exists { .. } => ErrorCode::RepositoryExists,
        ForkError::SourceGone { .. } => ErrorCode::RepositoryNotFound,
        ForkError::NameTaken { .. } => ErrorCode::Conflict,
        ForkError::Repo(_) => match error {
            ForkError::Repo(error) => return error.into(),
            error => return ApiError::failed(&error),
        },
    };
    ApiError::new(code, error.to_string())
}
