//! Gathering loose objects in a pack.
//!
//! A new pack is durable and in its place before anything it replaces is removed, so that whoever
//! stops on the way, by `kill -9` even, leaves objects twice and never misses one.

use packhouse_object::{
    Counted, Database, IdSet, ObjectId, Progress, ReadError, Wanted, WritePackError, count_objects,
    repack,
};

use super::{Store, StoreError, StoreProgress};
use crate::directory::{Roots, move_pack};
use crate::error::RepoError;

impl Store {
    /// Moves loose objects that are in use into one pack; what nobody names stays loose. Returns how many were moved. Where there are
    /// several packs then, Git's multi-pack index is made one of all of them, with bitmaps, unless `core.multiPackIndex` is false.
    ///
    /// Others may read and write meanwhile, `git` too.
    pub fn pack(&self, progress: &dyn StoreProgress) -> Result<u64, StoreError> {
        let directory = &self.inner.directory;
        directory.check_writable()?;
        self.check_packs()?;
        // What is named from now on may not be in a pack in the end.
        let tips = self.tips();
        let moved = self.pack_loose(progress)?;
        self.index_packs(tips, false, progress)?;
        Ok(moved)
    }

    fn pack_loose(&self, progress: &dyn StoreProgress) -> Result<u64, StoreError> {
        let directory = &self.inner.directory;
        let roots = directory.roots()?;
        let loose = directory.local_loose()?;
        if loose.is_empty() {
            return Ok(0);
        }
        let database = self.database()?;
        let reachable = reachable(&database, &roots, progress)?;
        let packs = directory.local_packs()?;
        let is_packed = |id: &ObjectId| packs.iter().any(|local| local.pack.lookup(id).is_some());
        let is_loose = |id: &&ObjectId| loose.contains_key(*id);
        let ids: Vec<ObjectId> = reachable.ids.iter().filter(is_loose).copied().collect();
        let missing: Vec<ObjectId> = ids.iter().filter(|id| !is_packed(id)).copied().collect();
        self.store_pack(&database, missing, None, progress)?;
        // All of these are in a pack that is durable now, in one of those that were there or in the new one. A writer
        // may be about to sync the folder of one of them.
        let _turn = directory.enter()?;
        Ok(directory.remove_loose(&ids, |_| true)?)
    }

    /// What the refs name now.
    pub(super) fn tips(&self) -> Result<Vec<ObjectId>, RepoError> {
        Ok(self.inner.directory.read_view()?.tips())
    }

    /// Makes the multi-pack index one of all packs. Returns how many they are, 0 if there is none. Then, if everything in use was
    /// `gathered` in a pack, that gets bitmaps of its own.
    pub(super) fn index_packs(
        &self,
        tips: Result<Vec<ObjectId>, RepoError>,
        gathered: bool,
        progress: &dyn StoreProgress,
    ) -> Result<u64, StoreError> {
        let directory = &self.inner.directory;
        let indexed = tips.and_then(|tips| {
            let packs = directory.index_packs(&tips, &Told(progress))?;
            if packs == 0 && gathered {
                directory.add_bitmap(&tips, &Told(progress))?;
            }
            Ok(packs)
        });
        match indexed {
            Ok(packs) => Ok(packs),
            Err(RepoError::Read(ReadError::Cancelled)) => Err(StoreError::Cancelled),
            // Everything works without it.
            Err(error) => {
                tracing::warn!(%error, "no multi-pack index or no bitmaps were written");
                Ok(0)
            }
        }
    }

    /// Writes a pack of these objects into its place, if there are any. With `modified` it looks that old.
    pub(super) fn store_pack(
        &self,
        database: &Database,
        ids: Vec<ObjectId>,
        modified: Option<std::time::SystemTime>,
        progress: &dyn StoreProgress,
    ) -> Result<Option<ObjectId>, StoreError> {
        if ids.is_empty() {
            return Ok(None);
        }
        let counted = Counted::exactly(ids);
        let written = repack(database, &counted, self.quarantine_dir(), &Told(progress));
        let pack = written.map_err(of_write)?;
        let checksum = pack.checksum;
        if let Some(modified) = modified {
            let aged = std::fs::File::open(&pack.pack).and_then(|file| file.set_modified(modified));
            aged.map_err(|error| RepoError::io("set the time of", &pack.pack, error))?;
        }
        move_pack(pack, &self.inner.directory.objects_dir())?;
        Ok(Some(checksum))
    }
}

/// Everything that is in use. Roots that are not there keep nothing.
pub(super) fn reachable(
    database: &Database,
    roots: &Roots,
    progress: &dyn StoreProgress,
) -> Result<Counted, StoreError> {
    let mut wants = Vec::with_capacity(roots.ids.len());
    for id in &roots.ids {
        if database.contains(id)? {
            wants.push(*id);
        }
    }
    // So that the same objects make the same pack.
    wants.sort_unstable();
    let wanted = Wanted {
        wants,
        ..Wanted::default()
    };
    count_objects(database, &wanted, &Told(progress)).map_err(of_read)
}

/// A store's progress, told by the object database.
pub(super) struct Told<'a>(pub(super) &'a dyn StoreProgress);

impl Progress for Told<'_> {
    fn counting(&self, n: u64) {
        self.0.step(n, None);
    }

    fn writing(&self, done: u64, total: u64) {
        self.0.step(done, Some(total));
    }

    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

pub(super) fn of_read(error: ReadError) -> StoreError {
    match error {
        ReadError::Cancelled => StoreError::Cancelled,
        error => error.into(),
    }
}

pub(super) fn of_write(error: WritePackError) -> StoreError {
    match error {
        WritePackError::Read(error) => of_read(error),
        WritePackError::Write(error) => packhouse_object::WritePackFileError::Io(error).into(),
        error => StoreError::Failed {
            reason: error.to_string(),
        },
    }
}

/// Ids as a set.
pub(super) fn as_set<'a>(ids: impl IntoIterator<Item = &'a ObjectId>) -> IdSet {
    ids.into_iter().copied().collect()
}
