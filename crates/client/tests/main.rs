//! The client against real remotes: folders, `git http-backend`, our own protocol code behind HTTP, `git daemon`, and
//! an `ssh` that runs Git's programs on this machine. Everything is compared with what `git` says.

#![allow(clippy::unwrap_used)]

mod bundles;
mod cache;
mod credentials;
mod cut;
mod hosted;
mod http;
mod killed;
mod mirrors;
mod sites;
mod symbolic;
mod transports;
mod world;

use packhouse_testkit::{git, responder};
