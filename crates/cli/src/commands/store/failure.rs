//! What a command on a store says when it fails: `Error: …`, and a hint where there is something to do about it.

use std::fmt::{self, Display};
use std::io;
use std::path::Path;

use packhouse_repo::store::{StoreError, StoreErrorKind};

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
    /// Something did not work.
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
        match error.kind() {
            io::ErrorKind::NotFound => {
                Failure::new(format!("Local file not found: {}", path.display()))
            }
            io::ErrorKind::IsADirectory => {
                Failure::new(format!("Is a directory: {}", path.display()))
            }
            _ => Failure::new(format!("{}: {error}", path.display())),
        }
    }

    /// `doing` failed because of `source`, whose causes are told as well.
    pub(crate) fn because(
        doing: impl Display,
        source: &(dyn std::error::Error + 'static),
    ) -> Failure {
        Failure::new(format!("{doing}: {}", error::causes(source)))
    }

    /// The exit status: that of an interrupted command if a signal has asked it to stop.
    pub(crate) fn exit_code(&self) -> u8 {
        match signals::stopped() {
            true => signals::INTERRUPTED,
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
        write!(f, "Error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { path } => Failure::new(format!("File not found: {path}")),
            StoreError::IsADirectory { path } => Failure::new(format!("Is a directory: {path}")),
            StoreError::NotADirectory { path } => Failure::new(format!("Not a directory: {path}")),
            StoreError::NoSuchBranch { name } => Failure::new(format!("Branch not found: {name}")),
            StoreError::NoSuchTag { name } => Failure::new(format!("Tag not found: {name}")),
            StoreError::NeedsRecursive { path } => {
                let named = match path.is_empty() {
                    true => "the root".to_owned(),
                    false => path.to_string(),
                };
                Failure::new(format!("{named} is a directory"))
                    .hint("-R takes a folder with everything in it")
            }
            StoreError::NoSuchNote { id } => Failure::new(format!("Note not found: {id}")),
            StoreError::Open(_) => Failure::new(error::causes(&error)),
            StoreError::Local { path, source } => Failure::local(path, source),
            StoreError::Stale { .. } => {
                Failure::new(error.to_string()).hint("someone else wrote to it; run it again")
            }
            _ => {
                let failure = Failure::new(error::causes(&error));
                match error.kind() {
                    StoreErrorKind::Git => failure.hint("`git fsck` in the repository says more"),
                    _ => failure,
                }
            }
        }
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
    fn failures_begin_with_error_and_may_end_with_a_hint() {
        let failure = Failure::new("No such thing").hint("look elsewhere");
        assert_eq!(
            failure.to_string(),
            "Error: No such thing\nhint: look elsewhere"
        );
        let path = "a/b".into();
        let failure = Failure::from(StoreError::NotFound { path });
        assert_eq!(failure.to_string(), "Error: File not found: a/b");
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.exit_code(), SUCCESS);
    }
}
