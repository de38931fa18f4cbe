//! The settings that `git -c` passes on to the programs it starts.

use bstr::{BStr, BString, ByteSlice};

use crate::error::ProgramError;

/// The settings in `GIT_CONFIG_PARAMETERS`: `'name'='value'` or `'name=value'`, between spaces.
pub(super) fn parameters(text: &BStr) -> Result<Vec<(BString, Option<BString>)>, ProgramError> {
    let bogus = || ProgramError::Config("bogus format in GIT_CONFIG_PARAMETERS".to_owned());
    let mut settings = Vec::new();
    let mut rest = text.trim_ascii_start();
    while !rest.is_empty() {
        let (first, after) = unquote(rest).ok_or_else(bogus)?;
        rest = after;
        match rest.strip_prefix(b"=") {
            Some(b"") => {
                settings.push((first, None));
                rest = b"";
            }
            Some(after) if after.starts_with(b" ") => {
                settings.push((first, None));
                rest = after;
            }
            Some(after) => {
                let (value, after) = unquote(after).ok_or_else(bogus)?;
                settings.push((first, Some(value)));
                rest = after;
            }
            None => match first.split_once_str("=") {
                Some((name, value)) => settings.push((name.into(), Some(value.into()))),
                None => settings.push((first, None)),
            },
        }
        rest = rest.trim_ascii_start();
    }
    Ok(settings)
}

/// Text in single quotes as a shell reads it, where `'\''` and `'\!'` stand for themselves; and what follows.
fn unquote(text: &[u8]) -> Option<(BString, &[u8])> {
    let mut rest = text.strip_prefix(b"'")?;
    let mut unquoted = BString::default();
    loop {
        let end = rest.find_byte(b'\'')?;
        unquoted.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(escaped) = rest.strip_prefix(b"\\") else {
            return Some((unquoted, rest));
        };
        let byte = *escaped
            .first()
            .filter(|byte| matches!(byte, b'\'' | b'!'))?;
        unquoted.push(byte);
        rest = escaped[1..].strip_prefix(b"'")?;
    }
}
