//! Tokens and signatures, without a client.

use packhouse_client::hosted::{self, Claims, SigningKey};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::client::policies;

#[pyfunction]
#[pyo3(signature = (*, key_pem, issuer, repo_id, scopes, ttl, refs, ops))]
pub(crate) fn generate_jwt(
    key_pem: &str,
    issuer: &str,
    repo_id: &str,
    scopes: Vec<String>,
    ttl: i64,
    refs: Vec<(String, Vec<String>)>,
    ops: Vec<String>,
) -> PyResult<String> {
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    let claims = Claims {
        ttl_seconds: ttl,
        refs: &policies(refs),
        ops: &ops,
        ..Claims::new(issuer, repo_id, &scopes)
    };
    let token = SigningKey::from_pem(key_pem).and_then(|key| key.sign(&claims));
    token.map_err(|error| PyValueError::new_err(error.to_string()))
}

/// Time and signature, as they stand there.
#[pyfunction]
pub(crate) fn parse_signature_header(header: &str) -> Option<(&str, &str)> {
    hosted::parse_signature(header)
}

/// When the body was signed, in seconds since 1970; or why it is not to be trusted.
#[pyfunction]
pub(crate) fn verify_signature(
    py: Python<'_>,
    body: &[u8],
    header: &str,
    secret: &str,
    max_age_seconds: i64,
) -> (Option<i64>, Option<String>) {
    match py.detach(|| hosted::verify_signature(body, header, secret, max_age_seconds)) {
        Ok(seconds) => (Some(seconds), None),
        Err(error) => (None, Some(error.to_string())),
    }
}
