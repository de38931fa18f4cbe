//! How remotes are talked to.

use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use packhouse_object::ReceiveLimits;

use crate::credentials::{CredentialSource, Secret};
use crate::egress::Egress;

/// Shown what the other side says while it works, line by line.
pub type Messages = Arc<dyn Fn(&str) + Send + Sync>;

/// How a remote is talked to.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Asked for credentials where the URL has none and the server wants some.
    pub credentials: Option<Arc<dyn CredentialSource>>,
    /// Sent with each HTTP request. Not to where a server redirects, unless that is the same server.
    pub extra_headers: Vec<ExtraHeader>,
    /// How `ssh://` connects.
    pub ssh: SshOptions,
    /// Certificates, in PEM, that HTTPS servers may be vouched for by, besides those the system trusts.
    pub extra_certificates: Option<Vec<u8>>,
    /// The way out to HTTP servers.
    pub proxy: Proxy,
    /// Which addresses HTTP may connect to, redirects included; then no proxy is used, and nothing but HTTP. `None`:
    /// all of them.
    pub egress: Option<Egress>,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the other side may be silent.
    pub idle_timeout: Duration,
    /// How many redirects of HTTP are followed, at most.
    pub redirects_max: u32,
    /// What a pack of the remote may cost.
    pub limits: ReceiveLimits,
    /// The most refs a remote may have.
    pub refs_max: usize,
    /// Beginnings of the names of refs that are of interest; empty: all are. A remote may list more than these.
    pub ref_prefixes: Vec<String>,
    /// Shown what the other side says.
    pub messages: Option<Messages>,
}

/// A header of HTTP requests (`http.extraheader`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraHeader {
    /// Beginning of the URLs that it is for; empty: all.
    pub url_prefix: String,
    /// Its name.
    pub name: String,
    /// What it says, which may be a secret.
    pub value: Secret,
}

impl ExtraHeader {
    /// Whether its prefix has a host, so that it is for one server.
    pub(crate) fn names_a_server(&self) -> bool {
        reqwest::Url::parse(&self.url_prefix)
            .is_ok_and(|url| url.host_str().is_some_and(|host| !host.is_empty()))
    }
}

/// The way out to HTTP servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// As the environment says (`https_proxy`, `no_proxy`, …).
    #[default]
    Environment,
    /// Straight.
    None,
    /// Through this proxy.
    Url(String),
}

/// How the program that speaks SSH is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshOptions {
    /// What is run.
    pub command: SshCommand,
    /// Which options it understands.
    pub variant: SshVariant,
}

/// The program that speaks SSH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SshCommand {
    /// `ssh`, found through the path.
    #[default]
    Default,
    /// A program, called directly (as `GIT_SSH` names one).
    Program(OsString),
    /// A command line for the shell (as `GIT_SSH_COMMAND` and `core.sshCommand` have one).
    Shell(OsString),
}

/// The kinds of SSH programs, as Git tells them apart (`ssh.variant`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SshVariant {
    /// By the program's name, and where that says nothing by trying `-G`.
    #[default]
    Auto,
    /// OpenSSH: `-p port`, `-o SendEnv=GIT_PROTOCOL`.
    OpenSsh,
    /// `plink`, `putty`: `-P port`.
    Plink,
    /// `tortoiseplink`: `-batch -P port`.
    TortoisePlink,
    /// Nothing but a host and a command.
    Simple,
}

impl Default for RemoteOptions {
    /// No credentials, 30 seconds to connect, five minutes of silence, any size, two million refs.
    fn default() -> RemoteOptions {
        RemoteOptions {
            credentials: None,
            extra_headers: Vec::new(),
            ssh: SshOptions::default(),
            extra_certificates: None,
            proxy: Proxy::Environment,
            egress: None,
            connect_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            redirects_max: 20,
            limits: any_size(),
            refs_max: 2_000_000,
            ref_prefixes: Vec::new(),
            messages: None,
        }
    }
}

/// Whoever copies a repository wants all of it: no limit but on memory, and on what a byte may inflate to.
fn any_size() -> ReceiveLimits {
    ReceiveLimits {
        // Zlib makes at most about a thousand bytes of one.
        expansion_bytes: 1 << 40,
        expansion_ratio: 1032,
        ..ReceiveLimits::of_git()
    }
}

impl fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("ssh", &self.ssh)
            .field("connect_timeout", &self.connect_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .finish_non_exhaustive()
    }
}
