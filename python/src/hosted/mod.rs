//! The client of the hosted API for Python: calls as awaitables of asyncio.
//!
//! Requests and answers are dictionaries with the fields of the API; `packhouse.hosted` makes of them what its callers see.

mod client;
mod events;
mod failures;
mod repo;
mod running;
mod streams;
mod tokens;
mod upload;
mod webhooks;

pub(crate) use client::HostedClient;
pub(crate) use events::HostedEvents;
pub(crate) use failures::HostedFailure;
pub(crate) use repo::HostedRepo;
pub(crate) use streams::HostedDownload;
pub(crate) use tokens::{generate_jwt, parse_signature_header, verify_signature};
pub(crate) use upload::HostedUpload;
pub(crate) use webhooks::HostedWebhooks;
