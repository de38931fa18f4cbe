//! Copies of directories.
//!
//! What always holds:
//! - nothing outside the directory is read: links are copied as links;
//! - a file that changes while it is copied is copied again, and if it does not come to rest the copy fails;
//! - no file is shared with the source. A file that did not change is shared with the copy before, by a hard link, if that
//!   was not touched since it was made; on file systems that can, others share blocks until somebody writes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_repo::store::ExcludeFilter;
use rustix::fs::OFlags;

use super::manifest::{Copied, Kind, Manifest, Stat};
use super::tree::local_path;
use super::{CacheError, CacheStep, CallOptions};

/// How often a file is copied that changes meanwhile.
const TRIES: usize = 5;

/// What is copied.
#[derive(Debug)]
pub(super) struct FolderCopy<'a> {
    pub(super) source: &'a Path,
    pub(super) exclude: ExcludeFilter,
    /// What is never left out: the files of the commit that is checked out, and the folders they are in.
    pub(super) tracked: HashSet<BString>,
    /// Whether it is a working copy of Git, whose `.git` is made in another way.
    pub(super) is_working_copy: bool,
    /// The folder that must not be in it.
    pub(super) kept_out: &'a Path,
}

/// What is in a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Each folder before what is in it.
    pub(super) found: Vec<(BString, Stat)>,
    pub(super) notes: Vec<String>,
}

impl FolderCopy<'_> {
    /// Looks at everything.
    pub(super) fn list(&mut self, call: &CallOptions<'_>) -> Result<Listing, CacheError> {
        let mut listing = Listing::default();
        let kept_out = fs::metadata(self.kept_out).map_err(CacheError::file(self.kept_out))?;
        let kept_out = (kept_out.dev(), kept_out.ino());
        // Folders to look into, the next one last, and whether only tracked files in them count.
        let mut ahead = vec![(BString::default(), false)];
        while let Some((folder, only_tracked)) = ahead.pop() {
            call.check()?;
            let local = local_path(self.source, folder.as_bstr());
            self.exclude.enter_directory(&local, &folder);
            let (mut inside, mut inside_ahead) = (Vec::new(), Vec::new());
            for entry in fs::read_dir(&local).map_err(CacheError::file(&local))? {
                let entry = entry.map_err(CacheError::file(&local))?;
                let name = entry.file_name();
                let path = joined(&folder, &name);
                let local = entry.path();
                let metadata = fs::symlink_metadata(&local).map_err(CacheError::file(&local))?;
                let is_excluded = only_tracked || self.is_excluded(&name, &path, &metadata);
                if self.is_foreign_git(&folder, &name, &metadata)
                    || is_excluded && !self.tracked.contains(&path)
                {
                    continue;
                }
                if metadata.is_dir() {
                    inside_ahead.push((path.clone(), is_excluded));
                }
                if metadata.is_dir() && (metadata.dev(), metadata.ino()) == kept_out {
                    return Err(CacheError::InvalidSource {
                        source_url: self.source.display().to_string(),
                        reason: format!("the cache is inside it, at '{}'", local.display()),
                    });
                }
                match Stat::of(&metadata) {
                    Some(stat) => inside.push((path, stat)),
                    None => listing.note(format!("'{path}' is no file and was left out")),
                }
            }
            inside.sort_by(|(a, _), (b, _)| a.cmp(b));
            inside_ahead.sort();
            ahead.extend(inside_ahead.into_iter().rev());
            listing.found.append(&mut inside);
        }
        Ok(listing)
    }

    /// Whether it is a `.git` that the copy must not have: it is made in another way, or it is the file of a linked working
    /// tree, by which `git` in the copy would work on the source's repository.
    fn is_foreign_git(&self, folder: &BString, name: &OsStr, found: &fs::Metadata) -> bool {
        let is_link_file = folder.is_empty() && found.is_file();
        name == ".git" && (self.is_working_copy || is_link_file)
    }

    fn is_excluded(&self, name: &OsStr, path: &BString, found: &fs::Metadata) -> bool {
        // The filter leaves out the files that it reads.
        name != ".gitignore"
            && self.exclude.active()
            && self.exclude.is_excluded_in_walk(path, found.is_dir())
    }

    /// Copies what was found into a folder that is there. `before` is the copy that is there already.
    pub(super) fn copy(
        &self,
        listing: &Listing,
        to: &Path,
        before: Option<&Before<'_>>,
        call: &CallOptions<'_>,
    ) -> Result<Manifest, CacheError> {
        let mut manifest = Manifest::begin();
        let total = listing.found.len() as u64;
        let mut folders = Vec::new();
        for (done, (path, stat)) in listing.found.iter().enumerate() {
            call.check()?;
            call.step(CacheStep::Copying, done as u64, Some(total));
            let local = local_path(to, path.as_bstr());
            match stat.kind {
                Kind::Folder => {
                    fs::create_dir(&local).map_err(CacheError::file(&local))?;
                    folders.push((local, stat.mode));
                    manifest.add(path.clone(), *stat, Copied::default());
                }
                Kind::Link => {
                    let from = local_path(self.source, path.as_bstr());
                    let target = fs::read_link(&from).map_err(CacheError::file(&from))?;
                    std::os::unix::fs::symlink(target, &local).map_err(CacheError::file(&local))?;
                    manifest.add(path.clone(), *stat, Copied::default());
                }
                Kind::File => {
                    let shared = before.is_some_and(|before| before.share(path, stat, &local));
                    let stat = match shared {
                        true => *stat,
                        false => copy_file(&local_path(self.source, path.as_bstr()), &local)?,
                    };
                    manifest.add(path.clone(), stat, Copied::default());
                }
            }
        }
        // Once nothing is written into them any more.
        for (folder, mode) in folders.into_iter().rev() {
            let mode = Permissions::from_mode(mode & 0o7777 | 0o700);
            fs::set_permissions(&folder, mode).map_err(CacheError::file(&folder))?;
        }
        // Links change what a file says of itself, so this comes last.
        manifest.look_at_copies(to);
        Ok(manifest)
    }
}

impl Listing {
    fn note(&mut self, note: String) {
        // The first few tell what it is about.
        if self.notes.len() < 20 {
            self.notes.push(note);
        }
    }

    /// Whether a copy that was made of `manifest` is one of this.
    pub(super) fn is_unchanged(&self, manifest: &Manifest) -> bool {
        self.found.len() == manifest.len()
            && self
                .found
                .iter()
                .all(|(path, stat)| manifest.is_unchanged(path, stat))
    }
}

/// The copy that is there already.
#[derive(Debug)]
pub(super) struct Before<'a> {
    pub(super) tree: &'a Path,
    pub(super) manifest: &'a Manifest,
}

impl Before<'_> {
    /// Gives a file of the copy before another name, if it is still what the source has.
    fn share(&self, path: &BString, stat: &Stat, to: &Path) -> bool {
        let old = local_path(self.tree, path.as_bstr());
        self.manifest.is_unchanged(path, stat)
            && self.manifest.is_copy_intact(path, &old)
            && fs::hard_link(&old, to).is_ok()
    }
}

/// Copies one file, and says what the source was.
fn copy_file(from: &Path, to: &Path) -> Result<Stat, CacheError> {
    for _ in 0..TRIES {
        let mut source = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(from)
            .map_err(CacheError::file(from))?;
        let stat_of = |file: &File| -> Result<Stat, CacheError> {
            let metadata = file.metadata().map_err(CacheError::file(from))?;
            Stat::of(&metadata)
                .filter(|stat| stat.kind == Kind::File)
                .ok_or_else(|| changing(from))
        };
        let before = stat_of(&source)?;
        let mut target = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(to)
            .map_err(CacheError::file(to))?;
        // Shares blocks where the file system can.
        io::copy(&mut source, &mut target).map_err(CacheError::file(to))?;
        if stat_of(&source)? != before {
            continue;
        }
        let modified = source.metadata().and_then(|found| found.modified());
        if let Ok(modified) = modified {
            target
                .set_times(FileTimes::new().set_modified(modified))
                .map_err(CacheError::file(to))?;
        }
        let mode = Permissions::from_mode(before.mode & 0o777);
        target.set_permissions(mode).map_err(CacheError::file(to))?;
        return Ok(before);
    }
    Err(changing(from))
}

fn changing(path: &Path) -> CacheError {
    CacheError::file(path)(io::Error::other("it changes while it is copied"))
}

fn joined(folder: &BString, name: &OsStr) -> BString {
    let mut path = folder.clone();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}

/// What the files of a copy take.
pub(super) fn bytes_of(listing: &Listing) -> u64 {
    listing.found.iter().map(|(_, stat)| stat.size).sum()
}

/// Where the manifest of a tree is.
pub(super) fn manifest_path(manifests: &Path, tree: &str) -> PathBuf {
    manifests.join(tree)
}

/// A manifest that can be read.
pub(super) fn read_manifest(manifests: &Path, tree: &str) -> Option<Manifest> {
    Manifest::parse(&fs::read(manifest_path(manifests, tree)).ok()?)
}
