//! The job that fetches an upstream and follows it.
//!
//! Safe to do twice: objects that are here are not fetched again, refs that are right are not moved, and what the
//! upstream had is recorded after the refs have followed. Between the two a node may die; the next run finds the refs
//! where they should be and records that.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use packhouse_catalog::{JobRow, NewAuditEntry, Origin, RepoId, RepoRow, SyncEnd, UpstreamRow};
use packhouse_client::remote::{FetchRequest, Remote, RemoteError, RemoteOptions, RemoteRefs};
use packhouse_client::{Credential, CredentialSource};
use packhouse_object::{ObjectId, Progress, Received, RefName};
use packhouse_repo::{
    Hosted, RefTargets, RepoError, Repository, SyncRequest, Synced, View, is_followed,
};
use reqwest::Url;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Auth, CredentialError, GitHubAppError, SYNC, SyncPayload, Upstreams};
use crate::error::chain;
use crate::jobs::{Clock, JobError, JobHandler};
use crate::rest::time;

/// Who moves the refs, for the reflog.
const WHO: &str = "upstream sync";
/// So many refs that could not follow are named.
const LEFT_OUT_NAMED: usize = 5;

/// Does the syncs of a node.
pub(crate) struct SyncHandler {
    pub(crate) hosted: Arc<Hosted>,
    pub(crate) upstreams: Upstreams,
    pub(crate) clock: Clock,
}

/// Why a sync failed.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Repo(#[from] RepoError),
    #[error(transparent)]
    Catalog(#[from] packhouse_catalog::CatalogError),
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
        let failed = |error: &(dyn std::error::Error + 'static)| JobError::Retry(chain(error));
        let Some(repo) = job.repo else {
            return Err(JobError::GiveUp("the job names no repository".to_owned()));
        };
        let payload: SyncPayload = serde_json::from_str(&job.payload).unwrap_or_default();
        let row = catalog
            .repo_by_id(repo)
            .await
            .map_err(|error| failed(&error))?;
        let Some(row) = row.filter(|row| row.deleted_at_ms.is_none()) else {
            return Ok(());
        };
        let Some(upstream) = catalog
            .upstream(repo)
            .await
            .map_err(|error| failed(&error))?
        else {
            return Ok(());
        };
        let began_ms = (self.clock)();
        let began = catalog.begin_sync(repo, began_ms).await;
        let Some(number) = began.map_err(|error| failed(&error))? else {
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
        let synced = self.sync(&row, &upstream, payload.only, &origin, stop);
        match synced.await {
            Ok(end) => {
                let ended = catalog.end_sync(repo, end, (self.clock)()).await;
                ended.map_err(|error| failed(&error))?;
                self.tell(&run, "repo.sync.succeeded", None).await;
                Ok(())
            }
            Err(Failure::Stopped) => Err(JobError::Stopped),
            Err(Failure::Error(error)) => {
                let end = SyncEnd::Failed {
                    error: error.clone(),
                };
                if let Err(error) = catalog.end_sync(repo, end, (self.clock)()).await {
                    tracing::warn!(%error, "could not record that a sync failed");
                }
                self.tell(&run, "repo.sync.failed", Some(&error)).await;
                Err(JobError::Retry(error))
            }
        }
    }
}

/// How a sync that did not succeed ended; the text holds no secret.
enum Failure {
    Stopped,
    Error(String),
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

    async fn sync(
        &self,
        row: &RepoRow,
        upstream: &UpstreamRow,
        only: Option<String>,
        origin: &Arc<Origin>,
        stop: &CancellationToken,
    ) -> Result<SyncEnd, Failure> {
        let credential = match self.credential(upstream).await {
            Ok(credential) => credential,
            Err(error) => return Err(Failure::Error(chain(&error))),
        };
        let followed = self
            .follow(row, upstream, only, credential.clone(), origin, stop)
            .await;
        followed.map_err(|error| match error {
            _ if stop.is_cancelled() => Failure::Stopped,
            SyncError::Detached => Failure::Stopped,
            SyncError::Remote(RemoteError::Cancelled) => {
                let longest = self.upstreams.options().longest.as_secs();
                Failure::Error(format!(
                    "the upstream took longer than {longest} seconds to send what is new"
                ))
            }
            error => Failure::Error(scrubbed(chain(&error), credential.as_ref())),
        })
    }

    async fn credential(&self, row: &UpstreamRow) -> Result<Option<Credential>, SyncError> {
        let upstream = &row.upstream;
        if upstream.auth == Auth::Public.as_str() {
            return Ok(None);
        }
        if upstream.auth == Auth::GitHubApp.as_str() {
            let app = self.upstreams.options().github_app.as_ref();
            let app = app.ok_or(SyncError::NoGitHubApp)?;
            return Ok(Some(app.credential(&upstream.owner, &upstream.name).await?));
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
        let mut recorded = RefTargets::new();
        for (name, target) in catalog.upstream_refs(row.id).await? {
            let name = RefName::parse(&name).map_err(|_| SyncError::Recorded)?;
            let target = ObjectId::try_from(target.as_slice()).map_err(|_| SyncError::Recorded)?;
            recorded.insert(name, target);
        }
        // It may have been detached, or the job taken over, while objects came.
        if stop.is_cancelled() || catalog.upstream(row.id).await?.is_none() {
            return Err(SyncError::Detached);
        }
        let request = SyncRequest {
            offered: fetched.offered,
            recorded,
            only,
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
        let options = self.remote_options(&upstream.upstream.url, credential);
        let remote = Remote::open(&upstream.upstream.url, options)?;
        let view = repository.view().await?;
        let quarantine = repository.quarantine_dir().to_owned();
        let progress = Stop {
            told: stop.clone(),
            at: Instant::now() + self.upstreams.options().longest,
        };
        let fetching = tokio::task::spawn_blocking(move || {
            fetch(&remote, &view, &quarantine, only.as_ref(), &progress)
        });
        fetching.await.map_err(|_| SyncError::Panicked)?
    }

    fn remote_options(&self, url: &str, credential: Option<Credential>) -> RemoteOptions {
        let source = credential.map(|credential| {
            Arc::new(OneHost {
                origin: origin_of(url),
                credential,
            }) as Arc<dyn CredentialSource>
        });
        RemoteOptions {
            credentials: source,
            egress: Some(self.upstreams.egress()),
            limits: self.upstreams.options().limits.clone(),
            idle_timeout: self.upstreams.options().silence,
            ref_prefixes: ["HEAD", "refs/heads/", "refs/tags/"]
                .map(str::to_owned)
                .into(),
            ..RemoteOptions::default()
        }
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

fn followed(refs: &RemoteRefs) -> RefTargets {
    refs.refs
        .iter()
        .filter(|entry| is_followed(&entry.name))
        .map(|entry| (entry.name.clone(), entry.target))
        .collect()
}

fn end_of(synced: Synced, head: Option<String>) -> SyncEnd {
    let left_out = (!synced.left_out.is_empty()).then(|| {
        let mut text = format!(
            "{} refs could not follow the upstream",
            synced.left_out.len()
        );
        for (at, (name, reason)) in synced.left_out.iter().take(LEFT_OUT_NAMED).enumerate() {
            let mark = if at == 0 { ": " } else { "; " };
            text.push_str(&format!("{mark}`{name}`: {reason}"));
        }
        text
    });
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

/// Ends a fetch when its job is to stop, and when its time is up.
struct Stop {
    told: CancellationToken,
    at: Instant,
}

impl Progress for Stop {
    fn cancelled(&self) -> bool {
        self.told.is_cancelled() || Instant::now() >= self.at
    }
}

/// A credential for one host: a redirect to another one does not get it.
struct OneHost {
    origin: Option<String>,
    credential: Credential,
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.origin().ascii_serialization())
}

impl CredentialSource for OneHost {
    fn find(&self, url: &str, _: Option<&str>) -> Option<Credential> {
        let asked = origin_of(url);
        (asked.is_some() && self.origin == asked).then(|| self.credential.clone())
    }
}

/// A text of the other side's, without what it may have repeated of our credential.
fn scrubbed(mut text: String, credential: Option<&Credential>) -> String {
    let secrets = match credential {
        Some(Credential::Basic { user, password }) => {
            let both = STANDARD.encode(format!("{user}:{}", password.reveal()));
            vec![password.reveal().to_owned(), both]
        }
        Some(Credential::Bearer(token)) => vec![token.reveal().to_owned()],
        None => Vec::new(),
    };
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "***");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_to_its_own_host_alone() {
        let source = OneHost {
            origin: origin_of("https://example.com/a.git"),
            credential: Credential::basic("me", "hunter2"),
        };
        let finds = |url: &str| source.find(url, None).is_some();
        assert!(finds(
            "https://example.com/a.git/info/refs?service=git-upload-pack"
        ));
        assert!(finds("https://example.com:443/b"));
        for url in [
            "http://example.com/a",
            "https://example.com:444/a",
            "https://example.org/a",
        ] {
            assert!(!finds(url), "{url}");
        }
    }

    #[test]
    fn what_a_server_repeats_of_a_credential_is_not_shown() {
        let credential = Credential::basic("me", "hunter2");
        let text = "no hunter2 here, nor bWU6aHVudGVyMg==".to_owned();
        assert_eq!(scrubbed(text, Some(&credential)), "no *** here, nor ***");
    }
}
