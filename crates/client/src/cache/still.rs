//! Whether Git was at work in a working copy while it was copied.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::inner::Inner;
use super::manifest::Stat;
use super::mirror;
use super::record::MirrorRecord;
use super::source::Upstream;
use super::{CacheError, CallOptions};

/// Git has this file while it changes the index, and the files that it is about.
const LOCK: &str = "index.lock";
/// A lock that is older was left behind by a Git that ended before its time.
const LEFT_BEHIND: Duration = Duration::from_secs(600);

/// The `.git` of a working copy, as it was before its history was asked for.
pub(super) struct GitAtRest {
    git: PathBuf,
    index: Option<Stat>,
}

impl GitAtRest {
    /// That of a repository of this machine.
    pub(super) fn look(upstream: &Upstream) -> Option<GitAtRest> {
        let git = upstream.url.local_path()?.to_owned();
        let index = stat_of(&git.join("index"));
        Some(GitAtRest { git, index })
    }

    /// An error if what was copied since may be of several commits, or of another than was `mirrored`. A note where that is
    /// not known.
    ///
    /// Who changes files by Git locks the index first, writes it then, and moves `HEAD` last: so that is looked at last.
    pub(super) fn check_still(
        &self,
        inner: &Inner,
        upstream: &Upstream,
        mirrored: Option<&MirrorRecord>,
        call: &CallOptions<'_>,
    ) -> Result<Option<String>, CacheError> {
        let lock = self.git.join(LOCK);
        let locked = fs::symlink_metadata(&lock).ok();
        let is_old = locked.map(|found| found.modified().is_ok_and(is_left_behind));
        let index = self.git.join("index");
        if stat_of(&index) != self.index {
            return Err(CacheError::changing(index));
        }
        let note = match is_old {
            None => None,
            Some(false) => {
                return Err(CacheError::Changing {
                    path: lock,
                    reason: "it is there, so Git is at work: it changes while it is copied",
                });
            }
            Some(true) => Some(format!(
                "'{}' is there: a Git that ended before its time may have left files of several commits",
                lock.display()
            )),
        };
        if let Some(mirrored) = mirrored {
            let now = mirror::ask_head(inner, upstream, call)?;
            if (&now.commit, &now.branch) != (&mirrored.head_commit, &mirrored.head_branch) {
                return Err(CacheError::changing(self.git.join("HEAD")));
            }
        }
        Ok(note)
    }
}

fn is_left_behind(made: SystemTime) -> bool {
    made.elapsed().is_ok_and(|age| age > LEFT_BEHIND)
}

fn stat_of(path: &Path) -> Option<Stat> {
    Stat::of(&fs::symlink_metadata(path).ok()?)
}
