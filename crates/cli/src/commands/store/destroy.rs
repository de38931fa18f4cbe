//! `destroy`: removes a repository.

use std::fs;

use clap::Args;
use packhouse_repo::store::Store;

use super::failure::Failure;
use super::session::Session;

/// Remove the repository
#[derive(Args, Debug)]
pub(crate) struct DestroyArgs {
    /// Also if it holds files or tags
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(args: DestroyArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    if !args.force && holds_data(&store)? {
        return Err(Failure::new("Repository is not empty").hint("--force removes it anyway"));
    }
    let path = store.path();
    fs::remove_dir_all(path).map_err(|error| Failure::local(path, &error))?;
    session.tell(format_args!("Destroyed {}", path.display()));
    Ok(())
}

fn holds_data(store: &Store) -> Result<bool, Failure> {
    if !store.tags().is_empty()? {
        return Ok(true);
    }
    let branches = store.branches();
    for name in branches.names()? {
        if !branches.get(&name)?.ls("")?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
