//! `packhouse receive-pack`: takes a push into a repository on disk, in the place of `git receive-pack`.

use clap::Args;
use packhouse_programs::ProgramCall;

use super::program::{self, ProgramFlags};

/// Take a push into a repository on disk, in the place of git receive-pack
///
/// Speaks Git's protocol on standard input and output. Clients name it with --receive-pack, or reach it over SSH. The
/// repository's settings and hooks decide what is taken.
#[derive(Args, Debug)]
pub(crate) struct ReceivePackArgs {
    /// Do not tell the client how far the work is
    #[arg(short, long, overrides_with = "no_quiet")]
    quiet: bool,
    #[arg(long, hide = true)]
    no_quiet: bool,
    // Git's own tests have these. Objects are looked for all the same, wherever they are.
    #[arg(long, hide = true)]
    skip_connectivity_check: bool,
    #[arg(long, hide = true)]
    reject_thin_pack_for_testing: bool,
    #[command(flatten)]
    program: ProgramFlags,
}

pub(crate) fn run(args: ReceivePackArgs) -> u8 {
    let call = ProgramCall {
        quiet: args.quiet,
        ..args.program.call()
    };
    program::run(|input, out| {
        packhouse_programs::receive_pack(&call, &program::environment(), Box::new(input), out)
    })
}
