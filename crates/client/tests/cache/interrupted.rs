//! Copies that cannot be finished: the remote breaks off, or the disk is full.

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use packhouse_client::cache::{Cache, CacheError, CacheStatus, CallOptions};
use packhouse_testkit::git_site::GitSite;
use packhouse_testkit::small_disk::SmallDisk;

use super::{add, check_tree, config, forget_sweep, open, path_of};
use crate::cut::grow;
use crate::git::Git;
use crate::sites::Cut;
use crate::world::World;

/// A commit whose file does not deflate well.
fn commit_noise(work: &Git, name: &str) {
    let mut state = 4242u64;
    let mut noise = String::new();
    while noise.len() < 150_000 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        noise.push_str(&format!("{state:x}"));
    }
    work.commit_file(name, &noise);
    work.run(&["push", "-q", "../source.git", "main:main"]);
}

/// Nothing is under way.
fn is_at_rest(root: &Path) -> bool {
    let staging = root.join(".packhouse/staging");
    fs::read_dir(staging).unwrap().count() == 0
}

#[test]
fn a_clone_that_is_cut_off_publishes_nothing_and_a_later_call_succeeds() {
    let mut world = World::new();
    world.with_history("source");
    let work = world.work("source");
    grow(&work);
    let cut = Cut::after(GitSite::new(&world.path("."), true), 2, 0);
    let url = format!("{}source.git", world.serve(cut.clone()));
    let cache = open(&world);
    let call = CallOptions::default();
    let place = cache.root().join("source");
    // So many answers come whole, then so many bytes of the next.
    let cut_after = |whole: usize, bytes: u64| {
        cut.requests.store(2 - whole, Ordering::SeqCst);
        cut.left.store(bytes, Ordering::SeqCst);
    };
    for bytes in [0, 90, 1000, 50_000, 140_000] {
        cut_after(2, bytes);
        let error = cache.add(&url, None, &call).unwrap_err();
        assert!(matches!(error, CacheError::Remote(_)), "{bytes}: {error:?}");
        assert!(!place.exists(), "{bytes}");
        assert!(is_at_rest(cache.root()), "{bytes}");
        let mirrors = cache.root().join(".packhouse/mirrors");
        assert_eq!(fs::read_dir(mirrors).unwrap().count(), 0, "{bytes}");
        let listed = cache.list().unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].status, CacheStatus::Error, "{bytes}");
        assert!(cache.get("source").is_err(), "{bytes}");
    }
    cut_after(2, u64::MAX);
    assert_eq!(add(&cache, &url).status, CacheStatus::Fresh);
    check_tree(&place);

    commit_noise(&work, "later");
    for bytes in [0, 90, 1000, 50_000] {
        // It is known what this server can do, so that the first question is for the refs.
        cut_after(1, bytes);
        let error = cache.refresh("source", &call).unwrap_err();
        assert!(matches!(error, CacheError::Remote(_)), "{bytes}: {error:?}");
        let entry = cache.get("source").unwrap();
        assert_eq!(entry.status, CacheStatus::Error, "{bytes}");
        assert!(!place.join("later").exists(), "{bytes}");
        check_tree(&place);
        assert!(is_at_rest(cache.root()), "{bytes}");
    }
    cut_after(1, u64::MAX);
    let entry = cache.refresh("source", &call).unwrap();
    assert_eq!(entry.status, CacheStatus::Fresh);
    assert!(place.join("later").exists());
    check_tree(&place);
}

#[test]
fn a_full_disk_publishes_nothing_and_a_later_call_succeeds() {
    let world = World::new();
    let source = path_of(&world.with_history("source"));
    let work = world.work("source");
    grow(&work);
    let Some(disk) = SmallDisk::mount(8) else {
        return;
    };
    let cache = Cache::open(config(&disk.path().join("cache"))).unwrap();
    let call = CallOptions::default();
    let place = cache.root().join("source");
    let is_full = |error: &CacheError| matches!(error, CacheError::NoSpace { .. });
    let mut failed = 0;
    for left_kib in (32..4096).step_by(96) {
        disk.fill(left_kib << 10);
        let added = cache.add(&source, None, &call);
        disk.make_room();
        let Err(error) = added else {
            break;
        };
        failed += 1;
        assert!(is_full(&error), "{left_kib} KiB: {error:?}");
        assert!(!place.exists(), "{left_kib} KiB");
        assert!(is_at_rest(cache.root()), "{left_kib} KiB");
        let mut listed = cache.list().unwrap().into_iter();
        assert!(listed.all(|entry| entry.status != CacheStatus::Fresh));
    }
    assert!(failed > 2, "{failed}");
    assert_eq!(add(&cache, &source).status, CacheStatus::Fresh);
    check_tree(&place);

    commit_noise(&work, "later");
    disk.fill(100 << 10);
    let error = cache.refresh("source", &call).unwrap_err();
    assert!(is_full(&error), "{error:?}");
    disk.make_room();
    assert!(!place.join("later").exists());
    check_tree(&place);
    let entry = cache.refresh("source", &call).unwrap();
    assert_eq!(entry.status, CacheStatus::Fresh);
    assert!(place.join("later").exists());
    check_tree(&place);
}

/// What is noted of a tree goes with it, also if a process ended before its time.
#[test]
fn seals_and_manifests_of_no_tree_are_swept() {
    let world = World::new();
    let source = world.with_history("source");
    let plain = world.path("plain");
    fs::create_dir(&plain).unwrap();
    let cache = open(&world);
    add(&cache, &path_of(&source));
    add(&cache, plain.to_str().unwrap());
    let manifests = cache.root().join(".packhouse/manifests");
    let names = || {
        let mut names: Vec<_> = fs::read_dir(&manifests)
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = names();
    assert_eq!(before.len(), 2);
    let id = "0123456789abcdef0123456789abcdef";
    for name in [id.to_owned(), format!("{id}.seal")] {
        fs::write(manifests.join(name), "left").unwrap();
    }
    // Not each time somebody opens the cache, and for the next time at the latest after a day.
    open(&world);
    assert_eq!(names().len(), 4);
    forget_sweep(cache.root());
    let cache = open(&world);
    assert_eq!(names(), before);
    // None is written for a copy that does not come.
    fs::remove_dir_all(cache.root().join("plain")).unwrap();
    fs::create_dir_all(cache.root().join("plain/theirs")).unwrap();
    cache.refresh("plain", &CallOptions::default()).unwrap_err();
    assert_eq!(names(), before);
    cache.clear(&CallOptions::default()).unwrap();
    assert!(names().is_empty());
}
