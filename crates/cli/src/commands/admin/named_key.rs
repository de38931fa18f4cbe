//! Keys as commands name them: by a file, and by the start of a fingerprint.

use std::error::Error;
use std::path::Path;

use crate::error::CliError;
use crate::names::OrgName;

/// A kind of keys.
pub(super) struct KeyKind {
    /// What one is called.
    pub(super) noun: &'static str,
    /// The command that is about them.
    pub(super) command: &'static str,
    /// What every fingerprint begins with, and nobody needs to write.
    pub(super) prefix: &'static str,
}

impl KeyKind {
    /// The key whose fingerprint starts with `wanted`, if exactly one does.
    pub(super) fn pick<'a, K>(
        &self,
        keys: &'a [K],
        fingerprint: impl Fn(&K) -> &str,
        wanted: &str,
        org: &OrgName,
    ) -> Result<&'a K, CliError> {
        let KeyKind {
            noun,
            command,
            prefix,
        } = self;
        let start = wanted.strip_prefix(prefix).unwrap_or(wanted);
        let mut matching = keys.iter().filter(|key| {
            let rest = fingerprint(key).strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(start))
        });
        let hint = || format!("`packhouse admin {command} list {org}` shows the {noun}s");
        match (matching.next(), matching.next()) {
            _ if start.is_empty() => Err(CliError::usage("the fingerprint is empty", hint())),
            (Some(one), None) => Ok(one),
            (None, _) => Err(CliError::failure(
                format!("organisation `{org}` has no {noun} `{wanted}`"),
                hint(),
            )),
            (Some(_), Some(_)) => Err(CliError::failure(
                format!("several {noun}s start with `{wanted}`"),
                hint(),
            )),
        }
    }
}

/// The public key in the file at `path`; `example` says what kind of file that is, `hint` what to do about one that
/// holds something else.
pub(super) fn read<K, E: Error + 'static>(
    path: &Path,
    example: &str,
    parse: impl FnOnce(&str) -> Result<K, E>,
    hint: impl FnOnce(&E) -> String,
) -> Result<K, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::because(
            format!("could not read `{shown}`"),
            &error,
            format!("--public-key names a file such as {example}"),
        )
    })?;
    parse(&text).map_err(|error| {
        let hint = hint(&error);
        CliError::because(format!("could not use `{shown}`"), &error, hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_picked_by_a_start_that_fits_no_other() {
        let org = "acme".parse().unwrap();
        for prefix in ["", "SHA256:"] {
            let kind = KeyKind {
                noun: "key",
                command: "key",
                prefix,
            };
            let keys = ["aa11", "aa22"].map(|rest| format!("{prefix}{rest}"));
            let pick = |wanted: &str| kind.pick(&keys, |key| key, wanted, &org);
            for wanted in ["aa2", &format!("{prefix}aa2")] {
                assert_eq!(*pick(wanted).unwrap(), keys[1]);
            }
            for refused in ["aa", "b", "", prefix] {
                assert!(pick(refused).is_err(), "{refused}");
            }
        }
    }
}
