//! A cache and its calls.

use std::sync::Arc;

use super::checkout;
use super::details::details;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::name::EntryName;
use super::record::EntryRecord;
use super::served::Served;
use super::source::Source;
use super::state::{Found, count, entry_of, entry_seen, look};
use super::update::{self, bring_up_to_date};
use super::{
    CacheConfig, CacheError, CacheStatus, CallOptions, Checkout, Cleared, Details, Entry, Overview,
    Stats, naming, publish, removal, replace, sweeps,
};
use crate::egress::Egress;

/// A cache of repositories and directories. Cheap to clone; every clone is the same cache.
///
/// Any number of threads and processes may have one folder open at the same time. Calls block; on an executor they belong
/// on a thread that may.
#[derive(Clone)]
pub struct Cache {
    inner: Arc<Inner>,
}

impl Cache {
    /// Opens the cache in the folder that the configuration names, making it if it is missing.
    ///
    /// What killed processes left behind is removed.
    pub fn open(config: CacheConfig) -> Result<Cache, CacheError> {
        packhouse_object::watch_forks();
        let inner = Inner::open(config)?;
        sweeps::at_open(&inner);
        Ok(Cache {
            inner: Arc::new(inner),
        })
    }

    /// How it was set up.
    pub fn config(&self) -> &CacheConfig {
        &self.inner.config
    }

    /// The names of those of its settings of Git ([`CacheConfig::git_config`]) that do nothing here, as they were given. Whoever
    /// set them should be told.
    pub fn unheeded_settings(&self) -> &[String] {
        &self.inner.settings.unheeded
    }

    /// Its folder, absolute and without symbolic links.
    pub fn root(&self) -> &std::path::Path {
        self.inner.root.path()
    }

    /// Makes a copy of `source`, or brings the one that is there up to date; the remote is asked in any case. This is
    /// `cache_repository` of the guide.
    ///
    /// `source` is a URL (`https`, `http`, `ssh`, `git`, `file`), `user@host:path`, or a path of this machine. `name` is
    /// the entry's; without one it is that of the entry that the source has already, else made of the source: the last
    /// part of its path without `.git`, and if another source has that name, the last two parts, and so on.
    ///
    /// Callers that ask for the same at once, here and in other processes, share one fetch. On failure the entry says
    /// why, and a copy that is there stays as it is and is served by [`Cache::get`].
    pub fn add(
        &self,
        source: &str,
        name: Option<&str>,
        call: &CallOptions<'_>,
    ) -> Result<Entry, CacheError> {
        let arrived = Moment::now();
        let name = name.map(EntryName::parse).transpose()?;
        let source = Source::parse(source, &self.inner.root)?;
        self.inner.keep_credential(&source);
        loop {
            let record = naming::reserve(&self.inner, &source, name.as_ref())?;
            match self.bring(&record, &source, &arrived, call) {
                // It was removed in between; whoever adds a source wants it to be there.
                Err(CacheError::NotFound { .. }) => call.check()?,
                brought => return brought,
            }
        }
    }

    /// Brings an entry up to date, as [`Cache::add`] does.
    pub fn refresh(&self, name: &str, call: &CallOptions<'_>) -> Result<Entry, CacheError> {
        let arrived = Moment::now();
        let record = self.record(name)?;
        match Source::of_entry(&record, &self.inner.root) {
            Ok(source) => self.bring(&record, &source, &arrived, call),
            Err(error) => {
                update::note_failure(&self.inner, &record, &error, call)?;
                Err(error)
            }
        }
    }

    /// An entry whose copy is at its place, whatever its status: `cache_path` can be read. Notes that it was used.
    ///
    /// What somebody else put in the place of a copy is not handed out: that is [`CacheError::Occupied`].
    pub fn get(&self, name: &str) -> Result<Entry, CacheError> {
        let now = Moment::now();
        let mut record = self.record(name)?;
        let (mut may_wait, mut may_recover) = (true, true);
        loop {
            let seen = look(&self.inner.root, &record);
            if let Found::Tree(_) = seen.found {
                self.inner.index.touch(&record.name, now.wall_ms);
                let entry = entry_seen(&self.inner, &record, seen, &now);
                return Ok(Entry {
                    last_accessed: now.timestamp(),
                    ..entry
                });
            }
            let lock = self.inner.root.lock("entry", &record.name.lock_key());
            // Between two renames, where trees cannot be exchanged in one step.
            let is_between = seen.found == Found::Nothing
                && std::mem::take(&mut may_wait)
                && FileLock::try_take(&lock, Sharing::Shared)?.is_none();
            if is_between {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            if seen.found == Found::Nothing && !is_between && std::mem::take(&mut may_recover) {
                // Whoever was putting another one there may have been killed.
                replace::recover(&self.inner, None);
                continue;
            }
            let again = self.record(name)?;
            if !is_between && again.kept.has_trees_of(&record.kept) {
                let path = self.inner.root.tree(&record.name);
                return Err(match seen.found {
                    Found::Unknown => CacheError::Occupied { path },
                    _ => CacheError::Missing { path },
                });
            }
            // Another tree came after the record was read.
            record = again;
        }
    }

    /// The mirrors, for callers with credentials of their own: what `packhouse cache serve` serves. `egress` says which
    /// addresses they may have asked.
    pub fn served(&self, egress: Egress) -> Result<Served, CacheError> {
        Served::new(self.inner.clone(), egress)
    }

    /// All entries, in the order of their names. Nobody is asked and nothing is measured.
    pub fn list(&self) -> Result<Vec<Entry>, CacheError> {
        Ok(self.overview()?.entries)
    }

    /// The cache in numbers.
    pub fn stats(&self) -> Result<Stats, CacheError> {
        Ok(self.overview()?.stats)
    }

    /// [`Cache::list`] and [`Cache::stats`] of one moment, for which the catalog is read once.
    pub fn overview(&self) -> Result<Overview, CacheError> {
        let (overview, records) = self.overview_now()?;
        let is_missing = |entry: &Entry| entry.status == CacheStatus::Missing;
        // Where a tree is not at its place, another may have come after the records were read.
        match overview.entries.iter().any(is_missing)
            && !Arc::ptr_eq(&records, &self.inner.entries()?.0)
        {
            true => Ok(self.overview_now()?.0),
            false => Ok(overview),
        }
    }

    fn overview_now(&self) -> Result<(Overview, Arc<Vec<EntryRecord>>), CacheError> {
        let now = Moment::now();
        let (records, total_size_bytes) = self.inner.entries()?;
        let mut stats = Stats {
            total_size_bytes,
            max_size_bytes: self.inner.config.max_bytes,
            ..Stats::default()
        };
        let mut entries = Vec::with_capacity(records.len());
        for record in records.iter() {
            let entry = entry_of(&self.inner, record, &now);
            count(&mut stats, &entry);
            entries.push(entry);
        }
        Ok((Overview { entries, stats }, records))
    }

    /// Removes an entry with its checkouts, its trees that were replaced, and the history that no other entry needs.
    ///
    /// One that somebody has a lease of, or is bringing up to date and not done with in a moment, stays: the error says who.
    pub fn remove(&self, name: &str, call: &CallOptions<'_>) -> Result<(), CacheError> {
        removal::remove(&self.inner, name, call)
    }

    /// Removes all entries, the replaced trees that nobody reads, and the histories that `packhouse cache serve` keeps.
    ///
    /// An entry that is in use stays, and is the error once all else is gone.
    pub fn clear(&self, call: &CallOptions<'_>) -> Result<Cleared, CacheError> {
        removal::clear(&self.inner, call)
    }

    /// Keeps an entry from being removed or evicted, by this process or another, until the lease is dropped.
    pub fn lease(&self, name: &str, call: &CallOptions<'_>) -> Result<Lease, CacheError> {
        let (_, lock) = self.hold(name, call)?;
        let entry = self.get(name)?;
        Ok(Lease { entry, _lock: lock })
    }

    /// An entry with what its remote says now, which is asked unless it was in the last five minutes. That it cannot be
    /// asked is no error.
    pub fn details(&self, name: &str, call: &CallOptions<'_>) -> Result<Details, CacheError> {
        details(&self.inner, self.record(name)?, call)
    }

    /// A working tree of an entry's repository at `revision`: a branch, a tag, a whole name of a ref, a commit by its id,
    /// or `HEAD`. It shares objects with the entry and is nobody else's; there may be any number of them.
    ///
    /// A commit that is here is checked out without asking anybody. For a name the remote is asked where it is now; if it
    /// cannot be asked, the notes say so. What no branch or tag reaches is fetched, where the remote allows it.
    pub fn checkout(
        &self,
        name: &str,
        revision: &str,
        call: &CallOptions<'_>,
    ) -> Result<Checkout, CacheError> {
        let (record, _lease) = self.hold(name, call)?;
        checkout::make(&self.inner, &record, revision, call)
    }

    /// The checkouts of all entries that are there and whole: those from before the machine was started again are not.
    pub fn checkouts(&self) -> Result<Vec<Checkout>, CacheError> {
        let now = Moment::now();
        let checkouts = self.inner.index.checkouts()?;
        Ok(checkouts
            .iter()
            .filter(|(id, record)| checkout::is_there(&self.inner, id, record, &now))
            .map(|(id, record)| checkout::shown(&self.inner, id, record))
            .collect())
    }

    /// Removes a checkout with its files.
    pub fn remove_checkout(&self, id: &str) -> Result<(), CacheError> {
        let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_id && publish::remove_checkout(&self.inner, id)? {
            true => Ok(()),
            false => Err(CacheError::NotFound {
                name: id.to_owned(),
            }),
        }
    }

    /// The entry of this name, and a lock that keeps it.
    fn hold(
        &self,
        name: &str,
        call: &CallOptions<'_>,
    ) -> Result<(EntryRecord, FileLock), CacheError> {
        loop {
            let record = self.record(name)?;
            let path = self.inner.root.lock("lease", &record.kept.id);
            let lock = FileLock::take(&path, Sharing::Shared, call)?;
            // It may have been removed just before.
            let again = self.record(name)?;
            if again.kept.id == record.kept.id {
                return Ok((again, lock));
            }
        }
    }

    fn record(&self, name: &str) -> Result<EntryRecord, CacheError> {
        naming::find(&self.inner, name)
    }

    fn bring(
        &self,
        record: &EntryRecord,
        source: &Source,
        arrived: &Moment,
        call: &CallOptions<'_>,
    ) -> Result<Entry, CacheError> {
        let is_first = record.kept.tree.is_none();
        // What has worked works again: not every server has all ways to write a URL.
        let stored = match is_first {
            true => None,
            false => Source::of_entry(record, &self.inner.root).ok(),
        };
        let source = stored.as_ref().unwrap_or(source);
        let key = record.name.lock_key();
        self.inner.flights().run(&key, is_first, call, || {
            // All who wait for this came before it began.
            let arrived = match is_first {
                true => arrived.clone(),
                false => Moment::now(),
            };
            bring_up_to_date(&self.inner, &record.name, source, &arrived, call)
        })
    }
}

/// An entry that stays as long as this is held.
#[derive(Debug)]
pub struct Lease {
    entry: Entry,
    _lock: FileLock,
}

impl Lease {
    /// The entry as it was when the lease was taken.
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Whether its copy was up to date then.
    pub fn is_fresh(&self) -> bool {
        self.entry.status == CacheStatus::Fresh
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cache").field(&self.root()).finish()
    }
}
