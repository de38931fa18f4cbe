//! Repacking: packs of a repository give way to others that hold their objects.
//!
//! The new packs are in the bucket before `repack` is called. What keeps the result right when two nodes do it at once, or
//! when somebody else repacked meanwhile, is that all packs that are to go must still be listed. Packs that were pushed or
//! folded since are not among those, and stay.
//!
//! A repack loses no object, with one exception: a *drop* takes packs of what no ref reached out of the list, and puts
//! nothing in their place. What always holds: **no object is lost that a ref reaches, or that anything builds on which is
//! still to be written.** These checks see to that, each in the transaction itself, under the lock of the repository's row:
//! - a drop is refused unless the repository has the very generation on which it was seen that nothing needs the packs:
//!   so whatever was published before it was looked at;
//! - a publish, a fork or a repack is refused if objects were dropped since the generation of the state it was checked
//!   against, or made from: so whatever comes after it was made without them.

use crate::ids::RepoId;
use crate::lane::{Done, Work};
use crate::publish::NewPack;
use crate::{Catalog, CatalogError};

/// A repack to record.
#[derive(Clone, Debug)]
pub struct Repack {
    /// The repository.
    pub repo: RepoId,
    /// The packs that give way, by their keys.
    pub replaced: Vec<[u8; 32]>,
    /// The packs that hold their objects. One may have the key of one that gives way: then it is listed anew.
    pub packs: Vec<NewPack>,
    /// When: from now on what no ref reached is kept apart.
    pub at_ms: i64,
    /// The generation of the state that the packs were made from.
    pub made_at: i64,
    /// Of a drop: the generation on which it was seen that nothing needs what only the packs that go have.
    pub drops_at: Option<i64>,
}

/// Why nothing was repacked.
#[derive(Debug, thiserror::Error)]
pub enum RepackError {
    /// The repository no longer lists all of these packs: somebody else repacked it, or it was deleted.
    #[error("the packs were replaced by somebody else meanwhile")]
    Raced,
    /// Of a drop: the repository has changed since it was looked at. Of any other repack: it has dropped objects since.
    #[error("the repository has changed")]
    Stale,
    /// Packs lay unlisted for so long that their bytes are being deleted. Store the bytes again under other names.
    #[error("{} packs are being deleted", keys.len())]
    Condemned {
        /// The packs.
        keys: Vec<[u8; 32]>,
    },
    /// The catalog failed.
    #[error("could not repack")]
    Catalog(#[from] CatalogError),
}

impl Catalog {
    /// Lists the new packs in the place of the old ones, in one transaction. Returns the new generation.
    pub async fn repack(&self, repack: Repack) -> Result<i64, RepackError> {
        match self.submit(repack.repo, Work::Repack(repack)).await? {
            Done::Generation(generation) => Ok(generation),
            Done::Condemned(keys) => Err(RepackError::Condemned { keys }),
            Done::Stale => Err(RepackError::Stale),
            _ => Err(RepackError::Raced),
        }
    }
}
