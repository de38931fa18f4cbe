//! A cache of Git repositories as a read-only proxy: `git` asks it instead of the upstream.
//!
//! A repository's URL is its upstream's with scheme and host as parts of the path: `https://example.com/a/b.git` is at
//! `/https/example.com/a/b.git`. What always holds:
//!
//! - **The upstream decides about every caller.** It is asked with the caller's own `Authorization` and with nothing of
//!   ours, and a refusal is passed on as it is. What it answered one caller is remembered for [`CacheProxyOptions::trust`]
//!   at most, by URL and credentials, and never used for other credentials.
//! - **Refs are the upstream's own answer**, passed on as it came. Only packs come from here.
//! - **A pack from here holds nothing that the upstream has not listed to this caller.** Each object that a request names
//!   and that is here has to be a ref that was listed, or an ancestor of one. Any other request goes to the upstream: its
//!   answer is the caller's.
//! - A shallow or partial fetch is answered from a copy that is there. It brings none: who wants a part does not wait for the
//!   whole.
//! - **A copy is used unasked only while the upstream cannot be reached**, for callers who were let in within the trust
//!   time or where nobody needed credentials, with exactly the refs that were listed to them. The answer says so.
//! - Callers who want the same cause one fetch, in this process and in others.
//! - Requests are parsed whole and within limits before anything is asked; answers stream.

mod answer;
mod ask;
mod body;
mod metrics;
mod path;
mod proof;
mod proxy;
mod request;
mod source;
mod trust;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use packhouse_client::Egress;
use packhouse_client::cache::{Cache, CancelToken};

pub use path::{AllowedHost, BadHost};

use self::proxy::Proxy;
use crate::config::Limits;
use crate::server::StartError;

/// What a [`CacheProxy`] does for whom.
#[derive(Clone, Debug)]
pub struct CacheProxyOptions {
    /// The upstreams that may be asked for; empty: all of them.
    pub allow: Vec<AllowedHost>,
    /// Which addresses may be connected to.
    pub egress: Egress,
    /// How long what an upstream answered a caller counts. Zero: it is asked each time.
    pub trust: Duration,
    /// Bounds on clients.
    pub limits: Limits,
}

impl Default for CacheProxyOptions {
    /// All upstreams of the public Internet, trusted for a minute.
    fn default() -> CacheProxyOptions {
        CacheProxyOptions {
            allow: Vec::new(),
            egress: Egress::PublicOnly,
            trust: Duration::from_secs(60),
            limits: Limits::default(),
        }
    }
}

/// A cache as a proxy. Its router answers until it is stopped.
#[derive(Debug)]
pub struct CacheProxy {
    router: Router,
    stop: CancelToken,
}

impl CacheProxy {
    /// Prepares a proxy over `cache`.
    ///
    /// # Errors
    ///
    /// The HTTP client could not be made.
    pub fn new(cache: &Cache, options: CacheProxyOptions) -> Result<CacheProxy, StartError> {
        let stop = CancelToken::new();
        let proxy = Proxy::new(cache, options, stop.clone())?;
        let router = Router::new()
            .fallback(proxy::serve)
            .with_state(Arc::new(proxy));
        Ok(CacheProxy { router, stop })
    }

    /// What answers.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Ends fetches that are under way; nothing half-written stays. For when no more requests come.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}
