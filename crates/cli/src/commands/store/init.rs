//! `init`: an empty repository.

use std::fs;
use std::io;
use std::path::Path;

use clap::Args;
use packhouse_repo::store::{Create, Store, StoreOptions};

use super::failure::Failure;
use super::session::Session;

/// Make a repository with one branch
///
/// Commands that write make a missing repository themselves, so that this is seldom needed.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// The first branch
    #[arg(short, long, value_name = "NAME", default_value = "main")]
    branch: String,
    /// Remove the repository that is there, with everything in it
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(args: InitArgs, session: &Session) -> Result<(), Failure> {
    let path = session.path()?;
    let options = StoreOptions {
        create: Create::New {
            branch: Some(args.branch),
        },
        ..StoreOptions::default()
    };
    if !path.exists() {
        Store::open(&path, options)?;
    } else if args.force {
        replace(&path, options)?;
    } else {
        return Err(
            Failure::new(format!("Repository already exists: {}", path.display()))
                .hint("--force removes it and makes a new one"),
        );
    }
    session.tell(format_args!("Initialized {}", path.display()));
    Ok(())
}

/// Puts a new repository in the place of one. The old one goes when the new one is made.
fn replace(path: &Path, options: StoreOptions) -> Result<(), Failure> {
    // What is removed must be a repository, and not the home folder by mistake.
    Store::open(path, StoreOptions::default())?;
    let failed = |error: io::Error| Failure::local(path, &error);
    // A link stays, and leads to the new repository.
    let place = fs::canonicalize(path).map_err(failed)?;
    let beside = tempfile::Builder::new()
        .prefix(".new-store-")
        .tempdir_in(place.parent().unwrap_or(&place))
        .map_err(failed)?;
    let (new, old) = (beside.path().join("new"), beside.path().join("old"));
    Store::open(&new, options)?;
    fs::rename(&place, &old).map_err(failed)?;
    if let Err(error) = fs::rename(&new, &place) {
        fs::rename(&old, &place).map_err(failed)?;
        return Err(failed(error));
    }
    beside.close().map_err(failed)
}
