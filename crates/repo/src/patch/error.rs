//! Why a patch was not applied.

use bstr::BString;
use packhouse_object::{CollisionError, ObjectId, PathError, ReadError, WritePackFileError};

/// A patch was not applied. Nothing of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// The text is no patch that Git would take.
    #[error("line {line} of the patch: {reason}")]
    Malformed {
        /// The line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// No diff is in the text.
    #[error("the patch is empty: there is no diff in it")]
    Empty,
    /// A path that no repository may have.
    #[error("line {line} of the patch: path `{path}`")]
    Path {
        /// The line that names it.
        line: u64,
        /// The path.
        path: BString,
        /// Why it is refused.
        #[source]
        source: PathError,
    },
    /// The patch is fine and does not fit the files.
    #[error("`{path}`: {conflict} (line {line} of the patch)")]
    Conflict {
        /// The file.
        path: BString,
        /// Where the hunk, or the diff of the file, begins in the patch.
        line: u64,
        /// What does not fit.
        conflict: PatchConflict,
    },
    /// A limit of this program.
    #[error("line {line} of the patch: {what}")]
    TooLarge {
        /// Where in the patch.
        line: u64,
        /// What is too large, and how large it may be.
        what: String,
    },
    /// A file that the patch makes is over [`crate::patch::PatchRequest::file_bytes`].
    #[error("the patch makes a file of {size} bytes, over the limit of {limit} bytes for one file")]
    FileTooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The patch could be read no more.
    #[error("the patch could not be read")]
    Io(#[from] std::io::Error),
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A patched file is a SHA-1 collision attack.
    #[error(transparent)]
    Collision(#[from] CollisionError),
    /// The patched files could not be stored.
    #[error(transparent)]
    Write(#[from] WritePackFileError),
}

impl PatchError {
    pub(super) fn malformed(line: u64, reason: impl Into<String>) -> PatchError {
        PatchError::Malformed {
            line,
            reason: reason.into(),
        }
    }
}

/// How a patch does not fit the files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchConflict {
    /// The lines that the hunk changes are nowhere in the file.
    #[error("the hunk does not apply")]
    Hunk,
    /// A hunk without line numbers fits in more than one place.
    #[error(
        "the hunk fits at line {first} and again at line {second}; give it more context or line numbers"
    )]
    Ambiguous {
        /// The first place.
        first: usize,
        /// Another one.
        second: usize,
    },
    /// A hunk without line numbers only adds lines.
    #[error("the hunk has neither line numbers nor a line that tells its place")]
    Nowhere,
    /// The file to change is not there.
    #[error("the file does not exist")]
    Missing,
    /// An earlier diff in the patch took it away.
    #[error("the file was renamed or deleted earlier in the patch")]
    Gone,
    /// The file to create is there.
    #[error("the file exists already")]
    Exists,
    /// It is something else: a link, a submodule.
    #[error("the file has mode {found}, and the patch expects {expected}")]
    WrongType {
        /// What it is.
        found: String,
        /// What the patch says.
        expected: String,
    },
    /// A deletion that leaves something.
    #[error("the diff deletes the file and leaves some of its content")]
    NotEmptied,
    /// A binary diff of another file.
    #[error("the file is {found}, and the binary diff is for {expected}")]
    OtherPreimage {
        /// What the file is.
        found: String,
        /// What the diff is for.
        expected: String,
    },
    /// A binary diff without data whose result is not here.
    #[error(
        "the diff says that the file is binary and holds no data; make it with `git diff --binary`"
    )]
    NoData,
    /// The delta does not fit the file.
    #[error("the binary delta does not fit the file")]
    Delta,
    /// The result is not what the diff promises.
    #[error("the binary diff makes {found}, and promises {expected}")]
    OtherResult {
        /// What it makes.
        found: ObjectId,
        /// What it promises.
        expected: ObjectId,
    },
}
