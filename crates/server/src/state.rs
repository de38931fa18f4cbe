//! What all requests of one server share.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Extensions, HeaderMap, Uri};
use ipnet::IpNet;
use packhouse_api::ErrorCode;
use packhouse_catalog::{CatalogError, JobState, Origin, RepoRow};
use packhouse_client::Egress;
use packhouse_object::ObjectId;
use packhouse_repo::{Hosted, Repository, SweepOptions, TextCache};
use packhouse_wire::{CountCache, Service};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use tokio_util::sync::CancellationToken;

use crate::auth::{Authenticator, Caller, GIT_SIGN, LfsTokens, Scope, Signers, TokenPolicy};
use crate::config::Limits;
use crate::error::ApiError;
use crate::events::Wakes;
use crate::jobs::JobQueue;
use crate::metrics::Metrics;
use crate::rate::RateLimits;
use crate::turns::Turns;
use crate::upstream::{SYNC, Upstreams};
use crate::webhooks::WebhooksHandle;

/// Answers of "which commit changed this path last" that are remembered; they never change.
const MAX_LAST_COMMITS: usize = 50_000;

/// Memory for what fetches counted: a bit for each object of a large pack, or an id for each that is in no such pack.
pub(crate) const COUNT_CACHE_BYTES: u64 = 64 << 20;

/// Keys whose signatures of commits count in one repository, at most.
const MAX_SIGNERS: u32 = 10_000;

/// By commit and path: the commit that changed the path last, and when it was committed, in seconds since the epoch.
pub(crate) type LastCommits = Cache<(ObjectId, Vec<u8>), Option<(ObjectId, i64)>>;

/// Shared state, cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// See [`AppState`].
pub struct Shared {
    /// The repositories.
    pub hosted: Arc<Hosted>,
    /// Where work for the background is put.
    pub jobs: JobQueue,
    /// How upstreams are followed.
    pub(crate) upstreams: Upstreams,
    /// Bounds on clients.
    pub limits: Limits,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How sweeps go.
    pub(crate) sweep: SweepOptions,
    /// Scheme and host as clients see them, if configured.
    pub public_base: Option<String>,
    /// Whether clients come over TLS.
    pub is_tls: bool,
    /// Proxies that are believed where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// The OpenAPI document.
    pub openapi: Bytes,
    /// Which commit changed a path last, as far as it was looked up.
    pub last_commits: LastCommits,
    /// Texts of files that were searched.
    pub texts: TextCache,
    /// Turns for searches.
    pub(crate) searches: Turns,
    /// Turns for commits that write pack files.
    pub(crate) spools: Turns,
    /// Turns for commits that apply a diff.
    pub(crate) patches: Turns,
    /// What fetches counted.
    pub counts: Arc<CountCache>,
    /// Turns for fetches.
    pub(crate) fetches: Turns,
    /// Turns to be told over SSH which refs there are.
    pub(crate) offers: Turns,
    /// Turns for diffs and merges that are only shown.
    pub(crate) diffs: Turns,
    /// Turns for merges, cherry-picks and reverts.
    pub(crate) merges: Turns,
    /// Turns for archives.
    pub(crate) archives: Turns,
    /// Turns for pushes.
    pub(crate) pushes: Turns,
    /// Memory for the contents of commits, in KiB.
    pub commit_pool: Arc<Semaphore>,
    /// Memory for long lines, in KiB.
    pub line_pool: Arc<Semaphore>,
    /// Turns for event streams.
    pub(crate) event_streams: Turns,
    /// Turns for events that are delivered once more.
    pub(crate) redeliveries: Turns,
    /// Where the server may connect to on behalf of its users.
    pub(crate) egress: Egress,
    /// What delivers events to webhooks.
    pub(crate) webhooks: WebhooksHandle,
    /// Those who wait for events.
    pub(crate) wakes: Arc<Wakes>,
    /// Cancelled when the server begins to stop: what has no end of its own ends then.
    pub(crate) stopping: CancellationToken,
    /// What SSH keys show on the paths of LFS.
    pub(crate) lfs_tokens: LfsTokens,
    authenticator: Authenticator,
    rates: RateLimits,
}

/// What stands between clients and the server.
pub(crate) struct Front {
    /// Scheme and host as clients see them, if configured.
    pub(crate) public_base: Option<String>,
    /// Proxies that are believed where a request comes from.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Whether the server itself speaks TLS.
    pub(crate) is_tls: bool,
}

/// What of a server's state is about work in the background.
pub(crate) struct Background {
    pub(crate) jobs: JobQueue,
    pub(crate) sweep: SweepOptions,
    pub(crate) upstreams: Upstreams,
    pub(crate) events: EventState,
}

/// What of a server's state is about events.
pub(crate) struct EventState {
    pub(crate) egress: Egress,
    pub(crate) webhooks: WebhooksHandle,
    pub(crate) wakes: Arc<Wakes>,
    pub(crate) stopping: CancellationToken,
}

impl Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl AppState {
    /// State over an open engine.
    pub(crate) fn new(
        hosted: Arc<Hosted>,
        background: Background,
        limits: Limits,
        metrics: Arc<Metrics>,
        front: Front,
        openapi: Bytes,
    ) -> AppState {
        let turns = |kind, what, all| {
            let counters = Some(metrics.turns().clone());
            Turns::new(kind, what, limits.turns(all), counters)
        };
        AppState(Arc::new(Shared {
            searches: turns("search", "searches", limits.searches),
            spools: turns("large commit", "large commits", limits.spools),
            patches: turns("patch", "patches", limits.patches),
            fetches: turns("fetch", "fetches", limits.fetches),
            offers: turns("offer", "lists of refs over SSH", limits.fetches),
            diffs: turns("diff", "diffs", limits.diffs),
            merges: turns("merge", "merges", limits.merges),
            archives: turns("archive", "archives", limits.archives),
            pushes: turns("push", "pushes", limits.pushes),
            event_streams: turns("event stream", "event streams", limits.event_streams),
            redeliveries: turns("redelivery", "redeliveries", limits.redeliveries),
            lfs_tokens: LfsTokens::new(hosted.catalog().clone()),
            authenticator: Authenticator::new(hosted.catalog().clone()),
            rates: RateLimits::new(limits.org_rate, limits.repo_rate),
            texts: TextCache::new(limits.search_cache_bytes),
            counts: Arc::new(CountCache::new(COUNT_CACHE_BYTES)),
            commit_pool: Arc::new(Semaphore::new(limits.commit_pool_bytes / 1024)),
            line_pool: Arc::new(Semaphore::new(limits.line_pool_bytes / 1024)),
            last_commits: Cache::new(MAX_LAST_COMMITS),
            egress: background.events.egress,
            webhooks: background.events.webhooks,
            wakes: background.events.wakes,
            stopping: background.events.stopping,
            hosted,
            jobs: background.jobs,
            sweep: background.sweep,
            upstreams: background.upstreams,
            limits,
            metrics,
            public_base: front.public_base,
            is_tls: front.is_tls,
            trusted_proxies: front.trusted_proxies,
            openapi,
        }))
    }

    /// The caller that the token in `headers` stands for, whose request is counted. Once for each request.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Result<Caller, ApiError> {
        let caller = self.identify(headers).await?;
        self.admit(&caller, 1)?;
        Ok(caller.sent_from(extensions.get::<Arc<Origin>>().cloned()))
    }

    /// The caller that the token in `headers` stands for. Their request is not counted.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        self.authenticator.authenticate(headers).await
    }

    /// Counts a request of `caller` against the rate limits; refuses it unless there is room for `ahead` requests.
    pub(crate) fn admit(&self, caller: &Caller, ahead: u32) -> Result<(), ApiError> {
        let repo = match caller.is_for_org() {
            true => None,
            false => caller.repo().ok(),
        };
        let now = self.rates.now();
        let admitted = self.rates.admit(caller.org(), repo, ahead, now);
        admitted.map_err(|refused| {
            self.metrics.rate_limited(&refused);
            let message = refused.message(caller.issuer(), repo);
            ApiError::rate_limited(message, refused.wait_seconds())
        })
    }

    /// The caller that `token` stands for, where it is not the request's own; nothing is counted.
    pub async fn authenticate_token(&self, token: &str) -> Result<Caller, ApiError> {
        self.authenticator.authenticate_token(token).await
    }

    /// For how long the token of `caller` still counts; `None`: no longer.
    pub(crate) async fn time_left(
        &self,
        caller: &Caller,
    ) -> Result<Option<Duration>, CatalogError> {
        self.authenticator.time_left(caller).await
    }

    /// The repository that the caller's token names, for a caller with `scope`.
    pub async fn open(&self, caller: &Caller, scope: Scope) -> Result<Repository, ApiError> {
        caller.need(scope)?;
        let name = caller.repo()?;
        let found = self.hosted.catalog().repo(caller.org(), name).await?;
        let row = found.ok_or_else(|| {
            ApiError::new(
                ErrorCode::RepositoryNotFound,
                format!("repository `{name}` not found"),
            )
        })?;
        if row.syncing {
            return Err(self.sync_in_progress(&row).await?);
        }
        Ok(self.hosted.at_from(&row, caller.origin().cloned()))
    }

    /// What the caller may do to refs, for a move to commits that are there: where these have to be signed, it knows by
    /// whom.
    pub(crate) async fn policy(&self, caller: &Caller) -> Result<Arc<TokenPolicy>, ApiError> {
        let policy = caller.policy();
        if !policy.wants_signatures() {
            return Ok(policy.clone());
        }
        let now_ms = crate::rest::time::now_seconds() * 1000;
        let catalog = self.hosted.catalog();
        let keys = catalog
            .ssh_keys_with_scope(caller.org(), caller.repo()?, GIT_SIGN, now_ms, MAX_SIGNERS)
            .await?;
        let signers = Signers::new(keys.iter().map(|row| row.key.public_key.as_str()));
        Ok(Arc::new(policy.with_signers(signers)))
    }

    /// Why a repository that has nothing of its upstream yet cannot be used, and what to do.
    pub(crate) async fn sync_in_progress(&self, row: &RepoRow) -> Result<ApiError, ApiError> {
        let catalog = self.hosted.catalog();
        let upstream = catalog.upstream(row.id).await?;
        let job = catalog.job(SYNC, &row.id.to_string()).await?;
        let error = upstream.and_then(|upstream| upstream.error);
        let message = match (error, job.map(|job| job.state)) {
            (Some(error), Some(JobState::Failed)) => format!(
                "repository sync failed: {error}; `POST /repos/pull-upstream` tries again, `DELETE /repos/base` \
                 detaches the repository from its upstream"
            ),
            (Some(error), _) => {
                format!("repository sync in progress; the last attempt failed: {error}")
            }
            (None, _) => "repository sync in progress".to_owned(),
        };
        Ok(ApiError::new(ErrorCode::SyncInProgress, message))
    }

    /// How many requests of each kind that takes turns are under way.
    pub(crate) fn under_way(&self) -> [(&'static str, usize); 11] {
        [
            &self.fetches,
            &self.offers,
            &self.pushes,
            &self.searches,
            &self.diffs,
            &self.merges,
            &self.archives,
            &self.spools,
            &self.patches,
            &self.event_streams,
            &self.redeliveries,
        ]
        .map(Turns::under_way)
    }

    /// The turns for one of Git's services.
    pub(crate) fn turns_of(&self, service: Service) -> &Turns {
        match service {
            Service::UploadPack => &self.fetches,
            Service::ReceivePack => &self.pushes,
        }
    }

    /// Scheme and host as clients see them, if configured, without a slash at the end.
    pub(crate) fn configured_base(&self) -> Option<&str> {
        self.public_base
            .as_deref()
            .map(|base| base.trim_end_matches('/'))
    }

    /// Scheme and host as the client that sent a request to `uri` with `headers` sees them.
    pub fn base_url(&self, uri: &Uri, headers: &HeaderMap) -> String {
        if let Some(base) = self.configured_base() {
            return base.to_owned();
        }
        // HTTP/2 has the host in the request's URI and sends no `Host`.
        let host = uri
            .authority()
            .map(Authority::as_str)
            .or_else(|| headers.get(http::header::HOST)?.to_str().ok())
            .unwrap_or("localhost");
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{host}")
    }
}
