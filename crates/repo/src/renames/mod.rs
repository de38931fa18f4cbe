//! Which deleted file an added one was made of, as Git finds it (`git diff -M`, `-C`).
//!
//! Three passes, each on what the one before has left:
//! 1. files with the same content;
//! 2. files whose name, without its folders, occurs once on either side, if they are similar enough;
//! 3. every file with every other, the most similar pairs first.
//!
//! [`find_renames`] runs all three. A merge, which knows more (which files matter, where folders have
//! gone), runs them one by one with [`RenameSearch`].
//!
//! What always holds:
//! - the same pairs and scores as Git 2.39, in which the last line of a file that has no line break
//!   counts for nothing;
//! - time and memory are bounded: beyond [`RenameOptions::limit`] files, [`MAX_FILE_BYTES`] and the
//!   budgets of the third pass, files are compared no more, and count as deleted and added.

mod names;
mod search;
mod similarity;
mod spans;

use bstr::BString;
use packhouse_object::{Database, EntryMode, ObjectId, ReadError};

pub use search::RenameSearch;
pub use similarity::MAX_FILE_BYTES;
pub(crate) use spans::{SpanCounter, Spans};

/// The score of a file that is the same.
pub const MAX_SCORE: u32 = 60_000;

/// A file that was deleted or added, or, as the source of a copy, is there still.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameCandidate {
    /// Its path.
    pub path: BString,
    /// What it is.
    pub mode: EntryMode,
    /// Its content.
    pub id: ObjectId,
}

/// A file that others may have been made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameSource {
    /// The file.
    pub file: RenameCandidate,
    /// Whether it is there still, at its path: what is made of it is a copy.
    pub stays: bool,
}

/// What counts as a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenameOptions {
    /// How similar files must be, of [`MAX_SCORE`].
    pub min_score: u32,
    /// The third pass is left out if it would compare more pairs than the square of this; 0: no limit.
    pub limit: usize,
    /// Whether several files may be made of one (`-C`).
    pub copies: bool,
    /// Whether empty files count (they do not in merges).
    pub empty_files: bool,
}

impl Default for RenameOptions {
    /// As in `git diff`: half of the content, 1,000 files.
    fn default() -> RenameOptions {
        RenameOptions {
            min_score: MAX_SCORE / 2,
            limit: 1000,
            copies: false,
            empty_files: true,
        }
    }
}

/// A file and what it was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenamePair {
    /// Which of the sources.
    pub source: usize,
    /// Which of the destinations.
    pub destination: usize,
    /// How similar they are, of [`MAX_SCORE`].
    pub score: u32,
    /// Whether the source is there still, or another file was made of it too.
    pub is_copy: bool,
}

impl RenamePair {
    /// How similar they are, in the whole percents that Git prints.
    pub fn percent(&self) -> u32 {
        self.score * 100 / MAX_SCORE
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// In the order of the destinations.
    pub pairs: Vec<RenamePair>,
    /// Whether files were left uncompared because there were too many, or too much in them.
    pub is_limited: bool,
}

/// Finds what each destination was made of. Both lists are in the order of a tree's paths.
///
/// Errors: an object that cannot be read.
pub fn find_renames(
    database: &Database,
    sources: Vec<RenameSource>,
    destinations: Vec<RenameCandidate>,
    options: RenameOptions,
) -> Result<Renames, ReadError> {
    let mut search = RenameSearch::new(database, sources, destinations, options);
    search.find_same();
    search.find_by_name(&|_| true, &|_| None)?;
    search.find_similar(&|_| true)?;
    Ok(search.finish())
}
