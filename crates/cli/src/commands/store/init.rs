//! `init`: an empty repository.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use packhouse_repo::store::{Create, Store, StoreOptions};
use packhouse_repo::under_way::{FolderUnderWay, Kind, remove_left_behind};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;

use super::destroy::foreign;
use super::failure::Failure;
use super::flags::ref_value;
use super::output::name_of;
use super::session::Session;

/// Make a repository with one branch
///
/// What brings files in (`write`, `cp`, `sync`, `archive_in`, `restore`) makes a missing repository itself, so that this
/// is seldom needed.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// The first branch
    #[arg(short, long, value_name = "NAME", default_value = "main", value_parser = ref_value())]
    branch: String,
    /// Replace the bare repository that is there, and lose what it holds
    #[arg(short, long)]
    force: bool,
}

/// What was made.
#[derive(Serialize)]
struct Made {
    repository: String,
    branch: String,
    commit: String,
    /// Whether another was there.
    replaced: bool,
}

pub(crate) fn run(args: InitArgs, session: &Session) -> Result<(), Failure> {
    let path = session.path()?;
    let branch = Some(args.branch.clone());
    let replaced = !is_free(&path)?;
    if !replaced {
        make(&path, branch)?;
    } else if args.force {
        replace(&path, new(branch))?;
    } else {
        return Err(already_there(&path));
    }
    session.tell(format_args!("Initialized {}", path.display()));
    if !session.json() {
        return Ok(());
    }
    let store = Store::open(&path, StoreOptions::default())?;
    session.report(&Made {
        repository: name_of(store.path().as_os_str().as_bytes()),
        commit: store.branches().get(&args.branch)?.commit().to_string(),
        branch: args.branch,
        replaced,
    })
}

/// Whether nothing is at `path`, or an empty folder, which is as good.
fn is_free(path: &Path) -> Result<bool, Failure> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        // What is no folder is refused as what it is.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(false),
        Err(error) => Err(Failure::local(path, &error)),
    }
}

fn make(path: &Path, branch: Option<String>) -> Result<(), Failure> {
    let create = Create::IfMissing { branch };
    let options = StoreOptions {
        create,
        ..StoreOptions::default()
    };
    let (_, made) = Store::open_provisionally(path, options)?;
    if !made.is_new() {
        // Someone else was faster.
        return Err(already_there(path));
    }
    made.keep();
    Ok(())
}

fn new(branch: Option<String>) -> StoreOptions {
    StoreOptions {
        create: Create::New { branch },
        ..StoreOptions::default()
    }
}

/// Something is at `path`: a repository, or what it is no place for.
fn already_there(path: &Path) -> Failure {
    match Store::open(path, StoreOptions::default()) {
        Err(error) => {
            Failure::from(error).hint("name a folder that is empty or does not exist yet")
        }
        Ok(store) if store.is_of_working_copy() => {
            let path = path.display();
            Failure::new(format!("A working copy is there already: {path}")).hint(
                "name another folder for the repository: one that is empty or does not exist yet",
            )
        }
        Ok(_) => Failure::new(format!("Repository already exists: {}", path.display()))
            .hint("--force removes it and makes a new one"),
    }
}

/// Puts a new repository in the place of one. The old one goes when the new one is made.
fn replace(path: &Path, options: StoreOptions) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::local(path, &error);
    // A link stays, and leads to the new repository.
    let place = fs::canonicalize(path).map_err(failed)?;
    // What is removed must be a repository, and not the home folder by mistake.
    let store = Store::open(path, StoreOptions::default())?;
    if store.path() != place {
        let why = format!("Not a bare repository: {}", path.display());
        return Err(Failure::new(why).hint(
            "it is a working copy, whose files would be lost; name another folder for the repository",
        ));
    }
    // Nobody writes meanwhile; and a repository that cannot be written is not for this command to remove.
    let _turn = store.exclusive()?;
    if let Some(name) = foreign(&place).map_err(failed)? {
        let (path, name) = (path.display(), name.display());
        let why = format!("Not replaced: {path} has a file or folder '{name}' of somebody's");
        return Err(
            Failure::new(why).hint("move it away, or remove everything with `destroy --force`")
        );
    }
    let folder = place.parent().unwrap_or(&place);
    remove_left_behind(folder);
    let beside = FolderUnderWay::make(Kind::NewStore, folder).map_err(failed)?;
    Store::open(beside.new_path(), options)?;
    swap(beside, &place, exchange, |from, to| fs::rename(from, to))
}

/// Puts what is `new` in a temporary folder into a place, and removes the folder with what was there. The folder stays if
/// what was there is in it and cannot be put back.
fn swap(
    beside: FolderUnderWay,
    place: &Path,
    exchange: fn(&Path, &Path) -> io::Result<()>,
    rename: fn(&Path, &Path) -> io::Result<()>,
) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::local(place, &error);
    let (new, old) = (beside.new_path(), beside.old_path());
    if exchange(&new, place).is_err() {
        // Some file systems cannot do it in one step. Between the two what was there may be moved back by hand.
        beside.spare().map_err(failed)?;
        rename(place, &old).map_err(failed)?;
        if let Err(error) = rename(&new, place) {
            return Err(match rename(&old, place) {
                Ok(()) => failed(error),
                // What is kept is not removed by dropping it.
                Err(_) => match beside.keep_old() {
                    Ok(old) => failed(error).hint(format!(
                        "the repository is in {} now: move it back",
                        old.display()
                    )),
                    Err(_) => failed(error).hint(not_kept(&old)),
                },
            });
        }
        beside.release().map_err(failed)?;
    }
    beside.close().map_err(failed)
}

/// The hint where a repository could not even be marked to stay.
pub(super) fn not_kept(old: &Path) -> String {
    let old = old.display();
    format!(
        "the repository is in {old} now: move it away before anything else, or the next command beside it removes it"
    )
}

fn exchange(new: &Path, place: &Path) -> io::Result<()> {
    Ok(renameat_with(CWD, new, CWD, place, RenameFlags::EXCHANGE)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> StoreOptions {
        super::new(Some("main".to_owned()))
    }

    #[test]
    fn a_working_copy_is_not_replaced_and_neither_is_what_somebody_keeps_in_a_repository() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("work");
        Store::open(work.join(".git"), new()).unwrap();
        fs::write(work.join("precious"), "mine").unwrap();
        fs::write(
            work.join(".git/config"),
            "[core]\n\trepositoryformatversion = 0\n\tbare = false\n",
        )
        .unwrap();
        for path in [work.clone(), work.join(".git")] {
            replace(&path, new()).unwrap_err();
            assert_eq!(fs::read(work.join("precious")).unwrap(), b"mine");
        }
        // Whatever its settings say.
        let bare = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n";
        fs::write(work.join(".git/config"), bare).unwrap();
        replace(&work, new()).unwrap_err();
        assert_eq!(fs::read(work.join("precious")).unwrap(), b"mine");

        let path = folder.path().join("data.git");
        Store::open(&path, new()).unwrap();
        fs::write(path.join("precious"), "mine").unwrap();
        let refused = replace(&path, new()).unwrap_err().to_string();
        assert!(refused.contains("'precious'"), "{refused}");
        assert_eq!(fs::read(path.join("precious")).unwrap(), b"mine");
        fs::remove_file(path.join("precious")).unwrap();
        fs::write(path.join("description"), "old").unwrap();
        replace(&path, new()).unwrap();
        assert!(!path.join("description").exists() && path.join("HEAD").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_cannot_be_put_back_is_kept_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("data.git");
        let cannot = |_: &Path, _: &Path| Err(io::ErrorKind::Unsupported.into());
        let away_only = |from: &Path, to: &Path| match to.ends_with("old") {
            true => fs::rename(from, to),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        };
        let beside = || {
            let beside = FolderUnderWay::make(Kind::NewStore, folder.path()).unwrap();
            fs::create_dir(beside.new_path()).unwrap();
            beside
        };
        fs::create_dir(&place).unwrap();
        fs::write(place.join("precious"), "mine").unwrap();
        let kept = beside();
        let old = kept.old_path();
        let refused = swap(kept, &place, cannot, away_only).unwrap_err();
        assert!(refused.to_string().contains(old.to_str().unwrap()));
        assert_eq!(fs::read(old.join("precious")).unwrap(), b"mine");
        // What can be is.
        fs::rename(&old, &place).unwrap();
        let not_new = |from: &Path, to: &Path| match from.ends_with("new") {
            true => Err(io::ErrorKind::PermissionDenied.into()),
            false => fs::rename(from, to),
        };
        swap(beside(), &place, cannot, not_new).unwrap_err();
        assert_eq!(fs::read(place.join("precious")).unwrap(), b"mine");
        swap(beside(), &place, cannot, |from, to| fs::rename(from, to)).unwrap();
        assert!(place.exists() && !place.join("precious").exists());
    }
}
