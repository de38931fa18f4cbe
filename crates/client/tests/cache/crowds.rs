//! Processes that add, remove and evict the same entries at once.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use packhouse_client::cache::{Cache, CacheConfig, CacheError, CacheStatus, CallOptions};

use super::{check_tree, config, files, open, path_of};
use crate::git::Git;
use crate::world::World;

const ROOT: &str = "PACKHOUSE_TEST_CACHE";
const PART: &str = "PACKHOUSE_TEST_PART";
const LIMIT: &str = "PACKHOUSE_TEST_LIMIT";
/// Sources and what is to be in their copies, by turns.
const SOURCES: &str = "PACKHOUSE_TEST_SOURCES";

#[test]
#[ignore = "another test runs it in processes of its own"]
fn one_of_a_crowd() {
    let of = |name| std::env::var(name).unwrap();
    let cache = Cache::open(CacheConfig {
        max_bytes: of(LIMIT).parse().unwrap(),
        // What is evicted is gone at once.
        grace: Duration::ZERO,
        ..config(Path::new(&of(ROOT)))
    })
    .unwrap();
    let call = CallOptions::default();
    let (part, sources) = (of(PART), of(SOURCES));
    let sources: Vec<&str> = sources.split(':').collect();
    let begun = Instant::now();
    let mut looks = 0;
    // On a busy machine a look may take long, and the others may come in between each time.
    let is_over = |looks| {
        let time = match part == "clears" || looks > 0 {
            true => 2,
            false => 60,
        };
        begun.elapsed() >= Duration::from_secs(time)
    };
    while !is_over(looks) {
        if part == "clears" {
            match cache.clear(&call) {
                Ok(_) | Err(CacheError::InUse { .. }) => continue,
                Err(error) => panic!("clear: {error}"),
            }
        }
        for pair in sources.chunks(2) {
            let entry = match cache.add(pair[0], None, &call) {
                Ok(entry) => entry,
                // What the others hold leaves no room.
                Err(CacheError::Full { .. }) => continue,
                Err(error) => panic!("add: {error}"),
            };
            // It may have been removed since, but not while it is held.
            match cache.lease(&entry.name, &call) {
                Ok(lease) => {
                    let path = &lease.entry().cache_path;
                    assert_eq!(files(path), files(Path::new(pair[1])), "{}", entry.name);
                    looks += 1;
                }
                Err(CacheError::NotFound { .. } | CacheError::Missing { .. }) => {}
                Err(error) => panic!("lease: {error}"),
            }
        }
    }
    assert!(part == "clears" || looks > 0);
}

#[test]
fn processes_that_add_clear_and_evict_at_once_leave_whole_entries() {
    let world = World::new();
    let [one, two] = ["one", "two"].map(|name| path_of(&world.with_history(name)));
    let plain = world.path("plain");
    std::fs::create_dir(&plain).unwrap();
    for number in 0..30 {
        std::fs::write(plain.join(number.to_string()), "x".repeat(1000)).unwrap();
    }
    let plain = plain.display().to_string();
    let [of_one, of_two] = ["one", "two"].map(|name| path_of(&world.work(name)));
    let sources = [&one, &of_one, &two, &of_two, &plain, &plain].map(String::as_str);
    let names = ["one", "two", "plain"];
    let crowd = [
        ("adds", "100000000"),
        ("adds", "100000000"),
        ("evicts", "45000"),
        ("clears", "100000000"),
    ];
    let children = crowd.map(|(part, limit)| {
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "cache::crowds::one_of_a_crowd",
                "--ignored",
                "--nocapture",
            ])
            .env(ROOT, world.path("cache"))
            .env(PART, part)
            .env(LIMIT, limit)
            .env(SOURCES, sources.join(":"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for (child, (part, _)) in children.into_iter().zip(crowd) {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{part}: {said}");
    }
    let cache = open(&world);
    let call = CallOptions::default();
    for entry in cache.list().unwrap() {
        if entry.status != CacheStatus::Fresh {
            let error = entry.error_message.unwrap_or_default();
            assert!(error.contains("does not fit"), "{error}");
            continue;
        }
        let at = names.iter().position(|name| *name == entry.name).unwrap();
        let expected = files(Path::new(sources[at * 2 + 1]));
        assert_eq!(files(&entry.cache_path), expected, "{}", entry.name);
        if entry.local_commit_hash.is_some() {
            check_tree(&entry.cache_path);
        }
    }
    let own = |folder: &str| {
        let folder = cache.root().join(".packhouse").join(folder);
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
    };
    own("mirrors").for_each(|mirror| Git::at(mirror).fsck());
    cache.clear(&call).unwrap();
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
    for folder in ["mirrors", "staging", "spares", "manifests"] {
        assert_eq!(own(folder).count(), 0, "{folder}");
    }
}
