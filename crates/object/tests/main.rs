//! The tests of the crate against Git itself and against hostile input, in one binary.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod bitmaps;
mod commit_graphs;
mod decoding;
mod forked;
mod git;
mod history;
mod multi_pack_writing;
mod multi_packs;
mod names;
mod packs;
mod repositories;
mod sending;
mod special_files;
mod storing;
mod trees;
mod walks;
