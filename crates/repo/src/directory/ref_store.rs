//! The refs of a repository folder, read as one state.
//!
//! Git reads a ref's own file before `packed-refs`, and packing writes `packed-refs` before it removes
//! the file, so reading in that order misses no ref. Changes of several refs are made by replacing
//! `packed-refs` (see `transaction`): a reader who finds it replaced reads again, and so sees all of
//! such a change or nothing.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{ObjectId, ProcessLocal, RefName};

use super::DirectoryOptions;
use super::durable::sync_nearest_folder;
use super::error::DirectoryError;
use super::gate::{Gate, Turn};
use super::layout::Layout;
use super::lock::{LockFile, NotLocked};
use super::loose_refs::{RawRef, read_raw, ref_path};
use super::packed_refs::{PackedRefs, packed_refs_path};
use super::patience::Patience;
use super::permissions::Sharing;
use super::ref_log::RefLogs;
use super::ref_places::RefPlaces;

/// How often all refs are read again because `packed-refs` was replaced meanwhile.
const READ_ATTEMPTS: u32 = 20;

/// How many symbolic refs may lead to one another; Git's own limit.
pub(super) const SYMBOLIC_DEPTH_MAX: usize = 5;

/// The refs of one folder.
#[derive(Debug)]
pub(super) struct RefStore {
    pub(super) git_dir: PathBuf,
    places: RefPlaces,
    /// Whom files are for that are made.
    pub(super) sharing: Sharing,
    pub(super) logs: RefLogs,
    pub(super) lock_timeout: Duration,
    /// That of `packed-refs`.
    pub(super) packed_lock_timeout: Duration,
    /// Whether moves of single refs, and reflogs, are to be durable when they are made.
    pub(super) durable: bool,
    packed: ProcessLocal<Mutex<Arc<PackedRefs>>>,
    /// Held for writing while refs move, so that no reader of this process sees a later
    /// change of one ref without an earlier one of another. Nothing is synced meanwhile.
    pub(super) moving: ProcessLocal<RwLock<()>>,
    /// Known once there was a turn to write.
    pub(super) gate: ProcessLocal<Arc<Gate>>,
}

/// All refs, as they were at one time.
#[derive(Debug)]
pub(super) struct RefState {
    pub(super) head: Head,
    /// Refs that have a file, sorted by name; they hide packed ones.
    pub(super) loose: Vec<(BString, RawRef)>,
    pub(super) packed: Arc<PackedRefs>,
}

/// What `HEAD` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Head {
    Branch(RefName),
    Detached,
}

impl RefStore {
    pub(super) fn new(layout: &Layout, options: &DirectoryOptions) -> RefStore {
        let timeouts = layout.lock_timeouts;
        let places = RefPlaces::new(layout.git_dir.clone(), layout.linked.clone());
        RefStore {
            git_dir: layout.git_dir.clone(),
            places: places.clone(),
            sharing: layout.sharing(),
            logs: RefLogs::new(
                places,
                layout.log_refs,
                options.log_branches,
                layout.sharing(),
            ),
            lock_timeout: timeouts.refs.unwrap_or(options.lock_timeout),
            packed_lock_timeout: timeouts.packed_refs.unwrap_or(options.lock_timeout),
            durable: options.durable,
            packed: ProcessLocal::new(),
            moving: ProcessLocal::new(),
            gate: ProcessLocal::new(),
        }
    }

    /// Waits for this thread's turn to write.
    pub(super) fn enter(&self) -> Result<Turn, DirectoryError> {
        let gate = match self.gate.get() {
            Some(gate) => gate,
            None => {
                let gate =
                    Gate::of(&self.git_dir).map_err(DirectoryError::io("lock", &self.git_dir))?;
                self.gate.get_or_init(|| gate)
            }
        };
        gate.enter(self.lock_timeout, self.sharing)
    }

    /// Takes the lock on a file of the repository.
    pub(super) fn take_lock(
        &self,
        path: &Path,
        patience: &mut Patience,
    ) -> Result<LockFile, NotLocked> {
        let gate = self.gate.get();
        LockFile::take(&self.git_dir, self.sharing, path, patience, gate)
    }

    /// Every ref.
    pub(super) fn read(&self) -> Result<RefState, DirectoryError> {
        self.read_with(RefStore::head)
    }

    /// Every ref, of a repository whose `HEAD` need not make sense.
    pub(super) fn read_any_head(&self) -> Result<RefState, DirectoryError> {
        self.read_with(RefStore::any_head)
    }

    fn read_with(
        &self,
        head: fn(&RefStore) -> Result<Head, DirectoryError>,
    ) -> Result<RefState, DirectoryError> {
        let _still = self.moving.read();
        let mut attempts = 1;
        loop {
            let packed = self.packed()?;
            let loose = self
                .places
                .scan()
                .map_err(DirectoryError::io("list", &self.git_dir.join("refs")))?;
            let head = head(self)?;
            if self.is_current(&packed)? {
                return Ok(RefState {
                    head,
                    loose,
                    packed,
                });
            }
            if attempts == READ_ATTEMPTS {
                // Others write without pause. What Git itself would read is good enough.
                return Ok(RefState {
                    head,
                    loose,
                    packed: self.packed()?,
                });
            }
            attempts += 1;
        }
    }

    /// The newest `packed-refs`.
    pub(super) fn packed(&self) -> Result<Arc<PackedRefs>, DirectoryError> {
        let mut cached = self.packed.lock();
        if !self.is_current(&cached)? {
            *cached = Arc::new(PackedRefs::read(&self.git_dir)?);
        }
        Ok(cached.clone())
    }

    fn is_current(&self, packed: &PackedRefs) -> Result<bool, DirectoryError> {
        packed.is_current(&self.git_dir).map_err(DirectoryError::io(
            "look at",
            &packed_refs_path(&self.git_dir),
        ))
    }

    /// Makes durable where a ref is now, wherever it is kept.
    pub(super) fn sync(&self, name: &RefName) -> Result<(), DirectoryError> {
        let mut files = vec![packed_refs_path(&self.git_dir)];
        let mut name = name.as_bstr().to_owned();
        for _ in 0..=SYMBOLIC_DEPTH_MAX {
            files.push(self.path(name.as_bstr()));
            match self.raw(name.as_bstr())? {
                Some(RawRef::Symbolic(target)) if RefName::parse(&target).is_ok() => name = target,
                _ => break,
            }
        }
        for file in files {
            match File::open(&file).and_then(|file| file.sync_all()) {
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                synced => synced.map_err(DirectoryError::io("sync", &file))?,
            }
            sync_nearest_folder(&file).map_err(DirectoryError::io("sync", &file))?;
        }
        Ok(())
    }

    /// What `HEAD` says now.
    pub(super) fn head(&self) -> Result<Head, DirectoryError> {
        let path = self.path("HEAD".into());
        match self.raw(BStr::new("HEAD"))? {
            Some(RawRef::Symbolic(name)) => match RefName::parse(&name) {
                Ok(name) => Ok(Head::Branch(name)),
                Err(error) => Err(DirectoryError::Damaged {
                    path,
                    reason: error.to_string(),
                }),
            },
            Some(RawRef::Id(_)) => Ok(Head::Detached),
            Some(RawRef::Broken) => Err(DirectoryError::Damaged {
                path,
                reason: "it names no branch".to_owned(),
            }),
            None => Err(DirectoryError::Damaged {
                path,
                reason: "it is missing".to_owned(),
            }),
        }
    }

    /// What `HEAD` says now; one that names no branch in any way counts as detached.
    pub(super) fn any_head(&self) -> Result<Head, DirectoryError> {
        match self.head() {
            Err(DirectoryError::Damaged { .. }) => Ok(Head::Detached),
            head => head,
        }
    }

    /// Where one ref points, through symbolic refs; `None` if there is no such ref.
    pub(super) fn target(&self, name: &RefName) -> Result<Option<ObjectId>, DirectoryError> {
        let mut name = name.clone();
        for _ in 0..=SYMBOLIC_DEPTH_MAX {
            match self.raw(name.as_bstr())? {
                Some(RawRef::Id(id)) => return Ok(Some(id)),
                Some(RawRef::Symbolic(target)) => match RefName::parse(&target) {
                    Ok(target) => name = target,
                    Err(_) => return Ok(None),
                },
                Some(RawRef::Broken) => {
                    return Err(DirectoryError::Damaged {
                        path: self.path(name.as_bstr()),
                        reason: "it does not name an object".to_owned(),
                    });
                }
                None => {
                    let packed = self.packed()?;
                    if let Some(entry) = packed.get(name.as_bstr()) {
                        return Ok(Some(entry.target));
                    }
                    // Packing moves a value before it removes the file, deleting the other way round:
                    // only a file that appeared meanwhile can have been missed.
                    return match self.raw(name.as_bstr())? {
                        Some(RawRef::Id(id)) => Ok(Some(id)),
                        _ => Ok(None),
                    };
                }
            }
        }
        Ok(None)
    }

    /// The file of a ref, without a look at `packed-refs`.
    pub(super) fn raw(&self, name: &BStr) -> Result<Option<RawRef>, DirectoryError> {
        let path = self.path(name);
        read_raw(&path).map_err(DirectoryError::io("read", &path))
    }

    pub(super) fn path(&self, name: &BStr) -> PathBuf {
        ref_path(self.places.folder_of(name), name)
    }

    /// The folder that the path of a ref is below, by its name.
    pub(super) fn folder_with(&self, path: &Path) -> &Path {
        self.places.folder_with(path)
    }

    /// Whether a path is one of the folders right below `refs/`, which no ref may replace.
    pub(super) fn is_top_folder(&self, path: &Path) -> bool {
        path.is_dir() && path.parent() == Some(&self.folder_with(path).join("refs"))
    }

    /// The folder that stays, even if empty, when the ref at `path` is deleted: `refs/heads`, `refs/tags` or their like.
    pub(super) fn folder_that_stays(&self, path: &Path) -> PathBuf {
        let refs = self.folder_with(path).join("refs");
        match path
            .strip_prefix(&refs)
            .ok()
            .and_then(|rest| rest.iter().next())
        {
            Some(kind) => refs.join(kind),
            None => refs,
        }
    }
}

impl RefState {
    /// Whether both say the same of every ref.
    pub(super) fn same_as(&self, other: &RefState) -> bool {
        self.head == other.head
            && Arc::ptr_eq(&self.packed, &other.packed)
            && self.loose == other.loose
    }

    /// What a symbolic ref leads to: `None` if to no valid name, or round and round.
    pub(super) fn follow(&self, target: &BStr) -> Option<RefName> {
        let mut name = RefName::parse(target.as_bytes()).ok()?;
        for _ in 0..SYMBOLIC_DEPTH_MAX {
            match self.loose(name.as_bstr()) {
                Some(RawRef::Symbolic(next)) => name = RefName::parse(next).ok()?,
                _ => return Some(name),
            }
        }
        None
    }

    fn loose(&self, name: &BStr) -> Option<&RawRef> {
        let at = self
            .loose
            .binary_search_by(|(other, _)| other.as_bstr().cmp(name))
            .ok()?;
        Some(&self.loose[at].1)
    }
}
