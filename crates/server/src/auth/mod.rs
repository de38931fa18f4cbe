//! Who is calling, and what they may do.
//!
//! A token is a JWT that an organisation's own software signed with a key the organisation registered. It names one
//! repository, scopes and ref policies; nothing else about the request decides who the caller is. By SSH a registered
//! key says the same.

mod caller;
mod claims;
mod jwt;
mod keys;
mod lfs_token;
mod policy;
mod public_key;
mod signers;
mod ssh_key;

pub use caller::{Caller, Scope, Scopes};
pub use jwt::Authenticator;
pub(crate) use lfs_token::{LfsOperation, LfsTokens};
pub use policy::TokenPolicy;
pub use public_key::{Algorithm, PublicKey, PublicKeyError};
pub use signers::GIT_SIGN;
pub(crate) use signers::Signers;
pub(crate) use ssh_key::fingerprint;
pub use ssh_key::{SshKeyError, SshPublicKey};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The token of a request: of `Authorization: Bearer`, or the password of `Authorization: Basic` under any user name,
/// which is how Git sends it.
pub fn token(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (_, password) = decoded.split_once(':')?;
    (!password.is_empty()).then(|| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_of(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        token(&headers)
    }

    #[test]
    fn a_token_is_a_bearer_or_any_users_password() {
        assert_eq!(token_of("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(token_of("bearer  a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(
            token_of(&format!("Basic {}", STANDARD.encode("t:a.b.c"))).as_deref(),
            Some("a.b.c")
        );
        assert_eq!(token_of(&format!("Basic {}", STANDARD.encode("t:"))), None);
        assert_eq!(token_of("Basic !!!"), None);
        assert_eq!(token_of("Digest x"), None);
        assert_eq!(token_of("Bearer"), None);
    }
}
