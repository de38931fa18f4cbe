//! One hosted repository, to be called.

use std::fmt;
use std::sync::Arc;

use super::auth::{REMOTE_TTL_SECONDS, RefPolicy};
use super::call::Caller;
use super::error::HostedError;

/// One repository of the hosted API, by its id; it need not exist. A clone is cheap.
///
/// The calls are in the words of the API: each takes its query or body, and returns its answer, both of `packhouse_api`.
/// Each fails with a [`HostedError`]: [`HostedError::Api`] where the server refused, with the code and the status. The
/// calls that make commits fail with [`HostedError::RefUpdate`] then.
#[derive(Clone)]
pub struct HostedRepo {
    pub(super) caller: Caller,
}

/// Which refs a Git URL shows, and what may be done with it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RemoteKind {
    /// Branches and tags.
    #[default]
    Ordinary,
    /// Ephemeral branches, as ordinary ones.
    Ephemeral,
    /// For one large push.
    Import,
}

/// What the token in a Git URL says.
#[derive(Clone, Debug, Default)]
pub struct RemoteOptions {
    /// `git:read`, `git:write`; both if absent.
    pub scopes: Option<Vec<String>>,
    /// How long it is good; what the client's options say, or a year, if absent.
    pub ttl_seconds: Option<i64>,
    /// Policies by ref, the first match counts.
    pub refs: Vec<RefPolicy>,
    /// Policies for every ref that `refs` says nothing about: `no-force-push`, `no-push`, `verify-sig`.
    pub ops: Vec<String>,
}

impl HostedRepo {
    pub(super) fn new(caller: Caller) -> HostedRepo {
        HostedRepo { caller }
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.caller.repo
    }

    /// The same with tokens that are good for so long instead of an hour.
    #[must_use]
    pub fn with_ttl_seconds(mut self, ttl_seconds: i64) -> HostedRepo {
        self.caller.ttl_seconds = Some(ttl_seconds);
        self
    }

    /// The same with tokens that allow only what `policies` do, first match first.
    #[must_use]
    pub fn with_ref_policies(mut self, policies: impl Into<Arc<[RefPolicy]>>) -> HostedRepo {
        self.caller.refs = policies.into();
        self
    }

    /// A URL for Git, with a token in it: handle it like a password. It has the scheme of the API's URL.
    ///
    /// ```
    /// # use packhouse_client::hosted::*;
    /// # fn main() -> Result<(), HostedError> {
    /// # let credential = ClientCredential::Token("TOKEN".to_owned());
    /// let client = Client::new(ClientOptions::new("acme", credential, "https://git.example.com"))?;
    /// let url = client.repo("team/site").remote_url(RemoteKind::Ephemeral, &RemoteOptions::default())?;
    /// assert_eq!(url, "https://t:TOKEN@git.example.com/team/site+ephemeral.git");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The clock is wrong.
    pub fn remote_url(
        &self,
        kind: RemoteKind,
        options: &RemoteOptions,
    ) -> Result<String, HostedError> {
        let client = &self.caller.client;
        let scopes: Vec<&str> = match &options.scopes {
            Some(scopes) => scopes.iter().map(String::as_str).collect(),
            None => vec!["git:write", "git:read"],
        };
        let ttl_seconds = options.ttl_seconds.or(client.default_ttl_seconds);
        let ttl_seconds = ttl_seconds.unwrap_or(REMOTE_TTL_SECONDS);
        let (refs, ops) = (&options.refs, &options.ops);
        let token = client.token(self.id(), &scopes, Some(ttl_seconds), refs, ops)?;
        let suffix = match kind {
            RemoteKind::Ordinary => "",
            RemoteKind::Ephemeral => "+ephemeral",
            RemoteKind::Import => "+import",
        };
        let (scheme, storage, id) = (&client.scheme, &client.storage, self.id());
        Ok(format!("{scheme}://t:{token}@{storage}/{id}{suffix}.git"))
    }
}

impl fmt::Debug for HostedRepo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedRepo")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
