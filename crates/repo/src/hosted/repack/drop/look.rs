//! Looking whether anything uses what is to go, and writing what is used into packs of its own.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use packhouse_catalog::PackSource;
use packhouse_object::{
    Counted, Database, FinishedPack, IdSet, NewObject, ObjectCache, ObjectId, ObjectKind, Pack,
    Progress, ReadError, Wanted, count_objects, count_to_send, repack,
};

use super::super::failed;
use super::super::write::WriteError;
use crate::error::RepoError;
use crate::hosted::closure;

/// Bytes of decoded objects that are remembered meanwhile.
const CACHE_BYTES: u64 = 32 << 20;
/// So many of the last ids that stay are not looked up again: trees repeat most of what the tree before them had.
const REMEMBERED_IDS: usize = 1 << 18;

/// What is looked at.
pub(super) struct Look {
    /// The packs that stay.
    pub(super) kept: Vec<Arc<Pack>>,
    /// Those of them that need not have all that their objects reach, and were not looked through yet.
    pub(super) unsure: Vec<Arc<Pack>>,
    /// Those that are to go.
    pub(super) due: Vec<Arc<Pack>>,
    pub(super) tail: Vec<Arc<Vec<NewObject>>>,
    /// What refs point to.
    pub(super) wants: Vec<ObjectId>,
    /// What was found to stay, with all that it reaches.
    pub(super) haves: Vec<ObjectId>,
    pub(super) folder: PathBuf,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) stopping: Arc<AtomicBool>,
}

impl Progress for Look {
    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.stopping.load(Ordering::Relaxed)
    }
}

/// Whether what is to go is used.
pub(super) enum Found {
    /// Not at all.
    Unused,
    /// By refs, or by what stays: these packs have all of it.
    Used(Vec<(FinishedPack, PackSource)>),
}

/// Objects of the packs that are to go.
#[derive(Default)]
struct Used {
    /// What refs reach.
    reached: IdSet,
    /// What objects that stay name, or one of these, and no ref reaches.
    named: IdSet,
}

/// The places where objects are looked up.
struct Places {
    /// With nothing remembered: what the repository remembers of objects may be of the packs that go.
    all: Database,
    staying: Database,
    going: Database,
    /// Of those that stay.
    remembered: IdSet,
}

/// Where an object is.
enum Place {
    Stays,
    Goes,
}

impl Look {
    pub(super) fn run(&self) -> Result<Found, RepoError> {
        self.check_cancelled()?;
        let mut places = self.places();
        let mut used = Used::default();
        self.find_reached(&mut places, &mut used)?;
        self.find_named(&mut places, &mut used)?;
        let packs = self.write(&places.all, used).map_err(failed)?;
        Ok(match packs.is_empty() {
            true => Found::Unused,
            false => Found::Used(packs),
        })
    }

    fn places(&self) -> Places {
        let cache = Arc::new(ObjectCache::new(CACHE_BYTES));
        let database = || Database::new(cache.clone(), 0);
        let tail = || self.tail().cloned();
        Places {
            all: database()
                .with_packs([&self.kept[..], &self.due].concat())
                .with_objects(tail()),
            staying: database()
                .with_packs(self.kept.clone())
                .with_objects(tail()),
            going: database().with_packs(self.due.clone()),
            remembered: IdSet::default(),
        }
    }

    fn tail(&self) -> impl Iterator<Item = &NewObject> {
        self.tail.iter().flat_map(|row| row.iter())
    }

    /// What refs reach of what is to go.
    fn find_reached(&self, places: &mut Places, used: &mut Used) -> Result<(), RepoError> {
        let wanted = Wanted {
            wants: self.wants.clone(),
            haves: self.haves.clone(),
            ..Wanted::default()
        };
        // A pack with all that refs reached once may be what is to go now, with its bitmaps, which would say what is reached
        // without naming it.
        let counted;
        let to_send;
        let reached = match self.due.iter().any(|pack| pack.bitmap().is_some()) {
            true => {
                counted = count_objects(&places.all, &wanted, self).map_err(stopped)?;
                &counted.ids[..]
            }
            false => {
                to_send = count_to_send(&places.all, &wanted, self).map_err(stopped)?;
                to_send.others()
            }
        };
        for id in reached {
            if let Place::Goes = self.place(places, *id)? {
                used.reached.insert(*id);
            }
        }
        Ok(())
    }

    /// What is named of it by what stays, and by what is kept for that.
    fn find_named(&self, places: &mut Places, used: &mut Used) -> Result<(), RepoError> {
        let mut new: Vec<ObjectId> = Vec::new();
        let mut look = |id| self.name(id, places, used, &mut new);
        for object in self.tail() {
            closure::each_named_by(object, &mut look)?;
        }
        for pack in &self.unsure {
            closure::each_named_in(pack, &mut look)?;
        }
        while let Some(id) = new.pop() {
            let Some(header) = places.going.header(&id)? else {
                return Err(ReadError::NotFound { id }.into());
            };
            if header.kind == ObjectKind::Blob {
                continue;
            }
            let data = places.going.bytes_once(id, header.kind)?;
            let object = NewObject {
                id,
                kind: header.kind,
                data,
            };
            closure::each_named_by(&object, &mut |id| self.name(id, places, used, &mut new))?;
        }
        Ok(())
    }

    /// Notes that something that stays names an object, and in `new` that this was not known of one that is to go.
    fn name(
        &self,
        id: ObjectId,
        places: &mut Places,
        used: &mut Used,
        new: &mut Vec<ObjectId>,
    ) -> Result<(), RepoError> {
        let goes = matches!(self.place(places, id)?, Place::Goes);
        if goes && !used.reached.contains(&id) && used.named.insert(id) {
            new.push(id);
        }
        Ok(())
    }

    /// [`ReadError::NotFound`] if it is nowhere: then the repository was incomplete before.
    fn place(&self, places: &mut Places, id: ObjectId) -> Result<Place, RepoError> {
        if places.remembered.contains(&id) {
            return Ok(Place::Stays);
        }
        self.check_cancelled()?;
        // A database has the empty tree whether it is stored or not.
        let stays = match id.is_empty_tree() {
            true => {
                let is_stored = places.staying.place_in_packs(&id).is_some()
                    || self.tail().any(|object| object.id == id);
                is_stored || places.going.place_in_packs(&id).is_none()
            }
            false => places.staying.contains(&id)?,
        };
        if stays {
            if places.remembered.len() >= REMEMBERED_IDS {
                places.remembered.clear();
            }
            places.remembered.insert(id);
            return Ok(Place::Stays);
        }
        match places.going.contains(&id)? {
            true => Ok(Place::Goes),
            false => Err(ReadError::NotFound { id }.into()),
        }
    }

    fn write(
        &self,
        all: &Database,
        used: Used,
    ) -> Result<Vec<(FinishedPack, PackSource)>, WriteError> {
        let mut packs = Vec::new();
        let kinds = [
            (used.reached, PackSource::Repack),
            (used.named, PackSource::Unreachable),
        ];
        for (ids, source) in kinds {
            if !ids.is_empty() {
                let ids = Counted::exactly(ids.into_iter().collect());
                packs.push((repack(all, &ids, &self.folder, self)?, source));
            }
        }
        Ok(packs)
    }

    fn check_cancelled(&self) -> Result<(), RepoError> {
        match self.cancelled() {
            true => Err(RepoError::Stopped),
            false => Ok(()),
        }
    }
}

fn stopped(error: ReadError) -> RepoError {
    match error {
        ReadError::Cancelled => RepoError::Stopped,
        error => error.into(),
    }
}
