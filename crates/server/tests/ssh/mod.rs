//! The installed `ssh` and `git` against the server.

mod access;
mod connections;
mod exchange;
mod lfs;
