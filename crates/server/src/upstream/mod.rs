//! Upstreams: repositories elsewhere that repositories here follow.
//!
//! `place` finds out where an upstream is, `seal` keeps credentials unreadable at rest, `github_app` proves to GitHub who
//! we are, and `connect` opens the conversation. `sync` is the job that fetches; its second half, `push`, has what is
//! written here go there, for which `push_look` asks. What always holds:
//!
//! - A password or token is in no log, no URL and no error, and in the database only sealed.
//! - The server connects where [`Egress`] allows, wherever names and redirects lead.
//! - A ref of an upstream moves only from where it was last seen.

mod connect;
mod github_app;
mod place;
mod push;
mod push_look;
mod seal;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use packhouse_catalog::{Catalog, NewCredential, NewJob, OrgId, RepoId, UpstreamRow};
use packhouse_client::{Credential, Egress};
use packhouse_object::ReceiveLimits;
use serde::{Deserialize, Serialize};

pub use github_app::{GitHubApp, GitHubAppError};
pub use seal::{CredentialKeys, KeyError};

pub(crate) use place::{Auth, PlaceError, place_of};
pub(crate) use push_look::PushLook;
pub(crate) use sync::SyncHandler;

/// The kind of jobs that sync.
pub(crate) const SYNC: &str = "sync";
/// How long after it was asked for a sync is tried again.
const GIVE_UP_MS: i64 = 24 * 3600 * 1000;

/// How upstreams are followed.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// What seals credentials. Without, none can be stored.
    pub keys: Option<CredentialKeys>,
    /// Where repositories of the provider `github` are.
    pub github_url: String,
    /// The GitHub App to be. Without, private repositories there need a token.
    pub github_app: Option<GitHubApp>,
    /// What a pack of an upstream may cost.
    pub limits: ReceiveLimits,
    /// How long a sync may take, so that an upstream that trickles keeps no place for ever.
    pub longest: Duration,
    /// How long an upstream may be silent.
    pub silence: Duration,
    /// How many syncs one node does at a time.
    pub at_once: usize,
}

impl Default for UpstreamOptions {
    fn default() -> UpstreamOptions {
        UpstreamOptions {
            keys: None,
            github_url: "https://github.com".to_owned(),
            github_app: None,
            limits: ReceiveLimits::default(),
            longest: Duration::from_secs(2 * 3600),
            silence: Duration::from_secs(120),
            at_once: 4,
        }
    }
}

/// What following upstreams needs, shared by requests and jobs.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: UpstreamOptions,
    egress: Egress,
}

/// The parameters of a sync.
#[derive(Debug, Default, Deserialize, Serialize)]
struct SyncPayload {
    /// This ref alone.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    only: Option<String>,
    /// Nothing, unless something that was written here has to go to the upstream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    push: bool,
}

/// A user and a password, as they are sealed.
#[derive(Deserialize, Serialize)]
struct Login {
    username: Option<String>,
    password: String,
}

/// Why a credential is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error(
        "this server stores no credentials: it was started without a key for them (PACKHOUSE_CREDENTIALS_KEY)"
    )]
    NoKey,
    #[error(
        "the stored credential cannot be opened: the key it was sealed with is not among those of this server; store it again"
    )]
    Sealed,
    #[error("the catalog does not answer")]
    Catalog(#[from] packhouse_catalog::CatalogError),
}

impl Upstreams {
    pub(crate) fn new(options: UpstreamOptions, egress: Egress) -> Upstreams {
        Upstreams(Arc::new(Shared { options, egress }))
    }

    pub(crate) fn options(&self) -> &UpstreamOptions {
        &self.0.options
    }

    pub(crate) fn egress(&self) -> Egress {
        self.0.egress
    }

    /// Seals a login for the upstream of a repository.
    pub(crate) fn seal(
        &self,
        id: String,
        (org, repo): (OrgId, RepoId),
        username: Option<String>,
        password: String,
    ) -> Result<NewCredential, CredentialError> {
        let keys = self.0.options.keys.as_ref().ok_or(CredentialError::NoKey)?;
        let login = Login { username, password };
        let text = serde_json::to_vec(&login).expect("a login is two strings");
        let (key_id, sealed) = keys.seal(&text, &context(&id, org, repo));
        Ok(NewCredential {
            id,
            org,
            repo,
            key_id,
            sealed,
        })
    }

    /// The stored credential of a repository, opened; `None` if it has none.
    pub(crate) async fn stored(
        &self,
        catalog: &Catalog,
        repo: RepoId,
    ) -> Result<Option<Credential>, CredentialError> {
        let Some(row) = catalog.credential_of(repo).await? else {
            return Ok(None);
        };
        let keys = self.0.options.keys.as_ref().ok_or(CredentialError::NoKey)?;
        let stored = row.credential;
        let context = context(&stored.id, stored.org, stored.repo);
        let text = keys
            .open(&stored.key_id, &stored.sealed, &context)
            .ok_or(CredentialError::Sealed)?;
        let login: Login = serde_json::from_slice(&text).map_err(|_| CredentialError::Sealed)?;
        // Hosts that know tokens take any user with one; this is the one that most of them document.
        let user = login.username.unwrap_or_else(|| "oauth2".to_owned());
        Ok(Some(Credential::basic(user, login.password)))
    }
}

/// What a sealed credential is bound to: moved to another row, it does not open.
fn context(id: &str, org: OrgId, repo: RepoId) -> String {
    format!("packhouse git credential 1\0{org}\0{repo}\0{id}")
}

/// A request to sync a repository, or one ref of it alone.
pub(crate) fn sync_job(org: OrgId, repo: RepoId, only: Option<String>, now_ms: i64) -> NewJob {
    new_job(org, repo, &SyncPayload { only, push: false }, now_ms)
}

/// A request to have what was written to a repository go to its upstream.
fn push_job(org: OrgId, repo: RepoId, now_ms: i64) -> NewJob {
    let payload = SyncPayload {
        only: None,
        push: true,
    };
    new_job(org, repo, &payload, now_ms)
}

fn new_job(org: OrgId, repo: RepoId, payload: &SyncPayload, now_ms: i64) -> NewJob {
    let text = |payload| serde_json::to_string(payload).expect("a payload is plain data");
    NewJob {
        kind: SYNC,
        key: repo.to_string(),
        org,
        repo: Some(repo),
        payload: text(payload),
        // Two requests that are not done yet are served by a sync of everything.
        payload_if_pending: Some(text(&SyncPayload::default())),
        due_at_ms: now_ms,
        give_up_ms: GIVE_UP_MS,
    }
}

/// Whether a repository follows its upstream with a stored credential.
pub(crate) fn uses_credential(row: &UpstreamRow) -> bool {
    row.upstream.auth == Auth::Credential.as_str()
}
