//! The objects that are in the folder itself, not in those it borrows from.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use packhouse_object::{IdMap, LooseStore, ObjectId, Pack};

use super::backend::Directory;
use super::durable::{remove_file, sync_folder};
use super::error::DirectoryError;
use crate::error::RepoError;

/// The files of a pack. The index is the first to go: a pack without one is not looked at.
const PACK_PARTS: [&str; 5] = ["idx", "pack", "rev", "bitmap", "mtimes"];

/// A pack in the folder, as it was when it was listed.
#[derive(Clone)]
pub(crate) struct LocalPack {
    pub(crate) pack: Arc<Pack>,
    pub(crate) modified: SystemTime,
    pub(crate) kind: PackKind,
}

/// What may be done with a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackKind {
    /// It may be replaced by another with the same objects.
    Ordinary,
    /// It stays: someone marked it by a `.keep` file, or objects that it names are elsewhere (`.promisor`).
    Kept,
    /// Git's own collection of objects nobody names, each with a time of its own (`.mtimes`).
    Cruft,
}

impl Directory {
    /// The packs that are in the folder.
    pub(crate) fn local_packs(&self) -> Result<Vec<LocalPack>, RepoError> {
        let folder = self.objects_dir().path.join("pack");
        let io = |error| RepoError::io("list", &folder, error);
        let database = self.database()?;
        let open: HashMap<&Path, &Arc<Pack>> = database
            .packs()
            .iter()
            .map(|pack| (pack.path(), pack))
            .collect();
        let mut packs = Vec::new();
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let Some(pack) = open.get(path.as_path()) else {
                continue;
            };
            let has = |extension: &str| path.with_extension(extension).exists();
            let kind = match () {
                () if has("keep") || has("promisor") => PackKind::Kept,
                () if has("mtimes") => PackKind::Cruft,
                () => PackKind::Ordinary,
            };
            match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
                Ok(modified) => packs.push(LocalPack {
                    pack: (*pack).clone(),
                    modified,
                    kind,
                }),
                // Another process replaced it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(io(error)),
            }
        }
        Ok(packs)
    }

    /// Checks that no pack is damaged: what needs the objects that are about to go may be in one.
    pub(crate) fn check_packs(&self) -> Result<(), RepoError> {
        match self.database()?.damaged_packs().first() {
            None => Ok(()),
            Some(pack) => Err(DirectoryError::Damaged {
                path: pack.path.clone(),
                reason: format!(
                    "{}; nothing is packed anew or removed meanwhile",
                    pack.reason
                ),
            }
            .into()),
        }
    }

    /// The loose objects that are in the folder, and when each was written or asked for last.
    pub(crate) fn local_loose(&self) -> Result<IdMap<SystemTime>, RepoError> {
        let objects = self.objects_dir().path;
        let mut loose = IdMap::default();
        let mut failed = None;
        let _all = LooseStore::open(&objects)
            .ids(&mut |id| {
                match fs::metadata(loose_path(&objects, &id)).and_then(|found| found.modified()) {
                    Ok(modified) => drop(loose.insert(id, modified)),
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => drop(failed.get_or_insert(error)),
                }
                std::ops::ControlFlow::Continue(())
            })
            .map_err(packhouse_object::ReadError::from)?;
        match failed {
            Some(error) => Err(RepoError::io("look at objects in", &objects, error)),
            None => Ok(loose),
        }
    }

    /// Removes loose objects for which `still` agrees when it sees the file. Returns how many there were.
    pub(crate) fn remove_loose<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a ObjectId>,
        still: impl Fn(&Metadata) -> bool,
    ) -> Result<u64, DirectoryError> {
        let objects = self.objects_dir().path;
        let mut removed = 0;
        for id in ids {
            let path = loose_path(&objects, id);
            let file = match fs::metadata(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                file => file.map_err(DirectoryError::io("look at", &path))?,
            };
            if still(&file) {
                removed +=
                    u64::from(remove_file(&path).map_err(DirectoryError::io("remove", &path))?);
            }
        }
        for first in 0..=u8::MAX {
            // Most are not empty, and then stay. Whoever needs one makes it again.
            let _ = fs::remove_dir(objects.join(format!("{first:02x}")));
        }
        Ok(removed)
    }

    /// Removes a pack, and what belongs to it, unless it changed or was marked meanwhile.
    pub(crate) fn remove_pack(&self, listed: &LocalPack) -> Result<bool, DirectoryError> {
        let path = listed.pack.path();
        let marked = ["keep", "promisor"]
            .iter()
            .any(|mark| path.with_extension(mark).exists());
        let modified = fs::metadata(path).and_then(|file| file.modified());
        if marked || modified.ok() != Some(listed.modified) {
            return Ok(false);
        }
        for extension in PACK_PARTS {
            let path = path.with_extension(extension);
            remove_file(&path).map_err(DirectoryError::io("remove", &path))?;
        }
        Ok(true)
    }

    /// Removes what sums up all packs, durably, before one of them goes. Readers do without. A `git` that is about to put one into its
    /// place, and may name that pack, fails.
    pub(crate) fn forget_pack_summaries(&self) -> Result<(), DirectoryError> {
        self.remove_multi_pack_index()?;
        let folder = self.objects_dir().path.join("pack");
        let removed = remove_file(&folder.join("multi-pack-index.lock"));
        removed.map_err(DirectoryError::io("remove a file from", &folder))?;
        Ok(())
    }

    /// Removes the multi-pack index, durably, and what belongs to it.
    pub(super) fn remove_multi_pack_index(&self) -> Result<(), DirectoryError> {
        let folder = self.objects_dir().path.join("pack");
        let failed = DirectoryError::io("remove a file from", &folder);
        let remove = || {
            let mut removed = remove_file(&folder.join("multi-pack-index"))?;
            // Newer Gits can have it in several files.
            let chain = folder.join("multi-pack-index.d");
            removed |= remove_file(&chain.join("multi-pack-index-chain"))?;
            remove_matching(&chain, |name| !name.ends_with(".lock"))?;
            remove_matching(&folder, |name| name.starts_with("multi-pack-index-"))?;
            match removed {
                true => sync_folder(&folder),
                false => Ok(()),
            }
        };
        remove().map_err(failed)
    }

    /// Removes what belonged to other multi-pack indexes than the one with this checksum.
    pub(super) fn remove_parts_of_other_indexes(
        &self,
        checksum: &ObjectId,
    ) -> Result<(), DirectoryError> {
        let folder = self.objects_dir().path.join("pack");
        let own = format!("multi-pack-index-{checksum}.");
        let is_other =
            |name: &str| name.starts_with("multi-pack-index-") && !name.starts_with(&own);
        remove_matching(&folder, is_other)
            .map_err(DirectoryError::io("remove a file from", &folder))
    }

    /// Removes what sums up commits, before one of them goes.
    pub(crate) fn forget_commit_summaries(&self) -> Result<(), DirectoryError> {
        let folder = self.objects_dir().path.join("info");
        remove_matching(&folder, |name| name == "commit-graph")
            .map_err(DirectoryError::io("remove a file from", &folder))?;
        self.forget_commit_graph_chain()
    }

    /// Removes a commit graph of several files, but for what a `git` is about to put into its place.
    pub(super) fn forget_commit_graph_chain(&self) -> Result<(), DirectoryError> {
        let chain = self.objects_dir().path.join("info/commit-graphs");
        let is_in_place = |name: &str| !name.ends_with(".lock") && !name.starts_with("tmp_");
        remove_matching(&chain, is_in_place)
            .map_err(DirectoryError::io("remove a file from", &chain))
    }

    /// Removes files under way that were last written before `time`, and parts of packs without the rest that have been there
    /// since before: their writers are gone.
    pub(crate) fn remove_left_behind(&self, time: SystemTime) -> Result<(), DirectoryError> {
        let objects = self.objects_dir().path;
        let folders = (0..=u8::MAX).map(|first| objects.join(format!("{first:02x}")));
        let packs = objects.join("pack");
        for folder in folders.chain([objects.clone(), packs.clone()]) {
            remove_older(&folder, "tmp_", time)
                .map_err(DirectoryError::io("remove a file from", &folder))?;
        }
        // So `git repack` calls a pack that it is about to put into its place.
        remove_older(&packs, ".tmp-", time)
            .map_err(DirectoryError::io("remove a file from", &packs))?;
        // None of this crate's writers is putting the parts of one into their places meanwhile.
        let _turn = self.enter()?;
        remove_parts_of_packs(&packs, time)
            .map_err(DirectoryError::io("remove a file from", &packs))
    }

    /// Lists the packs for `git` clients that read files over plain HTTP, if they were listed before.
    pub(crate) fn update_pack_list(&self) -> Result<(), DirectoryError> {
        let path = self.objects_dir().path.join("info/packs");
        if !path.exists() {
            return Ok(());
        }
        let _turn = self.enter()?;
        let folder = self.objects_dir().path.join("pack");
        let names = pack_names(&folder).map_err(DirectoryError::io("list", &folder))?;
        let mut text: String = names.iter().map(|name| format!("P {name}\n")).collect();
        text.push('\n');
        let mut lock = self.lock_file(&path)?;
        lock.write(text.as_bytes())?;
        lock.commit().map_err(DirectoryError::io("replace", &path))
    }
}

pub(crate) fn loose_path(objects: &Path, id: &ObjectId) -> PathBuf {
    let hex = id.to_string();
    objects.join(&hex[..2]).join(&hex[2..])
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

fn remove_matching(folder: &Path, matches: impl Fn(&str) -> bool) -> io::Result<()> {
    for path in entries(folder)? {
        if matches(name_of(&path)) {
            remove_file(&path)?;
        }
    }
    Ok(())
}

fn remove_older(folder: &Path, prefix: &str, time: SystemTime) -> io::Result<()> {
    for path in entries(folder)? {
        let is_old = || {
            let file = fs::symlink_metadata(&path).ok()?;
            Some(file.is_file() && file.modified().ok()? < time)
        };
        if name_of(&path).starts_with(prefix) && is_old() == Some(true) {
            remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes packs without an index and what belongs to packs that are not there, as a kill leaves them: nobody reads
/// either. What somebody marked to be kept stays.
///
/// Old is what has not been touched since `time`, its name included: whoever copies a repository gives each file the time
/// of the original, and a large pack comes long after its index.
fn remove_parts_of_packs(folder: &Path, time: SystemTime) -> io::Result<()> {
    let mut parts: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in entries(folder)? {
        if name_of(&path).starts_with("pack-") && path.extension().is_some() {
            parts.entry(path.with_extension("")).or_default().push(path);
        }
    }
    for parts in parts.into_values() {
        let has = |extension: &str| {
            let is_it = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
            parts.iter().any(is_it)
        };
        let is_whole = has("pack") && has("idx");
        let is_marked = has("keep") || has("promisor");
        if is_whole || is_marked || !parts.iter().all(|path| is_untouched_since(path, time)) {
            continue;
        }
        for extension in PACK_PARTS {
            remove_file(&parts[0].with_extension(extension))?;
        }
    }
    Ok(())
}

fn is_untouched_since(path: &Path, time: SystemTime) -> bool {
    let Ok(file) = fs::symlink_metadata(path) else {
        return false;
    };
    let changed = u64::try_from(file.ctime()).map(Duration::from_secs);
    let changed = changed.map(|since| SystemTime::UNIX_EPOCH + since);
    let is_older = |found: Option<SystemTime>| found.is_some_and(|found| found < time);
    file.is_file() && is_older(file.modified().ok()) && is_older(changed.ok())
}

fn pack_names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = entries(folder)?
        .iter()
        .map(|path| name_of(path).to_owned())
        .filter(|name| name.starts_with("pack-") && name.ends_with(".pack"))
        .collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use packhouse_object::RefName;

    use super::super::{DirectoryOptions, write_skeleton};
    use super::*;

    #[test]
    fn parts_of_packs_that_a_kill_left_are_removed_once_nobody_can_be_at_them() {
        let folder = tempfile::tempdir().unwrap();
        let git_dir = folder.path().join("data.git");
        write_skeleton(&git_dir, &RefName::branch("main").unwrap()).unwrap();
        let packs = git_dir.join("objects/pack");
        fs::create_dir_all(&packs).unwrap();
        let names = || {
            let mut names = entries(&packs).unwrap();
            names.sort();
            names
                .iter()
                .map(|path| name_of(path).to_owned())
                .collect::<Vec<_>>()
        };
        let stay = [
            "multi-pack-index",
            "pack-kept.keep",
            "pack-kept.pack",
            "pack-odd.unknown",
            "pack-whole.idx",
            "pack-whole.pack",
            "pack-whole.rev",
            "somebodys.pack",
        ];
        let left = [
            ".tmp-7-pack-a.pack",
            "pack-a.pack",
            "pack-b.bitmap",
            "pack-b.idx",
            "pack-c.mtimes",
            "pack-c.pack",
            "pack-c.rev",
            "tmp_pack_x",
        ];
        for name in stay.iter().chain(&left) {
            fs::write(packs.join(name), b"").unwrap();
        }
        let directory = Directory::open_store(&git_dir, DirectoryOptions::default()).unwrap();
        let hour = Duration::from_secs(3600);
        let all = names();
        // As old as one likes, and just come: a copy of a repository is under way.
        for name in left.iter().filter(|name| name.starts_with("pack-")) {
            let file = File::options().write(true).open(packs.join(name)).unwrap();
            file.set_modified(SystemTime::now() - 100 * hour).unwrap();
        }
        directory
            .remove_left_behind(SystemTime::now() - hour)
            .unwrap();
        assert_eq!(names(), all);
        directory
            .remove_left_behind(SystemTime::now() + hour)
            .unwrap();
        assert_eq!(names(), stay);
    }
}
