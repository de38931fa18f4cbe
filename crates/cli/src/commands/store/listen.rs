//! Serving until a signal says stop: what `serve` and `gitserve` share.

use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use axum::Router;
use clap::Args;
use packhouse_server::{Limits, Listening};

use super::failure::Failure;
use super::output;
use super::session::Session;
use crate::error::CliError;
use crate::logging::{self, LogFormat};
use crate::signals::StopSignals;

const ADDRESSES: &str = "127.0.0.1 is this machine alone, 0.0.0.0 all of its addresses";

/// `--host` and `--port`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListenFlags {
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Port to listen on; 0 for a free one
    #[arg(short, long, value_name = "PORT", default_value_t = 8000)]
    port: u16,
}

impl ListenFlags {
    fn address(&self) -> Result<SocketAddr, Failure> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok((address, self.port).into());
        }
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        found
            .ok()
            .and_then(|mut found| found.next())
            .ok_or_else(|| {
                Failure::new(format!("'{}' is no address of this machine", self.host))
                    .hint(ADDRESSES)
            })
    }
}

/// Lets `router` answer until Ctrl-C or SIGTERM. Once it listens, the line that `started` makes of the address is shown.
///
/// # Errors
///
/// The address cannot be listened on.
pub(crate) fn run(
    flags: &ListenFlags,
    router: Router,
    session: &Session,
    started: impl FnOnce(SocketAddr) -> String,
) -> Result<(), Failure> {
    let address = flags.address()?;
    logging::start(LogFormat::default(), "warn");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("Could not start threads", &error))?;
    runtime.block_on(async {
        let mut signals = StopSignals::listen().map_err(of_cli)?;
        let limits = Limits::default();
        let listening = Listening::start(address, router, &limits)
            .await
            .map_err(|error| {
                let failure = Failure::because("Could not serve", &error);
                match crate::error::system(&error).map(io::Error::kind) {
                    Some(ErrorKind::AddrInUse) => failure.hint("--port 0 takes a free port"),
                    Some(ErrorKind::AddrNotAvailable) => failure.hint(ADDRESSES),
                    // Of those below 1024, mostly.
                    Some(ErrorKind::PermissionDenied) => failure.hint(
                        "--port takes another port, and 0 a free one; those below 1024 are the administrator's",
                    ),
                    _ => failure,
                }
            })?;
        let address = listening.local_addr();
        let line = started(address);
        let value = serde_json::json!({"address": address.to_string()});
        let format = match session.json() {
            true => output::Format::Json,
            false => output::Format::Text,
        };
        output::value(format, &value, |out: &mut dyn Write| {
            writeln!(out, "{line}")
        })?;
        signals.wait().await;
        let second = async {
            signals.wait().await;
        };
        tokio::select! {
            () = listening.shutdown() => {}
            () = second => {}
        }
        Ok(())
    })
}

fn of_cli(error: CliError) -> Failure {
    Failure::new(error.message().to_owned())
}
