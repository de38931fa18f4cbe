//! Every kind of bucket against the conformance suite, and each against the faults of its own kind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod broken_store;
mod broken_wire;
mod local;
mod memory;
mod multipart;
mod s3;
