//! The repository that a program is called for.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use packhouse_repo::directory::{ObjectPlaces, Served};

use crate::config::{Config, expanded, home, interpolated, variable_flag};
use crate::environment::Environment;
use crate::error::ProgramError;
use crate::object_places::object_places;

/// What may follow the name that was given, in the order in which Git looks.
const SUFFIXES: [&str; 4] = ["/.git", "", ".git/.git", ".git"];

/// Opens the repository at `dir`, or, unless `strict`, `dir/.git`, `dir.git` or `dir.git/.git`.
pub(crate) fn find(
    dir: &Path,
    strict: bool,
    environment: &Environment,
) -> Result<Served, ProgramError> {
    let missing = || ProgramError::NoRepository(dir.to_owned());
    let place = match strict {
        true => dir.to_owned(),
        false => {
            let name = dir.as_os_str().as_bytes().as_bstr();
            let name = expanded(name, home(environment).as_deref()).ok_or_else(missing)?;
            SUFFIXES
                .iter()
                .map(|suffix| with_suffix(&name, suffix))
                .find(|place| is_repository(place))
                .ok_or_else(missing)?
        }
    };
    check_owner(&place, environment)?;
    let target = git_file(&place).unwrap_or(place);
    let places = object_places(&target, environment);
    if !is_git_dir(&target) || places.own.as_ref().is_some_and(|own| !own.exists()) {
        return Err(missing());
    }
    let repository = Served::open(&target)?;
    Ok(match places == ObjectPlaces::default() {
        true => repository,
        false => repository.with_objects(places),
    })
}

fn with_suffix(dir: &Path, suffix: &str) -> PathBuf {
    let mut name = dir.as_os_str().as_bytes();
    while let (Some(shorter), true) = (name.strip_suffix(b"/"), name.len() > 1) {
        name = shorter;
    }
    let mut name = OsStr::from_bytes(name).to_owned();
    name.push(suffix);
    name.into()
}

fn is_repository(place: &Path) -> bool {
    match fs::metadata(place) {
        Ok(file) if file.is_file() => true,
        Ok(file) if file.is_dir() => is_git_dir(place),
        _ => false,
    }
}

fn is_git_dir(place: &Path) -> bool {
    let shared = shared_folder(place);
    let shared = shared.as_deref().unwrap_or(place);
    place.join("HEAD").symlink_metadata().is_ok()
        && shared.join("objects").is_dir()
        && shared.join("refs").exists()
}

/// The folder whose objects and refs those of `place` are, where that is the folder of a linked working copy.
fn shared_folder(place: &Path) -> Option<PathBuf> {
    let text = fs::read(place.join("commondir")).ok()?;
    Some(place.join(text.trim_end().to_path().ok()?))
}

/// Where a `.git` that is a file says that the repository is.
fn git_file(place: &Path) -> Option<PathBuf> {
    if !place.is_file() {
        return None;
    }
    let text = fs::read(place).ok()?;
    let target = text.strip_prefix(b"gitdir: ")?.trim_end().to_path().ok()?;
    Some(place.parent().unwrap_or(place).join(target))
}

/// Refuses what belongs to another user, whose hooks and settings would run as this one, unless `safe.directory` says
/// that it may be used.
fn check_owner(place: &Path, environment: &Environment) -> Result<(), ProgramError> {
    let assumed = variable_flag(environment, "GIT_TEST_ASSUME_DIFFERENT_OWNER")?;
    let target = git_file(place);
    let own = |path: &Path| is_own(path, environment);
    if !assumed && own(place) && target.as_deref().is_none_or(own) {
        return Ok(());
    }
    let config = Config::protected(environment)?;
    let real = fs::canonicalize(place).ok();
    let home = home(environment);
    let mut is_safe = false;
    for value in config.all("safe.directory") {
        if value.is_empty() {
            is_safe = false;
        } else if value == "*" {
            is_safe = true;
        } else {
            let path = interpolated(value, home.as_deref());
            is_safe |= path == place || Some(&path) == real.as_ref();
        }
    }
    match is_safe {
        true => Ok(()),
        false => Err(ProgramError::Dubious(place.to_owned())),
    }
}

fn is_own(path: &Path, environment: &Environment) -> bool {
    let Ok(file) = fs::symlink_metadata(path) else {
        return false;
    };
    let me = rustix::process::geteuid().as_raw();
    if me != 0 || file.uid() == 0 {
        return file.uid() == me;
    }
    let before_sudo = environment
        .shown("SUDO_UID")
        .and_then(|uid| uid.parse().ok());
    before_sudo == Some(file.uid())
}
