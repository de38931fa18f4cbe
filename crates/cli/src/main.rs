//! The `packhouse` command: runs the server and does by hand what an operator needs.
//!
//! Terminal, environment and files of settings are read here and nowhere below. Each command is a file of
//! `commands`: its arguments and its `run`.

mod commands;
mod dev;
mod error;
mod key;
mod logging;
mod names;
mod s3;
mod settings;
mod signals;
mod size;
mod storage;
mod ui;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::Command;
use crate::error::{CliError, USAGE};
use crate::logging::LogFormat;
use crate::ui::Ui;

/// Git storage for programs: a multi-tenant Git server with an HTTP API
#[derive(Debug, Parser)]
#[command(
    name = "packhouse",
    version,
    propagate_version = true,
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

/// Flags of every command.
#[derive(Clone, Copy, Debug, clap::Args)]
struct GlobalArgs {
    /// Print the result as one line of JSON
    #[arg(long, global = true)]
    json: bool,
    /// Form of log lines on stderr [default: text]
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        env = "PACKHOUSE_LOG_FORMAT"
    )]
    log_format: Option<LogFormat>,
}

fn main() -> ExitCode {
    let cli = match Cli::command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ui = Ui {
        json: cli.global.json,
    };
    let done =
        runtime().and_then(|runtime| runtime.block_on(cli.command.run(ui, cli.global.log_format)));
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&error.to_string());
            if signals::stopped() {
                ExitCode::from(signals::INTERRUPTED)
            } else {
                error.exit_code()
            }
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::because(
                "could not start threads",
                &error,
                "check the limits of this process",
            )
        })
}

/// Shows clap's complaint, with its pointer to `--help` as our hint; help and version are results, not complaints.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return if error.print().is_ok() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let mut text = error.to_string();
    match text.rfind("For more information, try ") {
        Some(at) => text.replace_range(
            at..,
            "hint: run the command with --help to see what it takes",
        ),
        None => text.push_str("\nhint: run the command with --help to see what it takes"),
    }
    complain(text.trim_end());
    ExitCode::from(USAGE)
}

fn complain(text: &str) {
    use std::io::Write;
    // Nobody is left to tell if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
