//! `packhouse shell`: what a key in `authorized_keys` may run.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use packhouse_programs::{Mode, ProgramCall, restricted_command};
use packhouse_wire::Service;

use super::program::{self, FATAL};

/// Run what an SSH client asks for, if that is a fetch or a push
///
/// For authorized_keys: command="packhouse shell",restrict ssh-ed25519 ... A client then can fetch and push with the
/// rights of the user it logs in as, and nothing else.
#[derive(Args, Debug)]
pub(crate) struct ShellArgs {
    /// Refuse pushes
    #[arg(long)]
    read_only: bool,
    /// What the client asks for
    #[arg(
        long,
        env = "SSH_ORIGINAL_COMMAND",
        value_name = "COMMAND",
        hide_env_values = true
    )]
    command: Option<OsString>,
}

pub(crate) fn run(args: ShellArgs) -> u8 {
    let Some(command) = args.command.filter(|command| !command.is_empty()) else {
        crate::complain("fatal: this account is for fetches and pushes; it has no shell");
        return FATAL;
    };
    let Some(allowed) = restricted_command(command.as_bytes()) else {
        let shown = command.to_string_lossy();
        let shown = shown.escape_debug();
        crate::complain(&format!("fatal: unrecognized command '{shown}'"));
        return FATAL;
    };
    if args.read_only && allowed.service == Service::ReceivePack {
        crate::complain("fatal: pushes are not taken with this key");
        return FATAL;
    }
    let call = ProgramCall {
        dir: allowed.dir,
        strict: false,
        timeout: None,
        quiet: false,
        mode: Mode::Connection,
    };
    let environment = program::environment();
    program::run(|input, out| match allowed.service {
        Service::UploadPack => {
            packhouse_programs::upload_pack(&call, &environment, Box::new(input), out)
        }
        Service::ReceivePack => {
            packhouse_programs::receive_pack(&call, &environment, Box::new(input), out)
        }
    })
}
