//! Where a push goes.

use std::error::Error;
use std::io::Read;

use packhouse_object::{ObjectId, Progress, RefName};

use crate::receive_request::ReceiveRequest;

/// One ref that a push wants moved. One of `old` and `new` is always there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The ref, as the client sees it.
    pub name: RefName,
    /// Where the client believes it is; `None`: it does not exist.
    pub old: Option<ObjectId>,
    /// Where it is to go; `None`: it is deleted.
    pub new: Option<ObjectId>,
}

/// What was done in the place of a command, as far as that is something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefReport {
    /// The ref that was moved.
    pub name: Option<Vec<u8>>,
    /// Where it was.
    pub old: Option<ObjectId>,
    /// Where it is.
    pub new: Option<ObjectId>,
    /// Whether it lost commits.
    pub forced: bool,
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandStatus {
    /// The ref is where the client wants it.
    Ok,
    /// It is done, but on these refs: a hook has seen to it.
    Reported(Vec<RefReport>),
    /// It did not move.
    Rejected {
        /// The reason, in the few words that `git push` prints in parentheses.
        reason: String,
        /// More for a person, printed as an `error:` line.
        detail: Option<String>,
    },
}

impl CommandStatus {
    /// A rejection with nothing more to say.
    pub fn rejected(reason: impl Into<String>) -> CommandStatus {
        CommandStatus::Rejected {
            reason: reason.into(),
            detail: None,
        }
    }
}

const FULL: &str = "the server has no room left; try again later";

const UNCONFIRMED: &str =
    "it may have been updated all the same; fetch and look before trying again";

/// Why a pack was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The pack is bad; the message is for the client.
    #[error("{0}")]
    Bad(String),
    /// The same where a person is to read more than the reason: lines with their ends, which stand for the reason where nobody
    /// sees messages.
    #[error("{reason}")]
    Explained {
        /// The reason in a few words.
        reason: &'static str,
        /// The lines.
        lines: String,
    },
    /// The pack needs objects that neither it nor the repository has, one of which the client says it
    /// has cut its history at.
    #[error("shallow update not allowed")]
    Shallow,
    /// The server failed. The client learns only that.
    #[error("internal error while storing the pack")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
    /// The server has no room for the pack.
    #[error("{FULL}")]
    Full(#[source] Box<dyn Error + Send + Sync>),
}

/// The refs could not be updated at all.
#[derive(Debug, thiserror::Error)]
#[error("could not store the push")]
pub struct SinkError {
    source: Box<dyn Error + Send + Sync>,
    told: &'static str,
}

impl SinkError {
    /// A failure of which the client learns nothing but that it happened.
    pub fn internal(source: Box<dyn Error + Send + Sync>) -> SinkError {
        SinkError {
            source,
            told: "internal error",
        }
    }

    /// There is no room to store the push, which the client may know.
    pub fn full(source: Box<dyn Error + Send + Sync>) -> SinkError {
        SinkError { source, told: FULL }
    }

    /// Nobody knows whether the push was stored, which is all the client needs to know.
    pub fn unconfirmed(source: Box<dyn Error + Send + Sync>) -> SinkError {
        SinkError {
            source,
            told: UNCONFIRMED,
        }
    }

    /// Whether refs may have moved all the same.
    pub(crate) fn is_unconfirmed(&self) -> bool {
        self.told == UNCONFIRMED
    }

    /// What the client reads as the reason of each ref.
    pub(crate) fn told(&self) -> &'static str {
        self.told
    }
}

/// What the person at the other end of a push reads while it is worked on.
pub trait Messages: Sync {
    /// Shows a text, which brings its own line ends.
    fn show(&self, text: &[u8]);

    /// Whether anybody sees it: not every client can take messages.
    fn are_seen(&self) -> bool;

    /// Keeps the connection alive when nothing was sent for a while.
    fn keep_alive(&self);
}

/// Accepts one push: first its pack, if it has one, then its ref updates.
pub trait Sink {
    /// What the push says of itself, before its pack is read.
    fn begin(&mut self, request: &ReceiveRequest) {
        let _ = request;
    }

    /// Whether a ref is none of those that this client sees and sets.
    fn is_hidden(&self, name: &RefName) -> bool {
        // Namespaces are reached by their own URLs; their names are hidden from pushes as from fetches.
        name.as_bytes().starts_with(b"refs/namespaces/")
    }

    /// Where a ref is now, as the client sees it. Only for what is told to a person: `publish` decides.
    fn find(&self, name: &[u8]) -> Option<ObjectId>;

    /// Whether there is a ref of this name that [`Sink::find`] does not find since nobody can tell where it points. `publish`
    /// decides about its deletion too, and must not call it done while the ref stays.
    fn is_broken(&self, name: &RefName) -> bool {
        let _ = name;
        false
    }

    /// Whether an object of this id is in the repository already.
    fn contains(&self, id: ObjectId) -> bool;

    /// Whether a ref may be deleted of which the client does not say where it is: by no id, or one that names nothing here. As
    /// [`Sink::publish`] gets such a command, it finds that out.
    fn deletes_unseen(&self) -> bool {
        false
    }

    /// Reads and checks the pack that stands at the start of `input`, and keeps it for `publish`. Nothing
    /// becomes visible. `shallow` are commits whose parents the client does not have.
    fn unpack(
        &mut self,
        input: &mut dyn Read,
        shallow: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<(), UnpackError>;

    /// Makes the pack and the ref updates visible in one step, each ref by compare-and-set. Returns one
    /// status per command, in their order. If `atomic`, either all refs move or none does.
    fn publish(
        &mut self,
        commands: Vec<Command>,
        atomic: bool,
        messages: &dyn Messages,
    ) -> Result<Vec<CommandStatus>, SinkError>;

    /// What refs of an atomic push are told that nothing was held against, once `publish` refused it and told each of
    /// the others what it is to read. `None`: it was not refused, or what is told of each has still to be settled.
    fn told_of_others(&self) -> Option<&str> {
        None
    }

    /// The push is over, and its client has been told how each ref fared.
    fn finish(&mut self, messages: &dyn Messages) {
        let _ = messages;
    }
}
