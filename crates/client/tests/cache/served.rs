//! Mirrors for callers who are not us.

use std::fs;

use packhouse_client::Egress;
use packhouse_client::cache::{Cache, CacheConfig, CallOptions};
use packhouse_testkit::git_site::GitSite;

use super::config;
use crate::git::Git;
use crate::world::World;

/// Two repositories behind HTTP, and a cache.
fn two(max_bytes: u64) -> (World, Cache, [String; 2]) {
    let mut world = World::new();
    world.with_history("one.git");
    world.with_history("two.git");
    let base = world.serve(GitSite::new(&world.path("."), true));
    let cache = Cache::open(CacheConfig {
        max_bytes,
        ..config(&world.path("cache"))
    });
    let urls = ["one.git", "two.git"].map(|name| format!("{}/{name}", base.trim_end_matches('/')));
    (world, cache.unwrap(), urls)
}

fn mirrors(cache: &Cache) -> usize {
    let folder = cache.root().join(".packhouse/mirrors");
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn mirrors_that_are_not_being_read_make_room() {
    let (_world, cache, [one, two]) = two(1);
    let served = cache.served(Egress::Any).unwrap();
    let call = CallOptions::default();
    let first = served.bring(&one, None, &call).unwrap();
    assert!(first.was_fetched());
    let second = served.bring(&two, None, &call).unwrap();
    // Both are being read.
    assert_eq!(mirrors(&cache), 2);
    drop((first, second));
    // As nothing fits, each stays only as long as it is read, and goes when there is need of room.
    let one_again = served.bring(&one, None, &call).unwrap();
    assert!(!one_again.was_fetched());
    drop(one_again);
    assert_eq!(mirrors(&cache), 1);
    let path = cache.root().join("plain");
    let source = cache.root().parent().unwrap().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "text").unwrap();
    assert!(
        cache
            .add(source.to_str().unwrap(), Some("plain"), &call)
            .is_err()
    );
    assert!(!path.exists());
    assert_eq!(mirrors(&cache), 0);
}

#[test]
fn the_mirror_that_was_not_served_for_longest_makes_room_for_the_next() {
    let (world, cache, [one, two]) = two(u64::MAX);
    let call = CallOptions::default();
    let served = cache.served(Egress::Any).unwrap();
    drop(served.bring(&one, None, &call).unwrap());
    let bytes = cache.stats().unwrap().total_size_bytes;
    let cache = Cache::open(CacheConfig {
        max_bytes: bytes * 3 / 2,
        ..config(&world.path("cache"))
    })
    .unwrap();
    let served = cache.served(Egress::Any).unwrap();
    drop(served.bring(&two, None, &call).unwrap());
    assert_eq!(mirrors(&cache), 1);
    assert!(served.last(&one, &call).unwrap().is_none());
    assert!(served.last(&two, &call).unwrap().is_some());
}

#[test]
fn a_copy_that_cannot_be_read_is_made_again() {
    let (_world, cache, [one, _]) = two(u64::MAX);
    let served = cache.served(Egress::Any).unwrap();
    let call = CallOptions::default();
    let digest = served.bring(&one, None, &call).unwrap().digest().to_owned();
    let folder = cache.root().join(".packhouse/mirrors");
    let mirror = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    fs::write(mirror.path().join("packed-refs"), "nonsense\n").unwrap();
    fs::remove_dir_all(mirror.path().join("refs")).unwrap();
    let copy = served.bring(&one, None, &call).unwrap();
    assert!(copy.was_fetched());
    assert_eq!(copy.digest(), digest);
    assert!(copy.refs(b"refs/heads/").count() > 0);
}

#[test]
fn a_repository_is_the_same_with_other_refs() {
    let (world, cache, [one, two]) = two(u64::MAX);
    let served = cache.served(Egress::Any).unwrap();
    let call = CallOptions::default();
    let before = served.bring(&one, None, &call).unwrap();
    let remote = Git::at(world.path("one.git.git"));
    let tip = before.tips().next().unwrap().to_string();
    remote.run(&["update-ref", "refs/heads/brand-new", &tip]);
    let after = served.bring(&one, None, &call).unwrap();
    assert_ne!(before.digest(), after.digest());
    assert_eq!(before.mirror(), after.mirror());
    let other = served.bring(&two, None, &call).unwrap();
    assert_ne!(other.mirror(), after.mirror());
}

#[test]
fn only_what_callers_of_http_can_name_is_served() {
    let (world, cache, [one, _]) = two(u64::MAX);
    let served = cache.served(Egress::Any).unwrap();
    let call = CallOptions::default();
    let path = world.path("one.git");
    for url in [
        path.display().to_string(),
        format!("file://{}", path.display()),
        "ssh://git@h.example/a.git".to_owned(),
        one.replacen("://", "://me:secret@", 1),
    ] {
        let error = served.bring(&url, None, &call).unwrap_err().to_string();
        assert!(error.starts_with("Invalid source: "), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let private = cache.served(Egress::PublicOnly).unwrap();
    assert!(private.bring(&one, None, &call).is_err());
    assert_eq!(mirrors(&cache), 0);
}

/// As when a process is killed between moving the refs and noting it: the record and what it says of who may read are
/// of the refs before.
#[test]
fn refs_that_moved_under_an_old_record_are_shown_to_nobody() {
    let (_world, cache, [one, _]) = two(u64::MAX);
    let served = cache.served(Egress::Any).unwrap();
    let call = CallOptions::default();
    let copy = served.bring(&one, None, &call).unwrap();
    let digest = copy.digest().to_owned();
    let (_, some) = copy.refs(b"refs/heads/").next().unwrap();
    let target = some.target;
    drop(copy);
    assert!(served.last(&one, &call).unwrap().unwrap().is_public());
    let folder = cache.root().join(".packhouse/mirrors");
    let mirror = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let refs = mirror.path().join("refs/heads");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("private"), format!("{target}\n")).unwrap();
    assert!(served.last(&one, &call).unwrap().is_none());
    // The remote lists what it did, and that is what callers get.
    let copy = served.bring(&one, None, &call).unwrap();
    assert_eq!(copy.digest(), digest);
    assert!(copy.find(b"refs/heads/private").is_none());
    assert!(served.last(&one, &call).unwrap().unwrap().is_public());
}

#[test]
fn strangers_cannot_make_entries_go() {
    let (world, cache, [one, two]) = two(u64::MAX);
    let source = world.path("plain");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "x".repeat(1000)).unwrap();
    let call = CallOptions::default();
    let entry = cache.add(source.to_str().unwrap(), None, &call).unwrap();
    let cache = Cache::open(CacheConfig {
        max_bytes: 1500,
        grace: std::time::Duration::ZERO,
        ..config(&world.path("cache"))
    })
    .unwrap();
    let served = cache.served(Egress::Any).unwrap();
    for url in [&one, &two] {
        // It is served as long as it is read.
        let copy = served.bring(url, None, &call).unwrap();
        assert!(copy.refs(b"refs/heads/").count() > 0);
        assert_eq!(mirrors(&cache), 1);
    }
    assert!(entry.cache_path.join("file").exists() && cache.get("plain").is_ok());
}
