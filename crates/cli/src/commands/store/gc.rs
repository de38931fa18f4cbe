//! `gc` and `pack`: the repository's objects in order.

use clap::Args;
use packhouse_repo::store::GcOptions;
use serde::Serialize;

use super::failure::Failure;
use super::session::Session;

/// Put everything in use into one pack, and remove what nobody has named for two weeks
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
struct Cleaned {
    packed: u64,
    pruned: u64,
    loose_removed: u64,
    packs_removed: u64,
}

pub(crate) fn gc(GcArgs {}: GcArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    let progress = session.progress("cleaning up");
    let report = store.gc_with(&GcOptions::default(), &progress)?;
    drop(progress);
    session.tell(format_args!(
        "Packed {} object(s), removed {}",
        report.packed, report.pruned
    ));
    let cleaned = Cleaned {
        packed: report.packed,
        pruned: report.pruned,
        loose_removed: report.loose_removed,
        packs_removed: report.packs_removed,
    };
    session.report(&cleaned)
}

pub(crate) fn pack(PackArgs {}: PackArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    let progress = session.progress("packing");
    let packed = store.pack(&progress)?;
    drop(progress);
    session.tell(format_args!("Packed {packed} object(s)"));
    session.report(&Packed { packed })
}
