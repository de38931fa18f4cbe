//! A cache on a disk that is full: what is there can be read, and removed.

use std::fs;
use std::path::Path;

use packhouse_client::cache::{Cache, CacheError, CacheStatus, CallOptions};
use packhouse_testkit::small_disk::SmallDisk;

use super::{add, config, path_of};
use crate::world::World;

/// A cache on a small disk with the copies `source`, of which there is a checkout, and `plain`.
fn on_small_disk(world: &World) -> Option<(SmallDisk, Cache)> {
    let disk = SmallDisk::mount(8)?;
    let cache = open(&disk);
    add(&cache, &path_of(&world.with_history("source")));
    let plain = world.path("plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("file"), vec![b'x'; 100_000]).unwrap();
    add(&cache, plain.to_str().unwrap());
    let call = CallOptions::default();
    cache.checkout("source", "HEAD", &call).unwrap();
    Some((disk, cache))
}

fn open(disk: &SmallDisk) -> Cache {
    Cache::open(config(&disk.path().join("cache"))).unwrap()
}

/// All that is left in a cache from which everything was removed.
fn left_in(root: &Path) -> Vec<String> {
    let own = root.join(".packhouse");
    let folders = [
        "mirrors",
        "checkouts",
        "served",
        "spares",
        "staging",
        "trash",
    ];
    let folders = folders.map(|folder| own.join(folder));
    let found = folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let trees = fs::read_dir(root).unwrap();
    let names = found.chain(trees).map(|found| found.unwrap().path());
    let names = names.filter(|path| *path != own);
    names.map(|path| path.display().to_string()).collect()
}

#[test]
fn what_is_there_can_be_read_on_a_full_disk() {
    let world = World::new();
    let Some((disk, cache)) = on_small_disk(&world) else {
        return;
    };
    let expected = cache.stats().unwrap();
    disk.fill(0);
    // As another process.
    for cache in [cache, open(&disk)] {
        let entry = cache.get("source").unwrap();
        assert_eq!(entry.status, CacheStatus::Fresh);
        assert!(entry.cache_path.join("file-1").exists());
        assert_eq!(cache.list().unwrap().len(), 2);
        assert_eq!(cache.stats().unwrap(), expected);
        assert_eq!(cache.checkouts().unwrap().len(), 1);
        let call = CallOptions::default();
        assert!(cache.lease("plain", &call).is_ok());
        assert!(cache.details("plain", &call).is_ok());
        let full = cache.refresh("source", &call).unwrap_err();
        assert!(matches!(full, CacheError::NoSpace { .. }), "{full:?}");
        assert!(full.to_string().contains("remove entries"), "{full}");
    }
}

#[test]
fn readers_on_a_full_disk_wait_for_each_other() {
    let world = World::new();
    let Some((disk, cache)) = on_small_disk(&world) else {
        return;
    };
    disk.fill(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(cache.list().unwrap().len(), 2);
                    assert!(cache.get("plain").is_ok());
                }
            });
        }
    });
}

#[test]
fn entries_can_be_removed_from_a_full_disk() {
    let world = World::new();
    let Some((disk, cache)) = on_small_disk(&world) else {
        return;
    };
    disk.fill(0);
    let call = CallOptions::default();
    open(&disk).remove("plain", &call).unwrap();
    assert!(!cache.root().join("plain").exists());
    // Somebody else takes the room at once.
    disk.fill_up();
    let [checkout] = <[_; 1]>::try_from(cache.checkouts().unwrap()).unwrap();
    cache.remove_checkout(&checkout.id).unwrap();
    disk.fill_up();
    open(&disk).clear(&call).unwrap();
    assert_eq!(left_in(cache.root()), Vec::<String>::new());
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
}

/// Such an entry has no files whose removal would make room.
#[test]
fn an_entry_that_got_no_copy_can_be_removed_from_a_full_disk() {
    let Some(disk) = SmallDisk::mount(8) else {
        return;
    };
    let cache = open(&disk);
    let call = CallOptions::default();
    let nobody = "git://127.0.0.1:1/nothing.git";
    cache.add(nobody, None, &call).unwrap_err();
    let names = cache.list().unwrap();
    disk.fill(0);
    for entry in &names {
        open(&disk).remove(&entry.name, &call).unwrap();
        disk.fill_up();
    }
    assert!(cache.list().unwrap().is_empty());
}
