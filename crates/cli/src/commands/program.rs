//! What the commands have in common that stand in for Git's own programs: they speak on standard input and output, and
//! complain as `git` does.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use packhouse_programs::{Environment, Mode, ProgramCall, ProgramError};
use packhouse_wire::WireError;

use crate::error::{SUCCESS, causes};

/// Exit status of a `git` that cannot go on.
pub(crate) const FATAL: u8 = 128;

/// The flags and the argument of `git upload-pack` and `git receive-pack`. As for git, the last of a flag and its
/// opposite counts.
#[derive(Args, Debug)]
#[command(args_override_self = true)]
pub(crate) struct ProgramFlags {
    /// Do not try DIR/.git, DIR.git and DIR.git/.git
    #[arg(long, overrides_with = "no_strict")]
    strict: bool,
    #[arg(long, hide = true)]
    no_strict: bool,
    /// Give up on a client that says nothing for SECONDS; 0 is for ever
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        overrides_with = "no_timeout"
    )]
    timeout: u64,
    #[arg(long, hide = true)]
    no_timeout: bool,
    /// Answer one request, as over HTTP
    #[arg(long, overrides_with = "no_stateless_rpc")]
    stateless_rpc: bool,
    #[arg(long, hide = true)]
    no_stateless_rpc: bool,
    /// Say what there is, and no more
    #[arg(
        long,
        alias = "advertise-refs",
        overrides_with = "no_http_backend_info_refs"
    )]
    http_backend_info_refs: bool,
    #[arg(long, alias = "no-advertise-refs", hide = true)]
    no_http_backend_info_refs: bool,
    /// The repository
    dir: PathBuf,
}

impl ProgramFlags {
    pub(crate) fn call(self) -> ProgramCall {
        ProgramCall {
            dir: self.dir,
            strict: self.strict,
            timeout: (self.timeout > 0).then(|| Duration::from_secs(self.timeout)),
            quiet: false,
            mode: match (self.http_backend_info_refs, self.stateless_rpc) {
                (true, _) => Mode::Advertise,
                (false, true) => Mode::StatelessRpc,
                (false, false) => Mode::Connection,
            },
        }
    }
}

/// The environment of this process.
pub(crate) fn environment() -> Environment {
    std::env::vars_os().collect()
}

/// Standard input and output without the buffers that are for people.
pub(crate) fn streams() -> io::Result<(File, File)> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok((input.into(), output.into()))
}

/// Runs a program on standard input and output, and returns the exit status.
pub(crate) fn run(program: impl FnOnce(File, &mut File) -> Result<(), ProgramError>) -> u8 {
    let done = match streams() {
        Ok((input, mut output)) => program(input, &mut output),
        Err(error) => {
            crate::complain(&format!("fatal: no standard input or output: {error}"));
            return FATAL;
        }
    };
    match done {
        Ok(()) => SUCCESS,
        // Nobody is there to be told.
        Err(ProgramError::Wire(WireError::Gone(_))) => FATAL,
        Err(error) => {
            crate::complain(&format!("fatal: {}", causes(&error)));
            FATAL
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Called {
        #[command(flatten)]
        program: ProgramFlags,
    }

    #[test]
    fn the_last_of_a_flag_and_its_opposite_counts() {
        let call = |flags: &[&str]| {
            let words = [&["upload-pack"][..], flags, &["dir"]].concat();
            Called::try_parse_from(words).unwrap().program.call()
        };
        assert!(call(&["--strict", "--strict"]).strict);
        assert!(!call(&["--strict", "--no-strict"]).strict);
        assert!(call(&["--no-strict", "--strict"]).strict);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(call(&["--timeout=1", "--timeout", "2"]).timeout, seconds(2));
        assert_eq!(call(&["--timeout=1", "--no-timeout"]).timeout, None);
        assert_eq!(call(&["--no-timeout", "--timeout=1"]).timeout, seconds(1));
        let mode = |flags: &[&str]| call(flags).mode;
        assert_eq!(mode(&["--advertise-refs"]), Mode::Advertise);
        assert_eq!(
            mode(&["--advertise-refs", "--no-advertise-refs", "--stateless-rpc"]),
            Mode::StatelessRpc
        );
    }
}
