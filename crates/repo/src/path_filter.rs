//! Choosing files by their paths: folders, globs, endings.
//!
//! A glob is Git's: `*`, `?` and `[…]` stay within a name, `**` spans folders. One without a slash is held against the
//! last part of the path, as in `.gitignore`; one with a slash against the whole path. A glob that matches a folder
//! takes everything in it.

use bstr::{BString, ByteSlice};
use packhouse_object::{PathError, RepoPath};

use crate::store::Wildmatch;

/// The most globs, paths or endings a filter has of each.
pub const MAX_FILTER_ITEMS: usize = 100;

/// The longest glob in bytes.
pub const MAX_GLOB_BYTES: usize = 1024;

/// Which files are meant. The default takes all.
#[derive(Clone, Debug, Default)]
pub struct PathFilter {
    /// `None`: the root is among them.
    paths: Option<Vec<RepoPath>>,
    path_globs: Vec<Glob>,
    include: Vec<Glob>,
    exclude: Vec<Glob>,
    endings: Vec<BString>,
}

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathFilterError {
    /// A path is none.
    #[error("`{path}`: {reason}")]
    Path {
        /// As it was given.
        path: String,
        /// What is wrong with it.
        reason: PathError,
    },
    /// Git's special forms (`:(icase)…`, `:!…`) are not known here.
    #[error("`{path}`: paths that begin with `:` are not supported")]
    Magic {
        /// As it was given.
        path: String,
    },
    /// An empty glob or ending.
    #[error("an item is empty")]
    Empty,
    /// A glob over [`MAX_GLOB_BYTES`].
    #[error("a glob has {bytes} bytes, over the limit of {MAX_GLOB_BYTES}")]
    GlobTooLong {
        /// Its length.
        bytes: usize,
    },
    /// A glob that can match nothing.
    #[error(
        "`{glob}` is no glob: a `[` has no end or an unknown class, or a `\\` is last; write `\\` before a character \
         that stands for itself"
    )]
    Malformed {
        /// As it was given.
        glob: String,
    },
    /// More than [`MAX_FILTER_ITEMS`].
    #[error("there are {count} items, over the limit of {MAX_FILTER_ITEMS}")]
    TooMany {
        /// How many.
        count: usize,
    },
}

#[derive(Clone, Debug)]
struct Glob {
    pattern: Wildmatch,
    whole_path: bool,
}

impl Glob {
    fn new(glob: &str) -> Result<Glob, PathFilterError> {
        if glob.len() > MAX_GLOB_BYTES {
            let bytes = glob.len();
            return Err(PathFilterError::GlobTooLong { bytes });
        }
        let inner = glob.trim_end_matches('/');
        let whole_path = inner.contains('/');
        let inner = inner.trim_start_matches('/');
        if inner.is_empty() {
            return Err(PathFilterError::Empty);
        }
        let pattern = Wildmatch::new(inner.as_bytes());
        if !pattern.is_valid() {
            let glob = glob.to_owned();
            return Err(PathFilterError::Malformed { glob });
        }
        Ok(Glob {
            pattern,
            whole_path,
        })
    }

    /// Whether it matches the path, or a folder the path is in.
    fn takes(&self, path: &[u8]) -> bool {
        if !self.whole_path {
            return path
                .split(|&byte| byte == b'/')
                .any(|name| self.pattern.matches(name));
        }
        let mut end = path.len();
        loop {
            if self.pattern.matches(&path[..end]) {
                return true;
            }
            match path[..end].rfind_byte(b'/') {
                Some(slash) => end = slash,
                None => return false,
            }
        }
    }
}

impl PathFilter {
    /// Only what is at one of these paths or below it. `.` and the empty path are the root; a path with `*`, `?` or
    /// `[` is a glob. No paths at all mean everything.
    pub fn paths(mut self, paths: &[impl AsRef<str>]) -> Result<PathFilter, PathFilterError> {
        check_count(paths.len())?;
        let (mut plain, mut has_root) = (Vec::new(), paths.is_empty());
        for given in paths.iter().map(AsRef::as_ref) {
            let path = given.trim_start_matches("./").trim_matches('/');
            if given.starts_with(':') {
                let path = given.to_owned();
                return Err(PathFilterError::Magic { path });
            }
            if path.is_empty() || path == "." {
                has_root = true;
            } else if path.contains(['*', '?', '[']) {
                self.path_globs.push(Glob::new(path)?);
            } else {
                let parsed = RepoPath::parse(path).map_err(|reason| PathFilterError::Path {
                    path: given.to_owned(),
                    reason,
                })?;
                plain.push(parsed);
            }
        }
        if has_root {
            self.path_globs.clear();
        } else {
            self.paths = Some(plain);
        }
        Ok(self)
    }

    /// Only what matches one of these globs, if there are any.
    pub fn include(mut self, globs: &[impl AsRef<str>]) -> Result<PathFilter, PathFilterError> {
        self.include = compile(globs)?;
        Ok(self)
    }

    /// Nothing that matches one of these globs.
    pub fn exclude(mut self, globs: &[impl AsRef<str>]) -> Result<PathFilter, PathFilterError> {
        self.exclude = compile(globs)?;
        Ok(self)
    }

    /// Only names that end so, if any endings are given: `.rs` and `rs` are the same.
    pub fn endings(mut self, endings: &[impl AsRef<str>]) -> Result<PathFilter, PathFilterError> {
        check_count(endings.len())?;
        for ending in endings {
            let ending = ending.as_ref().trim_start_matches(['*', '.']);
            if ending.is_empty() {
                return Err(PathFilterError::Empty);
            }
            self.endings.push(format!(".{ending}").into());
        }
        Ok(self)
    }

    /// Whether a file is meant.
    pub fn takes(&self, path: &[u8]) -> bool {
        let ends = |ending: &BString| path.ends_with(ending);
        let any = |globs: &[Glob]| globs.iter().any(|glob| glob.takes(path));
        (self.endings.is_empty() || self.endings.iter().any(ends))
            && self.is_at_paths(path)
            && (self.include.is_empty() || any(&self.include))
            && !any(&self.exclude)
    }

    fn is_at_paths(&self, path: &[u8]) -> bool {
        let Some(paths) = &self.paths else {
            return true;
        };
        let is_at = |at: &RepoPath| {
            path.strip_prefix(at.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        paths.iter().any(is_at) || self.path_globs.iter().any(|glob| glob.takes(path))
    }

    /// The only files and folders where something may be meant; `None`: anywhere.
    pub fn roots(&self) -> Option<&[RepoPath]> {
        match &self.paths {
            Some(paths) if self.path_globs.is_empty() => Some(paths),
            _ => None,
        }
    }
}

fn compile(globs: &[impl AsRef<str>]) -> Result<Vec<Glob>, PathFilterError> {
    check_count(globs.len())?;
    globs.iter().map(|glob| Glob::new(glob.as_ref())).collect()
}

fn check_count(count: usize) -> Result<(), PathFilterError> {
    match count {
        count if count > MAX_FILTER_ITEMS => Err(PathFilterError::TooMany { count }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken<'a>(filter: &PathFilter, paths: &[&'a str]) -> Vec<&'a str> {
        let takes = |path: &&&str| filter.takes(path.as_bytes());
        paths.iter().filter(takes).copied().collect()
    }

    const PATHS: [&str; 6] = [
        "README.md",
        "docs/a.md",
        "docs/deep/b.md",
        "src/lib.rs",
        "src/docs/c.rs",
        "srcs/x.rs",
    ];

    #[test]
    fn globs_without_a_slash_match_names_anywhere() {
        let filter = PathFilter::default().include(&["*.md"]).unwrap();
        assert_eq!(taken(&filter, &PATHS), PATHS[..3]);
        let filter = PathFilter::default().exclude(&["docs/"]).unwrap();
        assert_eq!(
            taken(&filter, &PATHS),
            ["README.md", "src/lib.rs", "srcs/x.rs"]
        );
    }

    #[test]
    fn globs_with_a_slash_match_whole_paths() {
        let filter = PathFilter::default().include(&["**/*.md"]).unwrap();
        assert_eq!(taken(&filter, &PATHS), PATHS[..3]);
        let filter = PathFilter::default().include(&["docs/*.md"]).unwrap();
        assert_eq!(taken(&filter, &PATHS), ["docs/a.md"]);
        let filter = PathFilter::default().include(&["/*.md"]).unwrap();
        assert_eq!(taken(&filter, &PATHS), ["README.md"]);
        let filter = PathFilter::default().exclude(&["/docs", "s*/**"]).unwrap();
        assert_eq!(taken(&filter, &PATHS), ["README.md"]);
    }

    #[test]
    fn paths_are_files_folders_and_globs() {
        let filter = PathFilter::default().paths(&["src", "docs/a.md"]).unwrap();
        assert_eq!(
            taken(&filter, &PATHS),
            ["docs/a.md", "src/lib.rs", "src/docs/c.rs"]
        );
        assert_eq!(filter.roots().unwrap().len(), 2);
        let filter = PathFilter::default().paths(&["./docs/", "*.rs"]).unwrap();
        assert_eq!(taken(&filter, &PATHS), PATHS[1..]);
        assert!(filter.roots().is_none());
        for everything in [&["."][..], &[""], &["/", "src"], &[]] {
            let filter = PathFilter::default().paths(everything).unwrap();
            assert_eq!(taken(&filter, &PATHS), PATHS);
        }
    }

    #[test]
    fn endings_need_no_dot() {
        for ending in ["rs", ".rs", "*.rs"] {
            let filter = PathFilter::default().endings(&[ending]).unwrap();
            assert_eq!(taken(&filter, &PATHS), PATHS[3..]);
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let paths = |path: &str| {
            PathFilter::default()
                .paths(&[path])
                .unwrap_err()
                .to_string()
        };
        assert!(paths("../x").contains("`../x`: "));
        assert!(paths(":(icase)x").contains("not supported"));
        assert!(PathFilter::default().include(&["/"]).is_err());
        assert!(PathFilter::default().endings(&["."]).is_err());
        assert!(PathFilter::default().exclude(&["x".repeat(2000)]).is_err());
        assert!(PathFilter::default().include(&["x"; 101]).is_err());
    }
}
