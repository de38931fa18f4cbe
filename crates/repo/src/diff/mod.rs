//! How two trees differ: which files, and the text that `git diff` prints of each, byte for byte.
//!
//! [`changed_files`] tells the files, with what each was made of; [`FileDiff`] compares one of them.
//! Both match `git diff --full-index` of Git 2.39 in a bare repository: attributes are not looked at,
//! so that nobody's `.gitattributes` decides what is binary.

mod binary;
mod changes;
mod content;
mod delta;
mod file;
mod function_line;
mod hunks;
mod quote;

pub(crate) use function_line::function_name;
pub(crate) use quote::quoted;

pub use changes::{ChangeStatus, DiffError, FileChange, FileSide, changed_files};
pub use content::MAX_CONTENT_BYTES;
pub use file::FileDiff;

use bstr::BString;

use crate::renames::RenameOptions;

/// What is compared, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffOptions {
    /// What counts as a rename; `None`: every file is deleted or added.
    pub renames: Option<RenameOptions>,
    /// Only these files, and those in these folders; empty: all. As in Git, renames are looked for
    /// among what is left.
    pub paths: Vec<BString>,
    /// The most changed files there may be.
    pub max_files: usize,
    /// Whether lines that differ in amounts of white space alone are equal (`-b`).
    pub ignore_space_change: bool,
    /// Lines around each change.
    pub context: usize,
    /// How a file that is not text is written.
    pub binary: BinaryForm,
}

impl Default for DiffOptions {
    /// What `git diff` does.
    fn default() -> DiffOptions {
        DiffOptions {
            renames: Some(RenameOptions::default()),
            paths: Vec::new(),
            max_files: usize::MAX,
            ignore_space_change: false,
            context: 3,
            binary: BinaryForm::Mention,
        }
    }
}

/// How a file that is not text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryForm {
    /// As a line that says that it differs.
    Mention,
    /// As a patch that `git apply` takes (`--binary`).
    Patch,
}
