//! Writing a multi-pack index: in which of several packs each object is, and bitmaps about the objects of all of them, for readers
//! here and for `git`. Where one pack has everything, its bitmaps are beside it.
//!
//! What always holds:
//! - an index names no pack that this crate removed: whoever removes a pack removes the index first, and whoever puts an index into
//!   its place looks first whether its packs are there, both in the turn of writers;
//! - it takes the place of the one before in one step, under Git's lock; its bitmaps are there before it, and those of the one before
//!   go after it.
//!
//! A `git repack` takes no lock, and removes packs while an index is being written. It removes the index that it finds then. One that
//! comes in the moment between names packs that are gone: readers here pass it over, `git` does without what it cannot open, and
//! the next look at it here replaces it.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use packhouse_object::{
    Bitmapped, BuildBitmapError, MultiPack, ObjectId, Pack, PackToIndex, Progress, ReadError,
    WriteMultiPackIndexError, build_bitmap, write_multi_pack_index,
};
use tempfile::TempPath;

use super::backend::Directory;
use super::durable::{remove_file, sync_folder};
use super::error::DirectoryError;
use super::layout::config_flag;
use super::local_objects::{LocalPack, PackKind};
use crate::error::RepoError;

/// Git removes files that begin so when they are old.
const PREFIX: &str = "tmp_midx_";

/// An index under a temporary name, and its bitmaps.
struct Written {
    index: TempPath,
    bitmap: Option<TempPath>,
    checksum: ObjectId,
}

impl Directory {
    /// Makes the multi-pack index one of all packs that are here, with bitmaps of what `tips` reach. None is made where there is no
    /// second pack, and nothing is done if the settings forbid it. Returns how many packs the index is about.
    pub(crate) fn index_packs(
        &self,
        tips: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<u64, RepoError> {
        if config_flag(self.git_dir(), "core", "multiPackIndex") == Some(false) {
            return Ok(0);
        }
        let packs = self.local_packs()?;
        let filled = packs.iter().filter(|local| local.pack.object_count() > 0);
        let are_several = filled.count() > 1;
        let with_bitmap = are_several && !tips.is_empty() && self.gets_bitmaps()?;
        let path = self.objects_dir().path.join("pack/multi-pack-index");
        // One of a single pack is somebody else's, who may want its bitmaps.
        if is_index_of(&path, &packs, with_bitmap) {
            return Ok(packs.len() as u64);
        }
        if !are_several {
            self.remove_multi_pack_index()?;
            return Ok(0);
        }
        let written = self.write_index(&packs, tips, with_bitmap, progress)?;
        let is_in_place = self.put_in_place(written, &path, &packs)?;
        Ok(if is_in_place { packs.len() as u64 } else { 0 })
    }

    /// Gives the pack that most objects are in bitmaps of what `tips` reach, as `git repack -b` does, unless it has some, the settings
    /// forbid it, it is marked to be kept as it is, or something that is reached is elsewhere. Returns whether it has some then.
    pub(crate) fn add_bitmap(
        &self,
        tips: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<bool, RepoError> {
        let packs = self.local_packs()?;
        let Some(local) = packs.get(preferred(&packs)) else {
            return Ok(false);
        };
        let is_fit = local.kind == PackKind::Ordinary && local.pack.object_count() > 0;
        if !is_fit || tips.is_empty() || !self.gets_bitmaps()? {
            return Ok(false);
        }
        let path = local.pack.path();
        // Opened anew: a pack looks for its bitmaps once, and readers of the one that is open are to find those that come.
        let pack = Arc::new(Pack::open(path, &path.with_extension("idx"))?);
        if pack.bitmap().is_some() {
            return Ok(true);
        }
        let bitmap = self.write_bitmap(&Bitmapped::Pack(pack), tips, progress)?;
        match bitmap {
            Some(bitmap) => self.put_beside(bitmap, local),
            None => Ok(false),
        }
    }

    /// Puts bitmaps beside their pack. Returns whether they are there: not if the pack is gone.
    fn put_beside(&self, bitmap: TempPath, local: &LocalPack) -> Result<bool, RepoError> {
        let objects = self.objects_dir();
        let folder = objects.path.join("pack");
        let path = local.pack.path().with_extension("bitmap");
        let _turn = self.enter()?;
        let shared = objects.sharing.publish([&*bitmap], &folder);
        shared.map_err(DirectoryError::io("protect files for", &folder))?;
        if !is_there(local) {
            return Ok(false);
        }
        bitmap
            .persist(&path)
            .map_err(|error| DirectoryError::io("make", &path)(error.error))?;
        sync_folder(&folder).map_err(DirectoryError::io("sync", &folder))?;
        if !is_there(local) {
            // A `git` that found no bitmaps to remove.
            remove_file(&path).map_err(DirectoryError::io("remove", &path))?;
            return Ok(false);
        }
        Ok(true)
    }

    /// Whether bitmaps are wanted, and can be made: what refs reach has to be in the packs here.
    fn gets_bitmaps(&self) -> Result<bool, RepoError> {
        let wanted = config_flag(self.git_dir(), "repack", "writeBitmaps");
        let wanted = wanted.unwrap_or(!self.is_of_working_copy());
        let borrows = || Ok::<_, RepoError>(self.inner.layout.object_folders()?.len() > 1);
        Ok(wanted && self.shallow_commits()?.is_empty() && !borrows()?)
    }

    fn write_index(
        &self,
        packs: &[LocalPack],
        tips: &[ObjectId],
        with_bitmap: bool,
        progress: &dyn Progress,
    ) -> Result<Written, RepoError> {
        let to_index: Vec<PackToIndex> = packs.iter().map(to_index).collect();
        let preferred = with_bitmap.then(|| preferred(packs));
        let (written, index) = self.write_file(|out| {
            write_multi_pack_index(&to_index, preferred, out, progress).map_err(of_index)
        })?;
        let opened = match with_bitmap {
            true => MultiPack::open(&index, &opened(packs)),
            false => None,
        };
        let packed = opened.map(|multi| Bitmapped::Packs(Arc::new(multi)));
        let bitmap = match packed {
            Some(packed) => self.write_bitmap(&packed, tips, progress)?,
            None => None,
        };
        Ok(Written {
            index,
            bitmap,
            checksum: written.checksum,
        })
    }

    /// The bitmaps, unless nothing is reached or something that is reached is not in the packs.
    fn write_bitmap(
        &self,
        packed: &Bitmapped,
        tips: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<Option<TempPath>, RepoError> {
        let database = self.database()?;
        let written = self.write_file(|out| {
            match build_bitmap(&database, packed, tips, out, progress) {
                Ok(stats) => Ok(stats.commits > 0),
                Err(BuildBitmapError::Read(error)) => Err(error.into()),
                Err(BuildBitmapError::Write(error)) => Err(Failed::Write(error)),
                // Somebody is writing beside us: the next time it will be there.
                Err(error) => {
                    tracing::info!(%error, "packs get no bitmaps");
                    Ok(false)
                }
            }
        });
        let (has_some, bitmap) = written?;
        Ok(has_some.then_some(bitmap))
    }

    /// Writes a file under a temporary name, durably.
    fn write_file<T>(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<T, Failed>,
    ) -> Result<(T, TempPath), RepoError> {
        let folder = self.objects_dir().path;
        let io = |error| RepoError::io("write a file in", &folder, error);
        let named = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempfile_in(&folder)
            .map_err(io)?;
        let (file, path) = named.into_parts();
        let mut out = BufWriter::new(&file);
        let written = write(&mut out).map_err(|failed| match failed {
            Failed::Repo(error) => error,
            Failed::Write(error) => io(error),
        })?;
        out.flush().map_err(io)?;
        drop(out);
        file.sync_all().map_err(io)?;
        Ok((written, path))
    }

    /// Makes a written index the index. Returns whether it is: not if one of its packs is gone.
    fn put_in_place(
        &self,
        written: Written,
        path: &Path,
        packs: &[LocalPack],
    ) -> Result<bool, RepoError> {
        let objects = self.objects_dir();
        let folder = objects.path.join("pack");
        let _turn = self.enter()?;
        let files = std::iter::once(&written.index).chain(&written.bitmap);
        let shared = objects.sharing.publish(files.map(|file| &**file), &folder);
        shared.map_err(DirectoryError::io("protect files for", &folder))?;
        // Who holds it makes an index too, and may be at that for long: writers are not to wait for it.
        let _lock = match self.lock_file_within(path, Duration::ZERO) {
            Err(DirectoryError::Locked { lock, .. }) => {
                tracing::info!(lock = %lock.display(), "somebody else writes a multi-pack index");
                return Ok(false);
            }
            lock => lock?,
        };
        if !packs.iter().all(is_there) {
            return Ok(false);
        }
        let persist = |file: TempPath, path: &Path| {
            file.persist(path)
                .map_err(|error| DirectoryError::io("make", path)(error.error))
        };
        if let Some(bitmap) = written.bitmap {
            let name = format!("multi-pack-index-{}.bitmap", written.checksum);
            persist(bitmap, &folder.join(name))?;
        }
        persist(written.index, path)?;
        sync_folder(&folder).map_err(DirectoryError::io("sync", &folder))?;
        if !packs.iter().all(is_there) {
            // A `git` that found no index to remove.
            self.remove_multi_pack_index()?;
            return Ok(false);
        }
        self.remove_parts_of_other_indexes(&written.checksum)?;
        Ok(true)
    }
}

/// Why a file was not written.
enum Failed {
    Repo(RepoError),
    Write(std::io::Error),
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        Failed::Repo(error.into())
    }
}

fn of_index(error: WriteMultiPackIndexError) -> Failed {
    match error {
        WriteMultiPackIndexError::Read(error) => error.into(),
        WriteMultiPackIndexError::Write(error) => Failed::Write(error),
        error => Failed::Write(std::io::Error::other(error)),
    }
}

/// Whether there is an index of exactly these packs, with bitmaps if it is to have some.
fn is_index_of(path: &Path, packs: &[LocalPack], with_bitmap: bool) -> bool {
    MultiPack::open(path, &opened(packs)).is_some_and(|multi| {
        multi.packs().len() == packs.len()
            && multi.index().is_intact()
            && (!with_bitmap || multi.bitmap().is_some())
    })
}

fn opened(packs: &[LocalPack]) -> Vec<Arc<Pack>> {
    packs.iter().map(|local| local.pack.clone()).collect()
}

fn to_index(local: &LocalPack) -> PackToIndex {
    PackToIndex {
        pack: local.pack.clone(),
        modified: local.modified,
    }
}

/// The pack from which objects are taken wherever it has them: the largest, but for those of what nobody names. Of two with as many
/// the newer, which may be about to replace the other.
fn preferred(packs: &[LocalPack]) -> usize {
    let weight = |local: &LocalPack| {
        let objects = local.pack.object_count();
        (local.kind != PackKind::Cruft, objects, local.modified)
    };
    let numbered = packs.iter().enumerate();
    let filled = numbered.filter(|(_, local)| local.pack.object_count() > 0);
    let best = filled.max_by_key(|(_, local)| (weight(local), local.pack.id()));
    best.map_or(0, |(at, _)| at)
}

fn is_there(local: &LocalPack) -> bool {
    let path = local.pack.path();
    path.exists() && path.with_extension("idx").exists()
}
