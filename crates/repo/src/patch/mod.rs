//! Patches: text that says what to change in files, as `git diff` writes and `git apply` reads it.
//!
//! What always holds:
//! - a patch is applied as a whole or not at all, and what does not fit is named with its line in the patch;
//! - hunks are never applied to other lines than the ones they show: places are searched for, context is not left out;
//! - the text may be in a file, and one hunk of it is held in memory at a time;
//! - the text is a stranger's: sizes, counts and the time for searching have limits.

mod apply;
mod binary;
mod blobs;
mod commit;
mod error;
mod header;
mod hunk;
mod image;
mod lookup;
mod names;
mod parse;
mod quoted;
mod text;
mod timestamp;

pub use commit::{PatchOutcome, PatchRequest, apply_patch};
pub use error::{PatchConflict, PatchError};
pub use quoted::unquote;
pub use text::PatchText;

/// Reads a patch and says how many files it has diffs of. For checks that need no repository.
pub fn count_diffs(text: &PatchText) -> Result<usize, PatchError> {
    Ok(parse::parse(text)?.len())
}
