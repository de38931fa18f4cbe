//! `packhouse receive-pack`: takes a push into a repository on disk, in the place of `git receive-pack`.

use clap::Args;

use super::program::{self, ProgramFlags};

/// Take a push into a repository on disk, in the place of git receive-pack
///
/// Speaks Git's protocol on standard input and output. Clients name it with --receive-pack, or reach it over SSH. The
/// repository's settings and hooks decide what is taken.
#[derive(Args, Debug)]
pub(crate) struct ReceivePackArgs {
    #[command(flatten)]
    program: ProgramFlags,
}

pub(crate) fn run(args: ReceivePackArgs) -> u8 {
    let call = args.program.call();
    program::run(|input, out| {
        packhouse_programs::receive_pack(&call, &program::environment(), Box::new(input), out)
    })
}
