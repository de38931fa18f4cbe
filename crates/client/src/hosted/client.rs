//! The client: where the server is, and who calls.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use packhouse_api::{
    AuditQuery, CreateGitCredential, CreateRepo, DeleteGitCredential, DeletedRepo,
    GitCredentialInfo, ListJobsQuery, ListReposQuery, ListedAuditEntries, ListedJobs, ListedRepos,
    RepoDetails, UpdateGitCredential, paths,
};
use reqwest::{Certificate, Method, Url, redirect};

use super::auth::{Claims, ORG, REQUEST_TTL_SECONDS, RefPolicy, SigningKey};
use super::call::{Call, Caller};
use super::error::HostedError;
use super::events::EventStream;
use super::repo::HostedRepo;
use super::retry::{Effect, RetryPolicy};
use super::webhooks::Webhooks;

/// How requests are signed.
#[derive(Clone)]
pub enum ClientCredential {
    /// With a key of the organisation: a token for each request, for what it does and no more.
    Key(SigningKey),
    /// With a token that was made elsewhere, sent as it is.
    Token(String),
}

/// Where the server is, and who calls.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name of the organisation.
    pub name: String,
    /// How requests are signed.
    pub credential: ClientCredential,
    /// Where the API is, such as `https://git.example.com`; everything in front of `/api/v1`.
    pub api_base_url: String,
    /// Host, port and path that Git URLs begin with, without scheme; those of `api_base_url` if absent.
    pub storage_base_url: Option<String>,
    /// Version of the API.
    pub api_version: u32,
    /// How long tokens in Git URLs are good; [`super::REMOTE_TTL_SECONDS`] if absent.
    pub default_ttl_seconds: Option<i64>,
    /// How often and how patiently requests are sent again.
    pub retry: RetryPolicy,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the server may be silent; if absent, what fits the call: 30 seconds, 60 for diffs and 180 for writes.
    pub silence: Option<Duration>,
    /// Certificates, in PEM, that the server may be vouched for by, besides those the system trusts.
    pub extra_certificates: Option<Vec<u8>>,
    /// What the client calls itself.
    pub agent: String,
}

/// Calls the hosted API for one organisation. A clone shares its connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) name: String,
    credential: ClientCredential,
    /// Everything in front of the paths of a version.
    pub(super) api: String,
    /// Host and port, as errors name them.
    pub(super) host: String,
    pub(super) storage: String,
    pub(super) scheme: String,
    pub(super) default_ttl_seconds: Option<i64>,
    pub(super) retry: RetryPolicy,
    pub(super) silence: Option<Duration>,
    pub(super) agent: String,
}

impl ClientOptions {
    /// The usual options for the server at `api_base_url`.
    pub fn new(
        name: impl Into<String>,
        credential: ClientCredential,
        api_base_url: impl Into<String>,
    ) -> ClientOptions {
        ClientOptions {
            name: name.into(),
            credential,
            api_base_url: api_base_url.into(),
            storage_base_url: None,
            api_version: 1,
            default_ttl_seconds: None,
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(10),
            silence: None,
            extra_certificates: None,
            agent: concat!("packhouse-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Client {
    /// A client. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// An option is of no use, and the error says which.
    pub fn new(options: ClientOptions) -> Result<Client, HostedError> {
        let invalid = |text: String| HostedError::Invalid(text);
        if options.name.trim().is_empty() {
            return Err(invalid("the name of the organisation is empty".to_owned()));
        }
        let base = options.api_base_url.trim_end_matches('/');
        let url = Url::parse(base)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| invalid(format!("`{base}` is not an http or https URL")))?;
        // The HTTP client is built without cryptography of its own. Whoever installed some before us has what we need.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder()
            // A token is for the server it was made for.
            .redirect(redirect::Policy::none())
            .referer(false)
            .user_agent(options.agent.as_str())
            .connect_timeout(options.connect_timeout);
        if let Some(pem) = &options.extra_certificates {
            let certificates = Certificate::from_pem_bundle(pem)
                .map_err(|error| invalid(format!("bad certificates: {error}")))?;
            http = http.tls_certs_merge(certificates);
        }
        let http = http
            .build()
            .map_err(|error| invalid(format!("could not prepare HTTP: {error}")))?;
        let after_scheme = base.split_once("://").map_or(base, |(_, rest)| rest);
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let storage = options.storage_base_url.as_deref().unwrap_or(after_scheme);
        Ok(Client(Arc::new(Inner {
            http,
            api: format!("{base}/api/v{}", options.api_version),
            host,
            storage: storage.trim_end_matches('/').to_owned(),
            scheme: url.scheme().to_owned(),
            name: options.name,
            credential: options.credential,
            default_ttl_seconds: options.default_ttl_seconds,
            retry: options.retry,
            silence: options.silence,
            agent: options.agent,
        })))
    }

    /// Creates a repository and returns it. Its id is `id`, or a new UUID.
    ///
    /// A fork or snapshot (`base_repo` of provider `code`) needs a token for its source, which is made here if it is
    /// absent; `owner` may be empty.
    ///
    /// # Errors
    ///
    /// Among others `repository_exists`.
    pub async fn create_repo(
        &self,
        id: Option<&str>,
        request: &CreateRepo,
    ) -> Result<HostedRepo, HostedError> {
        self.repo(match id {
            Some(id) => id.to_owned(),
            None => uuid::Uuid::new_v4().to_string(),
        })
        .create(request)
        .await
    }

    /// The repository, if there is one.
    ///
    /// # Errors
    ///
    /// The server could not tell.
    pub async fn find_repo(&self, id: &str) -> Result<Option<RepoDetails>, HostedError> {
        match self.repo(id).describe().await {
            Ok(details) => Ok(Some(details)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A repository to call, which need not exist.
    pub fn repo(&self, id: impl Into<Arc<str>>) -> HostedRepo {
        HostedRepo::new(self.caller(id))
    }

    /// One page of the organisation's repositories.
    ///
    /// # Errors
    ///
    /// The server refused or failed.
    pub async fn list_repos(&self, query: &ListReposQuery) -> Result<ListedRepos, HostedError> {
        self.org().get(paths::REPOS, &["org:read"], query).await
    }

    /// Stores the credential of a repository for its upstream.
    ///
    /// # Errors
    ///
    /// Among others `credential_exists`.
    pub async fn create_git_credential(
        &self,
        request: &CreateGitCredential,
    ) -> Result<GitCredentialInfo, HostedError> {
        let caller = self.caller(request.repo_id.as_str());
        let call = Call::new(Method::POST, paths::GIT_CREDENTIALS, &["repo:write"]);
        caller.json(call.write(request)?).await
    }

    /// Replaces a stored credential.
    ///
    /// # Errors
    ///
    /// Among others `credential_not_found`.
    pub async fn update_git_credential(
        &self,
        request: &UpdateGitCredential,
    ) -> Result<GitCredentialInfo, HostedError> {
        let call = Call::new(Method::PUT, paths::GIT_CREDENTIALS, &["repo:write"]);
        self.org().json(call.write(request)?).await
    }

    /// Forgets a stored credential.
    ///
    /// # Errors
    ///
    /// Among others `credential_not_found`.
    pub async fn delete_git_credential(
        &self,
        request: &DeleteGitCredential,
    ) -> Result<(), HostedError> {
        let call = Call::new(Method::DELETE, paths::GIT_CREDENTIALS, &["repo:write"]);
        self.org().done(call.write(request)?).await
    }

    /// One page of the organisation's jobs.
    ///
    /// # Errors
    ///
    /// The server refused or failed.
    pub async fn list_jobs(&self, query: &ListJobsQuery) -> Result<ListedJobs, HostedError> {
        self.org().get(paths::JOBS, &["org:read"], query).await
    }

    /// One page of what was done in the organisation, newest first: who, what, when, from where.
    ///
    /// # Errors
    ///
    /// The server refused or failed.
    pub async fn list_audit(&self, query: &AuditQuery) -> Result<ListedAuditEntries, HostedError> {
        self.org().get(paths::AUDIT, &["org:read"], query).await
    }

    /// Webhooks of the whole organisation.
    pub fn webhooks(&self) -> Webhooks {
        Webhooks::new(self.org(), &["org:write"], &["org:read"])
    }

    /// Events of every repository of the organisation: those after the event `after`, or what comes.
    pub fn events(&self, after: Option<&str>) -> EventStream {
        EventStream::new(self.org(), &["org:read"], after)
    }

    fn org(&self) -> Caller {
        self.caller(ORG)
    }

    fn caller(&self, repo: impl Into<Arc<str>>) -> Caller {
        Caller {
            client: Arc::clone(&self.0),
            repo: repo.into(),
            ttl_seconds: None,
            refs: Arc::new([]),
        }
    }
}

impl Inner {
    /// The token for a request, or the one that was given.
    pub(super) fn token(
        &self,
        repo: &str,
        scopes: &[&str],
        ttl_seconds: Option<i64>,
        refs: &[RefPolicy],
        ops: &[String],
    ) -> Result<String, HostedError> {
        let claims = Claims {
            ttl_seconds: ttl_seconds.unwrap_or(REQUEST_TTL_SECONDS),
            refs,
            ops,
            ..Claims::new(&self.name, repo, scopes)
        };
        match &self.credential {
            ClientCredential::Key(key) => Ok(key.sign(&claims)?),
            ClientCredential::Token(token) => Ok(token.clone()),
        }
    }
}

impl HostedRepo {
    /// Creates the repository under this id.
    ///
    /// # Errors
    ///
    /// Among others `repository_exists`.
    pub async fn create(self, request: &CreateRepo) -> Result<HostedRepo, HostedError> {
        let mut request = request.clone();
        if let Some(base) = request
            .base_repo
            .as_mut()
            .filter(|base| base.provider == "code")
        {
            let client = &self.caller.client;
            if base.owner.is_empty() {
                base.owner.clone_from(&client.name);
            }
            let auth = base.auth.get_or_insert_default();
            if auth.token.is_none() {
                let token =
                    client.token(&base.name, &["git:read"], self.caller.ttl_seconds, &[], &[])?;
                auth.token = Some(token);
            }
        }
        let call = Call::new(Method::POST, paths::REPOS, &["repo:write"]);
        self.caller.done(call.write(&request)?).await?;
        Ok(self)
    }

    /// Deletes the repository. What it held is removed later.
    ///
    /// # Errors
    ///
    /// Among others `repository_not_found` and `repository_deleted`.
    pub async fn delete(&self) -> Result<DeletedRepo, HostedError> {
        let mut call = Call::new(Method::DELETE, paths::DELETE_REPO, &["repo:write"]);
        call.effect = Effect::Write;
        self.caller.json(call).await
    }

    /// What the server knows of the repository.
    ///
    /// # Errors
    ///
    /// Among others `repository_not_found`.
    pub async fn describe(&self) -> Result<RepoDetails, HostedError> {
        self.caller
            .json(Call::new(Method::GET, paths::REPO, &["git:read"]))
            .await
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("name", &self.0.name)
            .field("api", &self.0.api)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientCredential::Key(key) => key.fmt(f),
            ClientCredential::Token(_) => f.write_str("Token(…)"),
        }
    }
}
