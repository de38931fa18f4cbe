//! Verifying tokens.
//!
//! A signature is checked once per token and remembered under the token's hash until the token ends. What is
//! remembered counts only while the key that signed it is still registered, and a key is asked for at most a second
//! late, so revoking a key ends its tokens within a second.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use packhouse_api::ErrorCode;
use packhouse_catalog::{Catalog, CatalogError};
use quick_cache::sync::Cache;

use super::caller::{Caller, Credential, CredentialKind, Scopes};
use super::claims::{Claims, Header};
use super::keys::KeyRing;
use super::policy::TokenPolicy;
use super::public_key::Algorithm;
use crate::error::ApiError;

/// Verified tokens remembered.
const MAX_REMEMBERED: usize = 50_000;

/// Longest token looked at, in bytes. One with 100 ref rules has about 8,000.
const MAX_TOKEN_BYTES: usize = 32 << 10;

/// Longest name of a caller that goes into the reflog.
const MAX_WHO_CHARS: usize = 200;

/// Verifies tokens against the keys in the catalog.
#[derive(Debug)]
pub struct Authenticator {
    keys: KeyRing,
    remembered: Cache<[u8; 32], Caller>,
}

impl Authenticator {
    /// An authenticator over `catalog`.
    pub fn new(catalog: Catalog) -> Authenticator {
        Authenticator {
            keys: KeyRing::new(catalog),
            remembered: Cache::new(MAX_REMEMBERED),
        }
    }

    /// The caller that the token in `headers` stands for.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let token = super::token(headers)
            .ok_or_else(|| refuse("a token is needed: `Authorization: Bearer …`"))?;
        self.authenticate_token(&token).await
    }

    /// The caller that `token` stands for.
    pub async fn authenticate_token(&self, token: &str) -> Result<Caller, ApiError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refuse("the token is too long"));
        }
        let now = now_seconds();
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        if let Some(caller) = self.remembered.get(&hash) {
            if caller.credential().ends_at <= now {
                self.remembered.remove(&hash);
                return Err(refuse("the token has expired"));
            }
            if self.has_key(&caller).await.map_err(unreachable_catalog)? {
                return Ok(caller);
            }
            self.remembered.remove(&hash);
        }
        let caller = self.verify(token, now).await?;
        self.remembered.insert(hash, caller.clone());
        Ok(caller)
    }

    /// For how long the token of `caller` still counts; `None`: it has ended, or its key was revoked, which is noticed
    /// after a second at most. For answers that outlive the moment at which the token was verified.
    pub(crate) async fn time_left(
        &self,
        caller: &Caller,
    ) -> Result<Option<Duration>, CatalogError> {
        let left = caller.credential().ends_at - now_seconds();
        if left <= 0.0 || !self.has_key(caller).await? {
            return Ok(None);
        }
        // A time too long to be told is one that never comes.
        Ok(Some(
            Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX),
        ))
    }

    /// Whether the key that signed the caller's token is registered.
    async fn has_key(&self, caller: &Caller) -> Result<bool, CatalogError> {
        let keys = self.keys.of(caller.issuer()).await?;
        Ok(keys.is_some_and(|keys| keys.has(&caller.credential().fingerprint)))
    }

    async fn verify(&self, token: &str, now: f64) -> Result<Caller, ApiError> {
        let malformed = || refuse("the token is malformed");
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
        let header: Header = part(header).ok_or_else(malformed)?;
        if header.crit.is_some() {
            return Err(refuse(
                "the token asks for extensions that are not understood",
            ));
        }
        let algorithm = Algorithm::from_name(&header.alg).ok_or_else(|| {
            refuse("the token's algorithm is not accepted; use ES256, RS256 or EdDSA")
        })?;
        let claims: Claims = part(claims).ok_or_else(malformed)?;
        let keys = self
            .keys
            .of(&claims.iss)
            .await
            .map_err(unreachable_catalog)?;
        // An unknown issuer, a key of another kind and a bad signature look the same from outside.
        let no_key = || refuse("the token is signed by no key of its issuer");
        let keys = keys.ok_or_else(no_key)?;
        let (fingerprint, _) = keys
            .keys
            .iter()
            .filter(|(_, key)| key.algorithm() == algorithm)
            .find(|(_, key)| key.verifies(signature, message.as_bytes()))
            .ok_or_else(no_key)?;
        let ends_at = claims.check_times(now).map_err(refuse)?;
        let credential = Credential {
            kind: CredentialKind::Token,
            fingerprint: fingerprint.clone(),
            ends_at,
        };
        Ok(Caller::new(
            keys.org,
            claims.iss.clone(),
            credential,
            who(&claims),
            claims.repo.filter(|repo| !repo.is_empty()),
            Scopes::from_words(claims.scopes.iter().map(String::as_str)),
            TokenPolicy::new(
                claims.refs.unwrap_or_default(),
                claims.ops.unwrap_or_default(),
            ),
        ))
    }
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Who is acting: the token's subject, fit for one line of a reflog.
fn who(claims: &Claims) -> String {
    let subject = claims.sub.as_deref().unwrap_or("token");
    subject
        .chars()
        .filter(|c| !c.is_control())
        .take(MAX_WHO_CHARS)
        .collect()
}

fn refuse(message: &str) -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, message)
}

fn unreachable_catalog(error: packhouse_catalog::CatalogError) -> ApiError {
    tracing::error!(%error, "could not read keys");
    ApiError::unavailable("the catalog does not answer")
}

fn now_seconds() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
