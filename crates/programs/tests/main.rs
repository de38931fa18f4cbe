//! Real `git` clients against the programs, on repositories on disk, beside git's own programs on the like.
//!
//! Both are reached through `git://`, where a connection is what it is over SSH and local pipes, and over HTTP.

#![allow(clippy::unwrap_used)]

mod aliases;
mod damage;
mod doors;
mod faults;
mod fetches;
mod hooks;
mod http;
mod linked;
mod lock_timeouts;
mod lookups;
mod object_places;
mod pack_hook;
mod proc_receive;
mod pushes;
mod reflogs;
mod shallow;
mod shared;
mod signed;
mod sizes;
mod soak;
mod sparse;
mod working_copies;

use packhouse_testkit::git;
use packhouse_testkit::responder;
