//! The caller of a request, once the token is verified.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use packhouse_api::ErrorCode;
use packhouse_catalog::{NewAuditEntry, OrgId, Origin};
use packhouse_repo::RefChange;

use super::policy::TokenPolicy;
use crate::error::ApiError;
use crate::state::AppState;
use crate::turns::TurnFor;

/// What a token may allow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Clone, fetch, read.
    GitRead,
    /// Push and write; holds `git:read` too.
    GitWrite,
    /// Create and delete repositories.
    RepoWrite,
    /// List the organisation's repositories and webhooks, follow its events.
    OrgRead,
    /// Create and delete the organisation's webhooks; holds `org:read` too.
    OrgWrite,
}

impl Scope {
    const ALL: [Scope; 5] = [
        Scope::GitRead,
        Scope::GitWrite,
        Scope::RepoWrite,
        Scope::OrgRead,
        Scope::OrgWrite,
    ];

    /// The word in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::GitRead => "git:read",
            Scope::GitWrite => "git:write",
            Scope::RepoWrite => "repo:write",
            Scope::OrgRead => "org:read",
            Scope::OrgWrite => "org:write",
        }
    }
}

/// The scopes of one token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Scopes(u8);

impl Scopes {
    /// The known scopes among `words`; unknown ones allow nothing.
    pub fn from_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Scopes {
        let mut bits = 0;
        for word in words {
            for scope in Scope::ALL {
                if scope.as_str() == word {
                    bits |= 1 << scope as u8;
                }
            }
        }
        if bits & 1 << Scope::GitWrite as u8 != 0 {
            bits |= 1 << Scope::GitRead as u8;
        }
        if bits & 1 << Scope::OrgWrite as u8 != 0 {
            bits |= 1 << Scope::OrgRead as u8;
        }
        Scopes(bits)
    }

    /// Whether `scope` is allowed.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

/// Who is calling, and from where. Made from a verified token or SSH key only.
#[derive(Clone, Debug)]
pub struct Caller {
    inner: Arc<Inner>,
    origin: Option<Arc<Origin>>,
}

/// What a caller has shown.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CredentialKind {
    /// A token.
    Token,
    /// The possession of an SSH key.
    SshKey,
}

impl CredentialKind {
    /// How it is called in messages.
    fn noun(self) -> &'static str {
        match self {
            CredentialKind::Token => "token",
            CredentialKind::SshKey => "SSH key",
        }
    }
}

/// What a token stands on.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    /// What was shown.
    pub kind: CredentialKind,
    /// The fingerprint of the key that signed it, or of the SSH key.
    pub fingerprint: String,
    /// When it ends, in seconds since the epoch.
    pub ends_at: f64,
}

#[derive(Clone, Debug)]
struct Inner {
    org: OrgId,
    issuer: String,
    credential: Credential,
    who: String,
    repo: Option<String>,
    scopes: Scopes,
    policy: Arc<TokenPolicy>,
}

impl Caller {
    pub(super) fn new(
        org: OrgId,
        issuer: String,
        credential: Credential,
        who: String,
        repo: Option<String>,
        scopes: Scopes,
        policy: TokenPolicy,
    ) -> Caller {
        Caller {
            inner: Arc::new(Inner {
                org,
                issuer,
                credential,
                who,
                repo,
                scopes,
                policy: Arc::new(policy),
            }),
            origin: None,
        }
    }

    /// The same caller, whose request came from `origin`.
    pub(crate) fn sent_from(mut self, origin: Option<Arc<Origin>>) -> Caller {
        self.origin = origin;
        self
    }

    /// The same caller, who may do nothing but what is in `scopes`.
    pub(super) fn with_no_more_than(self, scopes: Scopes) -> Caller {
        let Caller { mut inner, origin } = self;
        Arc::make_mut(&mut inner).scopes.0 &= scopes.0;
        Caller { inner, origin }
    }

    /// What the audit log is to say of a change of this caller's: `kind` is done to `target`. More can be added.
    pub(crate) fn audit_entry(&self, kind: &'static str, target: &str) -> NewAuditEntry {
        NewAuditEntry {
            org: Some(self.org()),
            repo: None,
            kind,
            target: Some(target.to_owned()),
            detail: None,
            who: self.who().to_owned(),
            origin: self.origin.clone(),
        }
    }

    /// Where the request came from.
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.origin.as_ref()
    }

    /// The organisation whose key signed the token.
    pub fn org(&self) -> OrgId {
        self.inner.org
    }

    /// That organisation's name.
    pub fn issuer(&self) -> &str {
        &self.inner.issuer
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.inner.credential
    }

    /// Who is acting, for the reflog.
    pub fn who(&self) -> &str {
        &self.inner.who
    }

    /// The repository the token names.
    pub fn repo(&self) -> Result<&str, ApiError> {
        self.inner
            .repo
            .as_deref()
            .ok_or_else(|| ApiError::invalid("the token names no repository (claim `repo`)"))
    }

    /// What work of this caller's is counted for.
    pub(crate) fn turn_for(&self) -> TurnFor {
        TurnFor::repo(self.org(), self.inner.repo.as_deref().unwrap_or_default())
    }

    /// Whether the token names no repository, or the word that stands for the whole organisation.
    pub fn is_for_org(&self) -> bool {
        self.inner.repo.as_deref().is_none_or(|repo| repo == "org")
    }

    /// Whether the token allows `scope`.
    pub fn may(&self, scope: Scope) -> bool {
        self.inner.scopes.contains(scope)
    }

    /// What may happen to refs.
    pub fn policy(&self) -> &Arc<TokenPolicy> {
        &self.inner.policy
    }

    /// Refuses what changes refs in this way that the caller does not name, unless its policy lets every ref change so.
    pub fn may_change_all_refs(&self, change: RefChange) -> Result<(), ApiError> {
        self.policy().allows_all(change).map_err(|reason| {
            let text = format!("{reason}; a token without such a rule may do this");
            ApiError::new(ErrorCode::PolicyDenied, text)
        })
    }

    /// Refuses unless the token allows `scope`.
    pub fn need(&self, scope: Scope) -> Result<(), ApiError> {
        if self.may(scope) {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::Forbidden,
            format!(
                "the {} lacks the scope `{}`",
                self.inner.credential.kind.noun(),
                scope.as_str()
            ),
        ))
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Caller, ApiError> {
        state.authenticate(&parts.headers, &parts.extensions).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_holds_read_and_unknown_words_allow_nothing() {
        let write = Scopes::from_words(["git:write"]);
        assert!(write.contains(Scope::GitRead) && write.contains(Scope::GitWrite));
        assert!(!write.contains(Scope::RepoWrite) && !write.contains(Scope::OrgRead));
        assert!(!Scopes::from_words(["git:read"]).contains(Scope::GitWrite));
        let org = Scopes::from_words(["org:write"]);
        assert!(org.contains(Scope::OrgRead) && !org.contains(Scope::RepoWrite));
        assert_eq!(
            Scopes::from_words(["git:*", "admin", ""]),
            Scopes::default()
        );
    }
}
