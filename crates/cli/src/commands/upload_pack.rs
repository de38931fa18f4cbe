//! `packhouse upload-pack`: serves fetches from a repository on disk, in the place of `git upload-pack`.

use clap::Args;

use super::program::{self, ProgramFlags};

/// Serve a fetch from a repository on disk, in the place of git upload-pack
///
/// Speaks Git's protocol on standard input and output. Clients name it with --upload-pack, or reach it over SSH.
#[derive(Args, Debug)]
pub(crate) struct UploadPackArgs {
    #[command(flatten)]
    program: ProgramFlags,
}

pub(crate) fn run(args: UploadPackArgs) -> u8 {
    let call = args.program.call();
    program::run(|input, out| {
        packhouse_programs::upload_pack(&call, &program::environment(), Box::new(input), out)
    })
}
