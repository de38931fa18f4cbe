//! The client against real remotes: folders, `git http-backend`, our own protocol code behind HTTP, `git daemon`, and
//! an `ssh` that runs Git's programs on this machine. Everything is compared with what `git` says.

#![allow(clippy::unwrap_used)]

mod bundles;
mod credentials;
mod cut;
mod git;
mod http;
mod killed;
mod mirrors;
mod responder;
mod sites;
mod transports;
mod world;
