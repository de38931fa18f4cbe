//! Where new blobs go before a commit names them.
//!
//! A few small ones wait in memory and become loose objects; many become one pack, deflated by all processors; a large
//! one becomes a loose object at once, in pieces, hashed and stored on the way. What is never committed is removed.

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::Bytes;
use packhouse_object::{
    IdSet, NewObject, ObjectId, ObjectKind, PackFileWriter, ProcessMark, WritePackFileError,
    on_processors,
};
use rayon::prelude::*;

use super::copy::open_file;
use super::spool::{MEMORY_BYTES_MAX, Spool, Spooled};
use super::{Store, StoreError};
use crate::directory::{
    Bring, DirectoryError, StagedObject, is_there, stage, stage_stream, zlib_of,
};
use crate::given_up::WhileWanted;

/// The most objects of one write that become loose; more become a pack.
const LOOSE_OBJECTS_MAX: usize = 48;

/// The most bytes that wait in memory.
const PENDING_BYTES_MAX: usize = 8 << 20;

/// What is said to have failed of a pack.
const PACKING: &str = "write a pack in";

/// How much is read at once.
const PIECE_BYTES: usize = 64 << 10;

/// The most objects that wait in memory to go into a pack.
const PENDING_OBJECTS_MAX: usize = 4096;

/// Takes blobs of any size and number, in bounded memory. Of use only to the process that made it: one that is forked off
/// shares the files that are open.
pub struct BlobSink {
    store: Store,
    pending: Vec<NewObject>,
    pending_bytes: usize,
    staged: Vec<StagedObject>,
    pack: Option<PackFileWriter>,
    seen: IdSet,
    /// What waited in memory was lost when it could not be written, though its ids may be in trees to come.
    broken: bool,
    made_in: ProcessMark,
}

impl BlobSink {
    /// An empty sink of a store.
    pub fn new(store: &Store) -> BlobSink {
        BlobSink {
            store: store.clone(),
            pending: Vec::new(),
            pending_bytes: 0,
            staged: Vec::new(),
            pack: None,
            seen: IdSet::default(),
            broken: false,
            made_in: ProcessMark::here(),
        }
    }

    /// Takes a blob and returns its id.
    pub fn add(&mut self, data: &[u8]) -> Result<ObjectId, StoreError> {
        if data.len() > MEMORY_BYTES_MAX {
            return self.stage(data.len() as u64, &mut &*data);
        }
        self.add_bytes(Bytes::copy_from_slice(data))
    }

    /// As [`BlobSink::add`], without a copy.
    pub fn add_bytes(&mut self, data: Bytes) -> Result<ObjectId, StoreError> {
        if data.len() > MEMORY_BYTES_MAX {
            return self.stage(data.len() as u64, &mut &*data);
        }
        self.add_object(NewObject::new(ObjectKind::Blob, data)?)
    }

    /// Takes blobs that are hashed by all processors; their ids are in the same order.
    pub fn add_all(&mut self, blobs: Vec<Bytes>) -> Result<Vec<ObjectId>, StoreError> {
        let hash_all = || {
            let hashed = blobs.into_par_iter();
            hashed
                .map(|data| NewObject::new(ObjectKind::Blob, data))
                .collect::<Result<_, _>>()
        };
        let hashed: Vec<NewObject> = on_processors(hash_all)?;
        hashed
            .into_iter()
            .map(|object| self.add_object(object))
            .collect()
    }

    /// Takes a blob that is hashed already.
    pub fn add_object(&mut self, object: NewObject) -> Result<ObjectId, StoreError> {
        self.check()?;
        let id = object.id;
        if self.seen.insert(id) {
            self.pending_bytes += object.data.len();
            self.pending.push(object);
            let limit = match self.pack {
                Some(_) => PENDING_OBJECTS_MAX,
                None => LOOSE_OBJECTS_MAX,
            };
            if self.pending_bytes > PENDING_BYTES_MAX
                || self.pack.is_none() && self.pending.len() > limit
            {
                self.open_pack()?;
            }
            if self.pending_bytes > PENDING_BYTES_MAX || self.pending.len() >= PENDING_OBJECTS_MAX {
                self.flush()?;
            }
        }
        Ok(id)
    }

    /// Takes a blob of any size; `known_size` saves a copy of a large one and must be right.
    pub fn add_reader(
        &mut self,
        data: &mut dyn Read,
        known_size: Option<u64>,
    ) -> Result<ObjectId, StoreError> {
        match known_size {
            Some(size) if size > MEMORY_BYTES_MAX as u64 => self.stage(size, data),
            _ => {
                let mut spool = self.spool()?;
                self.fill(&mut spool, data)?;
                self.add_spooled(spool)
            }
        }
    }

    /// Takes the content of a file outside the store.
    pub fn add_file(&mut self, path: impl AsRef<Path>) -> Result<ObjectId, StoreError> {
        let path = path.as_ref();
        let local = || StoreError::local(path);
        // What is no file may have no end, or nobody who writes into it.
        let open = || open_file(path, true);
        let (file, metadata) = open()?;
        let size = metadata.len();
        let mut file = WhileWanted(file);
        if size <= MEMORY_BYTES_MAX as u64 {
            let mut data = Vec::with_capacity(size as usize + 1);
            file.read_to_end(&mut data).map_err(local())?;
            return self.add_bytes(data.into());
        }
        match self.add_reader(&mut file, Some(size)) {
            // It grows or shrinks while it is read.
            Err(StoreError::Repo(crate::RepoError::WritePack(WritePackFileError::Size {
                ..
            }))) => self.add_reader(&mut WhileWanted(open()?.0), None),
            result => result,
        }
        .map_err(|error| match error {
            StoreError::Source(source) => local()(source),
            error => error,
        })
    }

    /// Reads all of `data`. What cannot be read is its fault, what cannot be kept that of the repository's disk.
    fn fill(&self, spool: &mut Spool, data: &mut dyn Read) -> Result<(), StoreError> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            match data.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(len) => spool
                    .write_all(&piece[..len])
                    .map_err(in_quarantine(&self.store, "write a file in"))?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::Source(error)),
            }
        }
    }

    /// Data of unknown size, to be given to [`BlobSink::add_spooled`].
    pub(super) fn spool(&self) -> Result<Spool, StoreError> {
        self.check_process()?;
        self.store.inner.directory.check_writable()?;
        Ok(Spool::new(self.store.quarantine_dir()))
    }

    pub(super) fn add_spooled(&mut self, spool: Spool) -> Result<ObjectId, StoreError> {
        self.check_process()?;
        let spooled = spool.finish();
        match spooled.map_err(in_quarantine(&self.store, "write a file in"))? {
            Spooled::Memory(data) => self.add_bytes(data.into()),
            Spooled::File(mut file, size) => self.stage(size, &mut file),
        }
    }

    fn stage(&mut self, size: u64, data: &mut dyn Read) -> Result<ObjectId, StoreError> {
        self.check_process()?;
        let directory = &self.store.inner.directory;
        directory.check_writable()?;
        let staged = stage_stream(&directory.objects_dir(), size, data, self.level());
        let staged = staged.map_err(unwritten(&self.store, "write an object in"))?;
        let id = staged.id();
        if self.seen.insert(id) {
            self.staged.push(staged);
        }
        Ok(id)
    }

    /// Whether it takes the blob `id` along.
    pub(super) fn has(&self, id: &ObjectId) -> bool {
        self.seen.contains(id)
    }

    /// Refuses where this is the copy that a process has which was forked off.
    pub(super) fn check_process(&self) -> Result<(), StoreError> {
        Ok(self.made_in.check()?)
    }

    fn check(&self) -> Result<(), StoreError> {
        self.check_process()?;
        match self.broken {
            false => Ok(()),
            true => Err(StoreError::Failed {
                reason: "some of what was to be committed could not be stored before: begin anew"
                    .to_owned(),
            }),
        }
    }

    fn level(&self) -> Option<u32> {
        self.store.inner.options.level()
    }

    /// Writes what waits in memory to files, so that little is left to do when it is committed.
    pub(super) fn write_ahead(&mut self) -> Result<(), StoreError> {
        self.check_process()?;
        let directory = &self.store.inner.directory;
        directory.check_writable()?;
        if self.pack.is_none() {
            self.broken = true;
            let (objects, storing) = (directory.objects_dir(), self.store.storing());
            let (there, new): (Vec<_>, Vec<_>) = std::mem::take(&mut self.pending)
                .into_iter()
                .partition(|object| !storing.durable && is_there(&objects, object));
            for object in new {
                self.staged.push(stage(&objects, &object, storing.level)?);
            }
            // A collection may still remove those that nothing leads to: they are looked at again by who moves the ref.
            self.pending_bytes = there.iter().map(|object| object.data.len()).sum();
            self.pending = there;
            self.broken = false;
        }
        Ok(())
    }

    fn open_pack(&mut self) -> Result<(), StoreError> {
        if self.pack.is_none() {
            self.store.inner.directory.check_writable()?;
            let pack = PackFileWriter::create(self.store.quarantine_dir());
            self.pack = Some(pack.map_err(unwritten(&self.store, PACKING))?);
        }
        Ok(())
    }

    /// Moves what waits in memory into the pack, which must be open.
    fn flush(&mut self) -> Result<(), StoreError> {
        self.broken = true;
        self.move_to_pack()?;
        self.broken = false;
        Ok(())
    }

    fn move_to_pack(&mut self) -> Result<(), StoreError> {
        let (level, failed) = (self.level(), unwritten(&self.store, PACKING));
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let Some(pack) = &mut self.pack else {
            return Ok(());
        };
        let deflate_all = || {
            let deflated = pending.par_iter();
            deflated
                .map(|object| zlib_of(&object.data, level))
                .collect::<io::Result<_>>()
        };
        let deflated: Vec<Vec<u8>> = on_processors(deflate_all).map_err(WritePackFileError::Io)?;
        let mut all = pending.iter().zip(deflated);
        let added = all.try_for_each(|(object, zlib)| {
            pack.add_zlib(object.kind, object.data.len() as u64, object.id, &zlib)
        });
        added.map_err(failed)
    }

    /// Everything, with the trees and the commit that name it.
    pub(super) fn finish(mut self, others: Vec<NewObject>) -> Result<Bring, StoreError> {
        self.check()?;
        let loose = self.pack.is_none() && self.pending.len() + others.len() <= LOOSE_OBJECTS_MAX;
        let mut objects = std::mem::take(&mut self.pending);
        objects.extend(others);
        if loose {
            return Ok(Bring {
                objects,
                staged: self.staged,
                packs: Vec::new(),
            });
        }
        self.open_pack()?;
        self.pending = objects;
        self.flush()?;
        let failed = unwritten(&self.store, PACKING);
        let packs = match self.pack {
            Some(pack) => vec![pack.finish().map_err(failed)?],
            None => Vec::new(),
        };
        Ok(Bring {
            objects: Vec::new(),
            staged: self.staged,
            packs,
        })
    }
}

/// Says where on the repository's disk something failed. Nothing is made of the path before it does.
fn in_quarantine(store: &Store, action: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |source| {
        let failed = DirectoryError::Io {
            action,
            path: store.quarantine_dir().to_owned(),
            source,
        };
        failed.into()
    }
}

/// As [`in_quarantine`], of an object or a pack.
fn unwritten(store: &Store, action: &'static str) -> impl FnOnce(WritePackFileError) -> StoreError {
    move |error| match error {
        WritePackFileError::Io(source) => in_quarantine(store, action)(source),
        error => error.into(),
    }
}

impl std::fmt::Debug for BlobSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BlobSink({} blobs)", self.seen.len())
    }
}
