//! Opening and creating stores.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use packhouse_object::{
    Database, FinishedPack, IdSet, ObjectCache, ObjectId, ObjectKind, ProcessLocal, RefName,
    Signature,
};

use super::create::{Made, create};
use super::group::Waiting;
use super::reader::{FileReader, read_range};
use super::refs::{RefKind, RefMap};
use super::tree_index::TreeIndexes;
use super::{Create, Durability, Identity, Snapshot, StoreError, StoreOptions};
use crate::change::Change;
use crate::directory::{Directory, DirectoryOptions, Symbolic};
use crate::error::RepoError;
use crate::ref_text::{ref_bytes, ref_text};
use crate::repository::Refused;
use crate::view::View;

/// Decoded objects kept in memory for each open store.
const CACHE_BYTES: u64 = 64 << 20;

/// A versioned file store in a bare Git repository. Cheap to clone; every clone is the same store.
#[derive(Clone)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) directory: Directory,
    pub(super) options: StoreOptions,
    /// The identity as reflogs have it.
    pub(super) who: String,
    pub(super) trees: TreeIndexes,
    pub(super) waiting: Waiting,
    shallow: ProcessLocal<IdSet>,
}

impl Store {
    /// Opens the store at `path`, making it first if the options say so.
    ///
    /// A working copy's repository can be opened for reading. SHA-256 repositories, partial clones and reftables are
    /// refused. A pack that is damaged is done without, as by Git: what is not in it can be read and written, and errors about
    /// the rest name the pack. [`Store::gc`] and [`Store::pack`] are refused then.
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Store, StoreError> {
        Ok(Store::open_or_make(path.as_ref(), options)?.0)
    }

    /// The store, and what had to be made for it.
    pub(super) fn open_or_make(
        path: &Path,
        mut options: StoreOptions,
    ) -> Result<(Store, Option<Made>), StoreError> {
        if let Some(level) = options.compression
            && !(-1..=9).contains(&level)
        {
            return Err(StoreError::invalid(format!(
                "compression is 0 to 9, or -1 for zlib's own level, not {level}"
            )));
        }
        // Commits keep no more of it, and the reflog is to say the same.
        options.identity = Identity {
            name: Signature::kept(&options.identity.name),
            email: Signature::kept(&options.identity.email),
        };
        let is_there = match fs::read_dir(path) {
            Ok(mut entries) => match options.create {
                // An empty folder is as good as none.
                Create::IfMissing { .. } => entries.next().is_some(),
                _ => true,
            },
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(_) => true,
        };
        if options.read_only && !is_there && options.create != Create::Never {
            return Err(StoreError::invalid(format!(
                "'{}' is not there, and a store that is opened for reading is not created",
                path.display()
            )));
        }
        let made = match &options.create {
            Create::Never if !is_there => {
                return Err(StoreError::NotFound {
                    path: path.as_os_str().as_encoded_bytes().into(),
                });
            }
            Create::New { .. } if is_there => return Err(already_there(path)),
            Create::New { branch } => {
                let made = create(path, branch.as_deref(), &options)?;
                Some(made.ok_or_else(|| already_there(path))?)
            }
            Create::IfMissing { branch } if !is_there => create(path, branch.as_deref(), &options)?,
            _ => None,
        };
        Ok((Store::open_existing(path, options)?, made))
    }

    fn open_existing(path: &Path, options: StoreOptions) -> Result<Store, StoreError> {
        packhouse_object::watch_forks();
        let directory = Directory::open_store(
            path,
            DirectoryOptions {
                read_only: options.read_only,
                durable: options.durability == Durability::Full,
                cache: Arc::new(ObjectCache::new(CACHE_BYTES)),
                ..DirectoryOptions::default()
            },
        )?;
        for (key, value) in core_settings(&options) {
            directory.set_core(key, &value)?;
        }
        Ok(Store {
            inner: Arc::new(Inner {
                directory,
                who: options.identity.to_string(),
                options,
                trees: TreeIndexes::default(),
                waiting: Waiting::default(),
                shallow: ProcessLocal::new(),
            }),
        })
    }

    /// The repository's folder, absolute and without symbolic links.
    pub fn path(&self) -> &Path {
        self.inner.directory.git_dir()
    }

    /// Whether it is the repository of a working copy, which can only be read.
    pub fn is_of_working_copy(&self) -> bool {
        self.inner.directory.is_of_working_copy()
    }

    /// An error that says why nothing can be written: a working copy, a shallow clone, or a store opened for reading.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        Ok(self.inner.directory.check_writable()?)
    }

    /// Who commits.
    pub fn identity(&self) -> &Identity {
        &self.inner.options.identity
    }

    /// How the store was opened.
    pub fn options(&self) -> &StoreOptions {
        &self.inner.options
    }

    /// The branches.
    pub fn branches(&self) -> RefMap {
        RefMap::new(self, RefKind::Branch)
    }

    /// The tags.
    pub fn tags(&self) -> RefMap {
        RefMap::new(self, RefKind::Tag)
    }

    /// The snapshot a revision names: a branch, else a tag, else a commit by its id, whole or shortened to at least
    /// four digits; and from there `back` commits along first parents. It can be written if it is a branch.
    pub fn snapshot(&self, rev: &str, back: u64) -> Result<Snapshot, StoreError> {
        let found = match self.branches().find(rev)? {
            None => self.tags().find(rev)?,
            found => found,
        };
        let found = match found {
            None => self.by_hash(rev)?,
            found => found,
        };
        let found = found.ok_or_else(|| StoreError::NoSuchRef {
            name: rev.to_owned(),
        })?;
        found.back(back)
    }

    fn by_hash(&self, hex: &str) -> Result<Option<Snapshot>, StoreError> {
        let database = self.database()?;
        let id = match database.prefix(hex)?[..] {
            [] => {
                return match ObjectId::from_hex(hex.as_bytes()) {
                    Ok(id) if !database.damaged_packs().is_empty() => {
                        Err(database.not_found(id).into())
                    }
                    _ => Ok(None),
                };
            }
            [id] => id,
            _ => {
                return Err(StoreError::invalid(format!("Ambiguous commit hash: {hex}")));
            }
        };
        match database.peel(id)? {
            (id, ObjectKind::Commit) => Snapshot::load(self, database, id).map(Some),
            (_, kind) => Err(StoreError::invalid(format!(
                "{hex} is a {kind}, not a commit"
            ))),
        }
    }

    /// The snapshot of a commit as if it had been found through `ref_name`.
    pub fn snapshot_at(
        &self,
        commit: ObjectId,
        ref_name: Option<String>,
        writable: bool,
    ) -> Result<Snapshot, StoreError> {
        let snapshot = Snapshot::load(self, self.database()?, commit)?;
        Ok(snapshot.bound(ref_name.map(Into::into), writable))
    }

    /// `size` bytes of a blob from `offset` on, less at its end; `None` for all of them.
    pub fn read_blob(
        &self,
        id: &ObjectId,
        offset: u64,
        size: Option<u64>,
    ) -> Result<Vec<u8>, StoreError> {
        read_range(&self.database_with_blob(id)?, id, offset, size)
    }

    /// A blob's size, and its content in pieces.
    pub fn blob_reader(
        &self,
        id: &ObjectId,
    ) -> Result<(u64, impl Read + Send + use<>), StoreError> {
        let reader = FileReader::open(self.database_with_blob(id)?, *id)?;
        Ok((reader.size(), reader))
    }

    fn database_with_blob(&self, id: &ObjectId) -> Result<Database, StoreError> {
        let database = self.database()?;
        match database.header(id)? {
            Some(header) if header.kind == ObjectKind::Blob => Ok(database),
            None if !database.damaged_packs().is_empty() => Err(database.not_found(id).into()),
            _ => Err(StoreError::NoSuchObject { id: id.to_string() }),
        }
    }

    /// Whether there is a blob of this id. Other objects do not count.
    pub fn has_blob(&self, id: &ObjectId) -> Result<bool, StoreError> {
        let database = self.database()?;
        match database.header(id)? {
            // Nobody can say.
            None if !database.damaged_packs().is_empty() => Err(database.not_found(id).into()),
            header => Ok(header.is_some_and(|header| header.kind == ObjectKind::Blob)),
        }
    }

    /// Whether both are the same folder, however each was opened.
    pub fn same_repository(&self, other: &Store) -> bool {
        let identity = |store: &Store| {
            let metadata = fs::metadata(store.path()).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        Arc::ptr_eq(&self.inner, &other.inner)
            || identity(self).is_some() && identity(self) == identity(other)
    }

    /// Checks that every ref that is there can be read: one that cannot is passed over elsewhere, as if it were not there.
    pub fn check_refs(&self) -> Result<(), StoreError> {
        Ok(self.inner.directory.check_refs()?)
    }

    /// Checks that no pack is damaged: one that is is passed over elsewhere, as if it were not there.
    pub fn check_packs(&self) -> Result<(), StoreError> {
        Ok(self.inner.directory.check_packs()?)
    }

    /// The commit that `HEAD` names, if it is detached.
    pub fn detached_at(&self) -> Result<Option<ObjectId>, StoreError> {
        Ok(self.inner.directory.detached_at()?)
    }

    /// The newest state: all refs, and the objects.
    pub fn view(&self) -> Result<Arc<View>, StoreError> {
        Ok(self.inner.directory.read_view()?)
    }

    /// The objects that are there now.
    pub fn database(&self) -> Result<Database, StoreError> {
        Ok(self.inner.directory.database()?)
    }

    /// Moves refs, with the objects they need, as one change prepared on the newest state. `prepare` is called again
    /// if that state moves meanwhile, and must not have effects of its own. Durable when this returns.
    pub fn publish<T>(
        &self,
        packs: Vec<FinishedPack>,
        prepare: impl FnMut(&View) -> Result<(Change, T), StoreError>,
    ) -> Result<(T, Arc<View>), StoreError> {
        self.publish_with(packs, Symbolic::Follow, prepare)
    }

    /// As [`Store::publish`], but an edit of a ref that stands for another one replaces it, and leaves the other alone; and
    /// what refs are moved to need not come with the write. What is here and no ref led to may be removed by a collection
    /// (`git gc --prune=now`) at any moment: then this is an error, and the refs are where they were.
    pub fn publish_mirrored<T>(
        &self,
        packs: Vec<FinishedPack>,
        prepare: impl FnMut(&View) -> Result<(Change, T), StoreError>,
    ) -> Result<(T, Arc<View>), StoreError> {
        self.publish_kept(packs, Symbolic::Itself, prepare)
    }

    pub(super) fn publish_with<T>(
        &self,
        packs: Vec<FinishedPack>,
        symbolic: Symbolic,
        mut prepare: impl FnMut(&View) -> Result<(Change, T), StoreError>,
    ) -> Result<(T, Arc<View>), StoreError> {
        let mut outcome = None;
        let view = self.inner.directory.publish_blocking(
            &self.inner.who,
            packs,
            symbolic,
            &mut |view| {
                let (change, result) = match prepare(view) {
                    Ok((change, value)) => (Ok(change), Ok(value)),
                    Err(error) => (Err(Refused), Err(error)),
                };
                outcome = Some(result);
                change
            },
        )?;
        match (outcome, view) {
            (Some(Ok(value)), Some(view)) => Ok((value, view)),
            (Some(Err(error)), _) => Err(error),
            _ => Err(RepoError::Stopped.into()),
        }
    }

    /// The folder for files under way, on the file system where packs end up.
    pub fn quarantine_dir(&self) -> &Path {
        self.inner.directory.quarantine()
    }

    /// The parents of a commit, as far as the history goes: a shallow clone ends early.
    pub(super) fn parents_of<'a>(
        &self,
        id: &ObjectId,
        parents: &'a [ObjectId],
    ) -> Result<&'a [ObjectId], StoreError> {
        let shallow = match self.inner.shallow.get() {
            Some(shallow) => shallow,
            None => {
                let shallow = self.inner.directory.shallow_commits()?;
                self.inner.shallow.get_or_init(|| shallow)
            }
        };
        Ok(match shallow.contains(id) {
            true => &[],
            false => parents,
        })
    }
}

fn already_there(path: &Path) -> StoreError {
    StoreError::Exists {
        path: path.as_os_str().as_encoded_bytes().into(),
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.path()).finish()
    }
}

/// The full name of a branch or tag, which is given as [`ref_text`] has it.
pub(super) fn full_name(kind: RefKind, name: &str) -> Result<RefName, StoreError> {
    let bad = |reason: String| StoreError::BadRefName {
        name: name.to_owned(),
        reason,
    };
    if name.contains(':') {
        return Err(bad("contains colon".to_owned()));
    }
    RefName::parse([kind.prefix(), &ref_bytes(name)].concat())
        .map_err(|error| bad(error.problem.to_string()))
}

/// What the options set of the section `core` of the repository's config file.
pub(super) fn core_settings(
    options: &StoreOptions,
) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let settings = [
        ("compression", options.compression.map(i128::from)),
        (
            "bigFileThreshold",
            options.big_file_threshold.map(i128::from),
        ),
    ];
    settings
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?.to_string())))
}

/// Where a path leads that need not exist: absolute.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The short name of a branch or tag, as [`ref_text`] has it.
pub(super) fn short_name(kind: RefKind, name: &RefName) -> Option<String> {
    name.strip_prefix(kind.prefix())
        .map(|short| ref_text(short))
}
