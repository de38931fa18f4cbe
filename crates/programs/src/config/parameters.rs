//! The settings that `git -c` passes on to the programs it starts.

use bstr::BString;

use crate::error::ProgramError;

/// The settings in `GIT_CONFIG_PARAMETERS`: `'name'='value'` or `'name=value'`, between spaces.
pub(super) fn parameters(text: &str) -> Result<Vec<(String, Option<BString>)>, ProgramError> {
    let bogus = || ProgramError::Config("bogus format in GIT_CONFIG_PARAMETERS".to_owned());
    let mut settings = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (first, after) = unquote(rest).ok_or_else(bogus)?;
        rest = after;
        match rest.strip_prefix('=') {
            Some("") => {
                settings.push((first, None));
                rest = "";
            }
            Some(after) if after.starts_with(' ') => {
                settings.push((first, None));
                rest = after;
            }
            Some(after) => {
                let (value, after) = unquote(after).ok_or_else(bogus)?;
                settings.push((first, Some(value.into())));
                rest = after;
            }
            None => match first.split_once('=') {
                Some((name, value)) => settings.push((name.to_owned(), Some(value.into()))),
                None => settings.push((first, None)),
            },
        }
        rest = rest.trim_start();
    }
    Ok(settings)
}

/// Text in single quotes as a shell reads it, where `'\''` and `'\!'` stand for themselves; and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut unquoted = String::new();
    loop {
        let end = rest.find('\'')?;
        unquoted.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(escaped) = rest.strip_prefix('\\') else {
            return Some((unquoted, rest));
        };
        let character = escaped.chars().next().filter(|c| matches!(c, '\'' | '!'))?;
        unquoted.push(character);
        rest = escaped[1..].strip_prefix('\'')?;
    }
}
