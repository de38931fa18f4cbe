//! The blobs that a patch makes: in memory while they are few, in a pack file beyond.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use packhouse_object::{
    Database, FinishedPack, IdSet, NewObject, ObjectId, ObjectKind, PackFileWriter,
};

use super::PatchError;

/// Where blobs go.
#[derive(Debug)]
pub(super) struct Blobs {
    /// Where the pack file is made; `None`: there is none, and more than `memory_bytes` is too much.
    folder: Option<PathBuf>,
    memory_bytes: usize,
    /// The largest there may be.
    file_bytes: u64,
    held: Vec<NewObject>,
    held_bytes: usize,
    known: IdSet,
    pack: Option<PackFileWriter>,
}

/// Blobs, stored as far as they can be before a ref names them.
#[derive(Debug, Default)]
pub(super) struct NewBlobs {
    pub blobs: Vec<NewObject>,
    pub packs: Vec<FinishedPack>,
}

impl Blobs {
    /// None yet.
    pub(super) fn new(folder: Option<&Path>, memory_bytes: usize, file_bytes: u64) -> Blobs {
        Blobs {
            folder: folder.map(Path::to_owned),
            memory_bytes,
            file_bytes,
            held: Vec::new(),
            held_bytes: 0,
            known: IdSet::default(),
            pack: None,
        }
    }

    /// Adds one, unless it is in `database`. `Ok(None)`: there is no room for it.
    pub(super) fn add(
        &mut self,
        database: &Database,
        content: Bytes,
    ) -> Result<Option<ObjectId>, PatchError> {
        let (size, limit) = (content.len() as u64, self.file_bytes);
        if size > limit {
            return Err(PatchError::FileTooLarge { size, limit });
        }
        let blob = NewObject::new(ObjectKind::Blob, content)?;
        let id = blob.id;
        if self.known.contains(&id) || database.contains(&id)? {
            return Ok(Some(id));
        }
        self.known.insert(id);
        if let Some(pack) = &mut self.pack {
            pack.add_new(&blob)?;
            return Ok(Some(id));
        }
        self.held_bytes += blob.data.len() + size_of::<NewObject>();
        self.held.push(blob);
        if self.held_bytes <= self.memory_bytes {
            return Ok(Some(id));
        }
        let Some(folder) = &self.folder else {
            return Ok(None);
        };
        let mut pack = PackFileWriter::create(folder)?;
        for blob in self.held.drain(..) {
            pack.add_new(&blob)?;
        }
        self.pack = Some(pack);
        Ok(Some(id))
    }

    /// All of them.
    pub(super) fn finish(self) -> Result<NewBlobs, PatchError> {
        let pack = self.pack.map(PackFileWriter::finish).transpose()?;
        Ok(NewBlobs {
            blobs: self.held,
            packs: pack.into_iter().collect(),
        })
    }
}
