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

/// Longest message of the reflog, in bytes: many are read at a time.
const MAX_REFLOG_BYTES: usize = 1000;

/// A message of the reflog as it is stored: the first line of a commit's message, which it repeats, has no limit.
pub(crate) fn reflog_message(mut text: String) -> String {
    if text.len() > MAX_REFLOG_BYTES {
        text.truncate(text.floor_char_boundary(MAX_REFLOG_BYTES));
        text.push('…');
    }
    storable(text)
}

/// A text for people without what cannot be stored.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_reflog_is_stored_as_far_as_it_can_be() {
        assert_eq!(reflog_message("a\0b".to_owned()), "a\u{fffd}b");
        let long = reflog_message("é".repeat(MAX_REFLOG_BYTES));
        assert_eq!(long, "é".repeat(MAX_REFLOG_BYTES / 2) + "…");
        let odd = reflog_message(format!("x{}", "é".repeat(MAX_REFLOG_BYTES)));
        assert_eq!(odd.len(), MAX_REFLOG_BYTES - 1 + "…".len());
    }
}
