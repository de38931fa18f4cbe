//! `packhouse cache serve`: the cache as a read-only proxy for `git`.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use packhouse_client::cache::{Cache, CacheConfig};
use packhouse_object::MAX_IN_MEMORY;
use packhouse_server::{
    AllowedHost, CacheProxy, CacheProxyOptions, Egress, Limits, Listening, StartError,
};
use serde::Serialize;

use crate::error::CliError;
use crate::logging::{self, LogFormat};
use crate::signals::{INTERRUPTED, StopSignals};
use crate::ui::Ui;

/// Serve cached repositories to git over HTTP, read-only, each caller with its own credentials
///
/// The URL of a repository is that of its upstream with scheme and host as parts of the path:
/// https://example.com/a/b.git is at http://ADDRESS/https/example.com/a/b.git. Ctrl-C and SIGTERM let requests in flight
/// finish; a second one does not.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 for a free one
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "PACKHOUSE_CACHE_LISTEN",
        default_value = "127.0.0.1:8431"
    )]
    listen: SocketAddr,
    /// An upstream that may be asked for, with a port or for all ports (repeatable) [default: all]
    #[arg(
        long,
        value_name = "HOST",
        env = "PACKHOUSE_CACHE_ALLOW",
        value_delimiter = ','
    )]
    allow: Vec<AllowedHost>,
    /// How long what an upstream answered a caller counts for this caller; 0 to ask each time
    #[arg(
        long,
        value_name = "SECONDS",
        env = "PACKHOUSE_CACHE_TRUST",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(..=86_400)
    )]
    trust_seconds: u64,
    /// Let upstreams be in private networks and on this machine
    #[arg(long, env = "PACKHOUSE_ALLOW_PRIVATE_ADDRESSES", value_parser = FalseyValueParser::new())]
    allow_private_addresses: bool,
}

/// What is told once the proxy listens.
#[derive(Serialize)]
struct Started {
    version: &'static str,
    address: String,
    url: String,
    root: String,
}

pub(super) fn run(
    args: ServeArgs,
    config: CacheConfig,
    ui: Ui,
    log_format: Option<LogFormat>,
) -> Result<(), CliError> {
    logging::start(log_format.unwrap_or_default(), "info");
    let mut config = config;
    // Any caller may name an upstream, and many are brought at once.
    config.remote.limits.link_bytes = MAX_IN_MEMORY;
    let cache = Cache::open(config).map_err(super::failure)?;
    crate::runtime()?.block_on(serve(args, &cache, ui))
}

async fn serve(args: ServeArgs, cache: &Cache, ui: Ui) -> Result<(), CliError> {
    let mut stop = StopSignals::listen()?;
    let options = CacheProxyOptions {
        allow: args.allow,
        egress: match args.allow_private_addresses {
            true => Egress::Any,
            false => Egress::PublicOnly,
        },
        trust: Duration::from_secs(args.trust_seconds),
        limits: Limits::default(),
    };
    let limits = options.limits.clone();
    let proxy = CacheProxy::new(cache, options).map_err(|error| refused(&error))?;
    let listening = Listening::start(args.listen, proxy.router(), &limits)
        .await
        .map_err(|error| refused(&error))?;
    let address = listening.local_addr();
    let started = Started {
        version: env!("CARGO_PKG_VERSION"),
        address: address.to_string(),
        url: format!("http://{address}/"),
        root: cache.root().display().to_string(),
    };
    ui.show(&started, |out| {
        writeln!(out, "Serving the cache {} at {}", started.root, started.url)?;
        writeln!(
            out,
            "  git config --global url.{}https/github.com/.insteadOf https://github.com/",
            started.url
        )
    })?;
    tracing::info!(url = started.url, "listening");

    stop.wait().await;
    tracing::info!("stopping: finishing the requests in flight");
    tokio::select! {
        () = listening.shutdown() => proxy.stop(),
        () = stop.wait() => std::process::exit(INTERRUPTED.into()),
    }
    tracing::info!("stopped");
    Ok(())
}

fn refused(error: &StartError) -> CliError {
    let hint = match error {
        StartError::Listen { .. } => {
            "is another server running there? --listen 127.0.0.1:0 takes a free port"
        }
        _ => "check the settings of the cache",
    };
    CliError::because("could not start", error, hint)
}
