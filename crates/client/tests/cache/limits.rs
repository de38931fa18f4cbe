//! Room, readers and crowds.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use packhouse_client::cache::{Cache, CacheConfig, CacheError, CallOptions};

use super::remotes::Noting;
use super::{add, check_tree, config, open, path_of};
use crate::git::{Git, init};
use crate::world::{Way, World};

fn sized(world: &World, name: &str, bytes: usize) -> String {
    let folder = world.path(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), vec![b'x'; bytes]).unwrap();
    folder.to_str().unwrap().to_owned()
}

/// Weakness 7: the limit was not kept.
#[test]
fn entries_that_were_not_used_for_longest_make_room_but_never_one_in_use() {
    let world = World::new();
    let mut config = config(&world.path("cache"));
    config.max_bytes = 3500;
    config.grace = Duration::ZERO;
    let cache = Cache::open(config).unwrap();
    let call = CallOptions::default();
    let sources = ["a", "b", "c", "d", "e"].map(|name| sized(&world, name, 1000));
    for source in &sources[..3] {
        add(&cache, source);
        std::thread::sleep(Duration::from_millis(3));
    }
    cache.get("a").unwrap();
    let names = || -> Vec<String> {
        let listed = cache.list().unwrap().into_iter();
        listed.map(|entry| entry.name).collect()
    };
    add(&cache, &sources[3]);
    assert_eq!(names(), ["a", "c", "d"]);
    assert!(!cache.root().join("b").exists());
    assert!(cache.stats().unwrap().total_size_bytes <= 3500);
    let lease = cache.lease("c", &call).unwrap();
    // Another process sees the lease.
    let other = open(&world);
    assert!(matches!(
        other.remove("c", &call),
        Err(CacheError::InUse { .. })
    ));
    add(&cache, &sources[4]);
    assert_eq!(names(), ["c", "d", "e"]);
    // One that is too large removes nothing at all, and is not there itself.
    let large = sized(&world, "large", 3000);
    let full = cache.add(&large, None, &call).unwrap_err();
    assert!(matches!(full, CacheError::Full { .. }), "{full}");
    assert!(full.to_string().contains("large"), "{full}");
    assert!(!cache.root().join("large").exists());
    assert!(cache.root().join("d").exists() && cache.root().join("e").exists());
    assert!(lease.entry().cache_path.join("file").exists());
    drop(lease);
    cache.clear(&call).unwrap();
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
}

#[test]
fn what_is_leased_or_has_checkouts_makes_no_room() {
    let world = World::new();
    let source = path_of(&world.with_history("source"));
    let call = CallOptions::default();
    let cache = open(&world);
    add(&cache, &source);
    let checkout = cache.checkout("source", "HEAD", &call).unwrap();
    let plain = add(&cache, &sized(&world, "plain", 1000));
    let used = cache.stats().unwrap().total_size_bytes;
    let cache = Cache::open(CacheConfig {
        max_bytes: used + 500,
        ..config(&world.path("cache"))
    })
    .unwrap();
    let next = sized(&world, "next", 1200);
    let lease = cache.lease("plain", &call).unwrap();
    let full = cache.add(&next, None, &call);
    assert!(matches!(full, Err(CacheError::Full { .. })), "{full:?}");
    assert!(plain.cache_path.exists());
    drop(lease);
    // Now the plain one goes, and of the other nothing.
    add(&cache, &next);
    assert!(!plain.cache_path.exists());
    let full = cache.add(&sized(&world, "large", 2000), None, &call);
    assert!(matches!(full, Err(CacheError::Full { .. })), "{full:?}");
    assert!(checkout.path.exists() && cache.get("source").is_ok());
    assert!(cache.get("next").is_ok());
}

/// Bytes that no compression makes fewer, other ones for each seed.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn commit_noise(work: &Git, seed: u64, bytes: usize) {
    fs::write(work.dir.join(format!("noise-{seed}")), noise(seed, bytes)).unwrap();
    work.run(&["add", "."]);
    work.run(&["commit", "-q", "-m", "noise"]);
}

fn limited(world: &World, max_bytes: u64) -> Cache {
    Cache::open(CacheConfig {
        max_bytes,
        grace: Duration::ZERO,
        ..config(&world.path("cache"))
    })
    .unwrap()
}

/// The only mirror of a cache.
fn mirror(cache: &Cache) -> Git {
    let mirrors = fs::read_dir(cache.root().join(".packhouse/mirrors")).unwrap();
    let mirrors: Vec<_> = mirrors.map(|mirror| mirror.unwrap().path()).collect();
    assert_eq!(mirrors.len(), 1);
    Git::at(&mirrors[0])
}

fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap();
    let bytes = entries.map(|entry| {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => bytes_in(&entry.path()),
            false => entry.metadata().unwrap().len(),
        }
    });
    bytes.sum()
}

/// As if two days had passed since everything in a mirror was fetched.
fn age(mirror: &Git) {
    let format = "--format=%(refname) %(objectname)";
    let kept = mirror.run(&["for-each-ref", format, "refs/packhouse/kept"]);
    for (name, id) in kept.lines().filter_map(|line| line.split_once(' ')) {
        // As it was before the hour was a part of its name.
        mirror.run(&["update-ref", "-d", name]);
        mirror.run(&["update-ref", &format!("refs/packhouse/kept/{id}"), id]);
    }
    let old = std::time::SystemTime::now() - Duration::from_secs(48 * 3600);
    for folder in fs::read_dir(mirror.dir.join("objects")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let file = fs::File::open(file.unwrap().path()).unwrap();
            file.set_modified(old).unwrap();
        }
    }
}

/// It was in no count, and stayed as long as the entry.
#[test]
fn what_checkouts_fetch_counts_is_limited_and_goes_when_nobody_needs_it() {
    const MAX_BYTES: u64 = 3_000_000;
    let world = World::new();
    let source = world.with_history("source");
    let work = world.work("source");
    for seed in 1..=4 {
        work.run(&["checkout", "-q", "--detach", "main"]);
        commit_noise(&work, seed, 1_200_000);
        let to = format!("HEAD:refs/pull/{seed}/head");
        work.run(&["push", "-q", "../source.git", &to]);
    }
    let cache = limited(&world, MAX_BYTES);
    let call = CallOptions::default();
    add(&cache, &path_of(&source));
    let mirror = mirror(&cache);
    let check_out = |number: u64| {
        let made = cache.checkout("source", &format!("refs/pull/{number}/head"), &call);
        let total = cache.stats().unwrap().total_size_bytes;
        let checkouts = cache.checkouts().unwrap().len() as u64;
        let there = bytes_in(&mirror.dir) + checkouts * 1_200_000;
        assert!(total <= MAX_BYTES && there <= MAX_BYTES, "{total} {there}");
        assert!(total.abs_diff(there) < 10_000, "{total} {there}");
        made
    };
    let first = check_out(1).unwrap();
    cache.remove_checkout(&first.id).unwrap();
    // What the first one needed may be needed again: first there is no room for the files, then none for the history.
    for number in [2, 3, 4] {
        let full = check_out(number);
        assert!(matches!(full, Err(CacheError::Full { .. })), "{full:?}");
    }
    assert!(bytes_in(&mirror.dir) > 2_400_000);
    age(&mirror);
    let third = check_out(3).unwrap();
    mirror.fsck();
    assert!(bytes_in(&mirror.dir) < 1_300_000);
    // What a checkout has stays.
    age(&mirror);
    let full = check_out(4);
    assert!(matches!(full, Err(CacheError::Full { .. })), "{full:?}");
    assert!(mirror.refs().contains(&third.commit));
    check_tree(&third.path);
    cache.remove_checkout(&third.id).unwrap();
    check_tree(&check_out(4).unwrap().path);
}

/// It kept what it had fetched.
#[test]
fn a_refresh_that_does_not_fit_changes_nothing() {
    let mut world = World::new();
    let source = world.with_history("source");
    let work = world.work("source");
    let call = CallOptions::default();
    for way in [Way::Path, Way::Http, Way::OurHttp] {
        let cache = limited(&world, 2_000_000);
        let url = world.url("source", way);
        let entry = add(&cache, &url);
        let mirror = mirror(&cache);
        let before = (mirror.refs(), cache.stats().unwrap().total_size_bytes);
        commit_noise(&work, 1, 5_000_000);
        work.run(&["push", "-q", "../source.git", "main:main"]);
        let full = cache.refresh("source", &call).unwrap_err();
        let told = full.to_string();
        assert!(matches!(full, CacheError::Full { .. }), "{way:?}: {told}");
        assert!(told.contains("2000000"), "{told}");
        let after = (mirror.refs(), cache.stats().unwrap().total_size_bytes);
        assert_eq!(after, before, "{way:?}");
        assert!(bytes_in(&mirror.dir) < 100_000);
        let kept = cache.get("source").unwrap();
        assert_eq!(kept.local_commit_hash, entry.local_commit_hash);
        check_tree(&kept.cache_path);
        // Nor does a first copy stay in part.
        let elsewhere = World::new();
        let other = limited(&elsewhere, 2_000_000);
        let full = other.add(&url, None, &call).unwrap_err();
        assert!(matches!(full, CacheError::Full { .. }), "{way:?}: {full}");
        assert_eq!(other.stats().unwrap().total_size_bytes, 0);
        work.run(&["reset", "-q", "--hard", "HEAD~1"]);
        work.run(&["push", "-q", "-f", "../source.git", "main:main"]);
        cache.clear(&call).unwrap();
    }
    source.fsck();
}

#[test]
fn others_make_room_for_a_history_that_grows_if_they_can() {
    let world = World::new();
    let source = path_of(&world.with_history("source"));
    let work = world.work("source");
    let cache = limited(&world, 2_000_000);
    let call = CallOptions::default();
    add(&cache, &source);
    add(&cache, &sized(&world, "plain", 1_000_000));
    // Its files come and go: what stays is in the history.
    let grow = |seed| {
        commit_noise(&work, seed, 1_200_000);
        work.run(&["rm", "-q", &format!("noise-{seed}")]);
        work.run(&["commit", "-q", "-m", "gone"]);
        work.run(&["push", "-q", "../source.git", "main:main"]);
        cache.refresh("source", &call)
    };
    let lease = cache.lease("plain", &call).unwrap();
    let full = grow(1).unwrap_err();
    assert!(matches!(full, CacheError::Full { .. }), "{full}");
    assert!(cache.get("plain").is_ok());
    drop(lease);
    check_tree(&cache.refresh("source", &call).unwrap().cache_path);
    assert!(cache.get("plain").is_err());
    assert!(cache.stats().unwrap().total_size_bytes <= 2_000_000);
    // Only what is there alone takes more than there may be.
    let full = grow(2).unwrap_err();
    assert!(matches!(full, CacheError::Full { .. }), "{full}");
    assert!(cache.stats().unwrap().total_size_bytes <= 2_000_000);
}

#[test]
fn checkouts_that_are_not_there_are_not_told_of() {
    let world = World::new();
    let call = CallOptions::default();
    let cache = open(&world);
    add(&cache, &path_of(&world.with_history("source")));
    let [gone, kept] = [(), ()].map(|()| cache.checkout("source", "HEAD", &call).unwrap());
    // As after a kill between the record and the folder.
    fs::remove_dir_all(gone.path.parent().unwrap()).unwrap();
    let listed = cache.checkouts().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].id, kept.id);
    let before = cache.stats().unwrap().total_size_bytes;
    let cache = open(&world);
    assert!(cache.stats().unwrap().total_size_bytes < before);
    assert_eq!(cache.checkouts().unwrap().len(), 1);
    assert!(kept.path.is_dir());
}

#[test]
fn a_checkout_of_what_cannot_be_read_fetches_it_again() {
    let world = World::new();
    let call = CallOptions::default();
    let cache = open(&world);
    add(&cache, &path_of(&world.with_history("source")));
    let folder = cache.root().join(".packhouse/mirrors");
    let mirror = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let packs = mirror.path().join("objects/pack");
    for entry in fs::read_dir(packs).unwrap() {
        // A new file: trees have links to the old one.
        let path = entry.unwrap().path();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "nonsense").unwrap();
    }
    for revision in ["main", "HEAD"] {
        check_tree(&cache.checkout("source", revision, &call).unwrap().path);
    }
}

#[test]
fn a_reader_keeps_the_tree_that_it_is_in() {
    let world = World::new();
    let source = world.with_history("source");
    let cache = open(&world);
    let entry = add(&cache, &path_of(&source));
    // As a program does that works there.
    let inside = fs::File::open(&entry.cache_path).unwrap();
    let work = world.work("source");
    work.commit_file("new", "new\n");
    work.run(&["push", "-q", "../source.git", "main:main"]);
    add(&cache, &path_of(&source));
    let opened = rustix_open(&inside, "file-1");
    assert!(opened, "the old tree is still there");
    assert!(entry.cache_path.join("new").exists());
}

fn rustix_open(folder: &fs::File, name: &str) -> bool {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
    fs::read(path).is_ok()
}

/// Old and new never mix: each look at two files, by way of one open folder, sees one commit.
#[test]
fn a_tree_is_never_seen_in_part() {
    let world = World::new();
    let work = init(&world.path("work"));
    let commit = |number: usize| {
        fs::write(work.dir.join("a"), number.to_string()).unwrap();
        fs::write(work.dir.join("b"), number.to_string()).unwrap();
        work.run(&["add", "."]);
        work.run(&["commit", "-q", "-m", "x"]);
    };
    commit(0);
    work.run(&["clone", "-q", "--bare", ".", "../source.git"]);
    let cache = open(&world);
    let source = world.path("source.git").to_str().unwrap().to_owned();
    let entry = add(&cache, &source);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            use std::os::fd::AsRawFd;
            let mut looks = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let folder = fs::File::open(&entry.cache_path).unwrap();
                let of = |name: &str| {
                    fs::read(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())).unwrap()
                };
                assert_eq!(of("a"), of("b"));
                looks += 1;
            }
            looks
        });
        for number in 1..6 {
            commit(number);
            work.run(&["push", "-q", "../source.git", "main:main"]);
            add(&cache, &source);
        }
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(reader.join().unwrap() > 5);
    });
}

const ROOT: &str = "PACKHOUSE_TEST_CACHE";
const SOURCE: &str = "PACKHOUSE_TEST_SOURCE";

#[test]
#[ignore = "another test runs it in processes of its own"]
fn ten_callers() {
    let of = |name| std::env::var(name).unwrap();
    let cache = Cache::open(config(Path::new(&of(ROOT)))).unwrap();
    let source = of(SOURCE);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| check(&add(&cache, &source).cache_path));
        }
    });
}

fn check(path: &Path) {
    assert!(path.join("file-1").exists() && path.join(".git/HEAD").exists());
}

/// Weakness 10: processes fetched and removed the same folder at once.
#[test]
fn fifty_callers_in_five_processes_cause_one_fetch() {
    let mut world = World::new();
    world.with_history("source");
    let site = Noting::new(&world);
    let url = format!("{}source.git", world.serve(site.clone()));
    let children: Vec<_> = (0..5)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "cache::limits::ten_callers", "--ignored"])
                .env(ROOT, world.path("cache"))
                .env(SOURCE, &url)
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let asked = site.take();
    let fetches = asked.iter().filter(|word| *word == "fetch").count();
    assert_eq!(fetches, 1, "{asked:?}");
    check_tree(&open(&world).get("source").unwrap().cache_path);
}
