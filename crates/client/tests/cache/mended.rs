//! Catalogs that are damaged or lost: they are made anew of what is on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use packhouse_client::Egress;
use packhouse_client::cache::{Cache, CacheError, CacheStatus, CallOptions};
use packhouse_testkit::git_site::GitSite;
use packhouse_testkit::small_disk::SmallDisk;

use super::{add, check_tree, config, files, open, path_of};
use crate::world::World;

fn index(root: &Path) -> PathBuf {
    root.join(".packhouse/index.sqlite3")
}

/// The damaged catalogs that are kept.
fn kept(cache: &Cache) -> usize {
    let own = fs::read_dir(cache.root().join(".packhouse")).unwrap();
    let names = own.map(|found| found.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("damaged-")).count()
}

/// A cache with the entries `plain` and `source`, and a checkout of that.
fn filled(world: &World, root: &Path) -> Cache {
    let cache = Cache::open(config(root)).unwrap();
    add(&cache, &path_of(&world.with_history("source")));
    let plain = world.path("plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("file"), "text").unwrap();
    add(&cache, plain.to_str().unwrap());
    let call = CallOptions::default();
    cache.checkout("source", "HEAD", &call).unwrap();
    cache
}

fn names(cache: &Cache) -> Vec<String> {
    let listed = cache.list().unwrap().into_iter();
    listed.map(|entry| entry.name).collect()
}

const GARBAGE: [u8; 9000] = [0xa5; 9000];

/// A way in which a file is damaged.
type Damage = (&'static str, fn(&Path));

fn damages() -> [Damage; 7] {
    [
        ("no bytes", |index| fs::write(index, "").unwrap()),
        ("zeros", |index| fs::write(index, [0; 8192]).unwrap()),
        ("garbage", |index| fs::write(index, GARBAGE).unwrap()),
        ("lost", |index| fs::remove_file(index).unwrap()),
        ("cut in a page", |index| {
            let whole = fs::read(index).unwrap();
            fs::write(index, &whole[..5000]).unwrap();
        }),
        ("cut after its head", |index| {
            let whole = fs::read(index).unwrap();
            fs::write(index, &whole[..60]).unwrap();
        }),
        ("garbage behind the first page", |index| {
            let mut bytes = fs::read(index).unwrap();
            let end = bytes.len();
            bytes[4096..end].fill(0xa5);
            fs::write(index, bytes).unwrap();
        }),
    ]
}

/// As a kill leaves it: its log is away, and without that it is a whole catalog of before.
#[test]
fn a_catalog_that_was_taken_apart_is_not_taken_for_whole() {
    let world = World::new();
    let root = world.path("cache");
    drop(Cache::open(config(&root)).unwrap());
    let before = fs::read(index(&root)).unwrap();
    drop(filled(&world, &root));
    let own = root.join(".packhouse");
    let _ = fs::remove_file(own.join("index.sqlite3-wal"));
    fs::write(index(&root), before).unwrap();
    fs::write(own.join("index.mending"), "").unwrap();
    let cache = open(&world);
    assert_eq!(names(&cache), ["plain", "source"]);
    assert!(!own.join("index.mending").exists());
    assert_eq!(kept(&cache), 1);
}

#[test]
fn a_catalog_that_is_damaged_or_lost_is_made_anew() {
    let world = World::new();
    let root = world.path("cache");
    let cache = filled(&world, &root);
    let call = CallOptions::default();
    let tree = files(&root.join("source"));
    let bytes = cache.stats().unwrap().total_size_bytes;
    let source = world.path("source.git");
    for (what, damage) in damages() {
        damage(&index(&root));
        let cache = open(&world);
        assert_eq!(names(&cache), ["plain", "source"], "{what}");
        // What is measured anew may have grown by a few bytes since.
        let now = cache.stats().unwrap().total_size_bytes;
        assert!(now.abs_diff(bytes) < 100, "{what}: {now} {bytes}");
        assert_eq!(cache.checkouts().unwrap().len(), 1, "{what}");
        let path = cache.get("source").unwrap().cache_path;
        assert_eq!(files(&path), tree, "{what}");
        check_tree(&path);
        // What was mirrored is still of use without the remote.
        let away = world.path("away.git");
        fs::rename(&source, &away).unwrap();
        assert!(cache.refresh("source", &call).is_err(), "{what}");
        fs::rename(&away, &source).unwrap();
        for name in ["source", "plain"] {
            let entry = cache.refresh(name, &call).unwrap();
            assert_eq!(entry.status, CacheStatus::Fresh, "{what}");
        }
        assert!(kept(&cache) <= 3, "{what}");
    }
    let cache = open(&world);
    assert_eq!(kept(&cache), 3);
    cache.clear(&call).unwrap();
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
    assert_eq!(
        fs::read_dir(root.join(".packhouse/notes")).unwrap().count(),
        0
    );
    // A cache with nothing in it loses nothing.
    fs::write(index(&root), GARBAGE).unwrap();
    add(&open(&world), &path_of(&crate::git::Git::at(&source)));
}

#[test]
fn what_a_mirror_has_is_not_fetched_again() {
    let mut world = World::new();
    world.with_history("one.git");
    let site = super::remotes::Noting::new(&world);
    let url = format!("{}one.git", world.serve(site.clone()));
    let cache = open(&world);
    add(&cache, &url);
    drop(cache);
    site.take();
    fs::write(index(&world.path("cache")), GARBAGE).unwrap();
    let entry = add(&open(&world), &url);
    assert_eq!(entry.status, CacheStatus::Fresh);
    let asked = site.take();
    assert!(!asked.iter().any(|word| word == "fetch"), "{asked:?}");
}

#[test]
fn mirrors_that_are_only_served_are_taken_over() {
    let mut world = World::new();
    world.with_history("one.git");
    let base = world.serve(GitSite::new(&world.path("."), true));
    let url = format!("{base}one.git");
    let call = CallOptions::default();
    // So that there is a note.
    let cache = filled(&world, &world.path("cache"));
    let served = cache.served(Egress::Any).unwrap();
    drop(served.bring(&url, None, &call).unwrap());
    let bytes = cache.stats().unwrap().total_size_bytes;
    fs::write(index(cache.root()), GARBAGE).unwrap();
    let cache = open(&world);
    assert_eq!(cache.stats().unwrap().total_size_bytes, bytes);
    let served = cache.served(Egress::Any).unwrap();
    // Whose refs these are nobody knows until the remote has said it again.
    assert!(served.last(&url, &call).unwrap().is_none());
    assert!(
        served
            .bring(&url, None, &call)
            .unwrap()
            .refs(b"refs/heads/")
            .count()
            > 0
    );
    cache.clear(&call).unwrap();
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
}

/// Mirrors of submodules too are of no entry.
#[test]
fn of_whom_a_mirror_is_that_no_entry_names_is_known_after_a_mend() {
    let mut world = World::new();
    world.with_history("one.git");
    let base = world.serve(GitSite::new(&world.path("."), true));
    let url = format!("{base}one.git");
    let call = CallOptions::default();
    let cache = open(&world);
    let served = cache.served(Egress::Any).unwrap();
    let read = served.bring(&url, None, &call).unwrap();
    fs::write(index(cache.root()), GARBAGE).unwrap();
    let told = open(&world).clear(&call).unwrap().in_use;
    assert!(told.len() == 1 && told[0].contains(&url), "{told:?}");
    drop(read);
    open(&world).clear(&call).unwrap();
    let notes = fs::read_dir(cache.root().join(".packhouse/notes")).unwrap();
    assert_eq!(notes.count(), 0);
}

/// The file is replaced over and over, as where it is damaged, by a process that opens the cache.
#[test]
fn what_is_done_while_a_catalog_is_mended_is_in_the_new_one() {
    let world = World::new();
    let root = world.path("cache");
    drop(filled(&world, &root));
    let over = AtomicBool::new(false);
    let added = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (world, root, over) = (&world, &root, &over);
                scope.spawn(move || {
                    let cache = Cache::open(config(root)).unwrap();
                    let call = CallOptions::default();
                    let mut added = Vec::new();
                    while !over.load(Ordering::Relaxed) {
                        let name = format!("w{writer}-{}", added.len());
                        let folder = world.path(&name);
                        fs::create_dir(&folder).unwrap();
                        for text in ["old", "new"] {
                            fs::write(folder.join("file"), text).unwrap();
                            let source = folder.to_str().unwrap();
                            let entry = cache.add(source, None, &call).unwrap();
                            assert_eq!(entry.name, name);
                        }
                        added.push(name);
                    }
                    added
                })
            })
            .collect();
        for _ in 0..40 {
            fs::write(root.join(".packhouse/index.mending"), "").unwrap();
            Cache::open(config(&root)).unwrap();
        }
        over.store(true, Ordering::Relaxed);
        let added = writers.into_iter().map(|writer| writer.join().unwrap());
        added.flatten().collect::<Vec<_>>()
    });
    let cache = open(&world);
    let known = names(&cache);
    for name in &added {
        assert!(known.contains(name), "{name} of {added:?}");
        let path = cache.get(name).unwrap().cache_path;
        assert_eq!(fs::read_to_string(path.join("file")).unwrap(), "new");
    }
    assert_eq!(known.len(), added.len() + 2);
}

#[test]
fn a_folder_that_took_the_place_of_an_entry_is_not_taken_over() {
    let world = World::new();
    let root = world.path("cache");
    drop(filled(&world, &root));
    fs::remove_dir_all(root.join("plain")).unwrap();
    fs::create_dir(root.join("plain")).unwrap();
    fs::write(root.join("plain/theirs"), "theirs").unwrap();
    fs::write(index(&root), GARBAGE).unwrap();
    let cache = open(&world);
    assert_eq!(names(&cache), ["source"]);
    cache.clear(&CallOptions::default()).unwrap();
    assert!(root.join("plain/theirs").exists());
}

#[test]
fn a_cache_that_is_open_says_that_its_catalog_is_damaged() {
    let world = World::new();
    let cache = filled(&world, &world.path("cache"));
    fs::write(index(cache.root()), GARBAGE).unwrap();
    let error = cache.list().unwrap_err();
    assert!(matches!(error, CacheError::Damaged { .. }), "{error:?}");
    assert!(
        error.to_string().contains("opens the cache next"),
        "{error}"
    );
    open(&world);
    assert_eq!(names(&cache), ["plain", "source"]);
}

#[test]
fn any_number_of_callers_find_it_mended() {
    let world = World::new();
    let root = world.path("cache");
    drop(filled(&world, &root));
    fs::write(index(&root), GARBAGE).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(names(&open(&world)), ["plain", "source"]));
        }
    });
    assert_eq!(kept(&open(&world)), 1);
}

#[test]
fn a_damaged_catalog_is_mended_on_a_full_disk() {
    let world = World::new();
    let Some(disk) = SmallDisk::mount(8) else {
        return;
    };
    let root = disk.path().join("cache");
    drop(filled(&world, &root));
    let bytes = fs::metadata(index(&root)).unwrap().len();
    fs::write(index(&root), vec![0xa5; bytes as usize]).unwrap();
    disk.fill(0);
    let cache = Cache::open(config(&root)).unwrap();
    assert_eq!(names(&cache), ["plain", "source"]);
    cache.clear(&CallOptions::default()).unwrap();
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
}

const ROOT: &str = "PACKHOUSE_TEST_CACHE";

#[test]
#[ignore = "the other test runs it in a process of its own"]
fn again_and_again() {
    let root = PathBuf::from(std::env::var(ROOT).unwrap());
    loop {
        fs::write(index(&root), GARBAGE).unwrap();
        Cache::open(config(&root)).unwrap();
    }
}

#[test]
fn who_is_killed_while_it_mends_leaves_it_to_the_next() {
    let world = World::new();
    let root = world.path("cache");
    drop(filled(&world, &root));
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cache::mended::again_and_again", "--ignored"])
            .env(ROOT, &root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(50 + round * 37 % 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let cache = open(&world);
        assert_eq!(names(&cache), ["plain", "source"], "round {round}");
        assert!(kept(&cache) <= 3, "round {round}");
    }
    check_tree(&open(&world).get("source").unwrap().cache_path);
}

/// Every call failed until another process made the folder again.
#[test]
fn a_cache_whose_folder_was_removed_begins_anew() {
    let world = World::new();
    let source = path_of(&world.with_history("source"));
    let call = CallOptions::default();
    let cache = open(&world);
    for call_first in [
        (&|| assert!(cache.list().unwrap().is_empty())) as &dyn Fn(),
        &|| assert_eq!(cache.stats().unwrap().total_entries, 0),
        &|| {
            let gone = cache.remove("source", &call).unwrap_err();
            assert!(matches!(gone, CacheError::NotFound { .. }), "{gone}");
        },
        &|| drop(add(&cache, &source)),
    ] {
        add(&cache, &source);
        fs::remove_dir_all(cache.root()).unwrap();
        call_first();
        let entry = add(&cache, &source);
        assert_eq!(
            (entry.name.as_str(), entry.status),
            ("source", CacheStatus::Fresh)
        );
        check_tree(&entry.cache_path);
    }
    // Who comes later finds it.
    assert_eq!(open(&world).list().unwrap().len(), 1);
    // The catalog alone is made of what is there.
    fs::remove_file(cache.root().join(".packhouse/index.sqlite3")).unwrap();
    assert_eq!(cache.list().unwrap().len(), 1);
    cache.refresh("source", &call).unwrap();
}
