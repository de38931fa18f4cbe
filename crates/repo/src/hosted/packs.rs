//! Packs of the bucket, opened for reading.
//!
//! A bucket on the local disk is read in place. Otherwise a pack is fetched into the cache folder once; the
//! folder is bounded, least recently used files go first, and a file that goes while a view reads it stays
//! readable until the view is dropped, since its descriptor is open.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use futures::stream::BoxStream;
use packhouse_bucket::{Bucket, BucketError, Key, Listed};
use packhouse_catalog::{OrgId, PackSource};
use packhouse_object::{FinishedPack, Pack};
use parking_lot::Mutex;

use crate::error::RepoError;
use crate::hosted::stats::Stats;

/// The name of a pack: the BLAKE3 hash of its bytes, or random where a pack of that name was condemned.
pub(crate) type PackKey = [u8; 32];

/// A pack as views hold it.
#[derive(Clone, Debug)]
pub(crate) struct OpenPack {
    pub key: PackKey,
    pub pack: Arc<Pack>,
    pub source: PackSource,
    /// When it was set apart, if it has what no ref reached.
    pub apart_at_ms: Option<i64>,
}

impl OpenPack {
    fn new(key: PackKey, pack: Arc<Pack>, source: PackSource) -> OpenPack {
        OpenPack {
            key,
            pack,
            source,
            apart_at_ms: None,
        }
    }
}

/// Held while a pack is being fetched and opened.
type Turn = Arc<tokio::sync::Mutex<()>>;

pub(crate) struct PackStore {
    bucket: Arc<dyn Bucket>,
    cache_dir: PathBuf,
    cache_bytes: u64,
    opened: Mutex<HashMap<(OrgId, PackKey), Weak<Pack>>>,
    /// One fetch of a key at a time: a second reader waits for the first instead of fetching again.
    fetching: Mutex<HashMap<(OrgId, PackKey), Turn>>,
    stats: Arc<Stats>,
}

impl PackStore {
    pub(crate) fn new(
        bucket: Arc<dyn Bucket>,
        cache_dir: PathBuf,
        cache_bytes: u64,
        stats: Arc<Stats>,
    ) -> PackStore {
        PackStore {
            bucket,
            cache_dir,
            cache_bytes,
            opened: Mutex::default(),
            fetching: Mutex::default(),
            stats,
        }
    }

    /// Stores a finished pack durably under the name `key`, then opens it. `None`: a sweep was deleting what nobody
    /// listed under this name.
    pub(crate) async fn store(
        &self,
        org: OrgId,
        key: PackKey,
        finished: &FinishedPack,
        source: PackSource,
    ) -> Result<Option<OpenPack>, RepoError> {
        let Keys {
            pack: pack_key,
            idx: idx_key,
            bitmap: bitmap_key,
        } = Keys::of(org, &key);
        // Index first: whoever finds a pack finds its index.
        self.bucket.put_file(&idx_key, &finished.idx).await?;
        if let Some(bitmap) = &finished.bitmap {
            self.bucket.put_file(&bitmap_key, bitmap).await?;
            // Who has the pack open looked for a bitmap before there was one.
            self.opened.lock().remove(&(org, key));
        }
        self.bucket.put_file(&pack_key, &finished.pack).await?;
        match self.open(org, key, source).await {
            Ok(open) => Ok(Some(open)),
            Err(error) => match self.has(&pack_key).await? && self.has(&idx_key).await? {
                true => Err(error),
                false => Ok(None),
            },
        }
    }

    async fn has(&self, key: &Key) -> Result<bool, RepoError> {
        Ok(self.bucket.size(key).await?.is_some())
    }

    /// The pack called `key`, fetched if need be.
    pub(crate) async fn open(
        &self,
        org: OrgId,
        key: PackKey,
        source: PackSource,
    ) -> Result<OpenPack, RepoError> {
        if let Some(pack) = self.already_open(org, key) {
            return Ok(OpenPack::new(key, pack, source));
        }
        let turn = self.fetching.lock().entry((org, key)).or_default().clone();
        let opened = {
            let _turn = turn.lock().await;
            match self.already_open(org, key) {
                Some(pack) => Ok(pack),
                None => self.open_files(org, key, source).await,
            }
        };
        self.fetching.lock().remove(&(org, key));
        Ok(OpenPack::new(key, opened?, source))
    }

    /// Stores a file that is not a pack.
    pub(crate) async fn put(&self, key: &Key, file: &Path) -> Result<(), RepoError> {
        Ok(self.bucket.put_file(key, file).await?)
    }

    /// Where the bucket has `key` on this machine's disk, if it is there.
    pub(crate) fn local_path(&self, key: &Key) -> Option<PathBuf> {
        self.bucket.local_path(key)
    }

    /// The file of `key` on this machine, fetched if need be.
    pub(crate) async fn file(&self, key: &Key) -> Result<PathBuf, RepoError> {
        match self.bucket.local_path(key) {
            Some(path) => Ok(path),
            None => self.fetch(key).await,
        }
    }

    /// Removes the copy of `key` on this machine that turned out to be damaged: what was fetched, or what the bucket has.
    pub(crate) async fn discard(&self, key: &Key) -> Result<(), RepoError> {
        if self.bucket.local_path(key).is_some() {
            return self.delete(key).await;
        }
        let path = self.cache_dir.join(key.as_str());
        std::fs::remove_file(&path).map_err(|error| RepoError::io("could not remove", &path, error))
    }

    /// What the bucket has below `folder`.
    pub(crate) fn list<'a>(
        &'a self,
        folder: &'a str,
    ) -> BoxStream<'a, Result<Listed, BucketError>> {
        self.bucket.list(folder)
    }

    /// Removes what is at `key`.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), RepoError> {
        Ok(self.bucket.delete(key).await?)
    }

    fn already_open(&self, org: OrgId, key: PackKey) -> Option<Arc<Pack>> {
        self.opened.lock().get(&(org, key)).and_then(Weak::upgrade)
    }

    async fn open_files(
        &self,
        org: OrgId,
        key: PackKey,
        source: PackSource,
    ) -> Result<Arc<Pack>, RepoError> {
        let Keys {
            pack: pack_key,
            idx: idx_key,
            bitmap: bitmap_key,
        } = Keys::of(org, &key);
        let mut attempts_left = 3;
        let pack = loop {
            let (paths, fetched) = match (
                self.bucket.local_path(&pack_key),
                self.bucket.local_path(&idx_key),
            ) {
                (Some(pack), Some(idx)) => ((pack, idx), false),
                _ => (
                    (self.fetch(&pack_key).await?, self.fetch(&idx_key).await?),
                    true,
                ),
            };
            // A pack can be read without its bitmaps, only not as fast.
            let bitmap = match fetched && source == PackSource::Reachable {
                true => self.fetch(&bitmap_key).await.ok(),
                false => None,
            };
            let (cache_dir, limit) = (self.cache_dir.clone(), self.cache_bytes);
            let keep = paths.clone();
            let opened = tokio::task::spawn_blocking(move || {
                let opened = Pack::open(&paths.0, &paths.1);
                if let (Ok(pack), PackSource::Reachable) = (&opened, source) {
                    // Before it can be evicted.
                    pack.bitmap();
                }
                if fetched {
                    let bitmap = bitmap.as_deref().unwrap_or(&paths.1);
                    evict(&cache_dir, limit, &[&paths.0, &paths.1, bitmap]);
                }
                opened
            });
            attempts_left -= 1;
            match opened.await.map_err(|_| RepoError::Stopped)? {
                Ok(pack) => break Arc::new(pack),
                // Another fetch evicted the file between ours and its opening.
                Err(_) if fetched && attempts_left > 0 && !(keep.0.exists() && keep.1.exists()) => {
                }
                Err(error) => return Err(error.into()),
            }
        };
        let mut table = self.opened.lock();
        if table.len() > 1024 && table.len().is_power_of_two() {
            table.retain(|_, pack| pack.strong_count() > 0);
        }
        table.insert((org, key), Arc::downgrade(&pack));
        Ok(pack)
    }

    /// The cached file of `key`, fetched from the bucket if it is not there.
    async fn fetch(&self, key: &Key) -> Result<PathBuf, RepoError> {
        let path = self.cache_dir.join(key.as_str());
        if let Ok(file) = std::fs::File::open(&path) {
            // The file's own time is the record of use that eviction sorts by.
            let _ = file.set_modified(SystemTime::now());
            return Ok(path);
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| RepoError::io("could not create folder", folder, error))?;
        }
        self.bucket.get_to_file(key, &path).await?;
        if key.as_str().ends_with(".pack") {
            Stats::add(&self.stats.packs_fetched, 1);
        }
        Ok(path)
    }
}

/// Where the bucket has a pack and what belongs to it.
struct Keys {
    pack: Key,
    idx: Key,
    bitmap: Key,
}

impl Keys {
    fn of(org: OrgId, key: &PackKey) -> Keys {
        let stem = pack_stem(org, key);
        let parse = |ending: &str| {
            let key = Key::parse(&format!("{stem}.{ending}"));
            key.expect("words and hexadecimal digits make a key")
        };
        Keys {
            pack: parse("pack"),
            idx: parse("idx"),
            bitmap: parse("bitmap"),
        }
    }
}

/// The bucket key of a pack without its ending.
pub(crate) fn pack_stem(org: OrgId, key: &PackKey) -> String {
    let hex = blake3::Hash::from_bytes(*key).to_hex();
    format!("orgs/{}/packs/{}/{}", org.0, &hex[..2], hex)
}

/// Removes the files used longest ago until the folder is within its limit. `keep` stays.
fn evict(folder: &Path, limit_bytes: u64, keep: &[&Path]) {
    let mut files = Vec::new();
    list_files(folder, &mut files);
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    files.sort_by_key(|(used, _, _)| *used);
    for (_, size, path) in files {
        if total <= limit_bytes {
            return;
        }
        if !keep.contains(&path.as_path()) && std::fs::remove_file(&path).is_ok() {
            total -= size;
        }
    }
}

fn list_files(folder: &Path, files: &mut Vec<(SystemTime, u64, PathBuf)>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => list_files(&entry.path(), files),
            Ok(meta) => files.push((
                meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                meta.len(),
                entry.path(),
            )),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eviction_removes_the_least_recently_used_and_keeps_the_new_file() {
        let folder = tempfile::tempdir().unwrap();
        for (name, age) in [("old", 30), ("mid", 20), ("new", 10)] {
            let path = folder.path().join(name);
            std::fs::write(&path, [0u8; 100]).unwrap();
            let used = SystemTime::now() - std::time::Duration::from_secs(age);
            std::fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(used)
                .unwrap();
        }
        evict(folder.path(), 250, &[&folder.path().join("new")]);
        let left = |name: &str| folder.path().join(name).exists();
        assert_eq!((left("old"), left("mid"), left("new")), (false, true, true));
        evict(folder.path(), 0, &[&folder.path().join("mid")]);
        assert_eq!((left("mid"), left("new")), (true, false));
    }
}
