//! Tokens that an SSH key is given for LFS over HTTP.
//!
//! `git-lfs-authenticate` answers with one. It says which key asked, for which repository and for what, and when it ends,
//! under a MAC whose secret the servers of one catalog share. It is worth what the key is worth at the time it is shown,
//! and only on the paths of LFS.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use packhouse_api::ErrorCode;
use packhouse_catalog::{Catalog, CatalogError};
use ring::hmac;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;

use super::caller::{Caller, Scope, Scopes};
use crate::error::ApiError;

/// What such a token begins with. Those that organisations sign begin with their header, in Base64 of `{"`.
const PREFIX: &str = "packhouse-lfs-";

/// Seconds that a token counts. A client asks for another one by itself.
const SECONDS: u64 = 30 * 60;

/// What a key wants to do with large files.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LfsOperation {
    /// Get files.
    Download,
    /// Put files, and get them.
    Upload,
}

impl LfsOperation {
    /// The operation of that name, as `git-lfs-authenticate` has it.
    pub(crate) fn parse(word: &str) -> Option<LfsOperation> {
        match word {
            "download" => Some(LfsOperation::Download),
            "upload" => Some(LfsOperation::Upload),
            _ => None,
        }
    }

    /// The scope that it needs.
    pub(crate) fn scope(self) -> Scope {
        match self {
            LfsOperation::Download => Scope::GitRead,
            LfsOperation::Upload => Scope::GitWrite,
        }
    }
}

/// What a token says.
#[derive(Debug, Deserialize, Serialize)]
struct Said {
    /// The fingerprint of the key.
    key: String,
    /// Name of the organisation.
    org: String,
    /// Name of the repository.
    repo: String,
    operation: LfsOperation,
    /// When it ends, in seconds since the epoch.
    ends_at: u64,
}

/// A token that was made.
#[derive(Debug)]
pub(crate) struct LfsToken {
    pub(crate) token: String,
    /// Seconds that it counts from now.
    pub(crate) seconds: u64,
}

/// Makes tokens and verifies them.
#[derive(Debug)]
pub(crate) struct LfsTokens {
    catalog: Catalog,
    secret: OnceCell<hmac::Key>,
}

impl LfsTokens {
    /// Those of the servers of `catalog`.
    pub(crate) fn new(catalog: Catalog) -> LfsTokens {
        LfsTokens {
            catalog,
            secret: OnceCell::new(),
        }
    }

    /// Whether `token` is to be verified here.
    pub(crate) fn is_one(token: &str) -> bool {
        token.starts_with(PREFIX)
    }

    /// A token for what `caller`, who came by SSH, may do.
    pub(crate) async fn make(
        &self,
        caller: &Caller,
        operation: LfsOperation,
    ) -> Result<LfsToken, ApiError> {
        let now = now_seconds();
        // A key that never ends does so at infinity, which is a number too large for any token.
        let key_ends = caller.credential().ends_at.min(u64::MAX as f64) as u64;
        let ends_at = key_ends.min(now + SECONDS);
        let said = Said {
            key: caller.credential().fingerprint.clone(),
            org: caller.issuer().to_owned(),
            repo: caller.repo()?.to_owned(),
            operation,
            ends_at,
        };
        let said = serde_json::to_vec(&said).map_err(ApiError::internal)?;
        let said = URL_SAFE_NO_PAD.encode(said);
        let mac = hmac::sign(self.secret().await?, said.as_bytes());
        Ok(LfsToken {
            token: format!("{PREFIX}{said}.{}", URL_SAFE_NO_PAD.encode(mac)),
            seconds: ends_at.saturating_sub(now),
        })
    }

    /// The caller that `token` stands for.
    pub(crate) async fn verify(&self, token: &str) -> Result<Caller, ApiError> {
        let refuse = |message: &str| ApiError::new(ErrorCode::Unauthorized, message);
        let secret = self.secret().await?;
        let said = verified(token, secret).ok_or_else(|| refuse("the token is not one of ours"))?;
        let now = now_seconds();
        if said.ends_at <= now {
            return Err(refuse("the token has expired"));
        }
        let now_ms = i64::try_from(now * 1000).unwrap_or(i64::MAX);
        let rows = self.catalog.ssh_key(&said.key, now_ms).await?;
        let row = rows.iter().find(|row| row.org_name == said.org);
        let caller = row.and_then(|row| Caller::of_ssh_key(row, &said.repo));
        let caller = caller.ok_or_else(|| refuse("the SSH key is revoked or has ended"))?;
        let scopes = Scopes::from_words([said.operation.scope().as_str()]);
        Ok(caller.with_no_more_than(scopes))
    }

    async fn secret(&self) -> Result<&hmac::Key, CatalogError> {
        let read = || async {
            let secret = self.catalog.lfs_token_secret().await?;
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret))
        };
        self.secret.get_or_try_init(read).await
    }
}

/// What `token` says, if the secret's owner said it.
fn verified(token: &str, secret: &hmac::Key) -> Option<Said> {
    let (said, mac) = token.strip_prefix(PREFIX)?.split_once('.')?;
    let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
    hmac::verify(secret, said.as_bytes(), &mac).ok()?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(said).ok()?).ok()
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
