//! Trees that were replaced, which stay for those who still read them.
//!
//! What always holds:
//! - one stays for the time that was promised (`grace`), and as long as somebody has the lease of its entry;
//! - what it takes counts in what the cache takes. Where room is needed, or everything is to go, one that nobody uses goes
//!   before its time: nobody has the lease, and no process is seen in it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::CacheError;
use super::inner::Inner;
use super::lock::{FileLock, Sharing, holder};
use super::moment::Moment;
use super::readers::{Reader, Readers};
use super::record::id;
use super::root::Root;
use super::staging::{Staging, remove_tree};

/// When a tree in the trash was put there.
pub(super) const SINCE: &str = "since.json";
/// The room for that.
pub(super) const SINCE_BYTES: usize = 512;

/// A tree that was replaced.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Retired {
    pub(super) since: Moment,
    /// Whose tree it was.
    #[serde(deserialize_with = "id")]
    pub(super) entry_id: String,
    /// What it takes.
    #[serde(flatten)]
    pub(super) weight: Weight,
}

/// What a tree takes that was replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Weight {
    /// What nothing else takes.
    #[serde(default)]
    pub(super) bytes: u64,
    /// The files that the tree has too which took its place. They count there, as long as the entry has a tree.
    #[serde(default)]
    shared_bytes: u64,
}

impl Weight {
    /// Of a tree that has so many of its bytes in common with the one that took its place.
    pub(super) fn sharing(bytes: u64, shared_bytes: u64) -> Weight {
        let shared_bytes = shared_bytes.min(bytes);
        Weight {
            bytes: bytes - shared_bytes,
            shared_bytes,
        }
    }
}

impl From<u64> for Weight {
    fn from(bytes: u64) -> Weight {
        Weight::sharing(bytes, 0)
    }
}

/// What was read of the trees in the trash, by the names of their folders: none of them changes. Of many few come or go between
/// two looks.
#[derive(Debug, Default)]
pub(super) struct Weights(HashMap<OsString, (String, Weight)>);

impl Weights {
    /// What all of it takes, where those entries have a tree of which `has_tree` says so.
    pub(super) fn total(&mut self, root: &Root, has_tree: &dyn Fn(&str) -> bool) -> u64 {
        let mut known = std::mem::take(&mut self.0);
        for folder in folders(root) {
            let Some(name) = folder.file_name() else {
                continue;
            };
            let read = || {
                let retired = Retired::read(&folder).ok().flatten();
                retired.map(|retired| (retired.entry_id, retired.weight))
            };
            if let Some(found) = known.remove(name).or_else(read) {
                self.0.insert(name.to_owned(), found);
            }
        }
        let counted = self.0.values().map(|(entry_id, weight)| {
            let is_shared = weight.shared_bytes > 0 && has_tree(entry_id);
            let shared_bytes = if is_shared { 0 } else { weight.shared_bytes };
            weight.bytes.saturating_add(shared_bytes)
        });
        counted.fold(0, u64::saturating_add)
    }
}

impl Retired {
    /// What is noted of the tree in a folder; `None` if there is no note, or none that can be understood.
    ///
    /// A note that cannot be read now says nothing about who reads the tree.
    pub(super) fn read(folder: &Path) -> io::Result<Option<Retired>> {
        match fs::read(folder.join(SINCE)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether somebody may read it. Nobody reads what was there before the machine was started again.
    pub(super) fn may_be_read(&self, root: &Root, grace: Duration, now: &Moment) -> bool {
        let is_recent = || !self.since.is_older_than(grace, now);
        self.is_of_this_boot(now) && (is_recent() || self.is_leased(root))
    }

    /// Whether what is in it can be relied on.
    pub(super) fn is_of_this_boot(&self, now: &Moment) -> bool {
        self.since.is_same_boot(now)
    }

    /// Who uses the tree in this folder, as far as can be told. Whoever reads it longer than was promised needs a lease.
    pub(super) fn user(
        &self,
        folder: &Path,
        of: Of<'_>,
        inner: &Inner,
        readers: &Readers,
    ) -> Option<String> {
        let now = &Moment::now();
        if !self.is_of_this_boot(now) {
            return None;
        }
        if matches!(of, Of::All) && self.is_leased(&inner.root) {
            let lease = inner.root.lock("lease", &self.entry_id);
            return Some(match holder(&lease) {
                Some(pid) => format!("its entry is leased by process {pid}"),
                None => "its entry is leased".to_owned(),
            });
        }
        if self.since.is_older_than(inner.config.grace, now) {
            return None;
        }
        match readers.of(folder) {
            Reader::Nobody => None,
            Reader::Process(pid) => Some(format!("process {pid} is in it")),
            Reader::Unknown => Some("somebody may still read it".to_owned()),
        }
    }

    fn is_leased(&self, root: &Root) -> bool {
        let lease = root.lock("lease", &self.entry_id);
        matches!(
            FileLock::try_take(&lease, Sharing::Exclusive),
            Ok(None) | Err(_)
        )
    }
}

/// Whether there is no file of this name, as in what somebody put into the trash that is no folder.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Whose trees are to go.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of<'a> {
    All,
    /// This one's, whose lease the caller has, so that nobody else does.
    Entry(&'a str),
}

/// Removes trees that were replaced longer ago than `grace`.
pub(super) fn sweep(root: &Root, grace: Duration) {
    let now = Moment::now();
    for folder in folders(root) {
        let Ok(retired) = Retired::read(&folder) else {
            continue;
        };
        let keeps = retired.is_some_and(|retired| retired.may_be_read(root, grace, &now));
        if !keeps {
            let _ = remove_tree(&folder);
        }
    }
}

/// What the trees take that somebody uses, and that stay where room is needed.
pub(super) fn used_bytes(inner: &Inner, readers: &Readers) -> u64 {
    let used = folders(&inner.root).filter_map(|folder| {
        let retired = Retired::read(&folder).ok()??;
        let user = retired.user(&folder, Of::All, inner, readers);
        user.map(|_| retired.weight.bytes)
    });
    used.fold(0, u64::saturating_add)
}

/// Removes trees that nobody uses, the oldest first, until there are no bytes in excess. Returns those that are used, and by whom.
///
/// One that cannot be removed now is left for another time.
pub(super) fn empty(
    inner: &Inner,
    of: Of<'_>,
    excess: &dyn Fn() -> Result<u64, CacheError>,
) -> Result<Vec<String>, CacheError> {
    let mut found: Vec<(PathBuf, Option<Retired>)> = folders(&inner.root)
        .filter_map(|folder| Retired::read(&folder).ok().map(|retired| (folder, retired)))
        .filter(|(_, retired)| match (of, retired) {
            (Of::Entry(id), retired) => retired.as_ref().is_some_and(|of| of.entry_id == id),
            (Of::All, _) => true,
        })
        .collect();
    if found.is_empty() {
        return Ok(Vec::new());
    }
    found.sort_by_key(|(_, retired)| retired.as_ref().map_or(0, |retired| retired.since.wall_ms));
    let readers = Readers::new(&inner.root);
    let mut used = Vec::new();
    let mut left = 0;
    for (folder, retired) in found {
        if left == 0 {
            // Everything is counted again only when it may be enough.
            left = excess()?;
        }
        if left == 0 {
            break;
        }
        let user = retired
            .as_ref()
            .and_then(|retired| retired.user(&folder, of, inner, &readers));
        match user {
            Some(user) => used.push(format!("{}: {user}", folder.display())),
            None => {
                let bytes = retired.map_or(0, |retired| retired.weight.bytes);
                if let Ok(Some(_removed)) = Staging::take(&inner.root, &folder) {
                    left = left.saturating_sub(bytes);
                }
            }
        }
    }
    Ok(used)
}

fn folders(root: &Root) -> impl Iterator<Item = PathBuf> {
    let folders = fs::read_dir(root.own("trash"));
    let folders = folders.into_iter().flatten().flatten();
    folders.map(|folder| folder.path())
}
