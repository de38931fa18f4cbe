//! Adding, refreshing, reading and removing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use packhouse_client::cache::{
    Cache, CacheConfig, CacheError, CacheStatus, CacheType, CallOptions,
};

use super::{add, check_tree, config, files, open, path_of};
use crate::git::Git;
use crate::world::{Way, World};

#[test]
fn an_entry_is_an_ordinary_working_tree_that_follows_its_remote() {
    let mut world = World::new();
    let source = world.with_history("source");
    let url = world.url("source", Way::Http);
    let cache = open(&world);
    let entry = add(&cache, &url);
    assert_eq!(entry.name, "source");
    assert_eq!(entry.status, CacheStatus::Fresh);
    assert_eq!(entry.cache_type, CacheType::Git);
    let head = source.run(&["rev-parse", "main"]);
    assert_eq!(entry.local_commit_hash.as_deref(), Some(head.trim()));
    assert_eq!(entry.local_branch.as_deref(), Some("main"));
    assert_eq!(entry.has_upstream_changes, Some(false));
    check_tree(&entry.cache_path);
    let tree = Git::at(&entry.cache_path);
    assert_eq!(tree.run(&["log", "--oneline"]).lines().count(), 20);
    assert_eq!(tree.run(&["tag"]), source.run(&["tag"]));
    assert_eq!(tree.run(&["rev-parse", "origin/HEAD"]), head);
    assert_eq!(files(&entry.cache_path), files(&world.work("source").dir));

    // Weakness 1: it never updated.
    let work = world.work("source");
    work.commit_file("new", "new\n");
    work.run(&["push", "-q", "../source.git", "main:main"]);
    let entry = cache.refresh("source", &CallOptions::default()).unwrap();
    assert_eq!(fs::read(entry.cache_path.join("new")).unwrap(), b"new\n");
    check_tree(&entry.cache_path);

    // Weakness 2: a second process knew nothing.
    let again = open(&world);
    let listed = again.list().unwrap();
    assert_eq!(listed, std::slice::from_ref(&entry));
    assert_eq!(again.get("source").unwrap().cache_path, entry.cache_path);
    again.remove("source", &CallOptions::default()).unwrap();
    assert!(!entry.cache_path.exists());
    assert_eq!(cache.stats().unwrap().total_size_bytes, 0);
    let gone = cache.get("source").unwrap_err();
    assert_eq!(gone.to_string(), "Cache entry not found: source");
}

#[test]
fn every_way_to_reach_a_repository_is_a_source() {
    for way in crate::world::WAYS {
        let mut world = World::new();
        let source = world.with_history("source");
        let url = world.url("source", way);
        let mut config = config(&world.path("cache"));
        config.remote = world.remote_options(way);
        let cache = Cache::open(config).unwrap();
        let entry = add(&cache, &url);
        let head = source.run(&["rev-parse", "main"]);
        assert_eq!(
            entry.local_commit_hash.as_deref(),
            Some(head.trim()),
            "{way:?}"
        );
        check_tree(&entry.cache_path);
        assert_eq!(add(&cache, &url).name, entry.name);
        if way == Way::Ssh {
            let scp = format!("git@localhost:{}", path_of(&source));
            let entry = add(&cache, &scp);
            assert_eq!(entry.source_url, scp);
            assert_eq!(entry.local_commit_hash.as_deref(), Some(head.trim()));
            check_tree(&entry.cache_path);
        }
    }
}

#[test]
fn sources_whose_names_are_alike_never_meet() {
    let mut world = World::new();
    let root = world.path("");
    for org in ["orgA", "orgB"] {
        fs::create_dir(root.join(org)).unwrap();
        let work = crate::git::init(&root.join(format!("{org}-work")));
        work.commit_file("who", org);
        work.run(&["clone", "-q", "--bare", ".", &format!("../{org}/repo.git")]);
    }
    let base = world.serve(packhouse_testkit::git_site::GitSite::new(&root, true));
    let cache = open(&world);
    let [a, b] = ["orgA", "orgB"].map(|org| add(&cache, &format!("{base}{org}/repo.git")));
    assert_eq!((a.name.as_str(), b.name.as_str()), ("repo", "orgB-repo"));
    assert_eq!(fs::read(a.cache_path.join("who")).unwrap(), b"orgA");
    assert_eq!(fs::read(b.cache_path.join("who")).unwrap(), b"orgB");
    // Another way to write it is the same entry.
    let again = format!("{base}orgB/repo.git/").replacen("http://", "HTTP://me:x@", 1);
    assert_eq!(add(&cache, &again).name, "orgB-repo");
    let taken = cache.add(
        &format!("{base}orgB/repo.git"),
        Some("repo"),
        &CallOptions::default(),
    );
    assert!(
        matches!(taken, Err(CacheError::NameTaken { .. })),
        "{taken:?}"
    );
    let upper = cache.add(
        &format!("{base}orgB/repo.git"),
        Some("REPO"),
        &CallOptions::default(),
    );
    assert!(
        matches!(upper, Err(CacheError::NameTaken { .. })),
        "{upper:?}"
    );
}

#[test]
fn a_failed_first_copy_is_an_error_and_stays_one() {
    let mut world = World::new();
    world.with_history("source");
    let url = world.url("source", Way::Http);
    let missing = url.replace("source.git", "absent.git");
    let cache = open(&world);
    let failed = cache.add(&missing, None, &CallOptions::default());
    let error = failed.unwrap_err().to_string();
    assert!(error.contains("Repository not found"), "{error}");
    for _ in 0..2 {
        let listed = cache.list().unwrap();
        assert_eq!(listed[0].status, CacheStatus::Error);
        assert_eq!(listed[0].error_message.as_deref(), Some(error.as_str()));
        assert!(!listed[0].cache_path.exists());
        assert!(matches!(
            cache.get("absent"),
            Err(CacheError::Missing { .. })
        ));
    }
    assert!(cache.add(&missing, None, &CallOptions::default()).is_err());
}

#[test]
fn the_last_good_copy_is_served_while_the_remote_is_down() {
    let world = World::new();
    let source = world.with_history("source");
    let cache = open(&world);
    let url = format!("file://{}", path_of(&source));
    let good = add(&cache, &url);
    let aside = world.path("aside.git");
    fs::rename(&source.dir, &aside).unwrap();
    let failed = cache.refresh("source", &CallOptions::default());
    assert!(
        failed
            .unwrap_err()
            .to_string()
            .contains("Repository not found")
    );
    let served = cache.get("source").unwrap();
    assert_eq!(served.status, CacheStatus::Error);
    assert_eq!(served.local_commit_hash, good.local_commit_hash);
    check_tree(&served.cache_path);
    fs::rename(&aside, &source.dir).unwrap();
    let well = cache.refresh("source", &CallOptions::default()).unwrap();
    assert_eq!(
        (well.status, well.error_message),
        (CacheStatus::Fresh, None)
    );
}

#[test]
fn a_checkout_is_a_tree_at_any_commit() {
    let world = World::new();
    let source = world.with_history("source");
    source.run(&["update-ref", "refs/pull/1/head", "main~7"]);
    let call = CallOptions::default();
    let cache = open(&world);
    add(&cache, &path_of(&source));
    for revision in ["main", "side", "heavy", "light", "HEAD", "refs/pull/1/head"] {
        let checkout = cache.checkout("source", revision, &call).unwrap();
        let id = source.run(&["rev-parse", &format!("{revision}^{{commit}}")]);
        assert_eq!(checkout.commit, id.trim(), "{revision}");
        let tree = Git::at(&checkout.path);
        assert_eq!(tree.run(&["rev-parse", "HEAD"]), id);
        check_tree(&checkout.path);
    }
    let old = source.run(&["rev-parse", "main~12"]);
    let checkout = cache.checkout("source", old.trim(), &call).unwrap();
    assert_eq!(checkout.commit, old.trim());
    assert_eq!(cache.checkouts().unwrap().len(), 7);
    // Its objects are the very files that the entry has.
    let objects = checkout.path.join(".git/objects");
    let kept = files(&objects);
    assert!(!kept.is_empty());
    for (name, _) in kept {
        assert!(
            fs::metadata(objects.join(&name)).unwrap().nlink() > 1,
            "{name:?}"
        );
    }
    cache.remove_checkout(&checkout.id).unwrap();
    assert!(!checkout.path.exists());
    assert!(cache.remove_checkout("../../x").is_err());
    let unknown = cache.checkout("source", "no-such", &call).unwrap_err();
    assert_eq!(unknown.to_string(), "Unknown revision: no-such in source");
    cache.remove("source", &call).unwrap();
    assert!(cache.checkouts().unwrap().is_empty());
}

#[test]
fn a_copy_that_is_older_than_the_timeout_is_stale_until_it_is_refreshed() {
    let world = World::new();
    let source = path_of(&world.with_history("source"));
    let cache = open(&world);
    let call = CallOptions::default();
    add(&cache, &source);
    // The same cache, for somebody who is in a hurry.
    let hurried = Cache::open(CacheConfig {
        timeout: Duration::from_millis(1),
        ..config(&world.path("cache"))
    })
    .unwrap();
    let statuses = || {
        std::thread::sleep(Duration::from_millis(5));
        [&cache, &hurried].map(|cache| cache.list().unwrap()[0].status)
    };
    let expected = [CacheStatus::Fresh, CacheStatus::Stale];
    assert_eq!(statuses(), expected);
    let numbers = hurried.stats().unwrap();
    assert_eq!((numbers.fresh_entries, numbers.stale_entries), (0, 1));
    assert!(hurried.details("source", &call).unwrap().is_stale);
    // It can be read all the same, and reading does not make it newer.
    let got = hurried.get("source").unwrap();
    assert_eq!(got.status, CacheStatus::Stale);
    check_tree(&got.cache_path);
    assert_eq!(statuses(), expected);
    let refreshed = cache.refresh("source", &call).unwrap();
    assert!(refreshed.last_updated > got.last_updated);
    assert_eq!(refreshed.status, CacheStatus::Fresh);
}

/// Programs that tidy up remove files that were not read for long.
#[test]
fn files_that_somebody_removed_or_changed_come_back() {
    let world = World::new();
    let source = path_of(&world.with_history("source"));
    let cache = open(&world);
    let place = add(&cache, &source).cache_path;
    let number = || fs::metadata(&place).unwrap().ino();
    let before = number();
    add(&cache, &source);
    assert_eq!(number(), before);
    let expected = files(&world.work("source").dir);
    let changes: [&dyn Fn(); 3] = [
        &|| fs::remove_file(place.join("file-1")).unwrap(),
        &|| fs::write(place.join("file-2"), "other").unwrap(),
        &|| fs::remove_file(place.join(".git/index")).unwrap(),
    ];
    for change in changes {
        change();
        assert_eq!(add(&cache, &source).status, CacheStatus::Fresh);
        assert_eq!(files(&place), expected);
        check_tree(&place);
    }
}

#[test]
fn what_is_beside_the_files_of_a_copy_is_not_measured() {
    let world = World::new();
    let cache = open(&world);
    let entry = add(&cache, &path_of(&world.with_history("source")));
    let before = cache.stats().unwrap().total_size_bytes;
    fs::write(entry.cache_path.join("large"), vec![0; 1 << 20]).unwrap();
    assert_eq!(cache.stats().unwrap().total_size_bytes, before);
}
