//! What goes wrong between us and a remote.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use packhouse_object::{ObjectId, ReadError, ReceiveError, WritePackError};
use packhouse_repo::directory::OpenError;
use packhouse_repo::store::StoreError;
use packhouse_wire::pktline::PacketError;

/// A remote could not be asked, or did not do what was asked. URLs in here carry no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The URL is not one that can be talked to.
    #[error("{reason}")]
    BadUrl {
        /// Names the URL and says what is wrong with it.
        reason: String,
    },
    /// The server wants other credentials, or some.
    #[error("Authentication failed for '{url}'")]
    AuthenticationFailed {
        /// The remote.
        url: String,
    },
    /// The server knows who asks, and says no.
    #[error("access to '{url}' is denied: {reason}")]
    AccessDenied {
        /// The remote.
        url: String,
        /// In the server's words.
        reason: String,
    },
    /// There is no such repository, or none that we may know of.
    #[error("Repository not found: '{url}' ({reason})")]
    RepositoryNotFound {
        /// The remote.
        url: String,
        /// How that is known.
        reason: String,
    },
    /// Its address is none that may be connected to.
    #[error("'{url}' is not allowed: {reason}")]
    NotAllowed {
        /// The remote.
        url: String,
        /// Why.
        reason: String,
    },
    /// The other side could not be reached.
    #[error("could not connect to '{url}'")]
    Connect {
        /// The remote.
        url: String,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The program that connects could not be started, or ended badly.
    #[error("{program} failed for '{url}': {reason}")]
    Program {
        /// The program.
        program: String,
        /// The remote.
        url: String,
        /// What it said.
        reason: String,
    },
    /// An HTTP status that means nothing special here.
    #[error("'{url}' answered with HTTP status {status}")]
    Status {
        /// The remote.
        url: String,
        /// The status.
        status: u16,
        /// How long the server asks to wait before it is asked again.
        retry_after: Option<Duration>,
    },
    /// A redirect that is not followed.
    #[error("'{url}' redirects to '{target}', which is not followed: {reason}")]
    Redirect {
        /// The remote.
        url: String,
        /// Where it points.
        target: String,
        /// Why it stays unfollowed.
        reason: &'static str,
    },
    /// The server speaks, but not the Git protocol.
    #[error("'{url}' does not speak Git's smart protocol: {reason}")]
    NotGit {
        /// The remote.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The other side said that it failed, in its own words.
    #[error("remote error: {message}")]
    Remote {
        /// The words.
        message: String,
    },
    /// A ref of the other side is there and names nothing. It is not gone.
    #[error(
        "ref `{name}` of the remote is damaged: it names no object; it has to be put right there, or removed"
    )]
    DamagedRef {
        /// The ref.
        name: String,
    },
    /// The other side lacks something that is needed.
    #[error("'{url}' does not support {feature}")]
    Unsupported {
        /// The remote.
        url: String,
        /// What it lacks, or has that is not known here.
        feature: String,
    },
    /// The remote's history is cut off.
    #[error("'{url}' is a shallow clone, whose history is not complete")]
    Shallow {
        /// The remote.
        url: String,
    },
    /// An object that was asked for did not come.
    #[error("the remote did not send {id}")]
    NotSent {
        /// The object.
        id: ObjectId,
    },
    /// The connection broke.
    #[error("the connection to '{url}' broke: {reason}")]
    Broken {
        /// The remote.
        url: String,
        /// How.
        reason: String,
    },
    /// Nothing came for as long as was waited.
    #[error("'{url}' did not answer in time")]
    TimedOut {
        /// The remote.
        url: String,
    },
    /// The caller asked to end.
    #[error("cancelled")]
    Cancelled,
    /// The pack that came is not sound, or could not be stored.
    #[error("the pack of the remote was not accepted")]
    Receive(#[source] ReceiveError),
    /// Objects could not be read, or sent.
    #[error("could not make a pack for the remote")]
    Send(#[source] WritePackError),
    /// An object of our own could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// A repository on this machine could not be opened, read or written.
    #[error("{}: {source}", path.display())]
    Local {
        /// The repository.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<StoreError>,
    },
    /// The system did not give what is needed to connect.
    #[error("could not start what talks to remotes")]
    Start(#[source] io::Error),
}

impl RemoteError {
    /// Whether the remote's history is cut off.
    pub(crate) fn is_shallow(&self) -> bool {
        matches!(self, RemoteError::Shallow { .. })
    }

    /// Whether asking in another way would change nothing.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            RemoteError::Cancelled
                | RemoteError::TimedOut { .. }
                | RemoteError::Connect { .. }
                | RemoteError::NotAllowed { .. }
        )
    }

    /// Whether it is a repository of this machine that is stored in a way that is not known here, as partial clones are.
    pub(crate) fn is_stored_otherwise(&self) -> bool {
        let RemoteError::Local { source, .. } = self else {
            return false;
        };
        matches!(
            &**source,
            StoreError::Open(OpenError::Unsupported { .. } | OpenError::Config { .. })
        )
    }

    /// Whether asking again changes nothing as long as the remote is what it is.
    pub(crate) fn is_lasting(&self) -> bool {
        match self {
            RemoteError::BadUrl { .. }
            | RemoteError::NotAllowed { .. }
            | RemoteError::Unsupported { .. }
            | RemoteError::DamagedRef { .. }
            | RemoteError::Shallow { .. } => true,
            error => error.is_stored_otherwise(),
        }
    }

    /// Turns the error of a local repository into one that names it.
    pub(crate) fn local(path: impl Into<PathBuf>) -> impl FnOnce(StoreError) -> RemoteError {
        let path = path.into();
        move |source| RemoteError::Local {
            path,
            source: Box::new(source),
        }
    }
}

impl From<ReadError> for RemoteError {
    fn from(error: ReadError) -> RemoteError {
        match error {
            ReadError::Cancelled => RemoteError::Cancelled,
            error => RemoteError::Read(error),
        }
    }
}

/// Why waiting for the other side ended. Travels inside an [`io::Error`] through code that only knows those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    #[error("cancelled")]
    Cancelled,
    #[error("no answer in time")]
    TimedOut,
    #[error("the other half of the connection has ended")]
    Stopped,
}

impl From<Ended> for io::Error {
    fn from(ended: Ended) -> io::Error {
        io::Error::other(ended)
    }
}

/// What the other side said of its failure. Travels as [`Ended`] does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Said(pub(crate) String);

impl From<Said> for io::Error {
    fn from(said: Said) -> io::Error {
        io::Error::other(said)
    }
}

/// Tells errors of one remote apart. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Failures {
    /// The remote's URL as people may see it.
    pub(crate) url: String,
}

impl Failures {
    /// An error of reading or writing the connection.
    pub(crate) fn io(&self, error: &(dyn Error + 'static)) -> RemoteError {
        let url = self.url.clone();
        match carried::<Ended>(error) {
            Some(Ended::Cancelled) => return RemoteError::Cancelled,
            Some(Ended::TimedOut) => return RemoteError::TimedOut { url },
            Some(Ended::Stopped) | None => {}
        }
        if let Some(Said(message)) = carried(error) {
            return self.said(&message);
        }
        RemoteError::Broken {
            url,
            reason: with_reasons(error),
        }
    }

    /// An error of reading pkt-lines.
    pub(crate) fn packet(&self, error: PacketError) -> RemoteError {
        match error {
            PacketError::BadDigits(_) | PacketError::BadLength(_) => {
                self.not_git(error.to_string())
            }
            PacketError::Truncated => RemoteError::Broken {
                url: self.url.clone(),
                reason: error.to_string(),
            },
            error => self.io(&error),
        }
    }

    /// An error of receiving a pack.
    pub(crate) fn receive(&self, error: ReceiveError) -> RemoteError {
        match error {
            ReceiveError::Cancelled => RemoteError::Cancelled,
            ReceiveError::Input(_) => self.io(&error),
            ReceiveError::Truncated { .. } => RemoteError::Broken {
                url: self.url.clone(),
                reason: error.to_string(),
            },
            error => RemoteError::Receive(error),
        }
    }

    /// An error of sending a pack.
    pub(crate) fn send(&self, error: WritePackError) -> RemoteError {
        match error {
            WritePackError::Read(ReadError::Cancelled) => RemoteError::Cancelled,
            WritePackError::Write(error) => self.io(&error),
            error => RemoteError::Send(error),
        }
    }

    /// What the other side says instead of an answer, on a line that begins with `ERR`, or on the error band.
    pub(crate) fn said(&self, message: &str) -> RemoteError {
        let message: String = message
            .trim()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .take(1000)
            .collect();
        match means_not_found(&message) {
            true => RemoteError::RepositoryNotFound {
                url: self.url.clone(),
                reason: message,
            },
            false => RemoteError::Remote { message },
        }
    }

    /// The other side does not follow the protocol.
    pub(crate) fn not_git(&self, reason: impl Into<String>) -> RemoteError {
        RemoteError::NotGit {
            url: self.url.clone(),
            reason: reason.into(),
        }
    }

    /// The other side lacks something.
    pub(crate) fn unsupported(&self, feature: impl Into<String>) -> RemoteError {
        RemoteError::Unsupported {
            url: self.url.clone(),
            feature: feature.into(),
        }
    }
}

/// Whether a server's words mean that there is no such repository: those of git, its daemon, and large hosts.
pub(crate) fn means_not_found(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    [
        "does not appear to be a git repository",
        "repository not found",
        "repository not exported",
        "no such repository",
        "not a git repository",
        "could not be found",
    ]
    .iter()
    .any(|meaning| words.contains(meaning))
}

/// The message of an error with those of what caused it.
pub(crate) fn with_reasons(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// The `T` that travels inside an error.
fn carried<T: Error + Clone + 'static>(error: &(dyn Error + 'static)) -> Option<T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found.clone());
        }
        next = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
