//! Tokens: signed here with the organisation's private key, one for each request.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// How long the token of a request is good.
pub(super) const REQUEST_TTL_SECONDS: i64 = 3600;
/// How long the token in a Git URL is good if nothing else is asked for: a year.
pub const REMOTE_TTL_SECONDS: i64 = 31_536_000;
/// The `repo` claim of requests about the whole organisation.
pub(super) const ORG: &str = "org";
/// The subject that the SDKs of this API name.
const SUBJECT: &str = "@pierre/storage";

/// A private key that signs tokens.
#[derive(Clone)]
pub struct SigningKey(Arc<(EncodingKey, Algorithm)>);

/// Why a key signs no tokens. Says nothing of the key's content.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// No private key in PEM, or of a kind that no server takes.
    #[error(
        "the key is not a private key in PEM that can sign tokens; give an unencrypted PKCS #8 key: P-256, RSA of 2048 \
         bits or more, or Ed25519"
    )]
    NotUnderstood,
    /// The clock is before 1970.
    #[error("the system's clock is wrong")]
    Clock,
}

/// What the holder of a token may do with refs that match a pattern. The first policy that matches counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefPolicy {
    /// A full ref name, a branch, a prefix and `*`, or `*`.
    pub pattern: String,
    /// `no-force-push`, `no-push`, `verify-sig`; none: everything is allowed.
    pub ops: Vec<String>,
}

/// What a token says.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// Name of the organisation.
    pub issuer: &'a str,
    /// Id of the repository.
    pub repo: &'a str,
    /// What is allowed: `git:read`, `git:write`, `repo:write`, `org:read`.
    pub scopes: &'a [&'a str],
    /// How long it is good; less than 0: it has expired already.
    pub ttl_seconds: i64,
    /// Policies by ref, the first match counts.
    pub refs: &'a [RefPolicy],
    /// Policies for every ref that `refs` says nothing about.
    pub ops: &'a [String],
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    repo: &'a str,
    scopes: &'a [&'a str],
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refs: Option<Vec<(&'a str, &'a [String])>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    ops: &'a [String],
}

impl SigningKey {
    /// The key in `pem`: P-256 (signs ES256), RSA (RS256) or Ed25519 (EdDSA).
    ///
    /// # Errors
    ///
    /// It is none of these.
    pub fn from_pem(pem: &str) -> Result<SigningKey, KeyError> {
        let pem = pem.trim().as_bytes();
        let key = EncodingKey::from_ec_pem(pem)
            .map(|key| (key, Algorithm::ES256))
            .or_else(|_| EncodingKey::from_rsa_pem(pem).map(|key| (key, Algorithm::RS256)))
            .or_else(|_| EncodingKey::from_ed_pem(pem).map(|key| (key, Algorithm::EdDSA)))
            .map_err(|_| KeyError::NotUnderstood)?;
        let key = SigningKey(Arc::new(key));
        // Only signing tells a P-256 key from one of another curve.
        key.sign(&Claims::new("", "", &[]))?;
        Ok(key)
    }

    /// A token that says `claims`, from now on.
    ///
    /// # Errors
    ///
    /// The clock is before 1970.
    pub fn sign(&self, claims: &Claims<'_>) -> Result<String, KeyError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_err(|_| KeyError::Clock)?
            .as_secs() as i64;
        let refs = claims
            .refs
            .iter()
            .map(|policy| (policy.pattern.as_str(), policy.ops.as_slice()));
        let payload = Payload {
            iss: claims.issuer,
            sub: SUBJECT,
            repo: claims.repo,
            scopes: claims.scopes,
            iat: now,
            exp: now.saturating_add(claims.ttl_seconds),
            refs: (!claims.refs.is_empty()).then(|| refs.collect()),
            ops: claims.ops,
        };
        let (key, algorithm) = &*self.0;
        jsonwebtoken::encode(&Header::new(*algorithm), &payload, key)
            .map_err(|_| KeyError::NotUnderstood)
    }
}

impl<'a> Claims<'a> {
    /// Claims for an hour, without policies.
    pub fn new(issuer: &'a str, repo: &'a str, scopes: &'a [&'a str]) -> Claims<'a> {
        Claims {
            issuer,
            repo,
            scopes,
            ttl_seconds: REQUEST_TTL_SECONDS,
            refs: &[],
            ops: &[],
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.0.1).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    const KEYS: [(&str, &str); 3] = [
        (
            "ES256",
            include_str!("../../../server/tests/keys/es256.pem"),
        ),
        (
            "RS256",
            include_str!("../../../server/tests/keys/rs256.pem"),
        ),
        (
            "EdDSA",
            include_str!("../../../server/tests/keys/eddsa.pem"),
        ),
    ];

    fn parts(token: &str) -> Vec<Value> {
        let json = |part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        token.split('.').take(2).map(json).collect()
    }

    #[test]
    fn each_kind_of_key_signs_by_its_own_algorithm() {
        for (algorithm, pem) in KEYS {
            let key = SigningKey::from_pem(pem).unwrap();
            let token = key
                .sign(&Claims::new("acme", "team/site", &["git:read"]))
                .unwrap();
            let parts = parts(&token);
            assert_eq!(parts[0], json!({ "alg": algorithm, "typ": "JWT" }));
            let claims = parts[1].as_object().unwrap();
            let mut names: Vec<_> = claims.keys().map(String::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, ["exp", "iat", "iss", "repo", "scopes", "sub"]);
            assert_eq!(
                claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(),
                3600
            );
            assert!(!format!("{key:?}").contains("PRIVATE"));
        }
    }

    #[test]
    fn policies_keep_their_order_and_an_empty_one_is_said() {
        let key = SigningKey::from_pem(KEYS[0].1).unwrap();
        let policy = |pattern: &str, ops: &[&str]| RefPolicy {
            pattern: pattern.to_owned(),
            ops: ops.iter().map(|&op| op.to_owned()).collect(),
        };
        let refs = [policy("main", &["no-push"]), policy("*", &[])];
        let ops = ["no-force-push".to_owned()];
        let claims = Claims {
            refs: &refs,
            ops: &ops,
            ..Claims::new("acme", "r", &[])
        };
        let claims = &parts(&key.sign(&claims).unwrap())[1];
        assert_eq!(claims["refs"], json!([["main", ["no-push"]], ["*", []]]));
        assert_eq!(claims["ops"], json!(["no-force-push"]));
    }

    #[test]
    fn what_is_no_private_key_is_refused_without_being_shown() {
        let public = include_str!("../../../server/tests/keys/es256.pub.pem");
        for pem in [
            "",
            "key",
            public,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            let error = SigningKey::from_pem(pem).unwrap_err();
            assert_eq!(error, KeyError::NotUnderstood);
        }
    }
}
