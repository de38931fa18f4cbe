//! The folder of a cache and what is where in it.
//!
//! ```text
//! <root>/<name>/                 the working tree of an entry
//! <root>/.packhouse/             the engine's own, for its owner only:
//!     index.sqlite3              entries, mirrors, checkouts
//!     reserve                    room on the disk for removing what is here
//!     locks/                     files that are locked
//!     mirrors/<key>.git          bare repositories, one for each canonical URL
//!     checkouts/<id>/<name>      working trees at a commit
//!     notes/<id>                 what the catalog says of an entry with a copy, or of a checkout
//!     damaged-<time>.sqlite3     a catalog that could not be read; the last three
//!     manifests/<id>             what copies of directories were made of
//!     served/<key>               a mirror that is served, and when it was last
//!     staging/<id>/              what is under way; `staging/<id>.lock` is locked while its maker lives, and says which
//!                                tree is about to be replaced
//!     spares/<entry>/            the working tree that an entry had last
//!     swept                      from when all was looked through for what nobody needs
//!     trash/<id>/                replaced working trees that may still be read
//! ```
//!
//! What always holds: nothing is written or deleted through a symbolic link below the root. The engine's folders have to
//! be folders, a mirror is opened only if there is no link where its files are made, a working tree is touched only if it is
//! the very folder that was put there, and deleting opens each folder without following links.

use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::CacheError;
use super::name::EntryName;

/// The engine's own folder.
pub(super) const OWN: &str = ".packhouse";

const FOLDERS: [&str; 9] = [
    "locks",
    "mirrors",
    "checkouts",
    "manifests",
    "notes",
    "served",
    "spares",
    "staging",
    "trash",
];

/// The catalog, and what SQLite keeps beside it.
const INDEX_FILES: [&str; 8] = [
    "index.mended",
    "index.mended-wal",
    "index.mended-shm",
    "index.mended-journal",
    "index.sqlite3",
    "index.sqlite3-wal",
    "index.sqlite3-shm",
    "index.sqlite3-journal",
];

/// So deep is what the files of a mirror are made in: `objects/pack`.
const MIRROR_DEPTH: usize = 2;

/// The folder of a cache, which is there with all that belongs in it.
#[derive(Clone, Debug)]
pub(super) struct Root {
    path: PathBuf,
}

impl Root {
    /// Makes what is missing.
    pub(super) fn open(path: &Path) -> Result<Root, CacheError> {
        fs::create_dir_all(path).map_err(CacheError::file(path))?;
        let path = fs::canonicalize(path).map_err(CacheError::file(path))?;
        let own = path.join(OWN);
        make_private(&own)?;
        for folder in FOLDERS {
            make_private(&own.join(folder))?;
        }
        for file in INDEX_FILES {
            refuse_link(&own.join(file))?;
        }
        refuse_links(&own.join("served"))?;
        refuse_links(&own.join("spares"))?;
        refuse_links(&own.join("notes"))?;
        Ok(Root { path })
    }

    /// Whether somebody removed the engine's folder since it was opened.
    pub(super) fn is_gone(&self) -> bool {
        let found = fs::symlink_metadata(self.own("locks"));
        // A link that took its place leads to another one.
        found.is_err_and(|error| error.kind() == ErrorKind::NotFound) && !self.path.is_symlink()
    }

    /// The folder itself, without symbolic links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where an entry's working tree is.
    pub(super) fn tree(&self, name: &EntryName) -> PathBuf {
        self.path.join(name.as_str())
    }

    pub(super) fn index(&self) -> PathBuf {
        self.path.join(OWN).join("index.sqlite3")
    }

    pub(super) fn mirror(&self, key: &str) -> PathBuf {
        self.own("mirrors").join(format!("{key}.git"))
    }

    /// One of the engine's folders.
    pub(super) fn own(&self, folder: &str) -> PathBuf {
        self.path.join(OWN).join(folder)
    }

    /// The file that is locked for `what` (`mirror`, `entry`, `lease`) of this key.
    pub(super) fn lock(&self, what: &str, key: &str) -> PathBuf {
        self.own("locks").join(format!("{what}-{key}"))
    }
}

fn make_private(path: &Path) -> Result<(), CacheError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(CacheError::file(path)(error)),
    }
    let found = fs::symlink_metadata(path).map_err(CacheError::file(path))?;
    match found.is_dir() {
        true => Ok(()),
        false => Err(CacheError::Occupied {
            path: path.to_owned(),
        }),
    }
}

/// A cache may have been unpacked from an archive that somebody else made: what is written through a link in it would
/// be written elsewhere.
fn refuse_link(path: &Path) -> Result<(), CacheError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_symlink() => Err(CacheError::Occupied {
            path: path.to_owned(),
        }),
        _ => Ok(()),
    }
}

/// As [`refuse_link`], for all that is in a folder of ours.
fn refuse_links(folder: &Path) -> Result<(), CacheError> {
    match link_in(folder, 1).map_err(CacheError::file(folder))? {
        Some(path) => Err(CacheError::Occupied { path }),
        None => Ok(()),
    }
}

/// A link in the place of a mirror, or where its files are made.
pub(super) fn link_in_mirror(place: &Path) -> io::Result<Option<PathBuf>> {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_symlink() => Ok(Some(place.to_owned())),
        _ => link_in(place, MIRROR_DEPTH),
    }
}

/// A link in a folder, so many folders deep.
fn link_in(folder: &Path, depth: usize) -> io::Result<Option<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Somebody removed it meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let found = match entry.file_type() {
            Ok(kind) if kind.is_symlink() => Some(entry.path()),
            Ok(kind) if kind.is_dir() && depth > 1 => link_in(&entry.path(), depth - 1)?,
            _ => None,
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_an_archive_brought_are_refused_by_name() {
        let elsewhere = tempfile::tempdir().unwrap();
        for place in [
            "index.sqlite3",
            "index.sqlite3-wal",
            "served/x",
            "spares/x",
            "notes/x",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let root = Root::open(folder.path()).unwrap();
            let link = root.path().join(OWN).join(place);
            fs::create_dir_all(link.parent().unwrap()).unwrap();
            Root::open(folder.path()).unwrap();
            std::os::unix::fs::symlink(elsewhere.path().join("x"), &link).unwrap();
            let refused = Root::open(folder.path()).unwrap_err();
            assert!(
                matches!(&refused, CacheError::Occupied { path } if *path == link),
                "{place}: {refused}"
            );
        }
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_in_the_place_of_a_folder_of_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(OWN)).unwrap();
        let refused = Root::open(folder.path()).unwrap_err();
        assert!(matches!(refused, CacheError::Occupied { .. }));
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn opening_twice_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(&folder.path().join("a/b")).unwrap();
        let again = Root::open(root.path()).unwrap();
        assert_eq!(root.path(), again.path());
        assert!(again.own("staging").is_dir());
    }
}
