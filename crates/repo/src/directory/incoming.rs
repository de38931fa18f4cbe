//! Objects that came with a push and are not part of the repository yet.
//!
//! They are in a folder of their own among the repository's objects, as `git receive-pack` makes one, so that hooks can
//! look at them with `git`. What is not made part of the repository is removed with the folder.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use packhouse_object::{
    Database, IdSet, LooseError, LooseStore, MadeHere, NewObject, Pack, PackError, Progress,
    ReceiveError, ReceiveLimits, Received, receive_cut_pack,
};
use tempfile::TempDir;

use super::durable::{create_folders, sync_folder};
use super::error::DirectoryError;
use super::layout::ObjectsDir;
use super::loose_write::in_folder;
use super::store::reverse_index;

/// What the folder is called before six random letters: `git gc` removes such folders when they are old.
const PREFIX: &str = "tmp_objdir-incoming-";

/// The files of a pack in the order in which they get their places: one that reads finds an index only with its pack.
const PACK_ORDER: [&str; 3] = ["pack", "rev", "idx"];

/// Objects could not be taken in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncomingError {
    /// The pack was refused, or could not be read.
    #[error(transparent)]
    Pack(#[from] ReceiveError),
    /// The folder could not be written.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// An object could not be written.
    #[error("could not store an object as a file")]
    Loose(#[from] LooseError),
    /// The pack that was written cannot be read.
    #[error("could not read the pack that was stored")]
    Stored(#[from] PackError),
}

/// A folder of objects that are under way. Dropping it removes them.
#[derive(Debug)]
pub struct IncomingObjects {
    folder: MadeHere<TempDir>,
    objects: ObjectsDir,
    small: Vec<NewObject>,
    pack: Option<Arc<Pack>>,
}

impl IncomingObjects {
    pub(super) fn new(objects: ObjectsDir) -> Result<IncomingObjects, DirectoryError> {
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(6)
            .tempdir_in(&objects.path)
            .map_err(DirectoryError::io("make a folder in", &objects.path))?;
        let packs = folder.path().join("pack");
        fs::create_dir(&packs).map_err(DirectoryError::io("make", &packs))?;
        Ok(IncomingObjects {
            folder: MadeHere::new(folder),
            objects,
            small: Vec::new(),
            pack: None,
        })
    }

    /// Where they are, an object folder with the repository's own as its alternate.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Reads a pack into the folder and checks it as [`packhouse_object::receive_pack`] does: as loose objects if it is
    /// small by `limits`, else as a pack. The parents of the commits `cut_at` may be missing.
    pub fn receive(
        &mut self,
        input: &mut dyn Read,
        base: &Database,
        limits: &ReceiveLimits,
        cut_at: &IdSet,
        progress: &dyn Progress,
    ) -> Result<(), IncomingError> {
        let packs = self.folder.path().join("pack");
        match receive_cut_pack(input, &packs, base, limits, cut_at, progress)? {
            Received::Small(objects) => {
                LooseStore::open(self.folder.path()).write_all(&objects)?;
                self.small = objects;
            }
            Received::Large(finished) => {
                let name = packs.join(format!("pack-{}", finished.checksum));
                let [rev, pack, idx] = ["rev", "pack", "idx"].map(|part| name.with_extension(part));
                let reverse = reverse_index(&finished, &self.objects)?;
                let mut files = Vec::from_iter(reverse.map(|reverse| (reverse, &rev)));
                files.extend([(finished.pack, &pack), (finished.idx, &idx)]);
                for (temporary, path) in files {
                    temporary
                        .persist(path)
                        .map_err(|error| DirectoryError::io("make", path)(error.error))?;
                }
                self.pack = Some(Arc::new(Pack::open(&pack, &idx)?));
            }
        }
        Ok(())
    }

    /// Whether an object is among these.
    pub fn contains(&self, id: &packhouse_object::oid) -> bool {
        self.small.iter().any(|object| *object.id == *id)
            || self
                .pack
                .as_ref()
                .is_some_and(|pack| pack.lookup(id).is_some())
    }

    /// `base` with these objects.
    pub fn laid_over(&self, base: &Database) -> Database {
        let base = base.with_objects(self.small.iter().cloned());
        match &self.pack {
            Some(pack) => {
                let packs = std::iter::once(pack).chain(base.packs()).cloned();
                base.with_packs(packs.collect())
            }
            None => base,
        }
    }

    /// Makes them part of the repository, durably.
    pub fn keep(self) -> Result<(), DirectoryError> {
        let from = self.folder.path();
        let mut changed = Vec::new();
        for entry in list(from)? {
            let Some(name) = entry.file_name().filter(|name| *name != "pack") else {
                continue;
            };
            self.keep_loose(&entry, &self.objects.path.join(name))?;
            changed.push(self.objects.path.join(name));
        }
        let mut packs = list(&from.join("pack"))?;
        if !packs.is_empty() {
            packs.sort_by_key(|file| {
                let kind = file.extension();
                PACK_ORDER
                    .iter()
                    .position(|known| kind == Some(known.as_ref()))
            });
            let folder = self.objects.path.join("pack");
            create_folders(&self.objects.path, &folder, self.objects.sharing)
                .map_err(DirectoryError::io("make", &folder))?;
            let sharing = self.objects.sharing;
            sharing
                .publish(packs.iter().map(PathBuf::as_path), &folder)
                .map_err(DirectoryError::io("protect files for", &folder))?;
            for file in &packs {
                let renamed = rename_into(file, &folder);
                renamed.map_err(DirectoryError::io("make", &folder.join(name_of(file))))?;
            }
            changed.push(folder);
        }
        changed.push(self.objects.path.clone());
        // A folder that is gone again had its objects packed meanwhile; the folder above it says so, and comes last.
        changed.iter().try_for_each(|folder| {
            match sync_folder(folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                synced => synced,
            }
            .map_err(DirectoryError::io("sync", folder))
        })
    }

    fn keep_loose(&self, from: &Path, to: &Path) -> Result<(), DirectoryError> {
        let files = list(from)?;
        if files.is_empty() {
            return Ok(());
        }
        // While they get there, `git prune-packed` may find the folder empty, time and again, and remove it.
        let sharing = self.objects.sharing;
        in_folder(to, sharing, || {
            sharing.publish(files.iter().map(PathBuf::as_path), to)
        })
        .map_err(DirectoryError::io("protect files for", to))?;
        for file in &files {
            let renamed = in_folder(to, sharing, || match rename_into(file, to) {
                // Somebody has removed what was to be moved: no folder helps.
                Err(error) if error.kind() == ErrorKind::NotFound && !file.exists() => {
                    Err(io::Error::other(error))
                }
                renamed => renamed,
            });
            renamed.map_err(DirectoryError::io("make", &to.join(name_of(file))))?;
        }
        Ok(())
    }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect()
    };
    read().map_err(DirectoryError::io("list", folder))
}

fn name_of(file: &Path) -> &OsStr {
    file.file_name().unwrap_or_default()
}

fn rename_into(file: &Path, folder: &Path) -> io::Result<()> {
    match fs::rename(file, folder.join(name_of(file))) {
        // What is there under this name is the same.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use packhouse_object::ObjectKind;

    use super::super::permissions::Sharing;
    use super::*;

    #[test]
    fn objects_get_to_their_places_while_others_remove_empty_folders() {
        let folder = tempfile::tempdir().unwrap();
        let objects = ObjectsDir {
            path: folder.path().to_owned(),
            sharing: Sharing::Umask,
            reverse_indexes: false,
        };
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // As `git prune-packed` does, which leaves what is not packed.
                while !is_done.load(Ordering::Relaxed) {
                    for entry in fs::read_dir(folder.path()).unwrap().flatten() {
                        if entry.file_name().len() == 2 {
                            let _ = fs::remove_dir(entry.path());
                        }
                    }
                }
            });
            let mut kept = Vec::new();
            for number in 0..200 {
                let text = format!("{number}\n").into_bytes();
                let object = NewObject::new(ObjectKind::Blob, text).unwrap();
                let incoming = IncomingObjects::new(objects.clone()).unwrap();
                let written =
                    LooseStore::open(incoming.path()).write_all(std::slice::from_ref(&object));
                written.unwrap();
                let result = incoming.keep();
                if result.is_err() {
                    is_done.store(true, Ordering::Relaxed);
                }
                result.unwrap();
                kept.push(object.id);
            }
            is_done.store(true, Ordering::Relaxed);
            let loose = LooseStore::open(folder.path());
            assert!(kept.iter().all(|id| loose.contains(id).unwrap()));
        });
    }
}
