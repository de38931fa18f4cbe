//! What is done about a push that is better not made.

use crate::config::Config;
use crate::error::ProgramError;

/// A setting of `receive.deny…` that has more than two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deny {
    /// Nobody has said anything: it is refused, with advice.
    Unset,
    /// It is done.
    Ignore,
    /// It is done, and the client is warned.
    Warn,
    /// It is refused.
    Refuse,
    /// It is done, and the files of the working copy with it.
    UpdateInstead,
}

impl Deny {
    /// Reads the setting `name`.
    pub(crate) fn read(config: &Config, name: &str) -> Result<Deny, ProgramError> {
        let Some(value) = config.text(name) else {
            return Ok(Deny::Unset);
        };
        let word = |known: &str| value.eq_ignore_ascii_case(known.as_bytes());
        Ok(match value {
            _ if word("ignore") => Deny::Ignore,
            _ if word("warn") => Deny::Warn,
            _ if word("refuse") => Deny::Refuse,
            _ if word("updateinstead") => Deny::UpdateInstead,
            // No value at all is yes, an empty one no.
            _ => match config.flag(name)? {
                Some(false) => Deny::Ignore,
                _ => Deny::Refuse,
            },
        })
    }
}
