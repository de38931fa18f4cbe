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

/// The flags and the argument of `git upload-pack` and `git receive-pack`.
#[derive(Args, Debug)]
pub(crate) struct ProgramFlags {
    /// Do not try DIR/.git, DIR.git and DIR.git/.git
    #[arg(long)]
    strict: bool,
    /// Give up on a client that says nothing for SECONDS; 0 is for ever
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout: u64,
    /// Answer one request, as over HTTP
    #[arg(long)]
    stateless_rpc: bool,
    /// Say what there is, and no more
    #[arg(long, alias = "advertise-refs")]
    http_backend_info_refs: bool,
    /// The repository
    dir: PathBuf,
}

impl ProgramFlags {
    pub(crate) fn call(self) -> ProgramCall {
        ProgramCall {
            dir: self.dir,
            strict: self.strict,
            timeout: (self.timeout > 0).then(|| Duration::from_secs(self.timeout)),
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
