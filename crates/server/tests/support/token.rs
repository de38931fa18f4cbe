//! Tokens, good and bad.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::ORG;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Es256,
    Rs256,
    EdDsa,
    /// Registered nowhere.
    OtherEs256,
}

impl Key {
    pub(crate) fn public_pem(self) -> &'static str {
        match self {
            Key::Es256 => include_str!("../keys/es256.pub.pem"),
            Key::Rs256 => include_str!("../keys/rs256.pub.pem"),
            Key::EdDsa => include_str!("../keys/eddsa.pub.pem"),
            Key::OtherEs256 => include_str!("../keys/other-es256.pub.pem"),
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Key::Es256 | Key::OtherEs256 => Algorithm::ES256,
            Key::Rs256 => Algorithm::RS256,
            Key::EdDsa => Algorithm::EdDSA,
        }
    }

    fn private(self) -> EncodingKey {
        match self {
            Key::Es256 => EncodingKey::from_ec_pem(include_bytes!("../keys/es256.pem")).unwrap(),
            Key::OtherEs256 => {
                EncodingKey::from_ec_pem(include_bytes!("../keys/other-es256.pem")).unwrap()
            }
            Key::Rs256 => EncodingKey::from_rsa_pem(include_bytes!("../keys/rs256.pem")).unwrap(),
            Key::EdDsa => EncodingKey::from_ed_pem(include_bytes!("../keys/eddsa.pem")).unwrap(),
        }
    }
}

pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64
}

/// Claims as the SDKs write them, to be changed by a test.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) claims: Value,
    pub(crate) key: Key,
    /// Sent as it is, instead of the signed claims.
    raw: Option<String>,
}

impl Token {
    pub(crate) fn new(repo: &str, scopes: &[&str]) -> Token {
        let claims = json!({
            "iss": ORG, "sub": "@pierre/storage", "repo": repo, "scopes": scopes, "iat": now(), "exp": now() + 3600,
        });
        Token {
            claims,
            key: Key::Es256,
            raw: None,
        }
    }

    pub(crate) fn read(repo: &str) -> Token {
        Token::new(repo, &["git:read"])
    }

    pub(crate) fn write(repo: &str) -> Token {
        Token::new(repo, &["git:write"])
    }

    pub(crate) fn raw(text: impl Into<String>) -> Token {
        Token {
            raw: Some(text.into()),
            ..Token::read("x")
        }
    }

    pub(crate) fn with(mut self, claim: &str, value: Value) -> Token {
        match value {
            Value::Null => self.claims.as_object_mut().unwrap().remove(claim),
            value => self
                .claims
                .as_object_mut()
                .unwrap()
                .insert(claim.to_owned(), value),
        };
        self
    }

    pub(crate) fn signed_by(mut self, key: Key) -> Token {
        self.key = key;
        self
    }

    pub(crate) fn text(&self) -> String {
        match &self.raw {
            Some(raw) => raw.clone(),
            None => jsonwebtoken::encode(
                &Header::new(self.key.algorithm()),
                &self.claims,
                &self.key.private(),
            )
            .unwrap(),
        }
    }
}
