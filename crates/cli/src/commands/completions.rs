//! `packhouse completions`: what a shell needs to complete our commands.

use std::io::{self, Write};

use clap::Args;
use clap_complete::Shell;

use crate::error::{CliError, SUCCESS};

/// Print a completion script for a shell
///
/// For bash: `source <(packhouse completions bash)`.
#[derive(Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// Prints the script that completes `command` under the name `program`.
pub(crate) fn run(
    args: CompletionsArgs,
    mut command: clap::Command,
    program: &str,
) -> Result<u8, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, program, &mut script);
    let mut out = io::stdout().lock();
    match out.write_all(&script).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::because(
            "could not write the script",
            &error,
            "check where stdout goes",
        )),
        _ => Ok(SUCCESS),
    }
}
