//! What a remote does to its refs is followed, with few requests.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use packhouse_client::cache::{CacheStatus, CallOptions};

use super::Noting;
use crate::cache::{add, check_tree, open, path_of};
use crate::git::Git;
use crate::world::{Way, World};

#[test]
fn an_unchanged_repository_takes_one_request_and_no_object() {
    let mut world = World::new();
    world.with_history("source");
    let site = Noting::new(&world);
    let url = format!("{}source.git", world.serve(site.clone()));
    let cache = open(&world);
    let first = add(&cache, &url);
    assert_eq!(site.take(), ["info/refs", "ls-refs", "fetch"]);
    let second = add(&cache, &url);
    assert_eq!(site.take(), ["ls-refs"]);
    assert_eq!(first.local_commit_hash, second.local_commit_hash);
    // Another process remembers too.
    add(&open(&world), &url);
    assert_eq!(site.take(), ["ls-refs"]);
    let work = world.work("source");
    work.commit_file("new", "new\n");
    work.run(&["push", "-q", "../source.git", "main:main"]);
    let third = add(&cache, &url);
    assert_eq!(site.take(), ["ls-refs", "fetch"]);
    assert_ne!(third.local_commit_hash, second.local_commit_hash);
    // A commit that is here is checked out without a word.
    let old = second.local_commit_hash.unwrap();
    cache
        .checkout("source", &old, &CallOptions::default())
        .unwrap();
    assert!(site.take().is_empty());
}

/// What is here may be its last good copy.
#[test]
fn a_ref_that_is_damaged_at_the_remote_is_not_taken_for_one_that_is_gone() {
    let mut world = World::new();
    let source = world.with_history("source");
    let cache = open(&world);
    let call = CallOptions::default();
    for way in [Way::Path, Way::Http, Way::OldHttp, Way::OurHttp] {
        let url = world.url("source", way);
        let copy = add(&cache, &url);
        let side = source.dir.join("refs/heads/side");
        // It is packed too, which does not count beside a file.
        fs::create_dir_all(side.parent().unwrap()).unwrap();
        fs::write(&side, "").unwrap();
        let error = cache.refresh(&copy.name, &call).unwrap_err().to_string();
        assert!(error.contains("`refs/heads/side`"), "{way:?}: {error}");
        let copied = Git::at(copy.cache_path.clone());
        assert!(copied.refs().contains("refs/remotes/origin/side"));
        fs::remove_file(&side).unwrap();
        // One that is not in the cache cannot be lost there.
        let pull = source.dir.join("refs/pull/1/head");
        fs::create_dir_all(pull.parent().unwrap()).unwrap();
        fs::write(&pull, "").unwrap();
        assert_eq!(add(&cache, &url).status, CacheStatus::Fresh);
        cache.remove(&copy.name, &call).unwrap();
    }
}

/// Weakness 11: histories that were rewritten, branches renamed, refs deleted.
#[test]
fn whatever_a_remote_does_to_its_refs_is_followed() {
    let world = World::new();
    let source = world.with_history("source");
    let cache = open(&world);
    let call = CallOptions::default();
    add(&cache, &path_of(&source));
    let work = world.work("source");
    work.run(&["reset", "-q", "--hard", "HEAD~4"]);
    work.commit_file("rewritten", "x\n");
    work.run(&["push", "-q", "-f", "../source.git", "main:main"]);
    let forced = cache.refresh("source", &call).unwrap();
    assert!(forced.cache_path.join("rewritten").exists());
    check_tree(&forced.cache_path);

    source.run(&["branch", "-m", "main", "trunk"]);
    source.run(&["branch", "-D", "side"]);
    source.run(&["tag", "-d", "light"]);
    let renamed = cache.refresh("source", &call).unwrap();
    assert_eq!(renamed.local_branch.as_deref(), Some("trunk"));
    let tree = Git::at(&renamed.cache_path);
    assert_eq!(
        tree.run(&["branch", "-r", "--format=%(refname:short)"]),
        "origin/HEAD\norigin/trunk"
    );
    assert_eq!(tree.run(&["tag"]), "heavy");
    check_tree(&renamed.cache_path);

    source.run(&["update-ref", "--no-deref", "HEAD", "trunk~2"]);
    let detached = cache.refresh("source", &call).unwrap();
    assert_eq!(detached.local_branch, None);
    check_tree(&detached.cache_path);

    // All is gone: the last copy is worth more.
    source.run(&["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    source.run(&["update-ref", "-d", "refs/heads/trunk"]);
    let gone = cache.refresh("source", &call).unwrap_err();
    assert!(gone.to_string().contains("no default branch"), "{gone}");
    let kept = cache.get("source").unwrap();
    assert_eq!(kept.status, CacheStatus::Error);
    check_tree(&kept.cache_path);
}

/// Branches and tags come and go while the default branch stays where it is.
#[test]
fn refs_are_followed_where_no_file_changed() {
    let world = World::new();
    let source = world.with_history("source");
    let work = world.work("source");
    let cache = open(&world);
    let call = CallOptions::default();
    let entry = add(&cache, &path_of(&source));
    let tree = Git::at(&entry.cache_path);
    let number = |path: &Path| fs::metadata(path).unwrap().ino();
    let before = number(&entry.cache_path);
    let refs = |tree: &Git| {
        let listed = tree.run(&[
            "for-each-ref",
            "--format=%(objectname) %(refname:lstrip=-1)",
        ]);
        let mut listed: Vec<String> = listed.lines().map(str::to_owned).collect();
        listed.retain(|line| !line.ends_with(" HEAD") && !line.ends_with(" commits"));
        listed.sort();
        listed.dedup();
        listed
    };
    source.run(&["branch", "-D", "side"]);
    source.run(&["tag", "-d", "light"]);
    work.run(&["checkout", "-q", "-b", "topic"]);
    work.commit_file(
        "topic", "x
",
    );
    work.run(&["push", "-q", "../source.git", "topic"]);
    source.run(&["tag", "-a", "-m", "new", "new", "topic"]);
    for _ in 0..2 {
        cache.refresh("source", &call).unwrap();
        assert_eq!(refs(&tree), refs(&source));
        check_tree(&entry.cache_path);
    }
    assert_eq!(number(&entry.cache_path), before, "its files are the same");
    // What somebody fetched there, and so is newer than what is packed, does not hide what comes.
    tree.run(&["update-ref", "refs/remotes/origin/topic", "HEAD"]);
    source.run(&["tag", "newer", "topic"]);
    cache.refresh("source", &call).unwrap();
    assert_eq!(refs(&tree), refs(&source));
    assert_ne!(number(&entry.cache_path), before);
    check_tree(&entry.cache_path);
    // A `.git` that leads elsewhere is not written into.
    let git = entry.cache_path.join(".git");
    let elsewhere = world.path("elsewhere");
    fs::rename(&git, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &git).unwrap();
    let packed = fs::read(elsewhere.join("packed-refs")).unwrap();
    source.run(&["tag", "newest", "topic"]);
    cache.refresh("source", &call).unwrap();
    assert_eq!(refs(&tree), refs(&source));
    assert_eq!(fs::read(elsewhere.join("packed-refs")).unwrap(), packed);
    check_tree(&entry.cache_path);
}
