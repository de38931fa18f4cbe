//! Requests against a started server, on SQLite and a local folder.

#![allow(clippy::unwrap_used)]

mod archive;
mod auth;
mod branches;
mod commit_pack;
mod commits;
mod connection;
mod events;
mod diffs;
mod diff_commit;
mod events;
mod file;
mod files;
mod files_metadata;
mod forks;
mod git;
mod grep;
mod jobs;
mod large;
mod merge;
mod ops;
mod policy;
mod replay;
mod repos;
mod restore;
mod special_files;
mod support;
mod upstreams;
mod webhooks;
