//! Writing objects into the folder, durably.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::time::SystemTime;

use packhouse_object::pack::index::write_reverse_index_beside;
use packhouse_object::{FinishedPack, NewObject, ObjectId, PackFileWriter};
use tempfile::TempPath;

use super::DirectoryOptions;
use super::beside_gc::LooseFiles;
use super::durable::sync_folder;
use super::error::DirectoryError;
use super::layout::ObjectsDir;
use super::loose_write::{StagedObject, place_all, stage};
use super::quarantine::Quarantine;
use super::side_by_side::{Job, sync_side_by_side};
use crate::error::RepoError;

/// Stores objects as loose files or, if they are many or large, as one pack. Returns those that are files.
pub(super) fn store_objects(
    objects: &ObjectsDir,
    quarantine: &Quarantine,
    options: &DirectoryOptions,
    new: &[NewObject],
) -> Result<LooseFiles, RepoError> {
    let bytes: usize = new.iter().map(|object| object.data.len()).sum();
    if new.len() > options.loose_objects || bytes > options.loose_bytes {
        let mut writer =
            PackFileWriter::create(quarantine.path()).map_err(DirectoryError::WritePack)?;
        for object in new {
            writer.add_new(object).map_err(DirectoryError::WritePack)?;
        }
        move_pack(writer.finish().map_err(DirectoryError::WritePack)?, objects)?;
        return Ok(LooseFiles::default());
    }
    let (mut staged, mut found) = (Vec::new(), Vec::new());
    for object in new {
        match freshen(&objects.path, &object.id)? {
            true => found.push(object.clone()),
            false => staged.push(stage(objects, object, None)?),
        }
    }
    sync_side_by_side(staged.iter().map(StagedObject::to_sync).collect())?;
    let folders = place_all(&mut staged, objects, true)?;
    sync_side_by_side(folders.into_iter().map(Job::Objects).collect())?;
    let mut stored = LooseFiles::default();
    stored.add(staged, found);
    Ok(stored)
}

/// Makes a loose object that another process wrote as good as new: durable, and too young for `git prune`.
/// Returns whether it is there.
fn freshen(objects: &Path, id: &ObjectId) -> Result<bool, DirectoryError> {
    let hex = id.to_string();
    let folder = objects.join(&hex[..2]);
    let path = folder.join(&hex[2..]);
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file.map_err(DirectoryError::io("open", &path))?,
    };
    // Only the owner may do this; a file of somebody else's is as old as it is.
    let _ = file.set_modified(SystemTime::now());
    let synced = file
        .sync_all()
        .and_then(|()| sync_folder(&folder))
        .and_then(|()| sync_folder(objects));
    match synced {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        synced => synced
            .map(|()| true)
            .map_err(DirectoryError::io("sync", &path)),
    }
}

/// Moves a pack among those of the object folder. When this returns, others find it, and a power cut does not undo that.
pub(crate) fn move_pack(
    finished: FinishedPack,
    objects: &ObjectsDir,
) -> Result<(), DirectoryError> {
    let folder = objects.path.join("pack");
    let name = folder.join(format!("pack-{}", finished.checksum));
    let rev = reverse_index(&finished, objects)?;
    let rev = rev.map(|rev| (rev, "rev"));
    let mut files = Vec::from_iter(rev);
    files.extend([(finished.pack, "pack"), (finished.idx, "idx")]);
    let paths = files.iter().map(|(file, _)| &**file);
    let shared = objects.sharing.publish(paths, &folder);
    shared.map_err(DirectoryError::io("protect the files of", &name))?;
    // A pack without index is not looked at, an index without pack is an error to some readers. Nothing is done between
    // the two, so that a kill leaves next to never the first alone.
    for (temporary, suffix) in files {
        let path = name.with_extension(suffix);
        temporary
            .persist(&path)
            .map_err(|error| DirectoryError::io("make", &path)(error.error))?;
    }
    sync_folder(&folder).map_err(DirectoryError::io("sync", &folder))
}

/// The reverse index of a pack, if packs get one here.
pub(super) fn reverse_index(
    finished: &FinishedPack,
    objects: &ObjectsDir,
) -> Result<Option<TempPath>, DirectoryError> {
    if !objects.reverse_indexes {
        return Ok(None);
    }
    let written = write_reverse_index_beside(&finished.idx);
    let written = written.map_err(DirectoryError::io(
        "write a reverse index beside",
        &finished.idx,
    ));
    written.map(Some)
}
