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

/// Starts logging. `PACKHOUSE_LOG`, else `RUST_LOG`, says what is shown (`debug`, `packhouse_server=trace,info`);
/// without them, events of `default_level` and above are.
pub(crate) fn start(format: LogFormat, default_level: &str) {
    let wanted = |name| EnvFilter::try_from_env(name).ok();
    let filter = ["PACKHOUSE_LOG", "RUST_LOG"].into_iter().find_map(wanted);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(default_level)))
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => subscriber
            .with_ansi(std::io::stderr().is_terminal())
            .try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // Whoever runs a second command in one process has the log of the first.
    drop(started);
}
