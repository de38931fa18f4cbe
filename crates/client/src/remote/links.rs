//! What remotes have in common.

use std::sync::{Arc, OnceLock};

use reqwest::Client;

use super::RemoteError;
use super::edge::Runtime;

/// The threads that drive sockets and pipes, and HTTP connections that stay open between calls.
///
/// Remotes that share them must agree on proxy, certificates, allowed addresses and patience. Threads do not come along
/// when a process is forked off: it needs links of its own.
#[derive(Default)]
pub struct Links {
    runtime: OnceLock<Arc<Runtime>>,
    http: OnceLock<Client>,
}

impl Links {
    pub(super) fn runtime(&self) -> Result<Arc<Runtime>, RemoteError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime.clone());
        }
        let runtime = Arc::new(Runtime::start().map_err(RemoteError::Start)?);
        Ok(self.runtime.get_or_init(|| runtime).clone())
    }

    pub(super) fn http(
        &self,
        make: impl FnOnce() -> Result<Client, RemoteError>,
    ) -> Result<Client, RemoteError> {
        if let Some(client) = self.http.get() {
            return Ok(client.clone());
        }
        let client = make()?;
        Ok(self.http.get_or_init(|| client).clone())
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}
