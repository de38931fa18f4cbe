//! Settings on the command line, each with its variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use clap::builder::FalseyValueParser;

use super::limits::LimitFlags;
use super::proxies::ProxyNet;
use super::public_url::PublicUrl;
use super::sweep::SweepFlags;
use crate::size::{ByteSize, Lapse};

/// Settings that say where the data is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StorageFlags {
    /// Folder for everything that has no other place
    #[arg(
        long,
        value_name = "DIR",
        env = "PACKHOUSE_DATA",
        help_heading = "Storage"
    )]
    pub(crate) data: Option<PathBuf>,
    /// Database: sqlite:PATH or postgres://USER@HOST/NAME [default: SQLite in the data folder]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_CATALOG",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) catalog: Option<String>,
    /// Bytes: file:///DIR or s3://BUCKET/PREFIX?endpoint=…&region=… [default: the data folder]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_BUCKET",
        hide_env_values = true,
        help_heading = "Storage"
    )]
    pub(crate) bucket: Option<String>,
    /// Local copies of packs from a remote bucket [default: in the data folder]
    #[arg(
        long,
        value_name = "DIR",
        env = "PACKHOUSE_CACHE_DIR",
        help_heading = "Storage"
    )]
    pub(crate) cache_dir: Option<PathBuf>,
    /// How large the cache may grow, such as 1073741824 or 10GiB
    #[arg(
        long,
        value_name = "BYTES",
        env = "PACKHOUSE_CACHE_SIZE",
        help_heading = "Storage"
    )]
    pub(crate) cache_size: Option<ByteSize>,
    /// TOML file with settings
    #[arg(
        long,
        value_name = "FILE",
        env = "PACKHOUSE_CONFIG",
        help_heading = "Storage"
    )]
    pub(crate) config: Option<PathBuf>,
}

/// Settings of the server alone.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeFlags {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR", env = "PACKHOUSE_LISTEN")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where clients find the server, if that is not where it listens, for URLs in answers [default: what the request
    /// names]
    #[arg(long, value_name = "URL", env = "PACKHOUSE_PUBLIC_URL")]
    pub(crate) public_url: Option<PublicUrl>,
    /// Address for Git over SSH; port 0 takes a free one [default: no SSH]
    #[arg(long, value_name = "ADDR", env = "PACKHOUSE_SSH")]
    pub(crate) ssh: Option<SocketAddr>,
    /// Private key by which SSH clients know the server, the same on all that answer to one name [default: one that
    /// is made in the data folder]
    #[arg(long, value_name = "FILE", env = "PACKHOUSE_SSH_HOST_KEY")]
    pub(crate) ssh_host_key: Option<PathBuf>,
    /// Certificate chain (PEM): serve https
    #[arg(long, value_name = "FILE", env = "PACKHOUSE_TLS_CERT")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", env = "PACKHOUSE_TLS_KEY")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Network or address of a proxy whose X-Forwarded-For and Forwarded say where a request comes from; may be given
    /// more than once
    #[arg(
        long,
        value_name = "CIDR",
        env = "PACKHOUSE_TRUSTED_PROXY",
        value_delimiter = ','
    )]
    pub(crate) trusted_proxy: Vec<ProxyNet>,
    /// Let webhooks and other requests that users ask for reach private networks and this machine
    #[arg(long, env = "PACKHOUSE_ALLOW_PRIVATE_ADDRESSES", value_parser = FalseyValueParser::new())]
    pub(crate) allow_private_addresses: bool,
    /// Where repositories of GitHub are [default: https://github.com]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_GITHUB_URL",
        help_heading = "Upstreams"
    )]
    pub(crate) github_url: Option<String>,
    /// GitHub's API [default: https://api.github.com]
    #[arg(
        long,
        value_name = "URL",
        env = "PACKHOUSE_GITHUB_API_URL",
        help_heading = "Upstreams"
    )]
    pub(crate) github_api_url: Option<String>,
    /// Id of the GitHub App that reads private repositories
    #[arg(
        long,
        value_name = "ID",
        env = "PACKHOUSE_GITHUB_APP_ID",
        help_heading = "Upstreams"
    )]
    pub(crate) github_app_id: Option<String>,
    /// Private key of the GitHub App (PEM)
    #[arg(
        long,
        value_name = "FILE",
        env = "PACKHOUSE_GITHUB_APP_KEY",
        help_heading = "Upstreams"
    )]
    pub(crate) github_app_key: Option<PathBuf>,
    /// How long a webhook's receiver may take to answer, such as 10s [default: 10s]
    #[arg(long, value_name = "TIME", env = "PACKHOUSE_WEBHOOK_TIMEOUT")]
    pub(crate) webhook_timeout: Option<Lapse>,
    /// How long the log of deliveries, and events that moved no ref, are kept, such as 30d [default: 30d]
    #[arg(long, value_name = "TIME", env = "PACKHOUSE_EVENT_RETENTION")]
    pub(crate) event_retention: Option<Lapse>,
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
    /// From the end of one sweep to the next, such as 6h [default: 6h]
    #[arg(
        long,
        value_name = "TIME",
        env = "PACKHOUSE_SWEEP_EVERY",
        help_heading = "Sweep"
    )]
    pub(crate) sweep_every: Option<Lapse>,
    #[command(flatten)]
    pub(crate) sweep: SweepFlags,
    /// Keep notes in refs/notes/commits only
    #[arg(long, env = "PACKHOUSE_NO_CUSTOM_NOTES", value_parser = FalseyValueParser::new())]
    pub(crate) no_custom_notes: bool,
    /// Create organisation `dev` with a key of its own, and show how to use it
    #[arg(long, env = "PACKHOUSE_DEV", value_parser = FalseyValueParser::new())]
    pub(crate) dev: bool,
}
