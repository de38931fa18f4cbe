//! The one exception that all failures leave the engine as.

use std::error::Error;

use packhouse_client::hosted::{ApiError, HostedError};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;

use crate::errors::chain;

pyo3::create_exception!(
    packhouse._native,
    HostedFailure,
    PyException,
    "A call of the hosted API failed: kind, message, answer, ref update."
);

/// Status, code, request, headers, body.
type Answer = (u16, Option<String>, String, Vec<(String, String)>, Vec<u8>);
/// Status, branch, old id, new id.
type Update = (String, Option<String>, Option<String>, Option<String>);

pub(super) fn failure(error: &HostedError) -> PyErr {
    let (kind, update): (&str, Option<Update>) = match error {
        HostedError::Api(_) => ("api", None),
        HostedError::RefUpdate(update) => {
            let update = update.as_ref().clone();
            let fields = (update.status, update.branch, update.old_sha, update.new_sha);
            ("ref_update", Some(fields))
        }
        HostedError::Invalid(_) | HostedError::Key(_) => ("invalid", None),
        HostedError::Connect { .. } | HostedError::Broken { .. } => ("connection", None),
        HostedError::TimedOut { .. } => ("timeout", None),
        HostedError::Answer { .. } => ("answer", None),
        HostedError::Source(_) => ("source", None),
    };
    let text = match error {
        HostedError::Api(error) => chain(error.as_ref() as &dyn Error),
        HostedError::RefUpdate(error) => chain(error.as_ref() as &dyn Error),
        error => chain(error),
    };
    HostedFailure::new_err((kind, text, error.api().map(answer), update))
}

fn answer(error: &ApiError) -> Answer {
    (
        error.status,
        error.code.clone(),
        error.request.clone(),
        headers(&error.headers),
        error.body.to_vec(),
    )
}

/// Headers as they came; what is no text is replaced.
pub(super) fn headers(headers: &http::HeaderMap) -> Vec<(String, String)> {
    let pairs = headers.iter();
    pairs
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}
