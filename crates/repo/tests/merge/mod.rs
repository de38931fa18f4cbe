//! Three-way merges, held against `git merge-tree`.

mod against_git;
mod conflicts;
mod renamed;
pub(crate) mod world;
