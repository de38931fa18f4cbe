//! Making a store: a bare repository that appears in one step, complete.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use packhouse_object::{LooseStore, NewObject, ObjectKind, RefName};

use super::contents::Contents;
use super::message::new_commit;
use super::open::{absolute, core_settings, full_name};
use super::refs::RefKind;
use super::{StoreError, StoreOptions};
use crate::directory::durable::{sync_folder, write_new};
use crate::directory::{DirectoryError, OpenError, core_setting, write_skeleton};
use crate::under_way::{FolderUnderWay, Kind, remove_left_behind};

/// What was made for a new store.
#[derive(Debug)]
pub(super) struct Made {
    /// What is in the store, as it was made.
    pub(super) contents: Contents,
    /// There was an empty folder, with these permissions.
    pub(super) was_folder: Option<Permissions>,
    /// The folders above it that were missing, the innermost first.
    folders: Vec<PathBuf>,
}

impl Made {
    /// Removes the folders above the store as far as nothing else is in them.
    pub(super) fn remove_folders(&self) {
        for folder in &self.folders {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

/// Makes the repository, with a first commit on `branch`, unless something is at `path`: then `None`.
pub(super) fn create(
    path: &Path,
    branch: Option<&str>,
    options: &StoreOptions,
) -> Result<Option<Made>, StoreError> {
    let named = branch
        .map(|name| Ok::<_, StoreError>((name, full_name(RefKind::Branch, name)?)))
        .transpose()?;
    // An empty folder may be named by a symbolic link, which stays.
    let path = fs::canonicalize(path).unwrap_or_else(|_| absolute(path));
    let parent = path.parent().unwrap_or(&path);
    let missing = parent.ancestors().take_while(|folder| !folder.exists());
    let mut made = Made {
        contents: Contents::default(),
        was_folder: fs::metadata(&path).ok().map(|found| found.permissions()),
        folders: missing.map(Path::to_owned).collect(),
    };
    let contents = create_in(parent, &path, named, options);
    if !matches!(contents, Ok(Some(_))) {
        made.remove_folders();
    }
    Ok(contents?.map(|contents| {
        made.contents = contents;
        made
    }))
}

fn create_in(
    parent: &Path,
    path: &Path,
    branch: Option<(&str, RefName)>,
    options: &StoreOptions,
) -> Result<Option<Contents>, StoreError> {
    fs::create_dir_all(parent).map_err(OpenError::io("make", parent))?;
    remove_left_behind(parent);
    let made = FolderUnderWay::make(Kind::NewStore, parent)
        .map_err(OpenError::io("make a folder in", parent))?;
    let head = match &branch {
        Some((_, name)) => name.clone(),
        None => RefName::branch("master").expect("the name is valid"),
    };
    // The temporary folder is for its owner only; the repository is for whom the umask says.
    let folder = made.new_path();
    write_skeleton(&folder, &head)?;
    let config = folder.join("config");
    set_up(&config, options).map_err(OpenError::io("write", &config))?;
    if let Some((short, name)) = branch {
        first_commit(&folder, short, &name, options)?;
    }
    let contents = Contents::read(&folder).map_err(OpenError::io("read", &folder))?;
    match fs::rename(&folder, path) {
        Ok(()) => {}
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(OpenError::io("make", path)(error).into()),
    }
    sync_folder(parent).map_err(OpenError::io("sync", parent))?;
    Ok(Some(contents))
}

/// Adds what the options set to a config file.
fn set_up(config: &Path, options: &StoreOptions) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(config)?;
    for (key, value) in core_settings(options) {
        file.write_all(core_setting(key, &value).as_bytes())?;
    }
    file.sync_all()
}

/// An empty commit on the branch. No reflog tells of it: a branch begins with its first write.
fn first_commit(
    git_dir: &Path,
    short: &str,
    name: &RefName,
    options: &StoreOptions,
) -> Result<(), StoreError> {
    let tree = NewObject::new(ObjectKind::Tree, Bytes::new())?;
    let message = format!("Initialize {short}");
    let commit = new_commit(tree.id, Vec::new(), &options.identity, message.into());
    let commit = NewObject::new(ObjectKind::Commit, commit.encode())?;
    let id = commit.id;
    LooseStore::open(git_dir.join("objects"))
        .write_all(&[tree, commit])
        .map_err(DirectoryError::WriteLoose)?;
    let file = git_dir.join(OsStr::from_bytes(name.as_bytes()));
    let folder = file.parent().expect("a branch is in a folder");
    fs::create_dir_all(folder).map_err(OpenError::io("make", folder))?;
    write_new(&file, format!("{id}\n").as_bytes()).map_err(OpenError::io("write", &file))?;
    for folder in folder
        .ancestors()
        .take_while(|folder| folder.starts_with(git_dir))
    {
        sync_folder(folder).map_err(OpenError::io("sync", folder))?;
    }
    Ok(())
}
