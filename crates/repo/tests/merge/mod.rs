//! Three-way merges, held against `git merge-tree`.

mod against_git;
mod conflicts;
pub(crate) mod world;
