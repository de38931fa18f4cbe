//! Blame: which commit each line of a file came from, exactly as `git blame` finds it.
//!
//! A file's lines start out under the suspicion of the commit that is asked about. Suspicion passes to a parent for
//! every line that the parent's version has too, newest commit first; what no parent has was written there. The
//! parent's version is the file of the same path or, where there is none, the one that was renamed to it. What Git
//! decides by chance of order (which parent comes first, where equal lines match) is decided the same way here.
//!
//! The cost follows the commits between the newest and the oldest line, and the changes of the file in them. Memory
//! follows the file, and the versions that wait for their turn.

mod board;
mod divide;
mod moves;
mod pattern;
mod range;
mod renamed;
mod text;
mod versions;

use std::ops::Range;

use bstr::BString;
use bytes::Bytes;
use packhouse_object::{Database, ObjectId, ReadError, RepoPath};

pub use pattern::LinePatternError;
pub use range::RangeError;

use board::Board;
use text::Text;
use versions::Versions;

/// The longest file that is blamed, in bytes. Of older versions that are longer no line is found.
pub const MAX_BLAME_BYTES: usize = 64 << 20;

/// What to blame.
#[derive(Clone, Debug)]
pub struct BlameQuery {
    /// The commit that has the file.
    pub tip: ObjectId,
    /// The file.
    pub path: RepoPath,
    /// Which lines, as `git blame -L` takes them: `10,20`, `10,+5`, `/regex/,+3`. All if there are none.
    pub ranges: Vec<String>,
    /// Whether lines that moved within the file are followed (`git blame -M`).
    pub detect_moves: bool,
}

/// Where the lines of a file came from.
#[derive(Clone, Debug)]
pub struct Blame {
    /// Lines that came from one place together, in the order of the file. Lines that were not asked about are in none.
    pub groups: Vec<BlameGroup>,
    /// Where groups come from.
    pub sources: Vec<BlameSource>,
}

/// Lines that came from one place together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlameGroup {
    /// The lines, counted from 0.
    pub lines: Range<usize>,
    /// Number of the first of them in the source's version of the file, counted from 0.
    pub original_start: usize,
    /// Index of the source.
    pub source: usize,
}

/// A commit that lines came from, and the file's name in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlameSource {
    /// The commit.
    pub commit: ObjectId,
    /// The file's path there.
    pub path: BString,
    /// The version before: the parent, and the file's path in it. `None` where no parent had the file.
    pub previous: Option<(ObjectId, BString)>,
    /// Whether history begins with the commit.
    pub is_boundary: bool,
}

/// A file could not be blamed.
#[derive(Debug, thiserror::Error)]
pub enum BlameError {
    /// There is nothing at the path.
    #[error("no file `{path}` in {commit}")]
    Missing {
        /// The path.
        path: RepoPath,
        /// The commit.
        commit: ObjectId,
    },
    /// A folder or a submodule is at the path.
    #[error("`{path}` is no file in {commit}")]
    NotAFile {
        /// The path.
        path: RepoPath,
        /// The commit.
        commit: ObjectId,
    },
    /// The file is too long.
    #[error("`{path}` has {size} bytes; files of more than {MAX_BLAME_BYTES} are not blamed")]
    TooLong {
        /// The path.
        path: RepoPath,
        /// Its size.
        size: u64,
    },
    /// A range of lines makes no sense.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The caller no longer wants the answer, or has waited long enough.
    #[error("stopped before every line was found")]
    Stopped,
    /// An object could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Finds where the lines of a file came from. `stop` is asked many times whether to give up.
pub fn blame(
    database: &Database,
    query: &BlameQuery,
    stop: &dyn Fn() -> bool,
) -> Result<Blame, BlameError> {
    let mut versions = Versions::new(database, stop);
    let first = versions.open(query.tip, &query.path)?;
    let text = Text::new(versions.content(&first)?.unwrap_or_default());
    let ranges = range::resolve(&query.ranges, &text)?;
    let mut board = Board::new(versions, text, query.detect_moves, stop);
    board.suspect(query.tip, first, &ranges)?;
    board.settle_all()
}

/// Content of a version, if it is short enough to be compared.
type Content = Option<Bytes>;
