//! Which folder a ref is in: some belong to one working copy alone, and a linked one (`git worktree add`) has a folder of its own for
//! them.

use std::io;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use super::loose_refs::{RawRef, scan};

/// The refs of one working copy beside `HEAD`.
const OF_WORKING_COPY: [&[u8]; 3] = [b"refs/bisect/", b"refs/rewritten/", b"refs/worktree/"];

/// The repository's folder and that of the working copy, which are one but for a linked one.
#[derive(Clone, Debug)]
pub(super) struct RefPlaces {
    git_dir: PathBuf,
    linked: Option<PathBuf>,
}

impl RefPlaces {
    /// Those of a repository, seen from a linked working copy if there is one.
    pub(super) fn new(git_dir: PathBuf, linked: Option<PathBuf>) -> RefPlaces {
        RefPlaces { git_dir, linked }
    }

    /// The folder below which a ref and its log are.
    pub(super) fn folder_of(&self, name: &BStr) -> &Path {
        match &self.linked {
            Some(linked) if is_of_working_copy(name) => linked,
            _ => &self.git_dir,
        }
    }

    /// The folder that a path of a ref or of a log is below.
    pub(super) fn folder_with(&self, path: &Path) -> &Path {
        // It may be below the repository's itself.
        let linked = self
            .linked
            .as_deref()
            .filter(|linked| path.starts_with(linked));
        linked.unwrap_or(&self.git_dir)
    }

    /// Every ref with a file, sorted by name.
    pub(super) fn scan(&self) -> io::Result<Vec<(BString, RawRef)>> {
        let mut loose = scan(&self.git_dir)?;
        if let Some(linked) = &self.linked {
            loose.retain(|(name, _)| !is_of_working_copy(name.as_bstr()));
            let own = scan(linked)?.into_iter();
            loose.extend(own.filter(|(name, _)| is_of_working_copy(name.as_bstr())));
            loose.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        }
        Ok(loose)
    }
}

fn is_of_working_copy(name: &BStr) -> bool {
    !name.starts_with(b"refs/") || OF_WORKING_COPY.iter().any(|below| name.starts_with(below))
}
