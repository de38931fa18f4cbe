//! Trees that were replaced: what they take counts, and they go when they are in the way of something and nobody uses them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use packhouse_client::Egress;
use packhouse_client::cache::{Cache, CacheConfig, CacheError, CallOptions, CancelToken};
use packhouse_testkit::git_site::GitSite;

use super::{config, open};
use crate::world::World;

/// A directory with a file of so many bytes, which are others each time.
fn write(world: &World, name: &str, bytes: usize) -> String {
    let folder = world.path(name);
    fs::create_dir_all(&folder).unwrap();
    let content = uuid::Uuid::new_v4().to_string().repeat(bytes / 36 + 1);
    fs::write(folder.join("file"), &content.as_bytes()[..bytes]).unwrap();
    folder.to_str().unwrap().to_owned()
}

fn of_at_most(world: &World, max_bytes: u64) -> Cache {
    let cache = Cache::open(CacheConfig {
        max_bytes,
        ..config(&world.path("cache"))
    });
    cache.unwrap()
}

fn trash(cache: &Cache) -> Vec<PathBuf> {
    let found = fs::read_dir(cache.root().join(".packhouse/trash")).unwrap();
    found.map(|found| found.unwrap().path()).collect()
}

fn bytes(cache: &Cache) -> u64 {
    cache.stats().unwrap().total_size_bytes
}

#[test]
fn a_replaced_tree_counts_and_makes_room_before_any_entry_does() {
    let world = World::new();
    let cache = of_at_most(&world, 3500);
    let call = CallOptions::default();
    for name in ["a", "b"] {
        cache.add(&write(&world, name, 1000), None, &call).unwrap();
    }
    write(&world, "a", 1000);
    cache.refresh("a", &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (3000, 1));
    cache.add(&write(&world, "c", 1000), None, &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (3000, 0));
    assert_eq!(cache.list().unwrap().len(), 3);
}

#[test]
#[cfg(target_os = "linux")]
fn a_replaced_tree_that_a_process_is_in_makes_no_room() {
    let world = World::new();
    let cache = of_at_most(&world, 3500);
    let call = CallOptions::default();
    let entry = cache.add(&write(&world, "a", 1000), None, &call).unwrap();
    cache.add(&write(&world, "b", 1000), None, &call).unwrap();
    // As a program has it that works there.
    let mut inside = std::process::Command::new("sleep");
    let mut inside = inside
        .arg("60")
        .current_dir(&entry.cache_path)
        .spawn()
        .unwrap();
    write(&world, "a", 1000);
    cache.refresh("a", &call).unwrap();
    cache.add(&write(&world, "c", 1000), None, &call).unwrap();
    let [kept] = <[PathBuf; 1]>::try_from(trash(&cache)).unwrap();
    assert!(kept.join("tree/file").exists());
    // The entry that was not used for longest went in its stead.
    let names = cache.list().unwrap().into_iter().map(|entry| entry.name);
    assert_eq!(names.collect::<Vec<_>>(), ["a", "c"]);
    let cleared = cache.clear(&call).unwrap();
    assert_eq!(cleared.removed, 2);
    let pid = inside.id().to_string();
    let told = &cleared.in_use[..];
    assert!(told.len() == 1 && told[0].contains(&pid), "{told:?}");
    assert_eq!(bytes(&cache), 1000);
    inside.kill().unwrap();
    inside.wait().unwrap();
    assert!(cache.clear(&call).unwrap().in_use.is_empty());
    assert_eq!((bytes(&cache), trash(&cache).len()), (0, 0));
}

/// A process that works in a folder, until it is dropped.
#[cfg(target_os = "linux")]
struct Worker(std::process::Child);

#[cfg(target_os = "linux")]
impl Worker {
    fn in_folder(folder: &std::path::Path) -> Worker {
        let mut sleep = std::process::Command::new("sleep");
        Worker(sleep.arg("60").current_dir(folder).spawn().unwrap())
    }
}

#[cfg(target_os = "linux")]
impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_entry_that_a_process_is_in_is_not_evicted() {
    let world = World::new();
    let cache = of_at_most(&world, 2500);
    let call = CallOptions::default();
    let names = || {
        let listed = cache.list().unwrap().into_iter();
        listed.map(|entry| entry.name).collect::<Vec<_>>()
    };
    let oldest = cache.add(&write(&world, "a", 1000), None, &call).unwrap();
    cache.add(&write(&world, "b", 1000), None, &call).unwrap();
    let worker = Worker::in_folder(&oldest.cache_path);
    cache.add(&write(&world, "c", 1000), None, &call).unwrap();
    assert_eq!(names(), ["a", "c"]);
    // What would not fit beside it changes nothing.
    let full = cache.add(&write(&world, "d", 2000), None, &call);
    assert!(matches!(full, Err(CacheError::Full { .. })), "{full:?}");
    assert!(cache.get("a").is_ok() && cache.get("c").is_ok());
    drop(worker);
    cache.add(&write(&world, "d", 2000), None, &call).unwrap();
    assert_eq!(names(), ["d"]);
}

/// A directory with a file that stays as it is, and a small one that is another each time.
fn mostly_same(world: &World) -> String {
    let source = write(world, "a", 100);
    let large = world.path("a").join("large");
    if !large.exists() {
        fs::write(large, "x".repeat(3000)).unwrap();
        // A file that was written just now may be written again within the same time.
        std::thread::sleep(Duration::from_millis(2100));
    }
    source
}

#[test]
fn what_a_replaced_tree_has_in_common_with_the_one_in_its_place_counts_once() {
    let world = World::new();
    let cache = of_at_most(&world, 5000);
    let call = CallOptions::default();
    cache.add(&mostly_same(&world), None, &call).unwrap();
    let lease = cache.lease("a", &call).unwrap();
    mostly_same(&world);
    cache.refresh("a", &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (3200, 1));
    cache.add(&write(&world, "b", 1000), None, &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (4200, 1));
    drop(lease);
    cache.remove("a", &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (1000, 0));
}

#[test]
#[cfg(target_os = "linux")]
fn what_a_replaced_tree_has_counts_in_full_once_its_entry_is_gone() {
    let world = World::new();
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = cache.add(&mostly_same(&world), None, &call).unwrap();
    let worker = Worker::in_folder(&entry.cache_path);
    mostly_same(&world);
    cache.refresh("a", &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (3200, 1));
    cache.remove("a", &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (3100, 1));
    assert_eq!(bytes(&open(&world)), 3100);
    drop(worker);
    cache.clear(&call).unwrap();
    assert_eq!(bytes(&cache), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn nothing_goes_for_what_does_not_fit_beside_a_replaced_tree() {
    let world = World::new();
    let cache = of_at_most(&world, 5000);
    let call = CallOptions::default();
    let entry = cache.add(&mostly_same(&world), None, &call).unwrap();
    let _worker = Worker::in_folder(&entry.cache_path);
    mostly_same(&world);
    cache.refresh("a", &call).unwrap();
    // Without the entry its replaced tree would take as much as both do.
    let full = cache.add(&write(&world, "b", 2500), None, &call);
    assert!(matches!(full, Err(CacheError::Full { .. })), "{full:?}");
    assert!(cache.get("a").is_ok());
    assert_eq!(bytes(&cache), 3200);
}

#[test]
fn a_lease_that_ends_in_a_moment_is_waited_for() {
    let world = World::new();
    let cache = open(&world);
    let call = CallOptions::default();
    for remove in [
        |cache: &Cache, call: &CallOptions<'_>| cache.remove("a", call),
        |cache: &Cache, call: &CallOptions<'_>| cache.clear(call).map(drop),
    ] {
        cache.add(&write(&world, "a", 1000), None, &call).unwrap();
        let lease = cache.lease("a", &call).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                drop(lease);
            });
            remove(&cache, &call).unwrap();
        });
        assert!(cache.list().unwrap().is_empty());
    }
}

#[test]
fn what_is_cleared_or_removed_takes_its_replaced_trees_with_it() {
    let world = World::new();
    let cache = open(&world);
    let call = CallOptions::default();
    for name in ["a", "b", "c"] {
        cache.add(&write(&world, name, 1000), None, &call).unwrap();
        write(&world, name, 1000);
        cache.refresh(name, &call).unwrap();
    }
    assert_eq!((bytes(&cache), trash(&cache).len()), (6000, 3));
    cache.remove("a", &call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (4000, 2));
    let lease = cache.lease("b", &call).unwrap();
    let in_use = cache.clear(&call).unwrap_err();
    let pid = std::process::id().to_string();
    assert!(
        matches!(&in_use, CacheError::InUse { name, by } if name == "b" && by.contains(&pid)),
        "{in_use}"
    );
    assert_eq!((bytes(&cache), trash(&cache).len()), (2000, 1));
    drop(lease);
    cache.clear(&call).unwrap();
    assert_eq!((bytes(&cache), trash(&cache).len()), (0, 0));
}

#[test]
fn what_is_in_use_stays_among_many_that_are_cleared() {
    let world = World::new();
    let cache = of_at_most(&world, 1 << 30);
    let call = CallOptions::default();
    for number in 0..70 {
        let source = write(&world, &format!("source-{number}"), 10);
        cache.add(&source, None, &call).unwrap();
    }
    let lease = cache.lease("source-40", &call).unwrap();
    // Somebody's own folder in the place of a copy.
    let place = cache.root().join("source-7");
    fs::remove_dir_all(&place).unwrap();
    fs::create_dir_all(place.join("theirs")).unwrap();
    let in_use = cache.clear(&call).unwrap_err();
    assert!(matches!(in_use, CacheError::InUse { .. }), "{in_use}");
    let names = |cache: &Cache| -> Vec<String> {
        let listed = cache.list().unwrap().into_iter();
        listed.map(|entry| entry.name).collect()
    };
    assert_eq!(names(&cache), ["source-40"]);
    for folder in ["notes", "manifests"] {
        let left = fs::read_dir(cache.root().join(".packhouse").join(folder)).unwrap();
        assert_eq!(left.count(), 1, "{folder}");
    }
    drop(lease);
    assert_eq!(cache.clear(&call).unwrap().removed, 1);
    let left = fs::read_dir(cache.root()).unwrap();
    let mut left: Vec<_> = left.map(|left| left.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".packhouse", "source-7"]);
}

#[test]
fn mirrors_that_were_served_are_cleared_unless_they_are_being_read() {
    let mut world = World::new();
    world.with_history("one.git");
    world.with_history("two.git");
    let base = world.serve(GitSite::new(&world.path("."), true));
    let [one, two] = ["one.git", "two.git"].map(|name| format!("{base}{name}"));
    let cache = open(&world);
    let served = cache.served(Egress::Any).unwrap();
    let call = CallOptions::default();
    drop(served.bring(&one, None, &call).unwrap());
    let read = served.bring(&two, None, &call).unwrap();
    let both = bytes(&cache);
    let other = open(&world);
    let cleared = other.clear(&call).unwrap();
    let told = &cleared.in_use[..];
    assert!(told.len() == 1 && told[0].contains("two.git"), "{told:?}");
    assert!(bytes(&cache) > 0 && bytes(&cache) < both);
    assert!(read.refs(b"refs/heads/").count() > 0);
    assert!(served.last(&one, &call).unwrap().is_none());
    drop(read);
    assert!(other.clear(&call).unwrap().in_use.is_empty());
    let left = fs::read_dir(cache.root().join(".packhouse/mirrors")).unwrap();
    assert_eq!((bytes(&cache), left.count()), (0, 0));
    // Whoever comes next gets it again.
    assert!(served.bring(&one, None, &call).unwrap().was_fetched());
}

/// A remote that takes connections and never answers.
#[test]
fn an_entry_that_waits_for_its_remote_is_told_of_at_once_and_holds_up_no_other() {
    let world = World::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/silent.git", silent.local_addr().unwrap());
    let cache = open(&world);
    let call = CallOptions::default();
    for name in ["a", "z"] {
        cache.add(&write(&world, name, 1000), None, &call).unwrap();
    }
    let token = CancelToken::new();
    let hanging = CallOptions {
        cancel: Some(&token),
        progress: None,
    };
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| cache.add(&url, Some("silent"), &hanging));
        let _connection = silent.accept().unwrap();
        let begun = Instant::now();
        let pid = std::process::id().to_string();
        for in_use in [
            cache.remove("silent", &call).unwrap_err(),
            cache.clear(&call).unwrap_err(),
        ] {
            assert!(
                matches!(&in_use, CacheError::InUse { name, by } if name == "silent" && by.contains(&pid)),
                "{in_use}"
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(cache.list().unwrap().len(), 1);
        token.cancel();
        assert!(matches!(adding.join().unwrap(), Err(CacheError::Cancelled)));
    });
    assert!(cache.list().unwrap().is_empty());
}
