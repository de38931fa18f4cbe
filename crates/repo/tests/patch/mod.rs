//! Patches, next to `git apply --cached`.

mod against_git;
mod commits;
mod refusals;
pub(crate) mod world;
