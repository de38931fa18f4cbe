//! Caches whose processes are killed at any moment: what is fresh is complete, and all else is as it was.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use packhouse_client::cache::{Cache, CacheStatus, CallOptions};

use super::{check_tree, config, files, forget_sweep, open, path_of};
use crate::git::{Git, init};
use crate::world::World;

const ROOT: &str = "PACKHOUSE_TEST_CACHE";
const SOURCES: &str = "PACKHOUSE_TEST_SOURCES";
const LIMIT: &str = "PACKHOUSE_TEST_LIMIT";
const COMMITS: &str = "PACKHOUSE_TEST_COMMITS";

#[test]
#[ignore = "the other test runs it in a process of its own"]
fn all_day() {
    let of = |name| std::env::var(name).unwrap();
    let mut config = config(Path::new(&of(ROOT)));
    config.max_bytes = of(LIMIT).parse().unwrap();
    // Files are taken over from the tree before at once.
    config.grace = Duration::ZERO;
    let cache = Cache::open(config).unwrap();
    let call = CallOptions::default();
    let sources = of(SOURCES);
    let commits = of(COMMITS);
    loop {
        for source in sources.split(':') {
            let _ = cache.add(source, None, &call);
        }
        for commit in commits.split(' ') {
            let source = Git::at(sources.split(':').next().unwrap());
            source.run(&["update-ref", "refs/heads/main", commit]);
            let _ = cache.refresh("source", &call);
        }
        let _ = cache.checkout("source", "side", &call);
        let _ = cache.refresh("source", &call);
        let _ = cache.clear(&call);
    }
}

fn rounds() -> u64 {
    let minutes = std::env::var("SOAK_MINUTES")
        .ok()
        .and_then(|text| text.parse().ok());
    minutes.map_or(12, |minutes: u64| minutes * 60)
}

#[test]
fn a_killed_process_leaves_nothing_that_is_fresh_and_not_complete() {
    let world = World::new();
    let source = world.with_history("source");
    let work = world.work("source");
    for number in 0..60 {
        fs::write(work.dir.join(format!("many-{number}")), "x".repeat(3000)).unwrap();
    }
    work.run(&["add", "."]);
    work.run(&["commit", "-q", "-m", "many"]);
    work.run(&["push", "-q", "../source.git", "main:main"]);
    let one = work.run(&["rev-parse", "HEAD"]).trim().to_owned();
    let of_one = files(&work.dir);
    fs::write(work.dir.join("many-7"), "changed").unwrap();
    work.run(&["commit", "-q", "-a", "-m", "another"]);
    work.run(&["push", "-q", "../source.git", "main:main"]);
    let other = work.run(&["rev-parse", "HEAD"]).trim().to_owned();
    let copy = init(&world.path("copy"));
    copy.commit_file("in-copy", "x");
    let plain = world.path("plain");
    fs::create_dir(&plain).unwrap();
    for number in 0..40 {
        fs::write(plain.join(number.to_string()), "y".repeat(2000)).unwrap();
    }
    let sentinel = world.path("sentinel");
    fs::create_dir(&sentinel).unwrap();
    fs::write(sentinel.join("file"), "untouched").unwrap();
    let sources = [
        path_of(&source),
        path_of(&copy),
        plain.display().to_string(),
    ];
    let expected = [files(&work.dir), files(&copy.dir), files(&plain)];
    let mut fresh = 0;
    for round in 0..rounds() {
        // Sometimes there is not room for all.
        let limit = if round % 3 == 0 {
            "300000"
        } else {
            "100000000"
        };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cache::killed::all_day", "--ignored"])
            .env(ROOT, world.path("cache"))
            .env(SOURCES, sources.join(":"))
            .env(LIMIT, limit)
            .env(COMMITS, format!("{one} {other} {one} {other}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + round * 37 % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        forget_sweep(&world.path("cache"));
        let cache = open(&world);
        for entry in cache.list().unwrap() {
            if entry.status != CacheStatus::Fresh {
                continue;
            }
            fresh += 1;
            let at = ["source", "copy", "plain"]
                .iter()
                .position(|name| *name == entry.name);
            let expected = match entry.local_commit_hash.as_ref() == Some(&one) {
                true => &of_one,
                false => &expected[at.unwrap()],
            };
            assert_eq!(&files(&entry.cache_path), expected, "{}", entry.name);
            if entry.local_commit_hash.is_some() {
                check_tree(&entry.cache_path);
            }
        }
        let staging = fs::read_dir(cache.root().join(".packhouse/staging")).unwrap();
        assert_eq!(staging.count(), 0, "round {round}");
        // Two of each tree that an entry may have: one that it has, and one that was about to come.
        let manifests = fs::read_dir(cache.root().join(".packhouse/manifests")).unwrap();
        assert!(
            manifests.count() <= 4 * cache.list().unwrap().len(),
            "round {round}"
        );
        for mirror in fs::read_dir(cache.root().join(".packhouse/mirrors")).unwrap() {
            Git::at(mirror.unwrap().path()).fsck();
        }
        assert_eq!(files(&sentinel).len(), 1);
    }
    assert!(fresh > 0, "no round left anything");
    let cache = open(&world);
    let call = CallOptions::default();
    for source in &sources {
        let entry = cache.add(source, None, &call).unwrap();
        assert_eq!(entry.status, CacheStatus::Fresh);
    }
    cache.clear(&call).unwrap();
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
}
