//! Being a GitHub App: a short-lived JWT of the app is exchanged for a token of its installation at an owner.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use packhouse_client::{Credential, Egress};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde_json::json;

/// How long GitHub may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most that is read of an answer.
const ANSWER_BYTES: usize = 256 << 10;

/// A GitHub App: an id and a private key. Clones are the same app.
#[derive(Clone)]
pub struct GitHubApp(Arc<App>);

struct App {
    id: String,
    key: EncodingKey,
    api: Url,
}

/// Why GitHub gave no token. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum GitHubAppError {
    /// The settings are no app.
    #[error("{0}")]
    Settings(&'static str),
    /// GitHub cannot be reached, or does not answer in time.
    #[error("GitHub's API does not answer: {0}")]
    Unreachable(String),
    /// The app is not installed where it would have to be.
    #[error("the GitHub App is not installed for `{owner}/{name}`, or there is no such repository")]
    NotInstalled {
        /// Organisation or user.
        owner: String,
        /// Repository.
        name: String,
    },
    /// Another answer than was hoped for.
    #[error("GitHub's API answered with HTTP status {status}{hint}")]
    Status {
        /// The status.
        status: u16,
        /// What it may mean.
        hint: &'static str,
    },
    /// An answer that is not understood.
    #[error("GitHub's API answered with something else than was asked for")]
    Answer,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct InstallationToken {
    token: String,
}

/// What may be done with a credential.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Fetching.
    Read,
    /// Fetching and pushing.
    Write,
}

impl Access {
    /// GitHub's word for it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl GitHubApp {
    /// The app of this id, whose private key is `key_pem` (RSA, PEM), at `api`, such as `https://api.github.com`.
    ///
    /// # Errors
    ///
    /// The key or the URL cannot be used.
    pub fn new(id: &str, key_pem: &[u8], api: &str) -> Result<GitHubApp, GitHubAppError> {
        let key = EncodingKey::from_rsa_pem(key_pem)
            .map_err(|_| GitHubAppError::Settings("the GitHub App's key is no RSA key in PEM"))?;
        let api = Url::parse(&format!("{}/", api.trim_end_matches('/')))
            .ok()
            .filter(|url| matches!(url.scheme(), "https" | "http"))
            .ok_or(GitHubAppError::Settings(
                "the URL of GitHub's API is no http(s) URL",
            ))?;
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_alphanumeric() || c == '.') {
            return Err(GitHubAppError::Settings(
                "the GitHub App's id is neither a number nor a client id",
            ));
        }
        Ok(GitHubApp(Arc::new(App {
            id: id.to_owned(),
            key,
            api,
        })))
    }

    /// A credential for `owner/name`, good for an hour.
    pub(crate) async fn credential(
        &self,
        owner: &str,
        name: &str,
        access: Access,
    ) -> Result<Credential, GitHubAppError> {
        // The operator chose this address, so it may be on a private network.
        let client = Egress::Any
            .http_client()
            .timeout(PATIENCE)
            .build()
            .map_err(|error| GitHubAppError::Unreachable(error.to_string()))?;
        let jwt = self.jwt()?;
        let ask = |request: RequestBuilder| {
            request
                .bearer_auth(&jwt)
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
                .header("user-agent", "packhouse")
        };
        let url = self.url(&["repos", owner, name, "installation"])?;
        let installation: Installation =
            answer(ask(client.get(url)), (owner, name), StatusCode::OK).await?;
        let id = installation.id.to_string();
        let url = self.url(&["app", "installations", &id, "access_tokens"])?;
        let wanted =
            json!({ "repositories": [name], "permissions": { "contents": access.as_str() } });
        let token: InstallationToken = answer(
            ask(client.post(url)).json(&wanted),
            (owner, name),
            StatusCode::CREATED,
        )
        .await?;
        Ok(Credential::basic("x-access-token", token.token))
    }

    /// Says who we are for the next minutes.
    fn jwt(&self) -> Result<String, GitHubAppError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        // As GitHub advises: a minute back, for clocks that differ; ten minutes is the most it takes.
        let claims = json!({ "iat": now.saturating_sub(60), "exp": now + 540, "iss": self.0.id });
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &self.0.key)
            .map_err(|_| GitHubAppError::Settings("the GitHub App's key does not sign"))
    }

    fn url(&self, parts: &[&str]) -> Result<Url, GitHubAppError> {
        let mut url = self.0.api.clone();
        url.path_segments_mut()
            .map_err(|()| GitHubAppError::Settings("the URL of GitHub's API has no path"))?
            .pop_if_empty()
            .extend(parts);
        Ok(url)
    }
}

async fn answer<T: serde::de::DeserializeOwned>(
    request: RequestBuilder,
    (owner, name): (&str, &str),
    expected: StatusCode,
) -> Result<T, GitHubAppError> {
    let unreachable =
        |error: reqwest::Error| GitHubAppError::Unreachable(error.without_url().to_string());
    let mut response = request.send().await.map_err(unreachable)?;
    match response.status() {
        status if status == expected => {}
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => {
            return Err(GitHubAppError::NotInstalled {
                owner: owner.to_owned(),
                name: name.to_owned(),
            });
        }
        status => {
            return Err(GitHubAppError::Status {
                status: status.as_u16(),
                hint: match status {
                    StatusCode::UNAUTHORIZED => ": the App's id and key do not fit together",
                    StatusCode::FORBIDDEN => ": the App may not read contents, or asks too often",
                    _ => "",
                },
            });
        }
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(GitHubAppError::Answer);
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| GitHubAppError::Answer)
}

impl fmt::Debug for GitHubApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitHubApp")
            .field("id", &self.0.id)
            .field("api", &self.0.api.as_str())
            .finish_non_exhaustive()
    }
}
