//! Packs and collection: nothing in use is ever lost, whoever is at work beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use packhouse_repo::store::{GcOptions, NoProgress, Snapshot, Store, StoreErrorKind};

use super::place::{Place, open, write};

fn files_in(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

fn packs(store: &Store) -> Vec<PathBuf> {
    files_in(&store.path().join("objects/pack"), "pack")
}

fn loose_count(place: &Place) -> usize {
    let count = place.git(&["count-objects", "-v"]);
    let line = count.lines().find_map(|line| line.strip_prefix("count: "));
    line.unwrap().parse().unwrap()
}

/// A branch with some history, all of it loose.
fn history(place: &Place, commits: usize) -> Snapshot {
    let mut snapshot = place.main();
    for number in 0..commits {
        snapshot = write(
            &snapshot,
            &format!("folder/f{}", number % 5),
            format!("{number}\n").repeat(number),
        );
    }
    snapshot
}

/// Makes every file of the objects look that old.
fn age(place: &Place, by: Duration) {
    let mut folders = vec![place.path().join("objects")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                File::open(path)
                    .unwrap()
                    .set_modified(SystemTime::now() - by)
                    .unwrap();
            }
        }
    }
}

const NOW: GcOptions = GcOptions {
    grace: Duration::ZERO,
};

fn everything(snapshot: &Snapshot) -> Vec<(String, Vec<u8>)> {
    let files = snapshot.files("").unwrap();
    files
        .map(|file| {
            let (path, _, _) = file.unwrap();
            (path.to_string(), snapshot.read(&path, 0, None).unwrap())
        })
        .collect()
}

#[test]
fn packing_moves_what_is_in_use_and_leaves_the_rest_loose() {
    let place = Place::new();
    let last = history(&place, 30);
    let lost = place.git(&["hash-object", "-w", "config"]);
    let loose = loose_count(&place);
    let moved = place.store.pack(&NoProgress).unwrap();
    assert_eq!(moved as usize, loose - 1);
    assert_eq!((packs(&place.store).len(), loose_count(&place)), (1, 1));
    assert_eq!(place.git(&["cat-file", "-t", &lost]), "blob");
    assert_eq!(place.store.pack(&NoProgress).unwrap(), 0);
    assert_eq!(everything(&place.main()), everything(&last));
    assert_eq!(
        open(place.path()).branches().get("main").unwrap().commit(),
        last.commit()
    );
    place.fsck();

    let newer = write(&last, "new", "new");
    assert!(place.store.pack(&NoProgress).unwrap() >= 3);
    assert_eq!(packs(&place.store).len(), 2);
    assert_eq!(place.main().commit(), newer.commit());
    place.fsck();
}

#[test]
fn collecting_gathers_all_in_one_pack_and_removes_what_is_old_and_unnamed() {
    let place = Place::new();
    let last = history(&place, 20);
    place.store.pack(&NoProgress).unwrap();
    let last = write(&last, "more", "more");
    let lost = place.git(&["hash-object", "-w", "config"]);
    let count: u64 = place
        .git(&["rev-list", "--objects", "--all"])
        .lines()
        .count() as u64;

    let report = place
        .store
        .gc_with(&GcOptions::default(), &NoProgress)
        .unwrap();
    assert_eq!(
        (report.packed, report.pruned, report.packs_removed),
        (count, 0, 1)
    );
    assert_eq!((packs(&place.store).len(), loose_count(&place)), (1, 1));
    assert!(place.try_git(&["cat-file", "-e", &lost]).status.success());
    place.fsck();

    age(&place, Duration::from_secs(15 * 24 * 3600));
    let before = packs(&place.store);
    assert_eq!(place.store.gc(&NoProgress).unwrap(), 1);
    assert!(!place.try_git(&["cat-file", "-e", &lost]).status.success());
    assert_eq!(packs(&place.store), before, "nothing was to be gathered");
    assert_eq!(everything(&place.main()), everything(&last));
    assert!(!place.path().join("gc.pid").exists());
    place.fsck();
}

#[test]
fn a_pack_is_as_small_as_the_deltas_that_were_there() {
    let place = Place::new();
    history(&place, 60);
    place.git(&["repack", "-adq"]);
    let size = |place: &Place| fs::metadata(&packs(&place.store)[0]).unwrap().len();
    let of_git = size(&place);
    write(&place.main(), "more", "more");
    place.store.gc(&NoProgress).unwrap();
    assert!(
        size(&place) < of_git + 2000,
        "{} after {of_git}",
        size(&place)
    );
    place.fsck();
}

#[test]
fn unnamed_objects_in_packs_are_set_aside_until_they_are_old() {
    let place = Place::new();
    let kept = history(&place, 10);
    let branch = place.store.branches().set("doomed", &kept).unwrap();
    let doomed = write(&branch, "doomed", "x".repeat(5000));
    place.git(&["repack", "-adq"]);
    let id = doomed.commit().to_string();
    place.git(&["update-ref", "-d", "refs/heads/doomed"]);
    write(&place.main(), "again", "loose");

    let report = place
        .store
        .gc_with(&GcOptions::default(), &NoProgress)
        .unwrap();
    assert_eq!(
        (
            report.pruned,
            report.packs_removed,
            packs(&place.store).len()
        ),
        (0, 1, 2)
    );
    assert_eq!(place.git(&["cat-file", "-t", &id]), "commit");
    place.fsck();
    let again = place
        .store
        .gc_with(&GcOptions::default(), &NoProgress)
        .unwrap();
    assert_eq!(
        (again.packed, again.packs_removed),
        (0, 0),
        "all is in its place"
    );

    age(&place, Duration::from_secs(15 * 24 * 3600));
    let report = place
        .store
        .gc_with(&GcOptions::default(), &NoProgress)
        .unwrap();
    assert_eq!((report.pruned, packs(&place.store).len()), (3, 1));
    assert!(!place.try_git(&["cat-file", "-e", &id]).status.success());
    place.fsck();
}

#[test]
fn reflogs_tags_and_an_index_keep_what_they_name() {
    let place = Place::new();
    let first = history(&place, 5);
    let undone = write(&first, "undone", "still in the reflog");
    undone.undo(1).unwrap();
    place.git(&["tag", "-a", "-m", "x", "annotated", "main"]);
    let staged = place.git(&["hash-object", "-w", "config"]);
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert!(!place.try_git(&["cat-file", "-e", &staged]).status.success());
    place.git(&["cat-file", "-e", &format!("{}^{{tree}}", undone.commit())]);
    place.fsck();

    let staged = place.git(&["hash-object", "-w", "config"]);
    place.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("100644,{staged},config"),
    ]);
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    place.git(&["cat-file", "-e", &staged]);
    place.fsck();
}

#[test]
fn kept_packs_and_alternates_are_left_as_they_are() {
    let place = Place::new();
    let last = history(&place, 10);
    place.store.pack(&NoProgress).unwrap();
    let kept = packs(&place.store)[0].clone();
    File::create(kept.with_extension("keep")).unwrap();
    let last = write(&last, "more", "more");
    let report = place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!((report.packed, report.packs_removed), (3, 0));
    assert!(kept.exists() && packs(&place.store).len() == 2);
    place.fsck();

    let borrowing = place.folder.path().join("borrowing.git");
    let arguments = ["clone", "--quiet", "--bare", "--shared", "."];
    place.git(&[&arguments[..], &[borrowing.to_str().unwrap()]].concat());
    let store = open(&borrowing);
    let newer = write(
        &store.branches().get("main").unwrap(),
        "there",
        "only there",
    );
    store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!(packs(&store).len(), 1);
    assert_eq!(
        newer.read("more", 0, None).unwrap(),
        last.read("more", 0, None).unwrap()
    );
    let count = Command::new("git")
        .args(["count-objects", "-v"])
        .current_dir(&borrowing)
        .output();
    let count = String::from_utf8(count.unwrap().stdout).unwrap();
    assert!(count.contains("in-pack: 3\n"), "{count}");
    let fsck = Command::new("git")
        .args(["fsck", "--full", "--strict"])
        .current_dir(&borrowing)
        .status();
    assert!(fsck.unwrap().success());
}

#[test]
fn one_collection_at_a_time_and_locks_of_the_dead_are_taken_over() {
    let place = Place::new();
    history(&place, 3);
    let lock = place.path().join("gc.pid");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    fs::write(&lock, format!("{} {}", std::process::id(), host.trim())).unwrap();
    let refused = place.store.gc(&NoProgress).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Runtime);
    let git = place.try_git(&["gc", "--quiet"]);
    assert!(
        !git.status.success(),
        "{git:?} {:?}",
        fs::read_to_string(&lock)
    );

    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    fs::write(&lock, format!("{} {}", child.id(), host.trim())).unwrap();
    place.store.gc(&NoProgress).unwrap();
    assert!(!lock.exists());

    fs::write(&lock, "1 elsewhere").unwrap();
    place.store.gc(&NoProgress).unwrap_err();
    File::open(&lock)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(13 * 3600))
        .unwrap();
    place.store.gc(&NoProgress).unwrap();
    place.fsck();
}

#[test]
fn summaries_of_what_goes_are_forgotten() {
    let place = Place::new();
    let last = history(&place, 10);
    let doomed = write(
        &place.store.branches().set("doomed", &last).unwrap(),
        "d",
        "d",
    );
    place.git(&["repack", "-dq"]);
    place.git(&["commit-graph", "write", "--reachable"]);
    place.git(&["multi-pack-index", "write"]);
    place.git(&["update-server-info"]);
    place.git(&["update-ref", "-d", "refs/heads/doomed"]);
    write(&place.main(), "more", "more");
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert!(
        !place
            .try_git(&["cat-file", "-e", &doomed.commit().to_string()])
            .status
            .success()
    );
    let listed = fs::read_to_string(place.path().join("objects/info/packs")).unwrap();
    let name = packs(&place.store)[0]
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(listed, format!("P {name}\n\n"));
    place.fsck();
    place.git(&["log", "--oneline", "--all"]);
}

#[test]
fn writers_git_and_collections_beside_each_other_lose_nothing() {
    let place = Place::new();
    history(&place, 10);
    let until = Instant::now() + Duration::from_secs(6);
    let writer = |name: &str, rounds: &mut usize| {
        let store = open(place.path());
        let mut snapshot = store
            .branches()
            .set(name, &store.branches().get("main").unwrap())
            .unwrap();
        while Instant::now() < until {
            snapshot = write(
                &snapshot,
                &format!("{name}/{}", *rounds % 7),
                format!("{rounds}"),
            );
            // Every object of the branch, as somebody sees it who opens the store only now.
            if rounds.is_multiple_of(10) {
                assert!(!everything(&open(place.path()).branches().get(name).unwrap()).is_empty());
            }
            *rounds += 1;
        }
    };
    let (mut a, mut b, mut gcs) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| writer("a", &mut a));
        scope.spawn(|| writer("b", &mut b));
        scope.spawn(|| {
            let store = open(place.path());
            while Instant::now() < until {
                // `git gc` may hold the lock.
                gcs += usize::from(store.gc_with(&NOW, &NoProgress).is_ok());
                store.pack(&NoProgress).unwrap();
            }
        });
        scope.spawn(|| {
            while Instant::now() < until {
                place.try_git(&["-c", "gc.pruneExpire=1.hour.ago", "gc", "--quiet"]);
                place.try_git(&["repack", "-dq"]);
            }
        });
    });
    assert!(a > 10 && b > 10 && gcs > 0, "{a} {b} {gcs}");
    // A multi-pack index that came while git was removing packs is replaced.
    place.store.pack(&NoProgress).unwrap();
    place.fsck();
    let count = |name: &str| {
        place
            .git(&["rev-list", "--count", name])
            .parse::<usize>()
            .unwrap()
    };
    assert_eq!(
        (count("a"), count("b")),
        (count("main") + a, count("main") + b)
    );
}

#[test]
fn a_collection_packs_the_refs() {
    let place = Place::new();
    let last = history(&place, 3);
    let branches = place.store.branches();
    for n in 0..40 {
        branches.set(&format!("team/{n}"), &last).unwrap();
    }
    place.store.tags().set("v1", &last).unwrap();
    place.git(&["tag", "-m", "annotated", "v2", "main"]);
    place.git(&["symbolic-ref", "refs/heads/alias", "refs/heads/team/7"]);
    place.git(&["update-ref", "refs/bisect/bad", "main"]);
    let lock = place.path().join("refs/heads/team/9.lock");
    fs::write(&lock, b"").unwrap();
    let listed = [
        "for-each-ref",
        "--format=%(refname) %(objectname) %(*objectname)",
    ];
    let before = place.git(&listed);

    let report = place
        .store
        .gc_with(&GcOptions::default(), &NoProgress)
        .unwrap();
    assert_eq!(report.refs_packed, 1 + 39 + 2);
    assert_eq!(place.git(&listed), before);
    let is_file = |name: &str| place.path().join(name).is_file();
    for loose in ["refs/heads/team/9", "refs/heads/alias", "refs/bisect/bad"] {
        assert!(is_file(loose), "{loose}");
    }
    for packed in ["refs/heads/main", "refs/heads/team/7", "refs/tags/v2"] {
        assert!(!is_file(packed), "{packed}");
    }
    assert!(
        fs::read_to_string(place.path().join("packed-refs"))
            .unwrap()
            .contains("\n^")
    );
    fs::remove_file(lock).unwrap();
    let next = write(&branches.get("team/7").unwrap(), "more", "1");
    assert_eq!(
        place.git(&["rev-parse", "alias"]),
        next.commit().to_string()
    );
    assert_eq!(branches.reflog("main").unwrap().len(), 3);
    assert_eq!(
        place.main().undo(1).unwrap().commit(),
        last.parent().unwrap().unwrap().commit()
    );
    let again = place
        .store
        .gc_with(&GcOptions::default(), &NoProgress)
        .unwrap();
    assert_eq!(again.refs_packed, 3);
    place.fsck();
}

/// Not a test by itself: what the next one kills. Packs and collects without end.
#[test]
#[ignore = "run by another test"]
fn work_until_killed() {
    let Some(path) = std::env::var_os("PACKHOUSE_TEST_KILLED_STORE") else {
        return;
    };
    let store = open(Path::new(&path));
    let mut snapshot = store.branches().get("main").unwrap();
    for round in 0u64.. {
        for file in 0..5 {
            snapshot = write(
                &snapshot,
                &format!("{file}"),
                format!("{round} {file}").repeat(200),
            );
        }
        if round % 2 == 0 {
            store.pack(&NoProgress).unwrap();
        }
        store.gc_with(&NOW, &NoProgress).unwrap();
    }
}

#[test]
fn a_kill_at_any_moment_loses_nothing() {
    let place = Place::new();
    let first = history(&place, 40);
    let mut last = first.commit().to_string();
    for round in 0..25u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store_keep::pack::work_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("PACKHOUSE_TEST_KILLED_STORE", place.path())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + (round * 37) % 190));
        child.kill().unwrap();
        child.wait().unwrap();
        place.fsck();
        let now = place.git(&["rev-parse", "main"]);
        place.git(&["merge-base", "--is-ancestor", &last, &now]);
        last = now;
    }
    assert_ne!(last, first.commit().to_string(), "the child came to work");
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    // One that a kill left without its index is none.
    let mut packs = packs(&place.store);
    packs.retain(|pack| pack.with_extension("idx").exists());
    assert_eq!(packs.len(), 1);
    place.fsck();
}

#[test]
fn a_loose_object_that_is_another_one_is_neither_packed_nor_removed() {
    // In one piece, and in many.
    for size in [100, 200_000] {
        let place = Place::new();
        let snapshot = write(&place.main(), "good", vec![b'g'; size]);
        let snapshot = write(&snapshot, "bad", vec![b'b'; size]);
        let file = |path: &str| {
            let hex = snapshot.entry(path).unwrap().unwrap().id.to_string();
            let objects = place.path().join("objects");
            (objects.join(&hex[..2]).join(&hex[2..]), hex)
        };
        let ((good, _), (bad, id)) = (file("good"), file("bad"));
        fs::remove_file(&bad).unwrap();
        fs::copy(&good, &bad).unwrap();
        let damaged = fs::read(&bad).unwrap();

        let store = open(place.path());
        let errors = [
            store.pack(&NoProgress).unwrap_err(),
            store
                .gc_with(&GcOptions::default(), &NoProgress)
                .unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains(&id), "{size}: {error}");
        }
        assert_eq!(fs::read(&bad).unwrap(), damaged);
        assert!(good.exists());
        assert_eq!(packs(&store), Vec::<PathBuf>::new());
    }
}

/// What it named would be dropped, as nothing else names it; `git gc` refuses too.
#[test]
fn nothing_is_collected_while_a_ref_cannot_be_read() {
    let place = Place::new();
    let snapshot = history(&place, 3);
    place.git(&[
        "update-ref",
        "refs/heads/lost",
        &snapshot.commit().to_string(),
    ]);
    write(&place.main(), "more", "more\n");
    let file = place.path().join("refs/heads/lost");
    let before = fs::read(&file).unwrap();
    fs::write(&file, "").unwrap();
    age(&place, Duration::from_secs(60 * 24 * 3600));
    let refused = place.store.gc(&NoProgress).unwrap_err().to_string();
    assert!(refused.contains("refs/heads/lost` is damaged"), "{refused}");
    place.store.check_refs().unwrap_err();
    fs::write(&file, before).unwrap();
    place.store.gc(&NoProgress).unwrap();
    place.git(&["fsck", "--full", "--strict"]);
}
