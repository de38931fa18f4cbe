//! Leaving out local files by gitignore patterns.
//!
//! Base patterns, given with the call, speak first. Where they say nothing, the `.gitignore` files do that the walk
//! came by, the deepest first. In every list the last matching pattern decides. Folders that are excluded are not
//! entered, so that nothing in them can be brought back.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use bstr::{BString, ByteSlice};
use packhouse_object::PathPatterns;
pub use packhouse_object::Wildmatch;

use super::StoreError;

/// A larger `.gitignore` is not read, as in Git.
const MAX_FILE_BYTES: u64 = 100 << 20;

/// Which local files a copy leaves out.
#[derive(Clone, Debug, Default)]
pub struct ExcludeFilter {
    base: Arc<PathPatterns>,
    gitignore: bool,
    /// The `.gitignore` of each folder entered, by its path from where the walk began.
    entered: HashMap<BString, Arc<PathPatterns>>,
}

impl ExcludeFilter {
    /// A filter of base patterns, those of the file `exclude_from`, and, if `gitignore`, of the `.gitignore` files
    /// found on the way.
    ///
    /// The file is read as Git reads a `.gitignore`: blank lines and those that begin with `#` are skipped, and spaces at
    /// the end of a line do not count unless a backslash is before them. `patterns` are no lines: all of each counts, also
    /// a `#` at its beginning and spaces at its end, as in `git ls-files --exclude`.
    pub fn new<P: AsRef<[u8]>>(
        patterns: impl IntoIterator<Item = P>,
        exclude_from: Option<&Path>,
        gitignore: bool,
    ) -> Result<ExcludeFilter, StoreError> {
        let mut base = PathPatterns::default();
        for pattern in patterns {
            base.push(pattern.as_ref());
        }
        if let Some(path) = exclude_from {
            let file = fs::read(path).map_err(StoreError::local(path))?;
            base.push_file(&file);
        }
        Ok(ExcludeFilter {
            base: Arc::new(base),
            gitignore,
            entered: HashMap::new(),
        })
    }

    /// Whether anything can be excluded.
    pub fn active(&self) -> bool {
        self.gitignore || !self.base.is_empty()
    }

    /// Whether the base patterns exclude a path, or a folder it is in.
    pub fn is_excluded(&self, path: impl AsRef<[u8]>, is_dir: bool) -> bool {
        let path = path.as_ref();
        let above = path.find_iter(b"/").map(|slash| (&path[..slash], true));
        above
            .chain([(path, is_dir)])
            .any(|(path, is_folder)| self.base.verdict(path, is_folder) == Some(true))
    }

    /// Reads the `.gitignore` of a folder, `path` from where the walk began, before anything in it is asked about.
    pub fn enter_directory(&mut self, folder: &Path, path: impl AsRef<[u8]>) {
        let path = path.as_ref();
        if self.gitignore && !self.entered.contains_key(path.as_bstr()) {
            let patterns = read_gitignore(folder).unwrap_or_default();
            self.entered.insert(path.into(), Arc::new(patterns));
        }
    }

    /// Whether a path is excluded by the base patterns or the folders entered so far. The folders above it count as
    /// not excluded, since the walk is in them.
    pub fn is_excluded_in_walk(&self, path: impl AsRef<[u8]>, is_dir: bool) -> bool {
        let path = path.as_ref();
        let folder_ends = path.rfind_iter(b"/").chain([0]);
        let lists = folder_ends.filter_map(|end| {
            let list = self.entered.get(path[..end].as_bstr())?;
            Some((&**list, if end == 0 { 0 } else { end + 1 }))
        });
        self.decide(lists, path, is_dir)
    }

    /// Where a walk begins: at a folder, with its `.gitignore` read.
    pub(super) fn start(&self, folder: &Path) -> Level {
        self.level(None, folder, b"")
    }

    /// One folder further down in a walk.
    pub(super) fn enter(&self, level: &Level, folder: &Path, path: &[u8]) -> Level {
        self.level(Some(level), folder, path)
    }

    fn level(&self, above: Option<&Level>, folder: &Path, path: &[u8]) -> Level {
        let above = above.and_then(|level| level.0.clone());
        let found = match self.gitignore {
            true => read_gitignore(folder).filter(|patterns| !patterns.is_empty()),
            false => None,
        };
        match found {
            Some(patterns) => Level(Some(Arc::new(Loaded {
                patterns,
                skip: if path.is_empty() { 0 } else { path.len() + 1 },
                above,
            }))),
            None => Level(above),
        }
    }

    /// Whether a path in the folder of a level is excluded.
    pub(super) fn excludes(&self, level: &Level, path: &[u8], is_dir: bool) -> bool {
        let lists = std::iter::successors(level.0.as_deref(), |loaded| loaded.above.as_deref());
        self.decide(
            lists.map(|loaded| (&loaded.patterns, loaded.skip)),
            path,
            is_dir,
        )
    }

    /// Decides by the base patterns, then by lists of patterns with the length of their folders' paths, the deepest first.
    fn decide<'a>(
        &self,
        mut lists: impl Iterator<Item = (&'a PathPatterns, usize)>,
        path: &[u8],
        is_dir: bool,
    ) -> bool {
        if let Some(verdict) = self.base.verdict(path, is_dir) {
            return verdict;
        }
        if !self.gitignore {
            return false;
        }
        let name = &path[path.rfind_byte(b'/').map_or(0, |slash| slash + 1)..];
        // Git never looks at its own folder, and what says what to ignore is no content.
        if name == b".git" || (name == b".gitignore" && !is_dir) {
            return true;
        }
        lists
            .find_map(|(patterns, skip)| patterns.verdict(&path[skip..], is_dir))
            .unwrap_or(false)
    }
}

/// The `.gitignore` files from where a walk began down to one folder.
#[derive(Clone, Debug, Default)]
pub(super) struct Level(Option<Arc<Loaded>>);

#[derive(Debug)]
struct Loaded {
    patterns: PathPatterns,
    /// How much of a path leads to the folder.
    skip: usize,
    above: Option<Arc<Loaded>>,
}

/// The patterns of a folder's `.gitignore`; like Git, never through a link.
fn read_gitignore(folder: &Path) -> Option<PathPatterns> {
    let file = File::options()
        .read(true)
        .custom_flags((rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32)
        .open(folder.join(".gitignore"))
        .ok()?;
    let size = file.metadata().ok().filter(|found| found.is_file())?.len();
    if size > MAX_FILE_BYTES {
        return None;
    }
    let mut data = Vec::with_capacity(size as usize);
    file.take(MAX_FILE_BYTES).read_to_end(&mut data).ok()?;
    Some(PathPatterns::parse(&data))
}
