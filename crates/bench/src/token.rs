//! Tokens for the organisation `dev`, signed with the key that `serve --dev` makes.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use crate::Result;

/// Signs tokens.
pub(crate) struct Minter {
    key: EncodingKey,
}

impl Minter {
    /// With the private key of a data folder.
    pub(crate) fn of(data: &Path) -> Result<Minter> {
        let pem = std::fs::read(data.join("dev-key.pem"))?;
        Ok(Minter {
            key: EncodingKey::from_ec_pem(&pem)?,
        })
    }

    /// A token for one repository with every scope, good for a day.
    pub(crate) fn mint(&self, repo: &str) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": "dev", "sub": "bench", "repo": repo, "iat": now, "exp": now + 86_400,
            "scopes": ["git:read", "git:write", "repo:write"],
        });
        Ok(encode(&Header::new(Algorithm::ES256), &claims, &self.key)?)
    }
}
