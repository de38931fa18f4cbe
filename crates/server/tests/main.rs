//! Requests against a started server, on SQLite and a local folder.

#![allow(clippy::unwrap_used)]

mod archive;
mod audit;
mod auth;
mod blame;
mod branches;
mod cache_proxy;
mod commit_pack;
mod commits;
mod connection;
mod cursors;
mod diff_commit;
mod diffs;
mod encodings;
mod events;
mod file;
mod files;
mod files_metadata;
mod forks;
mod full_disk;
mod git;
mod grep;
mod hosted;
mod input;
mod jobs;
mod large;
mod merge;
mod named;
mod named_fields;
mod notes;
mod ops;
mod policy;
mod quotas;
mod rates;
mod replay;
mod repos;
mod restore;
mod special_files;
mod ssh;
mod ssh_keys;
mod support;
mod sweep;
mod tags;
mod upstreams;
mod webhooks;
