//! The `packhouse` program, and under the name `gitstore` the command line of embedded stores.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(packhouse_cli::main_from(std::env::args_os()))
}
