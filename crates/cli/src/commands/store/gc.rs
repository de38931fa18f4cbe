//! `gc` and `pack`: the repository's objects in order.

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::output::{self, Format};
use super::session::Session;

/// Pack loose objects and remove what nothing reaches
#[derive(Args, Debug)]
pub(crate) struct GcArgs {}

/// Put loose objects into one pack
#[derive(Args, Debug)]
pub(crate) struct PackArgs {}

#[derive(Serialize)]
struct Packed {
    packed: u64,
}

#[derive(Serialize)]
struct Removed {
    removed: u64,
}

pub(crate) fn gc(GcArgs {}: GcArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    let removed = store.gc(&session.progress("collecting garbage"))?;
    session.tell(format_args!("Removed {removed} object(s)"));
    match session.json() {
        true => output::value(Format::Json, &Removed { removed }, |_| Ok(())),
        false => Ok(()),
    }
}

pub(crate) fn pack(PackArgs {}: PackArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    let packed = store.pack(&session.progress("packing"))?;
    session.tell(format_args!("Packed {packed} object(s)"));
    match session.json() {
        true => output::value(Format::Json, &Packed { packed }, |_| Ok(())),
        false => Ok(()),
    }
}
