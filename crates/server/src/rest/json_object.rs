//! Bodies and lines that must be JSON objects.

use crate::error::ApiError;

/// Refuses JSON that is no object: serde would take an array for a struct's fields. What the struct has inside is held
/// to the same by its own type. `what` names the text in the message.
pub(crate) fn expect_object(what: &str, bytes: &[u8]) -> Result<(), ApiError> {
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Ok(());
    }
    Err(ApiError::invalid(format!("{what} must be a JSON object")))
}
