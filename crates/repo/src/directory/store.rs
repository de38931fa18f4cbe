//! Writing objects into the folder, durably.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use packhouse_object::pack::index::write_reverse_index_beside;
use packhouse_object::{FinishedPack, NewObject, ObjectId, PackFileWriter};
use tempfile::{NamedTempFile, TempPath};

use super::DirectoryOptions;
use super::beside_gc::Stored;
use super::durable::sync_folder;
use super::error::DirectoryError;
use super::layout::ObjectsDir;
use super::loose_write::{FromStart, StagedObject, place_all, place_of, stage};
use super::quarantine::Quarantine;
use super::side_by_side::{Job, sync_side_by_side};
use crate::error::RepoError;
use crate::under_way::is_same_file;

/// Stores objects as loose files or, if they are many or large, as one pack.
pub(super) fn store_objects(
    objects: &ObjectsDir,
    quarantine: &Quarantine,
    options: &DirectoryOptions,
    new: &[NewObject],
) -> Result<Stored, RepoError> {
    let bytes: usize = new.iter().map(|object| object.data.len()).sum();
    if new.len() > options.loose_objects || bytes > options.loose_bytes {
        let mut writer =
            PackFileWriter::create(quarantine.path()).map_err(DirectoryError::WritePack)?;
        for object in new {
            writer.add_new(object).map_err(DirectoryError::WritePack)?;
        }
        let finished = writer.finish().map_err(DirectoryError::WritePack)?;
        return Ok(Stored {
            packs: vec![place_pack(finished, objects)?],
            ..Stored::default()
        });
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
    Ok(Stored {
        staged,
        found,
        packs: Vec::new(),
    })
}

/// Makes a loose object that another process wrote as good as new: durable, and too young for `git prune`.
/// Returns whether it is there.
fn freshen(objects: &Path, id: &ObjectId) -> Result<bool, DirectoryError> {
    let (folder, path) = place_of(objects, id);
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file.map_err(DirectoryError::io("open", &path))?,
    };
    // Only the owner may do this. A file of somebody else's stays as old as it is, so it is written anew, as git does.
    if file.set_modified(SystemTime::now()).is_err() {
        return Ok(false);
    }
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
    place_pack(finished, objects).map(drop)
}

/// A pack in its place. Its files are open still, whatever becomes of their names.
#[derive(Debug)]
pub(super) struct PlacedPack {
    name: PathBuf,
    files: Vec<(Arc<File>, &'static str)>,
}

/// As [`move_pack`], for those who may have to do it again.
pub(super) fn place_pack(
    finished: FinishedPack,
    objects: &ObjectsDir,
) -> Result<PlacedPack, DirectoryError> {
    let name = format!("pack-{}", finished.checksum);
    let name = objects.path.join("pack").join(name);
    let rev = reverse_index(&finished, objects)?;
    let rev = rev.map(|rev| (rev, "rev"));
    let mut files = Vec::from_iter(rev);
    files.extend([(finished.pack, "pack"), (finished.idx, "idx")]);
    let opened = files
        .iter()
        .map(|(file, suffix)| Ok((Arc::new(File::open(file)?), *suffix)))
        .collect::<io::Result<_>>()
        .map_err(DirectoryError::io("open the files of", &name))?;
    place_files(files, &name, objects)?;
    Ok(PlacedPack {
        name,
        files: opened,
    })
}

impl PlacedPack {
    /// Whether its files have their names still.
    pub(super) fn is_there(&self) -> bool {
        let mut suffixes = self.files.iter().map(|(_, suffix)| suffix);
        suffixes.all(|suffix| fs::symlink_metadata(self.name.with_extension(suffix)).is_ok())
    }

    /// Gives it a second name that nobody knows: to its own files where they are there, to copies of them where not.
    pub(super) fn place_again(
        &self,
        objects: &ObjectsDir,
        quarantine: &Path,
    ) -> Result<(), DirectoryError> {
        // A process that was forked off draws the same numbers as its parent.
        let (long, short): (u128, u32) = (rand::random(), rand::random());
        let short = short ^ std::process::id();
        let name = self
            .name
            .with_file_name(format!("pack-{long:032x}{short:08x}"));
        let copy = |(file, suffix): &(Arc<File>, &'static str)| {
            let path = match self.link(file, suffix, quarantine) {
                Some(linked) => linked,
                None => {
                    let mut copy = NamedTempFile::new_in(quarantine)?;
                    io::copy(&mut FromStart::of(file), copy.as_file_mut())?;
                    copy.as_file().sync_all()?;
                    copy.into_temp_path()
                }
            };
            Ok((path, *suffix))
        };
        let copies = self.files.iter().map(copy).collect::<io::Result<_>>();
        let copies = copies.map_err(DirectoryError::io("write the files of", &name))?;
        place_files(copies, &name, objects)
    }

    /// A second name of one of its files, if the file has its first one still.
    fn link(&self, file: &File, suffix: &str, folder: &Path) -> Option<TempPath> {
        let path = self.name.with_extension(suffix);
        let link = |second: &Path| fs::hard_link(&path, second);
        // Without the name, or without hard links, there is a copy.
        let linked = tempfile::Builder::new().make_in(folder, link).ok()?;
        is_same_file(file, linked.path()).then(|| linked.into_temp_path())
    }
}

fn place_files(
    files: Vec<(TempPath, &'static str)>,
    name: &Path,
    objects: &ObjectsDir,
) -> Result<(), DirectoryError> {
    let folder = objects.path.join("pack");
    let paths = files.iter().map(|(file, _)| &**file);
    let shared = objects.sharing.publish(paths, &folder);
    shared.map_err(DirectoryError::io("protect the files of", name))?;
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
