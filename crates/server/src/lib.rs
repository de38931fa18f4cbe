//! The Packhouse server: Git over HTTP and SSH and the HTTP API over one storage engine.
//!
//! What always holds:
//!
//! - A handler sees a [`Caller`](auth::Caller), never a header: who may do what is decided in `auth` alone.
//! - Only `error` chooses HTTP statuses.
//! - A body is streamed or bounded. What a refused request still sends is read away, so that its client sees why.
//! - No secret reaches the log: no token, no query, no body.
//!
//! ```no_run
//! # async fn run() -> Result<(), packhouse_server::StartError> {
//! use packhouse_server::{Config, Server};
//! let server = Server::start(Config::embedded("./packhouse-data".as_ref())).await?;
//! println!("listening on {}", server.local_addr());
//! server.shutdown().await;
//! # Ok(())
//! # }
//! ```

pub mod auth;
mod body;
mod cache_proxy;
mod client_address;
mod config;
mod decoded;
mod error;
mod events;
mod git;
pub mod jobs;
mod listening;
mod metrics;
mod named;
mod observe;
mod ops;
mod patience;
mod rate;
mod rest;
mod router;
mod server;
mod ssh;
mod stalled;
mod state;
mod stream;
mod tls;
mod turns;
pub mod upstream;
mod webhooks;

pub use cache_proxy::{AllowedHost, BadHost, CacheProxy, CacheProxyOptions};
pub use config::{Config, Limits, TlsFiles};
pub use git::{GitAccess, git_router};
pub use listening::Listening;
pub use packhouse_client::Egress;
pub use rate::Rate;
pub use server::{Server, StartError};
pub use ssh::{HostKeyError, SshConfig, SshLimits};
pub use stream::{BodyWriter, written_by};
pub use tls::TlsError;
pub use webhooks::{Clock, WebhookOptions};
