//! The `packhouse` command: runs the server, does by hand what an operator needs, and works on embedded stores.
//!
//! Terminal, environment and files of settings are read here and nowhere below. Each command is a file of
//! `commands`: its arguments and its `run`. Called as `gitstore` it is `packhouse store`.

mod audit;
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

use std::ffi::OsString;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser};

use crate::commands::Command;
use crate::error::{CliError, FAILURE, SUCCESS, USAGE};
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

/// Does what `args` ask for, the first of which is the name the program was called by, and returns the exit status.
pub fn main_from<I>(args: I) -> u8
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    if commands::store::is_called_by(args.first().map(Path::new)) {
        return commands::store::main_from(args);
    }
    let cli = match parse(&args) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, asks_for_store(&args)),
    };
    let ui = Ui {
        json: cli.global.json,
    };
    let done = match cli.command {
        // These answer at once: no threads, no log, no settings.
        Command::Store(args) => return commands::store::run(args, ui),
        Command::Cache(args) => {
            commands::cache::run(args, ui, cli.global.log_format).map(|()| SUCCESS)
        }
        Command::UploadPack(args) => return commands::upload_pack::run(args),
        Command::ReceivePack(args) => return commands::receive_pack::run(args),
        Command::HttpBackend(args) => return commands::http_backend::run(args),
        Command::Shell(args) => return commands::shell::run(args),
        Command::Completions(args) => commands::completions::run(args, Cli::command(), "packhouse"),
        command => {
            runtime().and_then(|runtime| runtime.block_on(command.run(ui, cli.global.log_format)))
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            complain(&error.to_string());
            if signals::stopped() {
                signals::status()
            } else {
                error.exit_code()
            }
        }
    }
}

fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&Cli::command().try_get_matches_from(args)?)
}

/// Whether the first word that is no option asks for `store`.
fn asks_for_store(args: &[OsString]) -> bool {
    let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let first = args.iter().skip(1).find(|word| !is_option(word));
    first.is_some_and(|word| word == "store")
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
/// The commands of a store begin their complaints with a capital letter.
fn usage(error: &clap::Error, capital: bool) -> u8 {
    if !error.use_stderr() {
        return if error.print().is_ok() {
            SUCCESS
        } else {
            FAILURE
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
    if capital && text.starts_with("error: ") {
        text.replace_range(..1, "E");
    }
    complain(text.trim_end());
    USAGE
}

pub(crate) fn complain(text: &str) {
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
