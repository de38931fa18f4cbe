use std::cell::Cell;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use packhouse_repo::store::WriteOptions;

use super::super::publish::{Old, publish};
use super::super::staging::sweep;
use super::super::test_world::TestWorld;
use super::super::{Cache, CacheConfig, CacheStatus, CallOptions, trash};
use super::*;

const ROOT: &str = "PACKHOUSE_TEST_CACHE";
const ENTRY: &str = "PACKHOUSE_TEST_ENTRY";
const STEP: &str = "PACKHOUSE_TEST_STEP";
const SOMEBODY: &str = "PACKHOUSE_TEST_SOMEBODY";

/// How trees can take each other's place, and where a process can be killed then.
const MOMENTS: [(&str, Step, bool); 5] = [
    ("at once", Step::Intended, false),
    ("at once", Step::Exchanged, true),
    ("by steps", Step::Intended, false),
    ("by steps", Step::Aside, false),
    ("by steps", Step::Placed, true),
];

#[test]
#[ignore = "the other tests run it in a process of its own"]
fn refresh_that_is_killed() {
    let of = |name| std::env::var(name).unwrap();
    let (root, step) = (PathBuf::from(of(ROOT)), of(STEP));
    let (how, step) = step.split_once('/').unwrap();
    let (step, entry) = (step.to_owned(), of(ENTRY));
    let cache = Cache::open(CacheConfig::at(&root)).unwrap();
    let somebody = std::env::var(SOMEBODY).is_ok();
    let place = root.join(&entry);
    probe::set(how == "by steps", move |reached| {
        if somebody && reached == Step::Intended {
            put_own_folder(&place);
        }
        if format!("{reached:?}") == step {
            std::process::abort();
        }
    });
    let _ = cache.refresh(&entry, &CallOptions::default());
}

/// Refreshes an entry in a process that ends at a moment.
fn refresh_and_kill(cache: &Cache, entry: &str, how: &str, step: Step, somebody: bool) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "cache::replace::tests::refresh_that_is_killed";
    command
        .args(["--exact", name, "--ignored"])
        .env(ROOT, cache.root())
        .env(ENTRY, entry)
        .env(STEP, format!("{how}/{step:?}"));
    if somebody {
        command.env(SOMEBODY, "");
    }
    let ended = command.output().unwrap();
    assert_eq!(ended.status.code(), None, "{how}, {step:?}: {ended:?}");
}

/// As somebody would who knows nothing of the cache.
fn put_own_folder(place: &Path) {
    fs::rename(place, place.with_extension("moved-away")).unwrap();
    fs::create_dir(place).unwrap();
    fs::write(place.join("precious"), "theirs").unwrap();
}

fn open_again(cache: &Cache) -> Cache {
    Cache::open(cache.config().clone()).unwrap()
}

/// Copies of a repository and of a directory, which have `old` in `file`, while their sources have `new`.
fn with_news() -> (TestWorld, PathBuf) {
    let world = TestWorld::new();
    let write = |text: &str| {
        let tip = world.remote.branches().get("main").unwrap();
        tip.write("file", text.as_bytes(), &WriteOptions::default())
            .unwrap();
    };
    let plain = world.cache.root().join("../plain");
    fs::create_dir(&plain).unwrap();
    let plain = fs::canonicalize(plain).unwrap();
    let call = CallOptions::default();
    write("old");
    fs::write(plain.join("file"), "old").unwrap();
    world.cache.refresh("remote", &call).unwrap();
    let source = plain.to_str().unwrap();
    world.cache.add(source, None, &call).unwrap();
    // What was replaced so far is nobody's.
    sweep(&world.inner.root, Duration::ZERO);
    write("new");
    fs::write(plain.join("file"), "new").unwrap();
    (world, plain)
}

/// All trees that were replaced and are kept.
fn kept(root: &Root) -> Vec<PathBuf> {
    let folders = ["trash", "spares"].map(|name| fs::read_dir(root.own(name)).unwrap());
    let folders = folders.into_iter().flatten();
    folders.map(|folder| folder.unwrap().path()).collect()
}

fn old_files(root: &Root) -> usize {
    let files = kept(root).into_iter().flat_map(|folder| {
        [super::OLD, "tree"].map(|tree| fs::read(folder.join(tree).join("file")))
    });
    files.flatten().filter(|text| text == b"old").count()
}

fn is_at_rest(root: &Root) -> bool {
    fs::read_dir(root.own("staging")).unwrap().next().is_none()
}

#[test]
fn a_kill_at_any_moment_leaves_a_tree_at_the_place_and_the_old_one_to_its_readers() {
    for entry in ["remote", "plain"] {
        for (how, step, is_new) in MOMENTS {
            let what = format!("{entry} {how}, {step:?}");
            let (world, _) = with_news();
            let root = &world.inner.root;
            let place = world.cache.root().join(entry);
            let before = old_files(root);
            let reader = File::open(&place).unwrap();
            let counted = trash::Weights::default().total(root, &|_| true);
            refresh_and_kill(&world.cache, entry, how, step, false);
            let cache = open_again(&world.cache);
            let text = fs::read_to_string(place.join("file")).unwrap();
            assert_eq!(text, if is_new { "new" } else { "old" }, "{what}");
            let found = cache.list().unwrap();
            let found = found.iter().find(|found| found.name == entry).unwrap();
            assert_ne!(found.status, CacheStatus::Missing, "{what}");
            assert!(is_at_rest(root), "{what}");
            assert_eq!(old_files(root) - before, usize::from(is_new), "{what}");
            assert_eq!(
                trash::Weights::default().total(root, &|_| true) > counted,
                is_new,
                "{what}"
            );
            // The very folder that the reader has open.
            let read = format!(
                "/proc/self/fd/{}/file",
                std::os::fd::AsRawFd::as_raw_fd(&reader)
            );
            assert_eq!(fs::read(read).unwrap(), b"old", "{what}");
            let done = cache.refresh(entry, &CallOptions::default()).unwrap();
            assert_eq!(done.status, CacheStatus::Fresh, "{what}");
            assert_eq!(fs::read(place.join("file")).unwrap(), b"new", "{what}");
        }
    }
}

#[test]
fn who_has_the_cache_open_gets_what_a_killed_process_took_away() {
    let (world, _) = with_news();
    refresh_and_kill(&world.cache, "remote", "by steps", Step::Aside, false);
    assert!(!world.cache.root().join("remote").exists());
    let entry = world.cache.get("remote").unwrap();
    assert_eq!(fs::read(entry.cache_path.join("file")).unwrap(), b"old");
}

#[test]
fn a_refresh_puts_back_what_a_killed_process_took_away_before_it_asks_anybody() {
    let (world, plain) = with_news();
    refresh_and_kill(&world.cache, "plain", "by steps", Step::Aside, false);
    fs::remove_dir_all(plain).unwrap();
    world
        .cache
        .refresh("plain", &CallOptions::default())
        .unwrap_err();
    let text = fs::read(world.cache.root().join("plain/file")).unwrap();
    assert_eq!(text, b"old");
}

#[test]
fn the_old_tree_of_an_entry_that_was_removed_since_does_not_come_back() {
    let (world, _) = with_news();
    refresh_and_kill(&world.cache, "plain", "by steps", Step::Aside, false);
    world
        .cache
        .remove("plain", &CallOptions::default())
        .unwrap();
    let cache = open_again(&world.cache);
    assert!(!cache.root().join("plain").exists());
    assert_eq!(old_files(&world.inner.root), 1);
    assert!(is_at_rest(&world.inner.root));
}

#[test]
fn work_that_goes_on_is_not_interfered_with() {
    let (world, _) = with_news();
    let cache = world.cache.clone();
    let root = world.inner.root.clone();
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    probe::set(true, move |step| {
        let other = open_again(&cache);
        if step == Step::Aside {
            assert!(!other.root().join("remote").exists());
        }
        assert!(!is_at_rest(&root));
        count.set(count.get() + 1);
    });
    let done = world.cache.refresh("remote", &CallOptions::default());
    assert_eq!(done.unwrap().status, CacheStatus::Fresh);
    assert_eq!(seen.get(), 3);
}

#[test]
fn what_somebody_puts_at_the_place_meanwhile_stays_there() {
    for by_steps in [false, true] {
        for entry in ["remote", "plain"] {
            let (world, _) = with_news();
            let place = world.cache.root().join(entry);
            let theirs = place.clone();
            probe::set(by_steps, move |step| {
                if step == Step::Intended {
                    put_own_folder(&theirs);
                }
            });
            let refused = world.cache.refresh(entry, &CallOptions::default());
            probe::set(false, |_| {});
            let refused = refused.unwrap_err();
            assert!(matches!(refused, CacheError::Occupied { .. }), "{refused}");
            assert_eq!(fs::read(place.join("precious")).unwrap(), b"theirs");
            assert!(is_at_rest(&world.inner.root));
        }
    }
    let moments = MOMENTS
        .into_iter()
        .filter(|(_, step, _)| *step != Step::Placed);
    for (how, step, _) in moments {
        let (world, _) = with_news();
        refresh_and_kill(&world.cache, "remote", how, step, true);
        let cache = open_again(&world.cache);
        let place = cache.root().join("remote");
        let text = fs::read(place.join("precious"));
        assert_eq!(text.unwrap(), b"theirs", "{how}, {step:?}");
        assert!(is_at_rest(&world.inner.root), "{how}, {step:?}");
    }
}

#[test]
fn a_replaced_tree_that_cannot_be_moved_away_stays_for_its_readers() {
    for entry in ["remote", "plain"] {
        let (world, _) = with_news();
        let root = &world.inner.root;
        let before = old_files(root);
        let folders = ["trash", "spares"].map(|name| root.own(name));
        let aside = folders.clone().map(|folder| folder.with_extension("aside"));
        for (folder, aside) in folders.iter().zip(&aside) {
            fs::rename(folder, aside).unwrap();
            fs::write(folder, "").unwrap();
        }
        let call = CallOptions::default();
        let done = world.cache.refresh(entry, &call).unwrap();
        assert_eq!(done.status, CacheStatus::Fresh);
        for (folder, aside) in folders.iter().zip(&aside) {
            fs::remove_file(folder).unwrap();
            fs::rename(aside, folder).unwrap();
        }
        let counted = trash::Weights::default().total(root, &|_| true);
        open_again(&world.cache);
        assert_eq!(old_files(root), before + 1, "{entry}");
        assert!(
            trash::Weights::default().total(root, &|_| true) > counted,
            "{entry}"
        );
        assert!(is_at_rest(root));
    }
}

#[test]
fn where_the_new_tree_cannot_come_the_old_one_stays() {
    let world = TestWorld::new();
    let mut record = world.record();
    let root = &world.inner.root;
    let staging = Staging::to_replace(root).unwrap();
    fs::create_dir(staging.tree()).unwrap();
    let mut next = record.kept.tree.clone().unwrap();
    next.identity = Identity::of(&staging.tree()).unwrap();
    next.id = "0123456789abcdef0123456789abcdef".to_owned();
    let new = staging.tree();
    probe::set(true, move |step| {
        if step == Step::Aside {
            fs::remove_dir(&new).unwrap();
        }
    });
    publish(
        &world.inner,
        &mut record,
        staging,
        next,
        Old::Read { shared_bytes: 0 },
    )
    .unwrap_err();
    assert!(world.cache.root().join("remote/file").exists());
    assert!(is_at_rest(root));
}
