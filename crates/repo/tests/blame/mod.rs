//! Blame, next to `git blame`.

mod against_git;
mod ranges;
mod stories;
pub(crate) mod world;
