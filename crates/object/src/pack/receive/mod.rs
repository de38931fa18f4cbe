//! Receiving a pack from a stranger.
//!
//! The pack is read once, into a quarantine, while every entry is inflated and every whole object
//! hashed ([`scan`]). Deltas wait in memory as far as there is room ([`kept`]), and then are
//! applied, bases first ([`resolve`]). Every object is checked, and so is that nothing is missing
//! ([`links`]) and that no file Git reads does harm ([`special`]). At the end a thin pack is given
//! the bases it lacks, and an index is written ([`finish`]). A small pack becomes objects in memory
//! instead, and no file is written for it.
//!
//! Nothing here trusts a number in the pack: memory follows what has arrived, within
//! [`ReceiveLimits::memory_bytes`] for content beside some 100 bytes an object, and work follows
//! the size of the pack ([`ReceiveLimits::expansion_ratio`]).

mod budget;
mod by_id;
mod error;
mod family;
mod finish;
mod input;
mod kept;
mod limits;
mod links;
mod quarantine;
mod resolve;
mod scan;
mod special;
mod table;
mod worker;

use std::fmt::Display;
use std::io::Read;
use std::path::Path;

pub use error::ReceiveError;
pub use limits::ReceiveLimits;

use super::FinishedPack;
use crate::{Database, IdSet, NewObject, ObjectId, Progress};

/// A pack that was received, whole and checked.
#[derive(Debug)]
pub enum Received {
    /// The objects of a small pack, in its order; nothing is on disk.
    Small(Vec<NewObject>),
    /// A pack file with its index, synced.
    Large(FinishedPack),
}

/// What all parts of receiving one pack look at.
#[derive(Clone, Copy)]
struct Context<'a> {
    dir: &'a Path,
    base: &'a Database,
    limits: &'a ReceiveLimits,
    progress: &'a dyn Progress,
    /// Commits of the pack whose parents may be missing.
    cut_at: &'a IdSet,
}

impl Context<'_> {
    /// Whether an object is taken despite a fault.
    fn tolerates(&self, id: ObjectId, fault: &dyn Display) -> bool {
        self.limits.rules.tolerate(id, fault, self.progress)
    }

    fn check_cancelled(&self) -> Result<(), ReceiveError> {
        if self.progress.cancelled() {
            Err(ReceiveError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// Reads a pack from `input`, exactly up to its end, and checks it.
///
/// When this returns, every object in the pack is well formed and hashes to its id, and every
/// object that one of them names is in the pack or in `base`, and the files among these that Git
/// itself reads ([`crate::SpecialFile`]) are sound. Temporary files are in `dir`, and
/// none is left there unless it is in the result. After an error, whatever was not read of `input`
/// is still there.
pub fn receive_pack(
    input: &mut dyn Read,
    dir: &Path,
    base: &Database,
    limits: &ReceiveLimits,
    progress: &dyn Progress,
) -> Result<Received, ReceiveError> {
    receive_cut_pack(input, dir, base, limits, &IdSet::default(), progress)
}

/// As [`receive_pack`], for a pack of someone whose own history is cut off: the parents of the commits `cut_at` need be
/// neither in the pack nor in `base`.
pub fn receive_cut_pack(
    input: &mut dyn Read,
    dir: &Path,
    base: &Database,
    limits: &ReceiveLimits,
    cut_at: &IdSet,
    progress: &dyn Progress,
) -> Result<Received, ReceiveError> {
    let context = Context {
        dir,
        base,
        limits,
        progress,
        cut_at,
    };
    let scanned = scan::scan(input, context)?;
    if scanned.is_small(limits) {
        finish::into_objects(scanned, context).map(Received::Small)
    } else {
        finish::into_pack(scanned, context).map(Received::Large)
    }
}
