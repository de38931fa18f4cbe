//! Making a store: a bare repository that appears in one step, complete.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;
use packhouse_object::{LooseStore, NewObject, ObjectKind, RefName};

use super::message::new_commit;
use super::open::{absolute, full_name};
use super::refs::RefKind;
use super::{StoreError, StoreOptions};
use crate::directory::durable::{sync_folder, write_new};
use crate::directory::{DirectoryError, OpenError, write_skeleton};

/// Makes the repository, with a first commit on `branch`, unless something is at `path`. Returns whether it did.
pub(super) fn create(
    path: &Path,
    branch: Option<&str>,
    options: &StoreOptions,
) -> Result<bool, StoreError> {
    let branch = branch
        .map(|name| Ok::<_, StoreError>((name, full_name(RefKind::Branch, name)?)))
        .transpose()?;
    let path = absolute(path);
    let parent = path.parent().unwrap_or(&path);
    fs::create_dir_all(parent).map_err(OpenError::io("make", parent))?;
    let made = tempfile::Builder::new()
        .prefix(".new-store-")
        .tempdir_in(parent)
        .map_err(OpenError::io("make a folder in", parent))?;
    let head = match &branch {
        Some((_, name)) => name.clone(),
        None => RefName::branch("master").expect("the name is valid"),
    };
    // The temporary folder is for its owner only; the repository is for whom the umask says.
    let folder = made.path().join("git");
    write_skeleton(&folder, &head)?;
    if let Some((short, name)) = branch {
        first_commit(&folder, short, &name, options)?;
    }
    match fs::rename(&folder, &path) {
        Ok(()) => {}
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(OpenError::io("make", &path)(error).into()),
    }
    sync_folder(parent).map_err(OpenError::io("sync", parent))?;
    Ok(true)
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
    let file = git_dir.join(std::str::from_utf8(name.as_bytes()).expect("made from text"));
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
