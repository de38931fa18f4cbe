//! What a command says when it fails: the failure with its causes, then one line of advice.

use std::fmt::{self, Display};
use std::io;

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

/// What stands before the path in errors of temporary files.
const AT_PATH: &str = " at path \"";

/// An error and its sources, joined by colons; a source that its wrapper already quotes is not repeated.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let mut cause = source.to_string();
        if let Some(io) = source.downcast_ref()
            && is_beside_what_is_named(&cause, &text)
        {
            cause = plain(io);
        }
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        next = source.source();
    }
    text
}

/// Whether an error names a temporary file, in a folder that is named already.
fn is_beside_what_is_named(cause: &str, text: &str) -> bool {
    let path = cause.rfind(AT_PATH).map(|at| &cause[at + AT_PATH.len()..]);
    let folder = path.and_then(|path| path.rsplit_once('/'));
    folder.is_some_and(|(folder, _)| text.contains(folder))
}

/// What the system says, without the name of a temporary file, which means nothing to whoever reads it.
pub(crate) fn plain(error: &io::Error) -> String {
    let mut text = error.to_string();
    if error.get_ref().is_some()
        && let Some(at) = text.rfind(AT_PATH)
    {
        text.truncate(at);
    }
    text
}

/// The system's error behind another, if there is one.
pub(crate) fn system<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref() {
            return Some(io);
        }
        next = error.source();
    }
    None
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

    #[test]
    fn a_temporary_file_is_not_named_beside_its_folder() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not write in `{0}`")]
        struct In(String, #[source] std::io::Error);

        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("gone");
        let error = || tempfile::NamedTempFile::new_in(&gone).unwrap_err();
        let system = "No such file or directory (os error 2)";
        assert!(error().to_string().contains(AT_PATH));
        assert_eq!(plain(&error()), system);
        let named = gone.display().to_string();
        let told = causes(&In(named.clone(), error()));
        assert_eq!(told, format!("could not write in `{named}`: {system}"));
        let told = causes(&Outer(error()));
        assert!(told.contains(&named), "it is named once: {told}");
    }
}
