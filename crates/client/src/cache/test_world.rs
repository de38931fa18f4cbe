//! For tests: a cache with a copy of a store beside it.

use packhouse_repo::store::{Create, Snapshot, Store, StoreOptions, WriteOptions};
use tempfile::TempDir;

use super::inner::Inner;
use super::record::EntryRecord;
use super::{Cache, CacheConfig, CallOptions};

pub(super) struct TestWorld {
    pub(super) remote: Store,
    pub(super) url: String,
    pub(super) cache: Cache,
    pub(super) inner: Inner,
    _folder: TempDir,
}

impl TestWorld {
    /// The copy is called `remote`, and is of the store's branch `main`.
    pub(super) fn new() -> TestWorld {
        let folder = tempfile::tempdir().unwrap();
        let create = Create::New {
            branch: Some("main".to_owned()),
        };
        let options = StoreOptions {
            create,
            ..StoreOptions::default()
        };
        let remote = Store::open(folder.path().join("remote.git"), options).unwrap();
        let url = format!("file://{}", remote.path().display());
        let cache = Cache::open(CacheConfig::at(folder.path().join("cache"))).unwrap();
        let inner = Inner::open(cache.config().clone()).unwrap();
        let world = TestWorld {
            remote,
            url,
            cache,
            inner,
            _folder: folder,
        };
        world.write(1);
        let call = CallOptions::default();
        world.cache.add(&world.url, None, &call).unwrap();
        world
    }

    /// Makes so many commits in the remote.
    pub(super) fn write(&self, commits: usize) -> Snapshot {
        let tip = self.remote.branches().get("main").unwrap();
        (0..commits).fold(tip, |tip, number| {
            let options = WriteOptions {
                message: Some(format!("Number {number}\n\nAnd more.")),
                ..WriteOptions::default()
            };
            // No two are the same commit, whatever the time is.
            let content = uuid::Uuid::new_v4();
            tip.write("file", content.as_bytes(), &options).unwrap()
        })
    }

    /// What is noted of the copy.
    pub(super) fn record(&self) -> EntryRecord {
        self.inner.index.contents().unwrap().entries.remove(0)
    }
}
