//! `destroy`: removes a repository.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use packhouse_repo::store::{Store, StoreErrorKind};
use packhouse_repo::under_way::{FolderUnderWay, Kind, remove_left_behind};
use serde::Serialize;

use super::failure::Failure;
use super::init::not_kept;
use super::output::name_of;
use super::session::Session;

/// Remove the repository
#[derive(Args, Debug)]
pub(crate) struct DestroyArgs {
    /// Also if it holds files, history, tags, notes, or what no repository has
    #[arg(short, long)]
    force: bool,
}

/// What was removed.
#[derive(Serialize)]
struct Destroyed {
    repository: String,
    destroyed: bool,
}

/// What git and stores keep in a repository; anything else is somebody's.
const OURS: [&[u8]; 17] = [
    b"FETCH_HEAD",
    b"HEAD",
    b"ORIG_HEAD",
    b"branches",
    b"config",
    b"description",
    b"gc.log",
    b"gc.pid",
    b"gitstore.lock",
    b"hooks",
    b"info",
    b"logs",
    b"objects",
    b"packed-refs",
    b"packed-refs.tmp",
    b"packhouse",
    b"refs",
];

pub(crate) fn run(args: DestroyArgs, session: &Session) -> Result<(), Failure> {
    let store = session.open()?;
    if store.is_of_working_copy() {
        let why = format!(
            "Not destroyed: {} is the repository of a working copy",
            store.path().display()
        );
        return Err(Failure::new(why)
            .hint("its files would be left without their history; remove it with `rm -r`"));
    }
    // Nobody writes meanwhile, if anybody could.
    let _turn = match store.exclusive() {
        Err(error) if error.kind() == StoreErrorKind::Permission => None,
        turn => Some(turn?),
    };
    if !args.force
        && let Some(what) = held(&store)?
    {
        let why = format!("Repository is not empty: it has {what}");
        return Err(Failure::new(why).hint("--force removes it anyway"));
    }
    let path = store.path();
    remove(path, FolderUnderWay::close)?;
    // A link to the repository would lead nowhere.
    let named = session.path()?;
    if named.is_symlink() {
        fs::remove_file(&named).map_err(|error| Failure::local(&named, &error))?;
    }
    session.tell(format_args!("Destroyed {}", path.display()));
    session.report(&Destroyed {
        repository: name_of(path.as_os_str().as_bytes()),
        destroyed: true,
    })
}

/// Removes a repository. It leaves its place in one step and for good before anything of it is removed, so that a crash
/// leaves all of it there, or nothing; never half of it under its name. What is left beside it the next one removes.
fn remove(place: &Path, remove_all: fn(FolderUnderWay) -> io::Result<()>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::local(place, &error);
    let folder = place.parent().unwrap_or(place);
    remove_left_behind(folder);
    let beside = FolderUnderWay::make(Kind::OldStore, folder).map_err(failed)?;
    let (aside, old) = (beside.path().to_owned(), beside.old_path());
    fs::rename(place, &old).map_err(failed)?;
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        return match fs::rename(&old, place) {
            Ok(()) => Err(failed(error)),
            // What is kept is not removed by dropping it.
            Err(_) => Err(match beside.keep_old() {
                Ok(old) => {
                    failed(error).hint(format!("the repository is in {} now", old.display()))
                }
                Err(_) => failed(error).hint(not_kept(&old)),
            }),
        };
    }
    remove_all(beside).map_err(|error| {
        let hint = format!("what is left of the repository is in {}", aside.display());
        failed(error).hint(hint)
    })
}

/// What would be lost, if something would be.
fn held(store: &Store) -> Result<Option<String>, Failure> {
    if let Err(error) = store.check_refs() {
        return Ok(Some(format!(
            "what a ref named that cannot be read ({error})"
        )));
    }
    if let Some(commit) = store.detached_at()? {
        return Ok(Some(format!("the commit {commit} that HEAD names")));
    }
    let view = store.view()?;
    let branches = view.refs().prefixed(b"refs/heads/").count();
    if view.refs().len() > branches {
        return Ok(Some("tags, notes or other refs".to_owned()));
    }
    let branches = store.branches();
    for name in branches.names()? {
        let tip = branches.get(&name)?;
        if !tip.ls("")?.is_empty() {
            return Ok(Some(format!("files in the branch '{name}'")));
        }
        // What was undone can be redone.
        let was_elsewhere = match branches.reflog(&name) {
            Ok(lines) => lines.iter().any(|line| {
                [line.old, line.new]
                    .iter()
                    .any(|id| !id.is_null() && *id != tip.commit())
            }),
            Err(error) if error.kind() == StoreErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        if was_elsewhere || !tip.parents().is_empty() {
            return Ok(Some(format!("history of the branch '{name}'")));
        }
    }
    let foreign = foreign(store.path()).map_err(|error| Failure::local(store.path(), &error))?;
    Ok(foreign.map(|name| format!("a file or folder '{}' of somebody's", name.display())))
}

/// The first name in the repository's folder that is not a repository's.
pub(super) fn foreign(repository: &Path) -> io::Result<Option<OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(repository)? {
        let name = entry?.file_name();
        if !OURS.contains(&name.as_bytes()) {
            names.push(name);
        }
    }
    Ok(names.into_iter().min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_out_of_its_place_before_anything_of_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("data.git");
        let make = || {
            fs::create_dir_all(place.join("objects")).unwrap();
            fs::write(place.join("HEAD"), "ref: refs/heads/main").unwrap();
        };
        make();
        let left = remove(&place, |beside| {
            assert!(beside.path().join("old/objects").exists());
            assert!(beside.path().join("old/HEAD").exists());
            assert!(!beside.path().with_file_name("data.git").exists());
            fs::remove_file(beside.path().join("old/HEAD"))?;
            beside.keep()?;
            Err(io::ErrorKind::PermissionDenied.into())
        });
        let left = left.unwrap_err().to_string();
        assert!(left.contains("/.old-store-"), "{left}");
        assert!(!place.exists());
        make();
        remove(&place, FolderUnderWay::close).unwrap();
        // But for what was left above.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        // A place that cannot be left keeps all.
        let missing = folder.path().join("missing.git");
        remove(&missing, |_| unreachable!()).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
