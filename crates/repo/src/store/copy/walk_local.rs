//! Walking a local folder: every file and link in it, links to folders being links unless they are followed.

use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bstr::BString;
use packhouse_object::on_processors;
use rayon::prelude::*;

use super::FolderId;
use super::local_file::Found;
use crate::store::exclude::{ExcludeFilter, Level};
use crate::store::path::join;

/// How to walk.
pub(super) struct WalkOptions<'a> {
    /// Links count as what they lead to.
    pub(super) follow: bool,
    /// What is left out.
    pub(super) exclude: Option<&'a ExcludeFilter>,
    /// The store's own folder, which is never entered.
    pub(super) kept_out: FolderId,
    /// Which names are passed over, since nobody meant what has them to be there.
    pub(super) passed_over: fn(&OsStr) -> bool,
}

/// What a walk came by, in no particular order.
#[derive(Default)]
pub(super) struct Walked {
    pub(super) files: Vec<WalkedFile>,
    /// The folders in the one walked, each behind those above it.
    pub(super) folders: Vec<BString>,
    /// Folders that could not be read.
    pub(super) errors: Vec<(PathBuf, io::Error)>,
    /// The store itself was come by and left out.
    pub(super) left_out: Vec<PathBuf>,
    /// What was passed over for its name, by its path from where the walk began.
    pub(super) passed_over: Vec<BString>,
}

/// One file, by its path from where the walk began.
pub(super) struct WalkedFile {
    pub(super) path: BString,
    pub(super) kind: LocalKind,
    /// What was found out about it on the way, if anything.
    pub(super) found: Option<Found>,
}

/// What a local name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LocalKind {
    File,
    Link,
    /// A pipe, a socket or a device, which has no content to copy.
    Special,
}

struct Ahead {
    path: BString,
    local: PathBuf,
    level: Level,
    /// The folders it is in, when links are followed.
    above: Option<Arc<Above>>,
}

/// A folder that the walk is in. Only those can make a circle: two names of one folder are two folders.
struct Above {
    id: FolderId,
    above: Option<Arc<Above>>,
}

impl Above {
    fn holds(above: &Option<Arc<Above>>, id: FolderId) -> bool {
        std::iter::successors(above.as_deref(), |above| above.above.as_deref())
            .any(|above| above.id == id)
    }
}

/// Walks the folder at `root`, which may itself be a link, by all processors. An error about the root is an error like
/// any.
pub(super) fn walk_local(root: &Path, options: &WalkOptions<'_>) -> Walked {
    let mut walked = Walked::default();
    let (begun_in, mut any_gone) = (FolderId::of(root).ok(), false);
    let mut ahead = vec![Ahead {
        path: BString::default(),
        local: root.to_owned(),
        level: options
            .exclude
            .map(|exclude| exclude.start(root))
            .unwrap_or_default(),
        above: None,
    }];
    while !ahead.is_empty() {
        let enter_all = || {
            let entered = ahead.into_par_iter().map(|mut folder| {
                let entered = enter(&mut folder, options);
                (folder, entered)
            });
            entered.collect()
        };
        let entered: Vec<(Ahead, io::Result<Entered>)> = on_processors(enter_all);
        ahead = Vec::new();
        for (folder, entered) in entered {
            match entered {
                Ok(Entered::Store) => walked.left_out.push(folder.local),
                Ok(Entered::Folder {
                    files,
                    folders,
                    passed_over,
                }) => {
                    walked.files.extend(files);
                    walked.passed_over.extend(passed_over);
                    let paths = folders.iter().map(|folder| folder.path.clone());
                    walked.folders.extend(paths);
                    ahead.extend(folders);
                }
                // A folder that has gone meanwhile is as good as one that never was.
                Err(error) if error.kind() == ErrorKind::NotFound && !folder.path.is_empty() => {
                    any_gone = true;
                }
                Err(error) => walked.errors.push((folder.local, error)),
            }
        }
    }
    // But with all of it gone, what was in it says nothing of what ought to be.
    if any_gone && FolderId::of(root).ok() != begun_in {
        let gone = io::Error::new(ErrorKind::NotFound, "the folder went while it was read");
        walked.errors.push((root.to_owned(), gone));
    }
    walked
}

/// What is in a folder.
enum Entered {
    /// It is the store's own.
    Store,
    Folder {
        files: Vec<WalkedFile>,
        folders: Vec<Ahead>,
        passed_over: Vec<BString>,
    },
}

fn enter(folder: &mut Ahead, options: &WalkOptions<'_>) -> io::Result<Entered> {
    let (mut files, mut folders, mut passed_over) = (Vec::new(), Vec::new(), Vec::new());
    let id = FolderId::of(&folder.local)?;
    if id == options.kept_out {
        return Ok(Entered::Store);
    }
    if options.follow {
        if Above::holds(&folder.above, id) {
            return Ok(Entered::Folder {
                files,
                folders,
                passed_over,
            });
        }
        folder.above = Some(Arc::new(Above {
            id,
            above: folder.above.take(),
        }));
    }
    for entry in fs::read_dir(&folder.local)? {
        let entry = entry?;
        let name = entry.file_name();
        let path = join(&folder.path, name.as_bytes());
        if (options.passed_over)(&name) {
            passed_over.push(path);
            continue;
        }
        let kind = kind_of(&entry, options.follow)?;
        let excluded = |is_dir| {
            let exclude = options.exclude;
            exclude.is_some_and(|exclude| exclude.excludes(&folder.level, &path, is_dir))
        };
        match kind {
            Some(kind) if !excluded(false) => {
                // Looking from the open folder is cheaper than by path later.
                let found = match kind {
                    LocalKind::File if !options.follow => entry.metadata().ok(),
                    _ => None,
                };
                let found = found.as_ref().map(Found::from);
                files.push(WalkedFile { path, kind, found });
            }
            None if !excluded(true) => {
                let local = entry.path();
                let level = match options.exclude {
                    Some(exclude) => exclude.enter(&folder.level, &local, &path),
                    None => Level::default(),
                };
                folders.push(Ahead {
                    path,
                    local,
                    level,
                    above: folder.above.clone(),
                });
            }
            _ => {}
        }
    }
    Ok(Entered::Folder {
        files,
        folders,
        passed_over,
    })
}

/// What an entry is; `None` for a folder. A dangling link is a file when links are followed, which cannot be read.
fn kind_of(entry: &DirEntry, follow: bool) -> io::Result<Option<LocalKind>> {
    let mut found = entry.file_type()?;
    if found.is_symlink() {
        if !follow {
            return Ok(Some(LocalKind::Link));
        }
        found = match fs::metadata(entry.path()) {
            Ok(found) => found.file_type(),
            Err(_) => return Ok(Some(LocalKind::File)),
        };
    }
    Ok(match found {
        _ if found.is_dir() => None,
        _ if found.is_file() => Some(LocalKind::File),
        _ => Some(LocalKind::Special),
    })
}
