//! The backend as the embedded store uses it: without an executor, and ref by ref.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bstr::BStr;
use packhouse_object::{Database, FinishedPack, IdSet, NewObject, ObjectId, RefName};

use super::DirectoryOptions;
use super::backend::Directory;
use super::error::{DirectoryError, OpenError};
use super::layout::{Accept, Layout, ObjectsDir, config_value};
use super::lock::{LockFile, NotLocked};
use super::loose_refs::RawRef;
use super::patience::Patience;
use super::ref_locks::Symbolic;
use super::ref_store::Head;
use super::shallow_file::read_shallow;
use crate::change::Change;
use crate::error::RepoError;
use crate::reflog::ReflogEntry;
use crate::repository::Refused;
use crate::view::View;

/// `core.<key>` as a config file has it.
pub(crate) fn core_setting(key: &str, value: &str) -> String {
    format!("[core]\n\t{key} = {value}\n")
}

impl Directory {
    /// Opens a bare repository whatever its `HEAD` says. The repository of a working copy can only be read.
    pub(crate) fn open_store(
        path: &Path,
        mut options: DirectoryOptions,
    ) -> Result<Directory, OpenError> {
        let layout = match Layout::find(path, Accept::Bare) {
            Err(OpenError::WorkingCopy { .. }) => {
                options.read_only = true;
                Layout::find(path, Accept::WorkingCopies)?
            }
            layout => layout?,
        };
        let unknown = RefName::branch("main").expect("the name is valid");
        // A folder that may not be written can still be read.
        options.read_only = options.read_only || layout.is_protected();
        Directory::open_any_head(layout, options, unknown)
    }

    /// The repository's folder, without symbolic links.
    pub(crate) fn git_dir(&self) -> &Path {
        &self.inner.layout.git_dir
    }

    /// Whether there is a working copy beside it.
    pub(crate) fn is_of_working_copy(&self) -> bool {
        self.inner.layout.of_working_copy
    }

    /// The folder for files under way, on the file system where packs end up.
    pub(crate) fn quarantine(&self) -> &Path {
        self.inner.quarantine.path()
    }

    /// The folder of objects.
    pub(crate) fn objects_dir(&self) -> ObjectsDir {
        self.inner.layout.objects_dir()
    }

    /// Keeps an object that was just stored where reading finds it without a look at the disk.
    pub(crate) fn remember(&self, object: &NewObject) {
        self.inner.objects.remember(object);
    }

    /// An error if nothing may be written.
    pub(crate) fn check_writable(&self) -> Result<(), DirectoryError> {
        self.inner.check_writable()
    }

    /// The objects that are there now.
    pub(crate) fn database(&self) -> Result<Database, RepoError> {
        Ok(self.inner.objects.database()?.0)
    }

    /// Where one ref points, through symbolic refs; `None` if there is no such ref.
    pub(crate) fn ref_target(&self, name: &RefName) -> Result<Option<ObjectId>, DirectoryError> {
        self.inner.refs.target(name)
    }

    /// Whether a ref stands for another one, be that there or not.
    pub(crate) fn is_symbolic(&self, name: &RefName) -> Result<bool, DirectoryError> {
        let raw = self.inner.refs.raw(name.as_bstr())?;
        Ok(matches!(raw, Some(RawRef::Symbolic(_))))
    }

    /// The branch that `HEAD` names, whether it exists or not; `None` if `HEAD` names a commit or nothing.
    pub(crate) fn head_branch(&self) -> Result<Option<RefName>, DirectoryError> {
        Ok(match self.inner.refs.any_head()? {
            Head::Branch(name) => Some(name),
            Head::Detached => None,
        })
    }

    /// Points `HEAD` to a branch, durably.
    pub(crate) fn set_head(&self, branch: &RefName) -> Result<(), RepoError> {
        let _turn = self.enter()?;
        let refs = &self.inner.refs;
        let path = refs.path(BStr::new("HEAD"));
        let mut lock = self.lock_file(&path)?;
        lock.write(&[b"ref: ", branch.as_bytes(), b"\n"].concat())?;
        let _moving = refs.moving.write();
        lock.commit()
            .map_err(DirectoryError::io("replace", &path))?;
        Ok(())
    }

    /// Sets `core.<key>` in the repository's config file, unless it says so already.
    pub(crate) fn set_core(&self, key: &str, value: &str) -> Result<(), RepoError> {
        let git_dir = self.git_dir();
        let path = git_dir.join("config");
        let known = config_value(git_dir, "core", key).map_err(|error| {
            let reason = error.to_string();
            let path = path.clone();
            DirectoryError::Damaged { path, reason }
        })?;
        if known.as_deref() == Some(value) {
            return Ok(());
        }
        let _turn = self.enter()?;
        let mut lock = self.lock_file(&path)?;
        // A later setting counts, so the file is only added to.
        let mut text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            text => text.map_err(DirectoryError::io("read", &path))?,
        };
        if text.last().is_some_and(|&byte| byte != b'\n') {
            text.push(b'\n');
        }
        text.extend_from_slice(core_setting(key, value).as_bytes());
        // First of all, as it may be for its owner's eyes: addresses of remotes can hold passwords.
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            old => {
                let kept = old.and_then(|old| lock.file().set_permissions(old.permissions()));
                kept.map_err(DirectoryError::io("protect", &path))?;
            }
        }
        lock.write(&text)?;
        lock.commit()
            .map_err(DirectoryError::io("replace", &path))?;
        Ok(())
    }

    pub(super) fn lock_file(&self, path: &Path) -> Result<LockFile, DirectoryError> {
        self.lock_file_within(path, self.inner.refs.lock_timeout)
    }

    /// The same with a patience of its own.
    pub(super) fn lock_file_within(
        &self,
        path: &Path,
        timeout: Duration,
    ) -> Result<LockFile, DirectoryError> {
        let refs = &self.inner.refs;
        let mut patience = Patience::new(timeout);
        refs.take_lock(path, &mut patience)
            .map_err(|error| match error {
                NotLocked::Error(error) => error,
                NotLocked::FileInTheWay => {
                    DirectoryError::io("lock", path)(std::io::ErrorKind::NotADirectory.into())
                }
            })
    }

    /// Writes what `prepare` asks for on the newest state, as [`Repository::publish`](crate::Repository::publish) does.
    pub(crate) fn publish_blocking(
        &self,
        who: &str,
        packs: Vec<FinishedPack>,
        symbolic: Symbolic,
        prepare: &mut dyn FnMut(&View) -> Result<Change, Refused>,
    ) -> Result<Option<Arc<View>>, RepoError> {
        self.inner.publish(who, packs, symbolic, prepare)
    }

    /// The whole log of one ref, oldest line first.
    pub(crate) fn reflog_of(&self, name: &RefName) -> Result<Vec<ReflogEntry>, DirectoryError> {
        let logs = &self.inner.refs.logs;
        logs.of_ref(name.as_bstr(), None, usize::MAX)
    }

    /// Whether the ref has a log at all.
    pub(crate) fn has_reflog(&self, name: &RefName) -> bool {
        self.inner.refs.logs.exists(name.as_bstr())
    }

    /// The commits whose parents a shallow clone left out.
    pub(crate) fn shallow_commits(&self) -> Result<IdSet, DirectoryError> {
        if !self.inner.layout.shallow {
            return Ok(IdSet::default());
        }
        Ok(read_shallow(self.git_dir())?.into_iter().collect())
    }
}
