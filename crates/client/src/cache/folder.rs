//! Copies of directories.
//!
//! What always holds:
//! - nothing outside the directory is read: links are copied as links, and a link that takes the place of a folder meanwhile is
//!   not followed;
//! - a file that changes while it is copied is copied again, and if it does not come to rest the copy fails;
//! - so does a copy of which any part changed from when it was looked at until all was copied ([`FolderCopy::check_still`]):
//!   what is copied was there all at one time;
//! - no file is shared with the source. A file that did not change is shared with the copy before, by a hard link, if that
//!   was not touched since it was made; on file systems that can, others share blocks until somebody writes.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use bstr::{BString, ByteSlice};
use packhouse_repo::store::ExcludeFilter;

use super::manifest::{Copied, Kind, Manifest, Stat, folder_mode};
use super::source::git_dir_of;
use super::source_folder::SourceFolder;
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
            let inside_of = fs::read_dir(&local);
            let inside_of = match folder.is_empty() {
                true => inside_of.map_err(CacheError::file(&local))?,
                false => inside_of.map_err(of_listed(&local))?,
            };
            for entry in inside_of {
                let entry = entry.map_err(of_listed(&local))?;
                let name = entry.file_name();
                let path = joined(&folder, &name);
                let local = entry.path();
                let metadata = fs::symlink_metadata(&local).map_err(of_listed(&local))?;
                let is_excluded = only_tracked || self.is_excluded(&name, &path, &metadata);
                if name == ".git" && self.is_foreign_git(&folder, &local, &metadata) {
                    if !self.is_working_copy && !folder.is_empty() {
                        listing.note(format!(
                            "'{path}' leads to a repository elsewhere and was left out"
                        ));
                    }
                    continue;
                }
                if is_excluded && !self.tracked.contains(&path) {
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
    /// tree or the like, by which `git` in the copy would work on the source's repository.
    fn is_foreign_git(&self, folder: &BString, local: &Path, found: &fs::Metadata) -> bool {
        let is_link_file = || {
            let leads_out = |target: PathBuf| leads_out(folder, &target);
            found.is_file() && git_dir_of(local).map_or(folder.is_empty(), leads_out)
        };
        self.is_working_copy || is_link_file()
    }

    fn is_excluded(&self, name: &OsStr, path: &BString, found: &fs::Metadata) -> bool {
        // The filter leaves out the files that it reads.
        name != ".gitignore"
            && self.exclude.active()
            && self.exclude.is_excluded_in_walk(path, found.is_dir())
    }

    /// Copies what was found into a folder that is there. `before` is the copy that is there already, and with the manifest comes
    /// what both have in common, in bytes.
    pub(super) fn copy(
        &self,
        listing: &Listing,
        to: &Path,
        before: Option<&Before<'_>>,
        call: &CallOptions<'_>,
    ) -> Result<(Manifest, u64), CacheError> {
        let mut manifest = Manifest::begin();
        let mut shared_bytes = 0;
        let mut source = SourceFolder::open(self.source).map_err(CacheError::file(self.source))?;
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
                    let target = source.read_link(path).map_err(self.failed(path, stat))?;
                    std::os::unix::fs::symlink(target, &local).map_err(CacheError::file(&local))?;
                    manifest.add(path.clone(), *stat, Copied::default());
                }
                Kind::File => {
                    let shared =
                        before.is_some_and(|before| before.share(&mut source, path, stat, &local));
                    let stat = match shared {
                        true => {
                            shared_bytes += stat.size;
                            *stat
                        }
                        false => {
                            let from = local_path(self.source, path.as_bstr());
                            let open = || source.open_file(path).map_err(self.failed(path, stat));
                            copy_file(open, &from, &local)?
                        }
                    };
                    manifest.add(path.clone(), stat, Copied::default());
                }
            }
        }
        // Once nothing is written into them any more.
        for (folder, mode) in folders.into_iter().rev() {
            let mode = Permissions::from_mode(folder_mode(mode));
            fs::set_permissions(&folder, mode).map_err(CacheError::file(&folder))?;
        }
        // Links change what a file says of itself, so this comes last.
        manifest.look_at_copies(to);
        Ok((manifest, shared_bytes))
    }

    /// What came of a part of the source that cannot be read as what it was listed as.
    fn failed<'a>(
        &'a self,
        path: &'a BString,
        listed: &'a Stat,
    ) -> impl FnOnce(io::Error) -> CacheError + 'a {
        move |error| {
            let from = local_path(self.source, path.as_bstr());
            let found = fs::symlink_metadata(&from).ok();
            match found.and_then(|found| Stat::of(&found)).as_ref() == Some(listed) {
                true => CacheError::file(&from)(error),
                false => CacheError::changing(from),
            }
        }
    }

    /// An error if anything is not what was copied. Otherwise all of it was there at once, when the last file had been copied.
    ///
    /// Its filter has entered no folder yet: those that say what to leave out may have changed too.
    pub(super) fn check_still(
        &mut self,
        manifest: &Manifest,
        call: &CallOptions<'_>,
    ) -> Result<(), CacheError> {
        let listing = self.list(call)?;
        match listing.differs_from(manifest) {
            Some(path) => Err(CacheError::changing(local_path(
                self.source,
                path.as_bstr(),
            ))),
            None => Ok(()),
        }
    }
}

impl Listing {
    fn note(&mut self, note: String) {
        // The first few tell what it is about.
        if self.notes.len() < 20 {
            self.notes.push(note);
        }
    }

    /// Something that is not as a copy that was just made has it.
    fn differs_from<'a>(&'a self, manifest: &'a Manifest) -> Option<&'a BString> {
        let mut found = self.found.iter();
        let changed = found.find(|(path, stat)| !manifest.is_of(path, stat));
        if let Some((path, _)) = changed {
            return Some(path);
        }
        if self.found.len() == manifest.len() {
            return None;
        }
        let found: HashSet<&BString> = self.found.iter().map(|(path, _)| path).collect();
        manifest.paths().find(|path| !found.contains(path))
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
    fn share(&self, source: &mut SourceFolder, path: &BString, stat: &Stat, to: &Path) -> bool {
        let old = local_path(self.tree, path.as_bstr());
        // A file that was in the tree before that one too says of itself that it was touched once that tree is gone.
        let mut is_same = || {
            self.manifest.is_copy_intact(path, &old)
                || self.manifest.is_copy(path, stat, &old)
                    && is_same_content(source, path, &old).unwrap_or(false)
        };
        self.manifest.is_unchanged(path, stat) && is_same() && fs::hard_link(&old, to).is_ok()
    }
}

/// Whether a copy has all bytes of its source.
fn is_same_content(source: &mut SourceFolder, path: &BString, copy: &Path) -> io::Result<bool> {
    let (source, copy) = (source.open_file(path)?, File::open(copy)?);
    let (mut source, mut copy) = (BufReader::new(source), BufReader::new(copy));
    loop {
        let (of_source, of_copy) = (source.fill_buf()?, copy.fill_buf()?);
        let len = of_source.len().min(of_copy.len());
        if len == 0 {
            return Ok(of_source.is_empty() && of_copy.is_empty());
        }
        if of_source[..len] != of_copy[..len] {
            return Ok(false);
        }
        source.consume(len);
        copy.consume(len);
    }
}

/// Copies one file, and says what the source was.
fn copy_file(
    mut open: impl FnMut() -> Result<File, CacheError>,
    from: &Path,
    to: &Path,
) -> Result<Stat, CacheError> {
    for _ in 0..TRIES {
        let mut source = open()?;
        let stat_of = |file: &File| -> Result<Stat, CacheError> {
            let metadata = file.metadata().map_err(CacheError::file(from))?;
            Stat::of(&metadata)
                .filter(|stat| stat.kind == Kind::File)
                .ok_or_else(|| CacheError::changing(from))
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
    Err(CacheError::changing(from))
}

/// Whether a path that is followed from a folder of the directory is none below the directory, wherever that is.
fn leads_out(folder: &BString, target: &Path) -> bool {
    let mut depth = folder
        .split_str("/")
        .filter(|name| !name.is_empty())
        .count();
    target.components().any(|part| match part {
        Component::RootDir | Component::Prefix(_) => true,
        Component::ParentDir if depth == 0 => true,
        Component::ParentDir => {
            depth -= 1;
            false
        }
        Component::CurDir => false,
        Component::Normal(_) => {
            depth += 1;
            false
        }
    })
}

/// What is not there, or no folder, though its folder had it just before, changes.
fn of_listed(path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    move |error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => CacheError::changing(path),
        _ => CacheError::file(path)(error),
    }
}

/// The path of a name in a folder.
pub(super) fn joined(folder: &BString, name: &OsStr) -> BString {
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

/// Whether a folder is the tree of a manifest, and came here with it, as `cp -a` and archives bring both: the manifest was
/// put to its place after it was written, and the folder has what it says and nothing else.
///
/// Where the manifest is the very one that was written, a folder that is only like the tree is somebody's own.
pub(super) fn came_along(manifests: &Path, tree: &str, folder: &Path) -> bool {
    let was_copied = |found: fs::Metadata| {
        (found.mtime(), found.mtime_nsec()) != (found.ctime(), found.ctime_nsec())
    };
    fs::symlink_metadata(manifest_path(manifests, tree)).is_ok_and(was_copied)
        && read_manifest(manifests, tree).is_some_and(|manifest| manifest.is_all_of(folder))
}

/// A manifest that can be read.
pub(super) fn read_manifest(manifests: &Path, tree: &str) -> Option<Manifest> {
    Manifest::parse(&fs::read(manifest_path(manifests, tree)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy_of<'a>(source: &'a Path, kept_out: &'a Path) -> FolderCopy<'a> {
        FolderCopy {
            source,
            exclude: ExcludeFilter::new([""; 0], None, false).unwrap(),
            tracked: HashSet::new(),
            is_working_copy: false,
            kept_out,
        }
    }

    #[test]
    fn a_link_that_takes_the_place_of_a_folder_leads_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let [source, elsewhere, to] = ["source", "elsewhere", "to"].map(|name| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        });
        for place in [&source, &elsewhere] {
            fs::create_dir(place.join("sub")).unwrap();
            fs::write(place.join("sub/file"), place.to_str().unwrap()).unwrap();
        }
        let mut copy = copy_of(&source, folder.path());
        let call = CallOptions::default();
        let listing = copy.list(&call).unwrap();
        fs::rename(source.join("sub"), source.join("aside")).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("sub"), source.join("sub")).unwrap();
        let refused = copy.copy(&listing, &to, None, &call).unwrap_err();
        assert!(refused.to_string().contains("sub/file"), "{refused}");
        assert!(!to.join("sub/file").exists());
    }

    #[test]
    fn what_is_no_file_is_left_out_and_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        fs::create_dir(&source).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap();
        fs::write(source.join("file"), "x").unwrap();
        let mut copy = copy_of(&source, folder.path());
        let listing = copy.list(&CallOptions::default()).unwrap();
        assert_eq!(listing.found.len(), 1);
        assert_eq!(listing.notes, ["'socket' is no file and was left out"]);
    }
}
