//! `gitserve`: the repository for `git clone`, `fetch` and, if allowed, `push`.

use clap::Args;
use packhouse_programs::PushPlace;
use packhouse_repo::directory::{self, DirectoryOptions};
use packhouse_server::{GitAccess, Limits, git_router};

use super::failure::Failure;
use super::listen::{self, ListenFlags};
use super::mirror::name_current;
use super::session::Session;

/// Serve the repository to git over HTTP, read-only unless --writable is given
#[derive(Args, Debug)]
pub(crate) struct GitserveArgs {
    #[command(flatten)]
    listen: ListenFlags,
    /// Take pushes, from whoever can connect; the repository's settings and hooks apply
    #[arg(long)]
    writable: bool,
}

pub(crate) fn run(args: GitserveArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    name_current(&store, session)?;
    let repository = directory::open(store.path(), DirectoryOptions::default())
        .map_err(|error| Failure::because("Could not open the repository", &error))?;
    let who = store.identity().to_string();
    let pushes = match args.writable {
        true => {
            let environment = crate::commands::program::environment();
            let place = PushPlace::open(store.path(), &environment, who.clone())
                .map_err(|error| Failure::because("Could not open the repository", &error))?;
            Some(place)
        }
        false => None,
    };
    let access = GitAccess { pushes, who };
    let router = git_router(repository, access, Limits::default());
    listen::run(&args.listen, router, session, |address| {
        format!("Serving git at http://{address}/")
    })
}
