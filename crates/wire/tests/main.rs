//! Real `git` clients against the protocol code, over both kinds of repository, compared with git's own server.
//!
//! There is no Packhouse server in here: [`packhouse_testkit::responder`] is a few lines of HTTP around the functions under test,
//! and around `git http-backend` for comparison.

#![allow(clippy::unwrap_used)]

mod backends;
mod bytes;
mod cancel;
mod clone;
mod commands;
mod connection;
mod hidden;
mod history;
mod namespaces;
mod partial;
mod push;
mod random_fetch;
mod random_push;
mod raw;
mod refusals;
mod rounds;
mod shallow;
mod sites;
mod special_files;
mod too_large;

use packhouse_testkit::{git, responder};
