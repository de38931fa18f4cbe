//! Git over SSH: the same repositories, the same permissions, other words.
//!
//! A client shows a key that an organisation registered, and runs `git-upload-pack` or `git-receive-pack`, nothing
//! else. What it may do is decided where it is decided for HTTP ([`git::open_for`](crate::git::open_for)); the protocol
//! is `wire`'s; this is the way in and out.
//!
//! What always holds:
//!
//! - Nothing is run. There is no shell, no terminal, no file transfer and no forwarding.
//! - A client learns that a repository is there only if its key may use it.
//! - Both sides wait for each other: neither what a client sends nor what it does not read is gathered in memory.
//! - A client that does nothing for too long goes, wherever it stopped.

mod addresses;
mod channel;
mod client;
mod command;
mod door;
mod host_key;
mod lfs;
mod metrics;
mod run;
mod severed;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use door::SshDoor;
pub use host_key::HostKeyError;
pub(crate) use metrics::SshMetrics;

/// Where SSH is served.
#[derive(Clone, Debug)]
pub struct SshConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The host's private key, in the format of OpenSSH; one in the data folder, which is made if it is not there, if
    /// absent. All servers that answer to one name need the same.
    pub host_key: Option<PathBuf>,
}

/// Bounds on clients that come by SSH.
#[derive(Clone, Debug)]
pub struct SshLimits {
    /// Connections at a time; more wait in the listen queue.
    pub connections: usize,
    /// Connections at a time from one address, of IPv6 from one /64; more are closed at once.
    pub connections_per_address: usize,
    /// Time to log in.
    pub login: Duration,
    /// Keys that may be refused before a client has to go.
    pub attempts: usize,
    /// How long a connection may run nothing, and a command may wait for what its client says next. A push begins when
    /// the client has counted its objects, so this is more than for a request over HTTP.
    pub idle: Duration,
    /// Commands that one connection may run at a time.
    pub commands: usize,
}

impl Default for SshLimits {
    fn default() -> SshLimits {
        SshLimits {
            connections: 2000,
            connections_per_address: 200,
            login: Duration::from_secs(30),
            attempts: 10,
            idle: Duration::from_secs(600),
            commands: 10,
        }
    }
}
