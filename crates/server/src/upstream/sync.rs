//! The job that fetches an upstream and follows it, and then has what was written here go there, if that is asked for.
//!
//! Safe to do twice: objects that are here are not fetched again, refs that are right are not moved, and what the
//! upstream had is recorded after the refs have followed. Between the two a node may die; the next run finds the refs
//! where they should be and records that.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use packhouse_catalog::{
    CatalogError, JobRow, NewAuditEntry, Origin, RepoId, RepoRow, SyncEnd, UpstreamRow,
};
use packhouse_client::Credential;
use packhouse_client::remote::{FetchRequest, Remote, RemoteError, RemoteRefs};
use packhouse_object::{ObjectId, Progress, Received, RefName};
use packhouse_repo::{
    Hosted, RefTargets, RepoError, Repository, SyncRequest, Synced, View, is_followed,
    is_storage_full,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::connect::{self, Stop, scrubbed};
use super::github_app::Access;
use super::{Auth, CredentialError, GitHubAppError, SYNC, SyncPayload, Upstreams};
use crate::error::{ApiError, chain};
use crate::jobs::{Clock, JobError, JobHandler};
use crate::rest::time;

/// Who moves the refs, for the reflog.
const WHO: &str = "upstream sync";
/// So many refs that something could not be done with are named.
const NAMED: usize = 5;

/// Does the syncs of a node.
pub(crate) struct SyncHandler {
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) upstreams: Upstreams,
    pub(crate) clock: Clock,
}

/// Why a sync failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error(transparent)]
    GitHubApp(#[from] GitHubAppError),
    #[error("this server is no longer set up with a GitHub App")]
    NoGitHubApp,
    #[error("the repository follows its upstream no longer")]
    Detached,
    #[error("what is recorded of the upstream is damaged")]
    Recorded,
    #[error("the sync's own code failed")]
    Panicked,
}

/// What a fetch brought.
struct Fetched {
    offered: RefTargets,
    head: Option<RefName>,
    received: Option<Received>,
}

#[async_trait]
impl JobHandler for SyncHandler {
    fn kind(&self) -> &'static str {
        SYNC
    }

    fn at_once(&self) -> usize {
        self.upstreams.options().at_once
    }

    async fn run(&self, job: &JobRow, stop: &CancellationToken) -> Result<(), JobError> {
        let catalog = self.hosted.catalog();
        let failed = |error: CatalogError| JobError::Retry(told(error.into()));
        let Some(repo) = job.repo else {
            return Err(JobError::GiveUp("the job names no repository".to_owned()));
        };
        let payload: SyncPayload = serde_json::from_str(&job.payload).unwrap_or_default();
        let row = catalog.repo_by_id(repo).await.map_err(failed)?;
        let Some(row) = row.filter(|row| row.deleted_at_ms.is_none()) else {
            return Ok(());
        };
        let Some(upstream) = catalog.upstream(repo).await.map_err(failed)? else {
            return Ok(());
        };
        if payload.push && !self.has_to_push(&row, &upstream).await? {
            return Ok(());
        }
        let began_ms = (self.clock)();
        let began = catalog.begin_sync(repo, began_ms).await;
        let Some(number) = began.map_err(failed)? else {
            return Ok(());
        };
        let run = Run {
            repo,
            number,
            is_first: upstream.succeeded_at_ms.is_none(),
            began_ms,
        };
        self.tell(&run, "repo.sync.started", None).await;
        let origin = Arc::new(Origin {
            address: None,
            request_id: format!("job-{}-{}", job.id, job.run),
        });
        let ended = self.both_halves(&row, &upstream, payload.only, &origin, stop);
        match ended.await {
            Ok(()) => {
                self.tell(&run, "repo.sync.succeeded", None).await;
                Ok(())
            }
            Err(Failure::Stopped) => Err(JobError::Stopped),
            Err(Failure::Error { text, is_final }) => {
                self.tell(&run, "repo.sync.failed", Some(&text)).await;
                Err(match is_final {
                    true => JobError::GiveUp(text),
                    false => JobError::Retry(text),
                })
            }
        }
    }
}

/// How a sync that did not succeed ended; the text holds no secret.
pub(super) enum Failure {
    Stopped,
    Error {
        text: String,
        /// Whether trying again does not help.
        is_final: bool,
    },
}

impl Failure {
    fn retry(text: impl Into<String>) -> Failure {
        Failure::Error {
            text: text.into(),
            is_final: false,
        }
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Failure {
        Failure::retry(told(error.into()))
    }
}

/// What people may read of a failure. What went wrong in here is in the log, and says nothing of where things are.
pub(super) fn told(error: SyncError) -> String {
    match error {
        SyncError::Repo(error) => ApiError::from(error).message().to_owned(),
        SyncError::Catalog(error) => ApiError::from(error).message().to_owned(),
        error if is_storage_full(&error) => ApiError::failed(&error).message().to_owned(),
        error => chain(&error),
    }
}

/// One run of a sync, as its events tell of it.
struct Run {
    repo: RepoId,
    number: i64,
    is_first: bool,
    began_ms: i64,
}

impl SyncHandler {
    /// Appends an event of a run. A sync that was made is not undone because its event could not be stored.
    async fn tell(&self, run: &Run, kind: &str, error: Option<&str>) {
        let at = |ms: i64| time::rfc3339(ms.div_euclid(1000));
        let mut detail = json!({
            "run_count": run.number, "is_first_sync": run.is_first, "started_at": at(run.began_ms),
        });
        if kind != "repo.sync.started" {
            detail["completed_at"] = json!(at((self.clock)()));
        }
        if let Some(error) = error {
            detail["error"] = json!(error);
        }
        let catalog = self.hosted.catalog();
        let appended = catalog.append_event(run.repo, kind, Some(detail.to_string()), WHO);
        if let Err(error) = appended.await {
            tracing::warn!(kind, %error, "could not store the event of a sync");
        }
    }

    /// Follows the upstream, and then pushes to it; records how each ended.
    async fn both_halves(
        &self,
        row: &RepoRow,
        upstream: &UpstreamRow,
        only: Option<String>,
        origin: &Arc<Origin>,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let catalog = self.hosted.catalog();
        let synced = match self.credential(upstream).await {
            Err(error) => Err(Failure::retry(told(error))),
            Ok(credential) => {
                let followed = self.follow(row, upstream, only, credential.clone(), origin, stop);
                let ended = followed.await;
                ended
                    .map(|end| (end, credential.clone()))
                    .map_err(|error| self.failure(error, credential.as_ref(), stop))
            }
        };
        let (end, credential) = match synced {
            Ok(synced) => synced,
            Err(Failure::Error { text, is_final }) => {
                let error = text.clone();
                let end = SyncEnd::Failed { error };
                if let Err(error) = catalog.end_sync(row.id, end, (self.clock)()).await {
                    tracing::warn!(%error, "could not record that a sync failed");
                }
                return Err(Failure::Error { text, is_final });
            }
            Err(stopped) => return Err(stopped),
        };
        catalog.end_sync(row.id, end, (self.clock)()).await?;
        if upstream.upstream.push_through {
            self.push_and_record(row, upstream, credential, stop)
                .await?;
        }
        Ok(())
    }

    /// What a failure means for the job, and to people.
    pub(super) fn failure(
        &self,
        error: SyncError,
        credential: Option<&Credential>,
        stop: &CancellationToken,
    ) -> Failure {
        match error {
            _ if stop.is_cancelled() => Failure::Stopped,
            SyncError::Detached => Failure::Stopped,
            SyncError::Remote(RemoteError::Cancelled) => {
                let longest = self.upstreams.options().longest.as_secs();
                Failure::retry(format!(
                    "the upstream took longer than {longest} seconds for what is new"
                ))
            }
            error => Failure::retry(scrubbed(told(error), credential)),
        }
    }

    /// Ends a conversation when the job is to stop, and when its time is up.
    pub(super) fn patience(&self, stop: &CancellationToken) -> Stop {
        Stop {
            told: stop.clone(),
            at: Instant::now() + self.upstreams.options().longest,
        }
    }

    /// What the upstream had when it was last looked at.
    pub(super) async fn recorded(&self, repo: RepoId) -> Result<RefTargets, SyncError> {
        let mut recorded = RefTargets::new();
        for (name, target) in self.hosted.catalog().upstream_refs(repo).await? {
            let name = RefName::parse(&name).map_err(|_| SyncError::Recorded)?;
            let target = ObjectId::try_from(target.as_slice()).map_err(|_| SyncError::Recorded)?;
            recorded.insert(name, target);
        }
        Ok(recorded)
    }

    async fn credential(&self, row: &UpstreamRow) -> Result<Option<Credential>, SyncError> {
        let upstream = &row.upstream;
        if upstream.auth == Auth::Public.as_str() {
            return Ok(None);
        }
        if upstream.auth == Auth::GitHubApp.as_str() {
            let app = self.upstreams.options().github_app.as_ref();
            let app = app.ok_or(SyncError::NoGitHubApp)?;
            let access = match upstream.push_through {
                true => Access::Write,
                false => Access::Read,
            };
            let credential = app.credential(&upstream.owner, &upstream.name, access);
            return Ok(Some(credential.await?));
        }
        Ok(self
            .upstreams
            .stored(self.hosted.catalog(), row.repo)
            .await?)
    }

    async fn follow(
        &self,
        row: &RepoRow,
        upstream: &UpstreamRow,
        only: Option<String>,
        credential: Option<Credential>,
        origin: &Arc<Origin>,
        stop: &CancellationToken,
    ) -> Result<SyncEnd, SyncError> {
        let catalog = self.hosted.catalog();
        let repository = self.hosted.at_from(row, Some(origin.clone()));
        let only = only.and_then(|name| RefName::parse(name).ok());
        let fetched = self
            .fetch(&repository, upstream, only.clone(), credential, stop)
            .await?;
        let recorded = self.recorded(row.id).await?;
        // It may have been detached, or the job taken over, while objects came.
        if stop.is_cancelled() || catalog.upstream(row.id).await?.is_none() {
            return Err(SyncError::Detached);
        }
        let request = SyncRequest {
            offered: fetched.offered,
            recorded,
            only,
            both_ways: upstream.upstream.push_through,
            received: fetched.received,
            message: format!("sync: {}", upstream.upstream.url),
        };
        let synced = repository.sync(WHO, request).await?;
        tracing::info!(
            repo = row.name,
            moved = synced.moved,
            left_out = synced.left_out.len(),
            "synced with its upstream"
        );
        let head = fetched
            .head
            .as_ref()
            .and_then(RefName::branch_short)
            .map(ToString::to_string);
        if upstream.upstream.follow_head
            && let Some(head) = &head
        {
            self.follow_head(&repository, row, upstream, head, origin)
                .await?;
        }
        Ok(end_of(synced, head.or_else(|| upstream.head.clone())))
    }

    /// Lists the upstream's refs and gets the objects that are not here, on a thread that may wait.
    async fn fetch(
        &self,
        repository: &Repository,
        upstream: &UpstreamRow,
        only: Option<RefName>,
        credential: Option<Credential>,
        stop: &CancellationToken,
    ) -> Result<Fetched, SyncError> {
        let remote = connect::remote(&self.upstreams, &upstream.upstream.url, credential)?;
        let view = repository.view().await?;
        let quarantine = repository.quarantine_dir().to_owned();
        let progress = self.patience(stop);
        let fetching = tokio::task::spawn_blocking(move || {
            fetch(&remote, &view, &quarantine, only.as_ref(), &progress)
        });
        fetching.await.map_err(|_| SyncError::Panicked)?
    }

    /// Names the upstream's default branch as ours, where ours was the upstream's or is none that exists.
    async fn follow_head(
        &self,
        repository: &Repository,
        row: &RepoRow,
        upstream: &UpstreamRow,
        head: &str,
        origin: &Arc<Origin>,
    ) -> Result<(), SyncError> {
        let view = repository.view().await?;
        let Ok(wanted) = RefName::branch(head) else {
            return Ok(());
        };
        let current = packhouse_repo::display_name(view.head()).to_string();
        let followed = upstream.head.as_deref() == Some(current.as_str());
        let is_missing = view.refs().get(view.head()).is_none();
        if current != head && (followed || is_missing) && view.refs().get(&wanted).is_some() {
            let entry = NewAuditEntry {
                org: Some(row.org),
                repo: Some(row.id),
                kind: "repo.default_branch",
                target: Some(row.name.clone()),
                detail: Some(json!({ "default_branch": head }).to_string()),
                who: WHO.to_owned(),
                origin: Some(origin.clone()),
            };
            let catalog = self.hosted.catalog().audited(entry);
            catalog.set_default_branch(row.id, head).await?;
        }
        Ok(())
    }
}

fn fetch(
    remote: &Remote,
    view: &View,
    quarantine: &std::path::Path,
    only: Option<&RefName>,
    progress: &dyn Progress,
) -> Result<Fetched, SyncError> {
    let connection = remote.connect_to_fetch(progress)?;
    let refs = connection.refs();
    refs.check_whole(is_followed)?;
    let offered = followed(refs);
    let head = refs.head_ref.clone();
    let mut wants = Vec::new();
    let asked = offered
        .iter()
        .filter(|(name, _)| only.is_none_or(|only| only == *name));
    for (_, target) in asked {
        // What is here is here with all it reaches.
        if !view.database().contains(target).map_err(RepoError::from)? {
            wants.push(*target);
        }
    }
    wants.sort_unstable();
    wants.dedup();
    let mut haves: Vec<ObjectId> = view.refs().iter().map(|(_, entry)| entry.target).collect();
    haves.sort_unstable();
    haves.dedup();
    let request = FetchRequest {
        wants,
        haves,
        database: view.database(),
        quarantine,
    };
    let received = connection.fetch(&request)?;
    Ok(Fetched {
        offered,
        head,
        received,
    })
}

pub(super) fn followed(refs: &RemoteRefs) -> RefTargets {
    refs.refs
        .iter()
        .filter(|entry| is_followed(&entry.name))
        .map(|entry| (entry.name.clone(), entry.target))
        .collect()
}

fn end_of(synced: Synced, head: Option<String>) -> SyncEnd {
    let left_out = listed("could not follow the upstream", &synced.left_out);
    let bytes = |id: ObjectId| id.as_slice().to_vec();
    let refs = synced
        .record
        .into_iter()
        .map(|(name, target)| (name.as_bytes().to_vec(), target.map(bytes)));
    SyncEnd::Succeeded {
        refs: refs.collect(),
        head,
        left_out,
    }
}

/// How many refs something could not be done with, the first of them, and why. `None` if there are none.
pub(super) fn listed(what: &str, refs: &[(RefName, String)]) -> Option<String> {
    if refs.is_empty() {
        return None;
    }
    let mut text = format!("{} refs {what}", refs.len());
    for (at, (name, reason)) in refs.iter().take(NAMED).enumerate() {
        let mark = if at == 0 { ": " } else { "; " };
        text.push_str(&format!("{mark}`{name}`: {reason}"));
    }
    Some(text)
}
