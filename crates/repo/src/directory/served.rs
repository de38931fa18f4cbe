//! A repository of any form on disk as Git's server programs use it: bare or beside a working copy, with any `HEAD`,
//! its history cut off or not.
//!
//! Refs move under Git's own lock files, as if this were `git` itself. Whether they may is the caller's to decide, and
//! so are hooks and what becomes of a working copy's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::{BStr, ByteSlice};
use packhouse_object::{Database, IdSet, ObjectId, RefName};

use super::backend::{Directory, Inner};
use super::error::{DirectoryError, OpenError};
use super::incoming::IncomingObjects;
use super::layout::{Accept, Layout, LockTimeouts, ObjectPlaces, ServedSettings, config_value};
use super::loose_refs::RawRef;
use super::object_folders::Damage;
use super::ref_locks::Symbolic;
use super::ref_log::Moment;
use super::ref_store::{Head, SYMBOLIC_DEPTH_MAX};
use super::shallow_file::{add_shallow, read_shallow};
use super::transaction::{Mover, Outcome};
use crate::change::RefEdit;
use crate::error::RepoError;
use crate::view::View;

/// What `HEAD` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServedHead {
    /// A branch, which need not exist.
    Branch(RefName),
    /// An object.
    Detached(ObjectId),
    /// Nothing that can be understood.
    Broken,
}

/// What the name of a ref stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandsFor {
    /// A ref of its own, which need not be there.
    Itself,
    /// The ref that symbolic ones lead to, which need not be there.
    Other(RefName),
    /// Nothing: symbolic refs lead to what is no name, or round and round.
    Nothing,
}

/// How a move of refs ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefsMoved {
    /// All of them moved, durably.
    Moved,
    /// This ref was not where its edit expected it, so none moved.
    Stale {
        /// The ref.
        name: RefName,
        /// Where it is.
        found: Option<ObjectId>,
    },
    /// The caller decided against it when the refs were locked.
    Declined,
}

/// A repository that is open. Cheap to clone.
#[derive(Clone)]
pub struct Served {
    directory: Directory,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served")
            .field("git_dir", &self.git_dir())
            .finish_non_exhaustive()
    }
}

impl Served {
    /// Opens the repository in the folder `path`, or that of the working copy there, or, as a linked working copy has it, that of
    /// which `path` is such a one's folder. Writes nothing.
    ///
    /// Reftables, SHA-256 objects and partial clones are refused.
    pub fn open(path: &Path) -> Result<Served, OpenError> {
        let layout = Layout::find(path, Accept::Linked)?;
        Ok(Served::of_layout(layout, false))
    }

    fn of_layout(layout: Layout, log_branches: bool) -> Served {
        let unknown = RefName::branch("main").expect("the name is valid");
        Served {
            directory: Directory::open_served(layout, unknown, log_branches, Damage::PassedOver),
        }
    }

    /// The same repository as the one of a store, whose branches are logged whatever the settings say: undoing goes by that.
    /// What is open is opened anew.
    pub fn of_store(&self) -> Served {
        Served::of_layout(self.directory.inner.layout.clone(), true)
    }

    /// The same repository, read and written as `settings` say and not as its own file does. What is open is opened anew.
    pub fn with_settings(&self, settings: ServedSettings) -> Served {
        let Inner {
            layout, options, ..
        } = &*self.directory.inner;
        Served::of_layout(layout.with_settings(settings), options.log_branches)
    }

    /// The same repository, whose locks are waited for so long. What is open is opened anew.
    pub fn with_lock_timeouts(&self, timeouts: LockTimeouts) -> Served {
        let Inner {
            layout, options, ..
        } = &*self.directory.inner;
        Served::of_layout(layout.with_lock_timeouts(timeouts), options.log_branches)
    }

    /// The same repository with its objects where `places` say. What is open is opened anew.
    pub fn with_objects(&self, places: ObjectPlaces) -> Served {
        let Inner {
            layout, options, ..
        } = &*self.directory.inner;
        Served::of_layout(layout.with_objects(places), options.log_branches)
    }

    /// The repository's folder, without symbolic links.
    pub fn git_dir(&self) -> &Path {
        self.directory.git_dir()
    }

    /// The folder with `HEAD` and what else is of one working copy only: the repository's, but for linked ones.
    pub fn own_dir(&self) -> &Path {
        let Layout {
            git_dir, linked, ..
        } = &self.directory.inner.layout;
        linked.as_deref().unwrap_or(git_dir)
    }

    /// The repository by itself, whichever of its working copies this was found by.
    pub fn unlinked(&self) -> Served {
        let Inner {
            layout, options, ..
        } = &*self.directory.inner;
        match layout.linked {
            Some(_) => Served::of_layout(layout.unlinked(), options.log_branches),
            None => self.clone(),
        }
    }

    /// Whether there is no working copy beside the repository; linked ones do not count.
    pub fn is_bare(&self) -> bool {
        !self.directory.inner.layout.of_working_copy
    }

    /// The folder with the files of the working copy beside which the repository is: what `core.worktree` names, or where
    /// `.git` lies. `None`: there is none, or nobody can say where.
    pub fn work_tree(&self) -> Result<Option<PathBuf>, OpenError> {
        if self.is_bare() {
            return Ok(None);
        }
        let git_dir = self.git_dir();
        let named = config_value(git_dir, "core", "worktree")?;
        Ok(match named {
            Some(path) => Some(git_dir.join(path)),
            None if git_dir.ends_with(".git") => git_dir.parent().map(Path::to_owned),
            None => None,
        })
    }

    /// Refs and objects as they are now. What the view says of `HEAD` is only right where [`Served::head`] says the same.
    pub fn view(&self) -> Result<Arc<View>, RepoError> {
        self.directory.read_view()
    }

    /// The objects that are there now. Packs that are damaged are done without, as by Git.
    pub fn database(&self) -> Result<Database, RepoError> {
        self.directory.database()
    }

    /// What `HEAD` says now.
    pub fn head(&self) -> Result<ServedHead, RepoError> {
        let refs = &self.directory.inner.refs;
        Ok(match refs.any_head()? {
            Head::Branch(name) => ServedHead::Branch(name),
            Head::Detached => match refs.raw(BStr::new("HEAD"))? {
                Some(RawRef::Id(id)) => ServedHead::Detached(id),
                _ => ServedHead::Broken,
            },
        })
    }

    /// Where a ref is now, by way of symbolic ones.
    pub fn target(&self, name: &RefName) -> Result<Option<ObjectId>, RepoError> {
        Ok(self.directory.inner.refs.target(name)?)
    }

    /// Which ref moves when the one of this name is moved.
    pub fn stands_for(&self, name: &RefName) -> Result<StandsFor, RepoError> {
        let refs = &self.directory.inner.refs;
        let mut last = name.clone();
        for _ in 0..=SYMBOLIC_DEPTH_MAX {
            match refs.raw(last.as_bstr())? {
                Some(RawRef::Symbolic(target)) => match RefName::parse(&target) {
                    Ok(target) => last = target,
                    Err(_) => return Ok(StandsFor::Nothing),
                },
                _ if last == *name => return Ok(StandsFor::Itself),
                _ => return Ok(StandsFor::Other(last)),
            }
        }
        Ok(StandsFor::Nothing)
    }

    /// The commits whose parents are not here.
    pub fn shallow(&self) -> Result<IdSet, RepoError> {
        Ok(read_shallow(self.git_dir())?.into_iter().collect())
    }

    /// Notes that the parents of these commits are not here, durably.
    pub fn add_shallow(&self, commits: &IdSet) -> Result<(), RepoError> {
        add_shallow(&self.directory, commits)
    }

    /// The object folders that this repository borrows from.
    pub fn alternates(&self) -> Result<Vec<PathBuf>, RepoError> {
        let mut folders = self.directory.inner.layout.object_folders()?;
        folders.remove(0);
        Ok(folders)
    }

    /// The folder of the repository's own objects.
    pub fn objects(&self) -> PathBuf {
        self.directory.objects_dir().path
    }

    /// Makes a folder for the objects of a push.
    pub fn incoming(&self) -> Result<IncomingObjects, RepoError> {
        self.check_sharing()?;
        Ok(IncomingObjects::new(self.directory.objects_dir())?)
    }

    /// Moves all of these refs or none, or, where they are symbolic, the refs they stand for. The objects they are to point
    /// to are there, durably. `who`, `at` and the messages go to the reflogs. When all refs are locked and are where they are
    /// expected, `agreed` is asked.
    pub fn move_refs(
        &self,
        edits: &[RefEdit],
        who: &str,
        at: Moment,
        agreed: &mut dyn FnMut() -> bool,
    ) -> Result<RefsMoved, RepoError> {
        self.check_sharing()?;
        let names: BTreeMap<RefName, Symbolic> = edits
            .iter()
            .map(|edit| (edit.name.clone(), Symbolic::Follow))
            .collect();
        let locked = self.directory.inner.refs.lock(&names)?;
        let packed = locked.store.packed()?;
        for edit in edits {
            let found = locked.current(&locked.routes[&edit.name].name, &packed)?;
            if found != edit.old {
                let name = edit.name.clone();
                return Ok(RefsMoved::Stale { name, found });
            }
        }
        let database = self.directory.database()?;
        let mover = Mover { who, at, way: &[] };
        Ok(match locked.commit_if(edits, mover, &database, agreed)? {
            Some(Outcome::Moved) => RefsMoved::Moved,
            None => RefsMoved::Declined,
            Some(Outcome::Stale) => match edits.first() {
                Some(edit) => RefsMoved::Stale {
                    name: edit.name.clone(),
                    found: self.directory.ref_target(&edit.name)?,
                },
                None => RefsMoved::Moved,
            },
        })
    }

    /// Whether moves of a ref that is no symbolic one go to a reflog.
    pub fn is_logged(&self, name: &RefName) -> bool {
        let logs = &self.directory.inner.refs.logs;
        logs.is_logged(name.as_bytes().as_bstr())
    }

    fn check_sharing(&self) -> Result<(), DirectoryError> {
        match &self.directory.inner.layout.sharing {
            Ok(_) => Ok(()),
            Err(reason) => Err(DirectoryError::Damaged {
                path: self.git_dir().join("config"),
                reason: reason.clone(),
            }),
        }
    }
}
