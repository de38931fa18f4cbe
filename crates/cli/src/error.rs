//! What a command says when it fails: the failure with its causes, then one line of advice.

use std::fmt::{self, Display};

/// Exit status of a command that did what it was asked to.
pub(crate) const SUCCESS: u8 = 0;
/// Exit status of a command that failed.
pub(crate) const FAILURE: u8 = 1;
/// Exit status of a command that was called wrongly; clap's own.
pub(crate) const USAGE: u8 = 2;

/// A failed command: what failed, what to do about it, and the exit status.
#[derive(Debug)]
pub(crate) struct CliError {
    message: String,
    hint: String,
    code: u8,
}

impl CliError {
    /// Something did not work.
    pub(crate) fn failure(message: impl Display, hint: impl Into<String>) -> CliError {
        CliError {
            message: message.to_string(),
            hint: hint.into(),
            code: FAILURE,
        }
    }

    /// The command line, the environment or the configuration file asks for something that makes no sense.
    pub(crate) fn usage(message: impl Display, hint: impl Into<String>) -> CliError {
        CliError {
            message: message.to_string(),
            hint: hint.into(),
            code: USAGE,
        }
    }

    /// `doing` failed because of `source`, whose causes are told as well.
    pub(crate) fn because(
        doing: impl Display,
        source: &(dyn std::error::Error + 'static),
        hint: impl Into<String>,
    ) -> CliError {
        CliError::failure(format!("{doing}: {}", causes(source)), hint)
    }

    /// What failed, without the advice.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The exit status.
    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }
}

impl Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}\nhint: {}", self.message, self.hint)
    }
}

impl std::error::Error for CliError {}

/// An error and its sources, joined by colons; a source that its wrapper already quotes is not repeated.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let cause = source.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not open the box")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn an_error_names_its_causes_and_ends_with_a_hint() {
        let error = Outer(std::io::Error::other("the lid is stuck"));
        let shown = CliError::because("could not look", &error, "use a knife").to_string();
        assert_eq!(
            shown,
            "error: could not look: could not open the box: the lid is stuck\nhint: use a knife"
        );
    }
}
