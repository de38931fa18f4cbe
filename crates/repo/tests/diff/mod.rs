//! Differences between texts and between trees, held against `git diff`.

mod chance;
mod lines;
mod renames;
mod trees;
mod world;
