//! `init`: an empty repository.

use std::fs;

use clap::Args;
use packhouse_repo::store::{Create, Store, StoreOptions};

use super::failure::Failure;
use super::session::{self, Session};

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
    let mut place = path.clone();
    if path.exists() {
        if !args.force {
            return Err(
                Failure::new(format!("Repository already exists: {}", path.display()))
                    .hint("--force removes it and makes a new one"),
            );
        }
        // What is removed must be a repository, and not the home folder by mistake.
        Store::open(&path, StoreOptions::default())?;
        // A link stays, and leads to the new repository.
        place = fs::canonicalize(&path).map_err(|error| Failure::local(&path, &error))?;
        fs::remove_dir_all(&place).map_err(|error| Failure::local(&place, &error))?;
    }
    let create = Create::New {
        branch: Some(args.branch),
    };
    session::open_with(&place, create)?;
    session.tell(format_args!("Initialized {}", path.display()));
    Ok(())
}
