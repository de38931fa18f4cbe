//! What to do about an error: the line under it.

use std::borrow::Cow;
use std::io;

use packhouse_repo::RepoError;
use packhouse_repo::directory::{DirectoryError, OpenError};
use packhouse_repo::store::{StoreError, StoreErrorKind};
use rustix::io::Errno;

/// Where there is nothing better to say.
pub(crate) const ANY: &str = "run the command with --help to see what it takes";

/// About what the system says, of local files and of those of the repository.
pub(crate) fn of_system(error: &io::Error) -> Option<&'static str> {
    Some(match error.kind() {
        io::ErrorKind::StorageFull => "make room on that disk, then run it again",
        io::ErrorKind::QuotaExceeded => "make room within the quota, then run it again",
        io::ErrorKind::FileTooLarge => {
            "the file system, or `ulimit -f`, allows no larger files: raise the limit, then run it again"
        }
        io::ErrorKind::PermissionDenied => {
            "run it as a user who may, or change the permissions with `chmod`"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "name a place on a disk that can be written, or mount this one so"
        }
        io::ErrorKind::NotFound => "check the path; one in the repository begins with ':'",
        io::ErrorKind::IsADirectory => "name a file",
        io::ErrorKind::NotADirectory => "name a folder; what stands before a '/' must be one",
        io::ErrorKind::AlreadyExists => "name another place, or move away what is there",
        io::ErrorKind::InvalidFilename => "names of files have at most 255 bytes on most disks",
        _ => match Errno::from_io_error(error) {
            Some(Errno::IO) => "the disk fails: look at the system's log, and at the disk",
            Some(Errno::MFILE | Errno::NFILE) => "raise the limit on open files (`ulimit -n`)",
            _ => return None,
        },
    })
}

/// About what a store says.
pub(crate) fn of_store(error: &StoreError) -> Cow<'static, str> {
    match error {
        StoreError::NotFound { path } | StoreError::SourceNotFound { path } => format!(
            "`ls -R` lists the files there are; if '{path}' is a branch, tag or commit, write '{path}:'"
        )
        .into(),
        StoreError::NoSuchRef { name } => of_unknown(name).into(),
        _ => Cow::Borrowed(of_kind(error)),
    }
}

fn of_unknown(name: &str) -> String {
    match name.rsplit_once('~') {
        Some((name, steps)) => format!(
            "to walk back from '{name}' here, give its name alone and `--back {steps}`; '~' is for paths: '{name}~{steps}:'"
        ),
        None => format!(
            "`branch list`, `tag list` and `log` show what there is; ':{name}' is a path in the current branch, './{name}' \
             a local one, also with a colon in it"
        ),
    }
}

fn of_kind(error: &StoreError) -> &'static str {
    match error {
        StoreError::IsADirectory { .. } => "name a file; `ls` lists those of a folder",
        StoreError::NotADirectory { .. } | StoreError::SourceNotADirectory { .. } => {
            "name a folder; `ls` shows what is there"
        }
        StoreError::Exists { .. } => "name another place, or remove what is there first",
        StoreError::ReadOnly { .. } => "only the newest state of a branch can be written",
        StoreError::Stale { .. } => "someone else wrote to it; run it again",
        StoreError::NoSuchBranch { .. } => "`branch list` shows the branches there are",
        StoreError::NoSuchTag { .. } => "`tag list` shows the tags there are",
        StoreError::NoSuchObject { .. } => "`hash` and `ls -l --full-hash` show ids",
        StoreError::NoSuchNote { .. } => "`note list` shows the commits that have a note",
        StoreError::TagExists { .. } => "name another, or replace it with --force",
        StoreError::BadPath { .. } => {
            "paths are like docs/a.txt, without '.', '..', '.git' and empty parts"
        }
        StoreError::BadRefName { .. } => {
            "use letters, digits, '-', '_', '.' and '/'; `git check-ref-format` has all the rules"
        }
        StoreError::UnknownPlaceholder { .. } | StoreError::BadTemplate { .. } => {
            "{default}, {add_count}, {update_count}, {delete_count}, {total_count} and {op} are known; {{ is a brace"
        }
        StoreError::LocalNotFound { .. } => "check the path; one in the repository begins with ':'",
        StoreError::LocalNotADirectory { .. } => "name a folder",
        StoreError::SamePlace { .. } | StoreError::IntoItself { .. } => {
            "name another place, that is not in what is copied or moved"
        }
        StoreError::NeedsRecursive { .. } => "-R takes a folder with everything in it",
        StoreError::Cancelled => "run it again",
        StoreError::Open(error) => of_open(error),
        StoreError::Repo(repo) => of_repo(repo)
            .or_else(|| error.io().and_then(of_system))
            .unwrap_or(match error.kind() {
                StoreErrorKind::Git => "`git fsck` in the repository says more",
                _ => ANY,
            }),
        _ => error.io().and_then(of_system).unwrap_or(ANY),
    }
}

fn of_open(error: &OpenError) -> &'static str {
    match error {
        OpenError::NoRepository { .. } => {
            "name a bare repository with --repo; `init` makes one in a folder that is empty or does not exist yet"
        }
        OpenError::WorkingCopy { .. } => "name a bare repository, as `git clone --bare` makes one",
        OpenError::Unsupported { .. } => {
            "make a new store with `init`, and copy the files of a working copy into it with `cp`"
        }
        OpenError::NotEmpty { .. } => "name a folder that is empty or does not exist yet",
        OpenError::Config { .. } => "correct that line",
        OpenError::Io { source, .. } => of_system(source).unwrap_or(ANY),
        _ => ANY,
    }
}

/// About what the repository itself says; `None` if the system said it.
fn of_repo(error: &RepoError) -> Option<&'static str> {
    let error = match error {
        RepoError::Directory(error) => error,
        RepoError::Shared(error) => return of_repo(error),
        _ => return None,
    };
    Some(match error {
        DirectoryError::Locked { .. } | DirectoryError::TurnTaken { .. } => {
            "run it again when the other program has ended"
        }
        DirectoryError::Gone { .. } => "`init` makes a new one",
        DirectoryError::NameConflict { .. } => "name another, or delete the one that is in the way",
        DirectoryError::DetachedHead { .. } => "choose a branch with `branch current -b NAME`",
        DirectoryError::ReadOnly { .. } => {
            "name a bare repository that this user may write, such as a copy made with `git clone --bare`"
        }
        _ => return None,
    })
}
