//! Why a backup, a restore or a bundle was not made.

use std::io;
use std::path::PathBuf;

use packhouse_object::{ReadError, RefName};
use packhouse_repo::store::{StoreError, StoreErrorKind};

use crate::remote::RemoteError;

/// A backup, a restore or a bundle was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The other side could not be reached, or did not do what was asked.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A ref that was asked for is not there.
    #[error("Unknown ref: {name}")]
    NoSuchRef {
        /// The name as it was given.
        name: String,
    },
    /// A ref of the other side is there and names nothing. It is not gone, and what is here may be the last good copy of it.
    #[error(
        "ref `{name}` of '{url}' is damaged: its file names no object; write the right id into the file, or remove it if the ref is to go; refs that are chosen by name can be had without it"
    )]
    DamagedRef {
        /// The ref.
        name: String,
        /// The other side.
        url: String,
    },
    /// What was asked for makes no sense.
    #[error("{reason}")]
    Invalid {
        /// Why.
        reason: String,
    },
    /// The other side did not move all refs.
    #[error("the remote refused to move {}", listed(.refs))]
    Rejected {
        /// The refs that did not move, with the reasons.
        refs: Vec<(RefName, String)>,
    },
    /// A file is no bundle that can be read.
    #[error("'{}' is no bundle that can be read: {reason}", path.display())]
    BadBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The most refs that a message names.
const NAMED_MAX: usize = 5;

fn listed(refs: &[(RefName, String)]) -> String {
    let mut text: Vec<String> = refs
        .iter()
        .take(NAMED_MAX)
        .map(|(name, reason)| format!("{name} ({reason})"))
        .collect();
    if refs.len() > NAMED_MAX {
        text.push(format!("{} more", refs.len() - NAMED_MAX));
    }
    text.join(", ")
}

impl MirrorError {
    /// What kind of error it is: exceptions and exit codes are chosen by it.
    pub fn kind(&self) -> StoreErrorKind {
        match self {
            MirrorError::Remote(error) => match kind_of_remote(error) {
                StoreErrorKind::Git => {
                    let of_system = self.io().and_then(StoreErrorKind::of_system);
                    of_system.unwrap_or(StoreErrorKind::Git)
                }
                kind => kind,
            },
            MirrorError::Store(error) => error.kind(),
            MirrorError::NoSuchRef { .. } => StoreErrorKind::Key,
            MirrorError::Invalid { .. } => StoreErrorKind::Value,
            MirrorError::DamagedRef { .. }
            | MirrorError::Rejected { .. }
            | MirrorError::BadBundle { .. } => StoreErrorKind::Git,
            MirrorError::File { path, source } => {
                StoreError::local(path)(io::Error::from(source.kind())).kind()
            }
        }
    }

    /// The system's own error behind this one, if there is one.
    pub fn io(&self) -> Option<&io::Error> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref() {
                return Some(io);
            }
            next = error.source();
        }
        None
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> MirrorError {
        let path = path.into();
        move |source| MirrorError::File { path, source }
    }
}

fn kind_of_remote(error: &RemoteError) -> StoreErrorKind {
    match error {
        RemoteError::BadUrl { .. } => StoreErrorKind::Value,
        RemoteError::AuthenticationFailed { .. } | RemoteError::AccessDenied { .. } => {
            StoreErrorKind::Permission
        }
        RemoteError::Connect { .. }
        | RemoteError::Broken { .. }
        | RemoteError::TimedOut { .. }
        | RemoteError::Start(_) => StoreErrorKind::Os,
        RemoteError::Cancelled => StoreErrorKind::Runtime,
        RemoteError::Local { source, .. } => source.kind(),
        _ => StoreErrorKind::Git,
    }
}

impl From<ReadError> for MirrorError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Cancelled => MirrorError::Remote(RemoteError::Cancelled),
            error => MirrorError::Store(error.into()),
        }
    }
}
