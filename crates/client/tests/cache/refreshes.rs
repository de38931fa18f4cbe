//! What a refresh of a repository writes, and what it takes over from trees before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use packhouse_client::cache::{Cache, CacheConfig, CallOptions, Entry};

use super::{add, check_tree, config, files, open};
use crate::git::{Git, init};
use crate::world::World;

/// A repository that grows by a commit at a time, and a copy of it.
struct Growing {
    world: World,
    work: Git,
    cache: Cache,
    commits: usize,
}

impl Growing {
    /// With so much time for readers of a tree that was replaced.
    fn new(grace: Duration) -> Growing {
        let world = World::new();
        let work = init(&world.path("work"));
        for (path, content) in [
            ("same", "same\n".to_owned()),
            ("deep/er/same", "deep\n".to_owned()),
            ("deep/run.sh", "#!/bin/sh\n".to_owned()),
            ("large", "x".repeat(100_000)),
        ] {
            let path = work.dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(work.dir.join("deep/run.sh"), run).unwrap();
        std::os::unix::fs::symlink("same", work.dir.join("link")).unwrap();
        let cache = Cache::open(CacheConfig {
            grace,
            ..config(&world.path("cache"))
        })
        .unwrap();
        Growing {
            world,
            work,
            cache,
            commits: 0,
        }
    }

    /// Makes a commit and brings the copy up to date.
    fn grow(&mut self) -> Entry {
        self.commits += 1;
        fs::write(self.work.dir.join("changing"), self.commits.to_string()).unwrap();
        self.work.run(&["add", "."]);
        self.work.run(&["commit", "-q", "-m", "x"]);
        // So that the tree before has been unread for some time.
        std::thread::sleep(Duration::from_millis(5));
        let source = self.work.dir.join(".git");
        let entry = add(&self.cache, &format!("file://{}", source.display()));
        check_tree(&entry.cache_path);
        assert_eq!(files(&entry.cache_path), files(&self.work.dir));
        entry
    }

    /// Where the tree before is kept, if one is.
    fn spare(&self) -> Option<PathBuf> {
        let spares = fs::read_dir(self.cache.root().join(".packhouse/spares")).unwrap();
        let mut spares = spares.map(|spare| spare.unwrap().path().join("tree"));
        spares.next()
    }
}

/// Which file is at each path, whatever its name.
fn numbers(tree: &Path) -> BTreeMap<PathBuf, u64> {
    let number = |path: PathBuf| {
        let found = fs::symlink_metadata(tree.join(&path)).unwrap();
        (path, found.ino())
    };
    files(tree)
        .into_iter()
        .map(|(path, _)| number(path))
        .collect()
}

/// On file systems that share blocks no tree is kept, and there is nothing to see here.
#[test]
fn a_refresh_writes_only_what_changed() {
    let mut growing = Growing::new(Duration::ZERO);
    let first = numbers(&growing.grow().cache_path);
    let second = numbers(&growing.grow().cache_path);
    let Some(spare) = growing.spare() else { return };
    assert_eq!(numbers(&spare), first);
    let third = numbers(&growing.grow().cache_path);
    for name in ["same", "deep/er/same", "deep/run.sh", "large"] {
        assert_eq!(third[Path::new(name)], first[Path::new(name)], "{name}");
        assert_ne!(third[Path::new(name)], second[Path::new(name)], "{name}");
    }
    // A file that went out of one tree is in no other.
    assert_eq!(numbers(&growing.spare().unwrap()), second);
    growing.work.run(&["rm", "-q", "-r", "deep"]);
    let fourth = numbers(&growing.grow().cache_path);
    assert_eq!(fourth[Path::new("same")], second[Path::new("same")]);
}

#[test]
fn what_somebody_did_to_a_tree_does_not_come_back() {
    let mut growing = Growing::new(Duration::ZERO);
    let tree = growing.grow().cache_path;
    let elsewhere = growing.world.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    // Of the same length, with the time that it had.
    let same = tree.join("same");
    let modified = fs::metadata(&same).unwrap().modified().unwrap();
    fs::write(&same, "SAME\n").unwrap();
    let file = fs::File::options().write(true).open(&same).unwrap();
    file.set_times(fs::FileTimes::new().set_modified(modified))
        .unwrap();
    // A file that can be written into by another name, and a folder that is elsewhere.
    fs::hard_link(tree.join("large"), elsewhere.join("large")).unwrap();
    fs::rename(tree.join("deep"), elsewhere.join("deep")).unwrap();
    std::os::unix::fs::symlink(elsewhere.join("deep"), tree.join("deep")).unwrap();
    let before = numbers(&elsewhere);
    growing.grow();
    let third = numbers(&growing.grow().cache_path);
    assert_ne!(third[Path::new("large")], before[Path::new("large")]);
    assert_eq!(numbers(&elsewhere), before);
}

#[test]
fn readers_keep_their_trees_however_often_there_are_newer_ones() {
    let mut growing = Growing::new(Duration::from_secs(600));
    let place = growing.grow().cache_path;
    let mut readers = Vec::new();
    for _ in 0..3 {
        readers.push((fs::File::open(&place).unwrap(), files(&place)));
        growing.grow();
    }
    for (folder, expected) in &readers {
        use std::os::fd::AsRawFd;
        let path = PathBuf::from(format!("/proc/self/fd/{}/.", folder.as_raw_fd()));
        assert_eq!(&files(&path), expected);
    }
}

#[test]
fn a_tree_that_only_spares_work_counts_and_goes_before_an_entry() {
    let mut growing = Growing::new(Duration::ZERO);
    growing.grow();
    let one = growing.cache.stats().unwrap().total_size_bytes;
    growing.grow();
    if growing.spare().is_none() {
        return;
    }
    let both = growing.cache.stats().unwrap().total_size_bytes;
    assert!(both > one + 100_000, "{both} {one}");
    let small = Cache::open(CacheConfig {
        max_bytes: both + 10_000,
        grace: Duration::ZERO,
        ..config(growing.cache.root())
    })
    .unwrap();
    let plain = growing.world.path("plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("file"), vec![b'x'; 50_000]).unwrap();
    add(&small, plain.to_str().unwrap());
    assert_eq!(small.list().unwrap().len(), 2);
    assert_eq!(growing.spare(), None);
    assert!(small.stats().unwrap().total_size_bytes < both);
    // Where there is no room for two trees, one is enough.
    growing.cache = small;
    growing.grow();
    assert_eq!(growing.spare(), None);
    assert_eq!(growing.cache.list().unwrap().len(), 2);
}

/// Whether somebody may still read it or not, an entry that fits without its spare tree is brought up to date.
#[test]
fn a_spare_tree_leaves_room_for_the_next_one_of_its_entry() {
    for grace in [Duration::ZERO, Duration::from_secs(600)] {
        let mut growing = Growing::new(grace);
        growing.grow();
        let one = growing.cache.stats().unwrap().total_size_bytes;
        growing.grow();
        growing.cache = Cache::open(CacheConfig {
            max_bytes: one + 20_000,
            grace,
            ..config(growing.cache.root())
        })
        .unwrap();
        growing.grow();
        assert_eq!(growing.spare(), None);
        assert!(growing.cache.stats().unwrap().total_size_bytes <= one + 20_000);
    }
}

#[test]
fn a_spare_tree_goes_with_its_entry() {
    let mut growing = Growing::new(Duration::ZERO);
    let call = CallOptions::default();
    growing.grow();
    let name = growing.grow().name;
    growing.cache.remove(&name, &call).unwrap();
    assert_eq!(growing.spare(), None);
    assert_eq!(growing.cache.stats().unwrap().total_size_bytes, 0);
    // Also one whose entry went in another way.
    let orphan = growing.cache.root().join(".packhouse/spares/orphan/tree");
    fs::create_dir_all(&orphan).unwrap();
    open(&growing.world);
    assert_eq!(growing.spare(), None);
}

#[test]
fn who_has_a_lease_keeps_what_was_replaced_also_where_others_get_no_time() {
    let world = World::new();
    let plain = world.path("plain");
    fs::create_dir(&plain).unwrap();
    fs::write(plain.join("file"), "old").unwrap();
    let open = || {
        Cache::open(CacheConfig {
            grace: Duration::ZERO,
            ..config(&world.path("cache"))
        })
        .unwrap()
    };
    let cache = open();
    add(&cache, &plain.display().to_string());
    let call = CallOptions::default();
    let lease = cache.lease("plain", &call).unwrap();
    fs::write(plain.join("file"), "the new one").unwrap();
    let entry = cache.refresh("plain", &call).unwrap();
    assert_eq!(
        fs::read(entry.cache_path.join("file")).unwrap(),
        b"the new one"
    );
    // What is in the trash once another process has cleaned up.
    let kept = || {
        std::thread::sleep(Duration::from_millis(5));
        let trash = fs::read_dir(open().root().join(".packhouse/trash")).unwrap();
        let trees = trash.map(|tree| fs::read(tree.unwrap().path().join("tree/file")).unwrap());
        trees.collect::<Vec<_>>()
    };
    assert_eq!(kept(), [b"old"]);
    drop(lease);
    assert!(kept().is_empty());
}
