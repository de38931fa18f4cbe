//! Checks of texts and names that both databases share. PostgreSQL stores no NUL and indexes no
//! value of more than about 2,700 bytes; SQLite is held to the same.

use crate::CatalogError;

pub(crate) fn check(what: &'static str, text: &str, limit: usize) -> Result<(), CatalogError> {
    check_length(what, text.as_bytes(), limit)?;
    if text.contains('\0') {
        Err(CatalogError::Nul { what })
    } else {
        Ok(())
    }
}

pub(crate) fn check_length(
    what: &'static str,
    value: &[u8],
    limit: usize,
) -> Result<(), CatalogError> {
    if value.len() > limit {
        return Err(CatalogError::TooLong {
            what,
            bytes: value.len(),
            limit,
        });
    }
    Ok(())
}

/// A text for people, such as a reflog message, without what cannot be stored.
pub(crate) fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

/// A LIKE pattern (escape character `\`) for texts that contain `part`, which must be in lower case
/// already when the comparison ignores case.
pub(crate) fn contains_pattern(part: &str) -> String {
    let mut pattern = String::with_capacity(part.len() + 2);
    pattern.push('%');
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}
