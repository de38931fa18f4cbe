//! What a command on a store says when it fails: `Error: …`, and a hint what to do about it.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

use packhouse_repo::store::StoreError;

use super::hint;
use crate::error::{self, FAILURE, SUCCESS};
use crate::signals;

/// A command that was not done, or not wholly.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// Something did not work. Without a hint of its own it gets one that is always good.
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            hint: None,
            code: FAILURE,
        }
    }

    /// With a line of advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Ends the command without a word: everything has been said, or nobody listens.
    pub(crate) fn silent(code: u8) -> Failure {
        Failure {
            message: String::new(),
            hint: None,
            code,
        }
    }

    /// A local file could not be used.
    pub(crate) fn local(path: &Path, error: &io::Error) -> Failure {
        let failure = Failure::new(match error.kind() {
            io::ErrorKind::NotFound => format!("Local file not found: {}", path.display()),
            io::ErrorKind::IsADirectory => format!("Is a directory: {}", path.display()),
            _ => format!("{}: {}", path.display(), error::plain(error)),
        });
        failure.hinted(error)
    }

    /// `doing` failed because of `source`, whose causes are told as well.
    pub(crate) fn because(
        doing: impl Display,
        source: &(dyn std::error::Error + 'static),
    ) -> Failure {
        let failure = Failure::new(format!("{doing}: {}", error::causes(source)));
        match error::system(source) {
            Some(error) => failure.hinted(error),
            None => failure,
        }
    }

    /// With what is to be done about an error of the system.
    fn hinted(mut self, error: &io::Error) -> Failure {
        self.hint = hint::of_system(error).map(str::to_owned);
        self
    }

    /// The exit status: that for the signal, if one has asked it to stop.
    pub(crate) fn exit_code(&self) -> u8 {
        match signals::stopped() {
            true => signals::status(),
            false => self.code,
        }
    }

    /// Whether there is anything to show.
    pub(crate) fn is_silent(&self) -> bool {
        self.message.is_empty()
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = self.hint.as_deref().unwrap_or(hint::ANY);
        write!(f, "Error: {}\nhint: {hint}", self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        // Only standard output is written to by others for us.
        let error = match error {
            StoreError::Output(source) => return source.into(),
            error => error,
        };
        let said = match &error {
            StoreError::Local { path, source } => return Failure::local(path, source),
            StoreError::NotFound { path } => format!("File not found: {path}"),
            StoreError::IsADirectory { path } => format!("Is a directory: {path}"),
            StoreError::NotADirectory { path } => format!("Not a directory: {path}"),
            StoreError::NoSuchBranch { name } => format!("Branch not found: {name}"),
            StoreError::NoSuchTag { name } => format!("Tag not found: {name}"),
            StoreError::NoSuchNote { id } => format!("Note not found: {id}"),
            StoreError::NeedsRecursive { path } if path.is_empty() => {
                "the root is a directory".to_owned()
            }
            StoreError::NeedsRecursive { path } => format!("{path} is a directory"),
            _ => error::causes(&error),
        };
        Failure::new(said).hint(hint::of_store(&error))
    }
}

impl From<io::Error> for Failure {
    /// Of writing to standard output. Nobody is left to be told if its reader has seen enough: `ls -R | head`.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(SUCCESS),
            _ => Failure::because("Could not write the result", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_begin_with_error_and_end_with_a_hint() {
        let failure = Failure::new("No such thing").hint("look elsewhere");
        assert_eq!(
            failure.to_string(),
            "Error: No such thing\nhint: look elsewhere"
        );
        let path = "a/b".into();
        let failure = Failure::from(StoreError::NotFound { path });
        let said = failure.to_string();
        assert!(
            said.starts_with("Error: File not found: a/b\nhint: "),
            "{said}"
        );
        let said = Failure::new("No such thing").to_string();
        assert!(said.ends_with(hint::ANY), "{said}");
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.exit_code(), SUCCESS);
    }
}
