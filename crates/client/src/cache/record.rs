//! What is kept of entries, mirrors and checkouts, and where.

use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use packhouse_catalog::{
    CacheContents, CacheEntryRow, CacheIndex, CacheItemRow, CacheItems, CacheOverview,
    CatalogError, is_damaged, is_storage_full,
};
use packhouse_object::ForkPause;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

use super::index_gate::IndexGate;
use super::mend_index;
use super::moment::Moment;
use super::name::EntryName;
use super::reserve::Reserve;
use super::{CacheError, CacheType};
use crate::remote::ServerMemory;

/// An entry as it is kept.
#[derive(Clone, Debug)]
pub(super) struct EntryRecord {
    pub(super) name: EntryName,
    pub(super) source_key: String,
    pub(super) accessed_ms: i64,
    /// What its working tree takes besides what it shares with mirrors.
    pub(super) tree_bytes: u64,
    pub(super) kept: Kept,
}

/// The part of an entry that only we read.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Tells it from another of the same name that came before or comes later.
    #[serde(deserialize_with = "id")]
    pub(super) id: String,
    pub(super) source_url: String,
    /// Whether the source is a directory of this machine.
    pub(super) is_local: bool,
    pub(super) created: Moment,
    /// When the tree was known to be what the source is.
    pub(super) updated: Option<Moment>,
    /// The tree at its place.
    pub(super) tree: Option<TreeRecord>,
    /// One that was about to be put there. After a kill it is at its place or it is not.
    #[serde(default)]
    pub(super) next: Option<TreeRecord>,
    /// What the tree takes that is kept for what the next one has in common with it.
    #[serde(default)]
    pub(super) spare_bytes: u64,
    /// The mirror of its source, if it has one.
    #[serde(default)]
    pub(super) mirror: Option<String>,
    pub(super) error: Option<String>,
    /// When the remote was asked last, and what it said.
    #[serde(default)]
    pub(super) remote: Option<RemoteHead>,
}

/// A working tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeRecord {
    /// Names its manifest, if it has one.
    #[serde(deserialize_with = "id")]
    pub(super) id: String,
    pub(super) identity: Identity,
    /// When it was made: in which run of the machine its files are known to be whole.
    pub(super) made: Moment,
    pub(super) commit: Option<String>,
    pub(super) branch: Option<String>,
    /// Stands for the refs of its mirror that its `.git` has.
    #[serde(default)]
    pub(super) refs: String,
    /// What it takes, without what it shares with mirrors.
    pub(super) bytes: u64,
    /// What it shares with mirrors.
    #[serde(default)]
    pub(super) history_bytes: u64,
    /// Its mirror, and those of its submodules.
    #[serde(default)]
    pub(super) mirrors: Vec<String>,
    #[serde(default)]
    pub(super) notes: Vec<String>,
    /// How many of its files are pointers because their content was not to be had, those of submodules among them.
    #[serde(default)]
    pub(super) pointers_left: u64,
    /// How it was made: another way makes another tree of the same commit.
    #[serde(default)]
    pub(super) manner: String,
}

/// Where a remote's default branch was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RemoteHead {
    pub(super) asked: Moment,
    pub(super) commit: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) summary: Option<String>,
}

impl RemoteHead {
    /// What a mirror found when the remote was asked.
    pub(super) fn of(mirrored: &MirrorRecord) -> RemoteHead {
        RemoteHead {
            asked: mirrored.asked.clone(),
            commit: mirrored.head_commit.clone(),
            branch: mirrored.head_branch.clone(),
            summary: None,
        }
    }
}

/// Which folder it is, whatever its name: its number, and when it was made, as numbers are given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    inode: u64,
    /// In nanoseconds since 1970; 0 where the file system does not tell.
    made_ns: u64,
}

impl Identity {
    /// That of a folder; `None` for all else, links among them.
    pub(super) fn of(path: &Path) -> Option<Identity> {
        let found = std::fs::symlink_metadata(path).ok()?;
        let made = found.created().ok();
        let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
        found.is_dir().then(|| Identity {
            inode: found.ino(),
            made_ns: made.map_or(0, |made| made.as_nanos() as u64),
        })
    }

    /// Whether it can be no other folder's that got the number later.
    pub(super) fn is_unique(&self) -> bool {
        self.made_ns != 0
    }
}

/// A mirror as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MirrorRecord {
    pub(super) url: String,
    /// When its first copy was complete.
    pub(super) completed: Moment,
    /// When its refs were those of the remote: just before the remote was asked.
    pub(super) asked: Moment,
    /// Stands for the refs.
    pub(super) refs: String,
    pub(super) head_commit: Option<String>,
    pub(super) head_branch: Option<String>,
    pub(super) bytes: u64,
    #[serde(default)]
    pub(super) server: Option<ServerMemory>,
}

/// A checkout as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CheckoutRecord {
    pub(super) entry: EntryName,
    #[serde(deserialize_with = "id")]
    pub(super) entry_id: String,
    pub(super) commit: String,
    pub(super) made: Moment,
    pub(super) bytes: u64,
    pub(super) mirrors: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Kept {
    /// Whether both know of the same trees, of the same entry.
    pub(super) fn has_trees_of(&self, other: &Kept) -> bool {
        let ids = |kept: &Kept| {
            let id = |tree: &Option<TreeRecord>| tree.as_ref().map(|tree| tree.id.clone());
            (kept.id.clone(), id(&kept.tree), id(&kept.next))
        };
        ids(self) == ids(other)
    }
}

impl EntryRecord {
    pub(super) fn cache_type(&self) -> CacheType {
        match self.kept.is_local {
            true => CacheType::Local,
            false => CacheType::Git,
        }
    }

    pub(super) fn row(&self) -> CacheEntryRow {
        CacheEntryRow {
            name: self.name.to_string(),
            source_key: self.source_key.clone(),
            accessed_ms: self.accessed_ms,
            bytes: signed(self.tree_bytes.saturating_add(self.kept.spare_bytes)),
            record: serde_json::to_string(&self.kept).unwrap_or_default(),
        }
    }

    pub(super) fn of(row: CacheEntryRow) -> Result<EntryRecord, CacheError> {
        let kept: Kept = parsed(&row.record)?;
        let bytes = u64::try_from(row.bytes).unwrap_or(0);
        Ok(EntryRecord {
            name: EntryName::parse(&row.name)?,
            source_key: row.source_key,
            accessed_ms: row.accessed_ms,
            tree_bytes: bytes.saturating_sub(kept.spare_bytes),
            kept,
        })
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, CacheError> {
    serde_json::from_str(text).map_err(|error| damaged(&error))
}

fn damaged(reason: &dyn std::fmt::Display) -> CacheError {
    CacheError::Config {
        reason: format!("the catalog of the cache has a record that cannot be read: {reason}"),
    }
}

/// What is made here names a file or folder, and a catalog may be from an archive that somebody else made: a UUID, or a key of
/// [`hashed`](super::source::hashed), and no way out of the cache.
pub(super) fn is_id(text: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    matches!(text.len(), 32 | 40) && text.bytes().all(is_digit)
}

/// Reads an id of ours, and no other.
pub(super) fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match is_id(&text) {
        true => Ok(text),
        false => Err(D::Error::custom(format!("{text:?} is no id of a cache"))),
    }
}

/// Everything that is kept.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) entries: Vec<EntryRecord>,
    pub(super) mirrors: Vec<(String, MirrorRecord)>,
    pub(super) checkouts: Vec<(String, CheckoutRecord)>,
}

/// The entries as they were at one time.
#[derive(Clone, Debug)]
pub(super) struct Known {
    changes: i64,
    pub(super) entries: Arc<Vec<EntryRecord>>,
}

/// The catalog of one cache. Each call opens it anew, and no fork of this process comes in between.
#[derive(Clone, Debug)]
pub(super) struct Index {
    catalog: CacheIndex,
    path: PathBuf,
    pub(super) reserve: Reserve,
    /// Where each call comes in; `None` for who has the file alone.
    gate: Option<IndexGate>,
}

impl Index {
    /// For who sees to it that the file stays at its place.
    pub(super) fn open(path: &Path, reserve: Reserve) -> Result<Index, CacheError> {
        Ok(Index {
            catalog: wait(path, CacheIndex::open(path))?,
            path: path.to_owned(),
            reserve,
            gate: None,
        })
    }

    /// For everybody: each call sees to that itself.
    pub(super) fn behind(self, gate: IndexGate) -> Index {
        Index {
            gate: Some(gate),
            ..self
        }
    }

    /// Looks whether its file is whole.
    pub(super) fn check(&self) -> Result<(), CacheError> {
        self.wait(self.catalog.check())
    }

    fn wait<T>(
        &self,
        call: impl Future<Output = Result<T, CatalogError>>,
    ) -> Result<T, CacheError> {
        // Before forks are kept waiting: this may take a while.
        let _in_call = self.gate.as_ref().map(mend_index::enter).transpose()?;
        wait(&self.path, call)
    }

    /// As [`Index::wait`], for what makes room: on a full disk it takes the room that was put by.
    fn wait_for_removal<T, F: Future<Output = Result<T, CatalogError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, CacheError> {
        match self.wait(call()) {
            Err(CacheError::NoSpace { .. }) if self.reserve.give() => self.wait(call()),
            done => done,
        }
    }

    pub(super) fn contents(&self) -> Result<Contents, CacheError> {
        let CacheContents {
            entries,
            mirrors,
            checkouts,
        } = self.wait(self.catalog.contents())?;
        Ok(Contents {
            entries: entries
                .into_iter()
                .map(EntryRecord::of)
                .collect::<Result<_, _>>()?,
            mirrors: items(mirrors)?,
            checkouts: items(checkouts)?,
        })
    }

    /// The entries, and what everything in it takes; what did not change since `known` is taken from there.
    pub(super) fn overview(&self, known: Option<&Known>) -> Result<(Known, u64), CacheError> {
        let changes = known.map(|known| known.changes);
        let CacheOverview {
            changes,
            entries,
            bytes,
        } = self.wait(self.catalog.overview(changes))?;
        let entries = match (entries, known) {
            (None, Some(known)) => known.entries.clone(),
            (entries, _) => {
                let rows = entries.into_iter().flatten();
                Arc::new(rows.map(EntryRecord::of).collect::<Result<_, _>>()?)
            }
        };
        let bytes = u64::try_from(bytes).unwrap_or(0);
        Ok((Known { changes, entries }, bytes))
    }

    /// What everything in it takes.
    pub(super) fn bytes(&self) -> Result<u64, CacheError> {
        let bytes = self.wait(self.catalog.bytes())?;
        Ok(u64::try_from(bytes).unwrap_or(0))
    }

    pub(super) fn entry(&self, name: &EntryName) -> Result<Option<EntryRecord>, CacheError> {
        let found = self.wait(self.catalog.entry(name.as_str()))?;
        found.map(EntryRecord::of).transpose()
    }

    /// Those of these entries that there are.
    pub(super) fn entries(&self, names: &[&EntryName]) -> Result<Vec<EntryRecord>, CacheError> {
        let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        let found = self.wait(self.catalog.entries(&names))?;
        found.into_iter().map(EntryRecord::of).collect()
    }

    /// The entries of a source, the oldest first.
    pub(super) fn entries_of(&self, source_key: &str) -> Result<Vec<EntryRecord>, CacheError> {
        let found = self.wait(self.catalog.entries_of(source_key))?;
        found.into_iter().map(EntryRecord::of).collect()
    }

    /// `false`: the name is taken.
    pub(super) fn insert(&self, entry: &EntryRecord) -> Result<bool, CacheError> {
        self.wait(self.catalog.insert_entry(&entry.row()))
    }

    /// An error if the entry was removed.
    pub(super) fn update(&self, entry: &EntryRecord) -> Result<(), CacheError> {
        self.write(entry, true)
    }

    /// As [`Index::update`], where only times changed: power loss may take them back.
    pub(super) fn update_times(&self, entry: &EntryRecord) -> Result<(), CacheError> {
        self.write(entry, false)
    }

    fn write(&self, entry: &EntryRecord, durable: bool) -> Result<(), CacheError> {
        match self.wait(self.catalog.update_entry(&entry.row(), durable))? {
            true => Ok(()),
            false => Err(CacheError::NotFound {
                name: entry.name.to_string(),
            }),
        }
    }

    /// Notes that an entry was used. Whoever reads one may go on where that cannot be noted, as on a full disk: what comes of
    /// it is that the entry is evicted a little early.
    pub(super) fn touch(&self, name: &EntryName, accessed_ms: i64) {
        let _ = self.wait(self.catalog.touch_entry(name.as_str(), accessed_ms));
    }

    pub(super) fn remove(&self, name: &EntryName) -> Result<bool, CacheError> {
        self.wait_for_removal(|| self.catalog.remove_entry(name.as_str()))
    }

    /// Removes entries: all at once, or where there is no room for that, one after the other.
    pub(super) fn remove_all(&self, names: &[&EntryName]) -> Result<(), CacheError> {
        let texts: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        match self.wait_for_removal(|| self.catalog.remove_entries(&texts)) {
            Err(CacheError::NoSpace { .. }) if names.len() > 1 => names
                .iter()
                .try_for_each(|name| self.remove(name).map(drop)),
            removed => removed.map(drop),
        }
    }

    pub(super) fn mirror(&self, key: &str) -> Result<Option<MirrorRecord>, CacheError> {
        let found = self.wait(self.catalog.item(CacheItems::Mirrors, key))?;
        found.map(|row| parsed(&row.record)).transpose()
    }

    pub(super) fn put_mirror(&self, key: &str, record: &MirrorRecord) -> Result<(), CacheError> {
        self.put(CacheItems::Mirrors, key, record.bytes, record)
    }

    pub(super) fn remove_mirror(&self, key: &str) -> Result<bool, CacheError> {
        self.wait_for_removal(|| self.catalog.remove_item(CacheItems::Mirrors, key))
    }

    pub(super) fn put_checkout(&self, id: &str, record: &CheckoutRecord) -> Result<(), CacheError> {
        self.put(CacheItems::Checkouts, id, record.bytes, record)
    }

    pub(super) fn checkouts(&self) -> Result<Vec<(String, CheckoutRecord)>, CacheError> {
        items(self.wait(self.catalog.items(CacheItems::Checkouts))?)
    }

    pub(super) fn remove_checkout(&self, id: &str) -> Result<bool, CacheError> {
        self.wait_for_removal(|| self.catalog.remove_item(CacheItems::Checkouts, id))
    }

    fn put(
        &self,
        items: CacheItems,
        key: &str,
        bytes: u64,
        record: &impl Serialize,
    ) -> Result<(), CacheError> {
        let row = CacheItemRow {
            key: key.to_owned(),
            bytes: signed(bytes),
            record: serde_json::to_string(record).unwrap_or_default(),
        };
        self.wait(self.catalog.put_item(items, &row))
    }
}

fn items<T: DeserializeOwned>(rows: Vec<CacheItemRow>) -> Result<Vec<(String, T)>, CacheError> {
    let item = |row: CacheItemRow| match is_id(&row.key) {
        true => Ok((row.key, parsed(&row.record)?)),
        false => Err(damaged(&format!("{:?} is no key of a cache", row.key))),
    };
    rows.into_iter().map(item).collect()
}

/// Waits for a call of the catalog. A process that is forked off meanwhile would take SQLite's open files and locks for
/// its own.
fn wait<T>(
    path: &Path,
    call: impl Future<Output = Result<T, CatalogError>>,
) -> Result<T, CacheError> {
    let _no_forks = ForkPause::hold();
    futures::executor::block_on(call).map_err(|error| {
        let path = path.to_owned();
        match error {
            error if is_storage_full(&error) => CacheError::NoSpace { path },
            error if is_damaged(&error) => CacheError::Damaged { path },
            error => CacheError::Catalog(error),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::test_world::TestWorld;
    use super::super::{Cache, CallOptions};
    use super::*;

    type Change = fn(&Index, &EntryRecord, &str, CheckoutRecord);

    #[test]
    fn ids_that_an_archive_brought_and_that_lead_elsewhere_are_refused() {
        let out = "../../../victim";
        let changes: [(&str, Change); 7] = [
            ("entry", |index, entry, _, _| {
                let mut entry = entry.clone();
                entry.kept.id = "../../../victim".to_owned();
                index.update(&entry).unwrap();
            }),
            ("tree", |index, entry, _, _| {
                let mut entry = entry.clone();
                let tree = entry.kept.tree.as_mut().unwrap();
                tree.id = "../../../victim".to_owned();
                index.update(&entry).unwrap();
            }),
            ("next", |index, entry, _, _| {
                let mut entry = entry.clone();
                entry.kept.next = entry.kept.tree.clone();
                let next = entry.kept.next.as_mut().unwrap();
                next.id = "../../../victim".to_owned();
                index.update(&entry).unwrap();
            }),
            ("checkout", |index, _, _, mut checkout| {
                checkout.entry_id = "0".repeat(32);
                index.put_checkout("../../../victim", &checkout).unwrap();
            }),
            ("entry of a checkout", |index, _, id, mut checkout| {
                checkout.entry_id = "x/../../../../victim".to_owned();
                index.put_checkout(id, &checkout).unwrap();
            }),
            ("name of a checkout", |index, _, id, checkout| {
                let mut record = serde_json::to_value(&checkout).unwrap();
                record["entry"] = "../../../victim".into();
                index.put(CacheItems::Checkouts, id, 1, &record).unwrap();
            }),
            ("mirror", |index, entry, _, _| {
                let key = entry.kept.mirror.as_ref().unwrap();
                let mirror = index.mirror(key).unwrap().unwrap();
                index.put_mirror("../../../victim", &mirror).unwrap();
            }),
        ];
        for (what, change) in changes {
            let world = TestWorld::new();
            let call = CallOptions::default();
            let made = world.cache.checkout("remote", "main", &call).unwrap();
            let root = world.cache.root().to_owned();
            let victims = [
                root.join(".packhouse/checkouts").join(out),
                root.join(".packhouse/mirrors").join(format!("{out}.git")),
            ];
            for victim in &victims {
                std::fs::create_dir(victim).unwrap();
                std::fs::write(victim.join("precious"), "").unwrap();
            }
            let mut contents = world.inner.index.contents().unwrap();
            let (id, checkout) = contents.checkouts.remove(0);
            change(&world.inner.index, &world.record(), &id, checkout);
            let cache = Cache::open(world.cache.config().clone()).unwrap();
            let refused = cache.clear(&call).unwrap_err().to_string();
            assert!(refused.contains("cannot be read"), "{what}: {refused}");
            let refreshed = cache.refresh("remote", &call);
            let of_entry = matches!(what, "entry" | "tree" | "next");
            assert!(!of_entry || refreshed.is_err(), "{what}");
            for victim in &victims {
                assert!(victim.join("precious").exists(), "{what}");
            }
            assert!(made.path.exists(), "{what}");
        }
    }
}
