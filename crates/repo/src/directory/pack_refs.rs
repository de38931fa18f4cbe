//! Packing refs: those that have a file of their own go into `packed-refs`, as `git pack-refs --all` does.
//!
//! What always holds: a ref's file is removed only while the ref is locked, and after `packed-refs` says the same,
//! durably. What moves meanwhile keeps its file.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{ObjectId, RefName};

use super::backend::Directory;
use super::durable::{remove_empty_parents, remove_file, sync_nearest_folder};
use super::error::DirectoryError;
use super::lock::lock_path;
use super::loose_refs::{RawRef, scan};
use super::packed_refs::packed_refs_path;
use super::packed_text::{PackedRef, Peeled, write_entries};
use super::patience::Patience;
use crate::error::RepoError;
use crate::view::peeled;

/// Refs that each working copy has for itself are never packed.
const OF_WORKING_COPIES: [&[u8]; 3] = [b"refs/bisect/", b"refs/worktree/", b"refs/rewritten/"];

impl Directory {
    /// Packs all refs that hold the id of an object. Returns how many lost their files.
    pub(crate) fn pack_refs(&self) -> Result<u64, RepoError> {
        self.check_writable()?;
        let _turn = self.enter()?;
        let refs = &self.inner.refs;
        let database = self.database()?;
        let peel = |target: ObjectId| -> Result<Peeled, RepoError> {
            Ok(peeled(&database, target)?.map_or(Peeled::NoTag, Peeled::To))
        };
        let loose =
            scan(&refs.git_dir).map_err(DirectoryError::io("list", &refs.git_dir.join("refs")))?;
        let mut packed = Vec::new();
        for (name, raw) in loose {
            let RawRef::Id(target) = raw else { continue };
            // A ref to nothing is damage, which stays where somebody may find it.
            if is_packable(name.as_bstr()) && database.contains(&target)? {
                let entry = PackedRef {
                    name: name.clone(),
                    target,
                    peeled: peel(target)?,
                };
                packed.push((name, Some(entry)));
            }
        }
        if packed.is_empty() {
            return Ok(0);
        }
        let path = packed_refs_path(&refs.git_dir);
        let lock = self.lock_file(&path)?;
        let mut merged = refs.packed()?.merged(&packed);
        for entry in &mut merged {
            if entry.peeled == Peeled::Unknown {
                entry.peeled = peel(entry.target)?;
            }
        }
        let written =
            write_entries(&mut lock.file(), &merged).and_then(|()| lock.file().sync_all());
        written.map_err(DirectoryError::io("write", &lock_path(&path)))?;
        // No ref moves: whoever reads the file before this and the folders afterwards sees that it was replaced.
        lock.commit()
            .map_err(DirectoryError::io("replace", &path))?;
        Ok(self.remove_packed(packed)?)
    }

    /// Removes the files of refs that `packed-refs` speaks for now.
    fn remove_packed(
        &self,
        packed: Vec<(BString, Option<PackedRef>)>,
    ) -> Result<u64, DirectoryError> {
        let refs = &self.inner.refs;
        let mut removed = 0;
        let mut folders = BTreeMap::new();
        for (name, entry) in packed {
            let name = name.as_bstr();
            let path = refs.path(name);
            // Whoever has it locked is about to move it.
            let mut patience = Patience::new(Duration::ZERO);
            let Ok(lock) = refs.take_lock(&path, &mut patience) else {
                continue;
            };
            let target = entry.map(|entry| entry.target);
            let now = refs.packed()?.get(name).map(|entry| entry.target);
            let is_same = now == target && refs.raw(name)? == target.map(RawRef::Id);
            if is_same && remove_file(&path).map_err(DirectoryError::io("remove", &path))? {
                removed += 1;
                // One path in each folder is enough.
                let folder = path.parent().map(Path::to_owned);
                folders.entry(folder).or_insert_with(|| path.clone());
            }
            drop(lock);
            remove_empty_parents(&path, &refs.folder_that_stays(&path));
        }
        // One that came back after a power cut would hide what `packed-refs` says by then.
        for path in folders.values() {
            sync_nearest_folder(path).map_err(DirectoryError::io("sync the folder of", path))?;
        }
        Ok(removed)
    }
}

fn is_packable(name: &BStr) -> bool {
    RefName::parse(name.as_bytes()).is_ok()
        && !OF_WORKING_COPIES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}
