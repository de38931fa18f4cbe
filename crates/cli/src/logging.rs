//! Logs on stderr: text for people, one JSON object a line for machines.

use std::io::IsTerminal;

use clap::ValueEnum;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// One readable line per event, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per event.
    Json,
}

/// Starts logging. `PACKHOUSE_LOG` filters as `RUST_LOG` does elsewhere (`debug`, `packhouse_server=trace,info`);
/// without it, events of `default_level` and above are shown.
pub(crate) fn start(format: LogFormat, default_level: &str) {
    let filter =
        EnvFilter::try_from_env("PACKHOUSE_LOG").unwrap_or_else(|_| EnvFilter::new(default_level));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
}
