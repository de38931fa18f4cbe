//! Multi-pack indexes: `pack` and `gc` leave one of all packs where there are several, which `git` reads too.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use packhouse_object::{Bitmapped, MultiPackIndex, ObjectId, bitmapped};
use packhouse_repo::store::{CommitOptions, GcOptions, NewContent, NoProgress, Snapshot, Store};

use super::place::{Place, open, write};

const NOW: GcOptions = GcOptions {
    grace: Duration::ZERO,
};

fn folder(place: &Place) -> PathBuf {
    place.path().join("objects/pack")
}

fn index(place: &Place) -> PathBuf {
    folder(place).join("multi-pack-index")
}

/// The names of the files beside the packs that begin or end so.
fn named(place: &Place, is_it: impl Fn(&str) -> bool) -> Vec<String> {
    let names = fs::read_dir(folder(place)).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| is_it(name)).collect();
    names.sort_unstable();
    names
}

fn packs(place: &Place) -> Vec<String> {
    named(place, |name| name.ends_with(".pack"))
}

/// What there is of a multi-pack index beside the index itself.
fn beside(place: &Place) -> Vec<String> {
    named(place, |name| name.starts_with("multi-pack-index-"))
}

/// So many commits more, in loose objects.
fn more(place: &Place, commits: usize) -> Snapshot {
    let mut snapshot = place.main();
    let first = snapshot.files("").unwrap().count();
    for number in first..first + commits {
        let text = format!("{number}\n").repeat(number + 1);
        snapshot = write(&snapshot, &format!("{}/f{number}", number % 3), text);
    }
    snapshot
}

/// Whether the index is about these packs, all of which are there, is as `git` wants it, and has bitmaps.
fn check_index(place: &Place, of: &[String], with_bitmap: bool) {
    let found = MultiPackIndex::open(&index(place)).unwrap().unwrap();
    assert!(found.is_intact());
    let names: BTreeSet<String> = found.pack_names().iter().cloned().collect();
    let idx = |pack: &String| pack.replace(".pack", ".idx");
    assert_eq!(names, of.iter().map(idx).collect());
    let bitmap = format!("multi-pack-index-{}.bitmap", found.checksum());
    let expected = if with_bitmap {
        vec![bitmap]
    } else {
        Vec::new()
    };
    assert_eq!(beside(place), expected);
    check_with_git(place);
    let store = open(place.path());
    let database = store.database().unwrap();
    let bitmapped = bitmapped(&database);
    match with_bitmap {
        true => assert!(matches!(bitmapped, Some(Bitmapped::Packs(_)))),
        false => assert!(bitmapped.is_none()),
    }
}

fn check_with_git(place: &Place) {
    place.git(&["multi-pack-index", "verify"]);
    place.fsck();
    let count = ["rev-list", "--count", "--objects", "--all"];
    let with = [&count[..], &["--use-bitmap-index"]].concat();
    assert_eq!(place.git(&with), place.git(&count));
}

fn clone(place: &Place) -> String {
    let to = tempfile::tempdir().unwrap();
    let to = to.path().join("clone.git");
    let arguments = ["clone", "-q", "--bare", "--no-local", "."];
    place.git(&[&arguments[..], &[to.to_str().unwrap()]].concat());
    let clone = to.to_str().unwrap();
    place.git(&["-C", clone, "fsck", "--full", "--strict"]);
    place.git(&["-C", clone, "rev-parse", "main"])
}

#[test]
fn packing_leaves_an_index_of_all_packs_and_gathering_them_none() {
    let place = Place::new();
    more(&place, 12);
    place.store.pack(&NoProgress).unwrap();
    assert!(!index(&place).exists());
    more(&place, 5);
    place.store.pack(&NoProgress).unwrap();
    assert_eq!(packs(&place).len(), 2);
    check_index(&place, &packs(&place), true);
    // Nothing has come, and nothing is done again.
    let before = fs::metadata(index(&place)).unwrap().ino();
    assert_eq!(place.store.pack(&NoProgress).unwrap(), 0);
    assert_eq!(fs::metadata(index(&place)).unwrap().ino(), before);
    // Objects in several packs, and tags of all that there is.
    place.git(&["tag", "-a", "-m", "x", "annotated", "main"]);
    place.git(&["tag", "tree", "main^{tree}"]);
    place.git(&["pack-objects", "-q", "--all", "objects/pack/pack"]);
    more(&place, 3);
    place.store.pack(&NoProgress).unwrap();
    assert_eq!(packs(&place).len(), 4);
    check_index(&place, &packs(&place), true);
    assert_eq!(clone(&place), place.main().commit().to_string());
    // A pack that comes by git is not in it, until the next time.
    let old = packs(&place);
    more(&place, 1);
    place.git(&["repack", "-q"]);
    assert_eq!(packs(&place).len(), 5);
    check_index(&place, &old, true);
    place.store.pack(&NoProgress).unwrap();
    check_index(&place, &packs(&place), true);

    let report = place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!((report.indexed, packs(&place).len()), (0, 1));
    assert!(!index(&place).exists() && beside(&place).is_empty());
    place.fsck();
}

#[test]
fn a_collection_that_leaves_several_packs_indexes_them() {
    let place = Place::new();
    more(&place, 12);
    place.store.pack(&NoProgress).unwrap();
    let kept = folder(&place).join(&packs(&place)[0]);
    File::create(kept.with_extension("keep")).unwrap();
    for _ in 0..2 {
        more(&place, 4);
        place.store.pack(&NoProgress).unwrap();
    }
    check_index(&place, &packs(&place), true);
    assert_eq!(packs(&place).len(), 3);
    let report = place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!((report.indexed, report.packs_removed), (2, 2));
    assert_eq!(packs(&place).len(), 2);
    check_index(&place, &packs(&place), true);
    assert_eq!(clone(&place), place.main().commit().to_string());
    let again = place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!((again.indexed, again.packed), (2, 0));
    fs::remove_file(kept.with_extension("keep")).unwrap();
    let report = place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!((report.indexed, packs(&place).len()), (0, 1));
    assert!(!index(&place).exists() && beside(&place).is_empty());
    place.fsck();
}

#[test]
fn settings_decide_whether_there_is_one_and_what_it_has() {
    let place = Place::new();
    place.git(&["config", "core.multiPackIndex", "false"]);
    for _ in 0..2 {
        more(&place, 4);
        place.store.pack(&NoProgress).unwrap();
    }
    assert!(packs(&place).len() == 2 && !index(&place).exists());
    place.git(&["config", "core.multiPackIndex", "true"]);
    place.git(&["config", "repack.writeBitmaps", "false"]);
    place.store.pack(&NoProgress).unwrap();
    check_index(&place, &packs(&place), false);
    place.git(&["config", "--unset", "repack.writeBitmaps"]);
    place.store.pack(&NoProgress).unwrap();
    check_index(&place, &packs(&place), true);
    // Without refs there is nothing that bitmaps could be about.
    let main = place.main().commit().to_string();
    place.git(&["update-ref", "-d", "refs/heads/main"]);
    fs::remove_file(index(&place)).unwrap();
    place.store.pack(&NoProgress).unwrap();
    check_index(&place, &packs(&place), false);
    place.git(&["update-ref", "refs/heads/main", &main]);
    place.store.pack(&NoProgress).unwrap();
    check_index(&place, &packs(&place), true);
}

#[test]
fn a_collection_that_leaves_one_pack_gives_it_bitmaps_as_git_does() {
    let place = Place::new();
    more(&place, 20);
    place.git(&["tag", "-a", "-m", "x", "annotated", "main"]);
    let bitmaps = || named(&place, |name| name.ends_with(".bitmap"));
    // Loose objects that come into a first pack are no collection, and wait for one.
    place.store.pack(&NoProgress).unwrap();
    assert_eq!(bitmaps(), Vec::<String>::new());
    place.git(&["config", "repack.writeBitmaps", "false"]);
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!(bitmaps(), Vec::<String>::new());
    place.git(&["config", "--unset", "repack.writeBitmaps"]);
    for multi in ["true", "false"] {
        place.git(&["config", "core.multiPackIndex", multi]);
        more(&place, 3);
        // The second time nothing is gathered.
        for _ in 0..2 {
            place.store.gc_with(&NOW, &NoProgress).unwrap();
            let packs = packs(&place);
            assert_eq!(packs.len(), 1);
            assert_eq!(bitmaps(), [packs[0].replace(".pack", ".bitmap")]);
            let path = folder(&place).join(&packs[0]);
            let mode = |path: PathBuf| fs::metadata(path).unwrap().mode();
            assert_eq!(mode(path.with_extension("bitmap")), mode(path.clone()));
            place.git(&["rev-list", "--use-bitmap-index", "--test-bitmap", "main"]);
            place.fsck();
            let count = ["rev-list", "--count", "--objects", "--all"];
            let with = [&count[..], &["--use-bitmap-index"]].concat();
            assert_eq!(place.git(&with), place.git(&count));
            let database = open(place.path()).database().unwrap();
            assert!(matches!(bitmapped(&database), Some(Bitmapped::Pack(_))));
            assert_eq!(clone(&place), place.main().commit().to_string());
            // One that went missing is made again.
            fs::remove_file(path.with_extension("bitmap")).unwrap();
        }
        place.store.gc_with(&NOW, &NoProgress).unwrap();
        assert_eq!(bitmaps().len(), 1);
    }
    // What somebody marked to be kept stays as it is.
    let kept = folder(&place).join(&packs(&place)[0]);
    fs::remove_file(kept.with_extension("bitmap")).unwrap();
    File::create(kept.with_extension("keep")).unwrap();
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!(bitmaps(), Vec::<String>::new());
}

#[test]
fn who_borrows_objects_gets_no_bitmaps() {
    let place = Place::new();
    more(&place, 6);
    let path = place.folder.path().join("borrowing.git");
    let arguments = ["clone", "--quiet", "--bare", "--shared", "."];
    place.git(&[&arguments[..], &[path.to_str().unwrap()]].concat());
    let store = open(&path);
    for number in 0..2 {
        let main = store.branches().get("main").unwrap();
        write(&main, &format!("there {number}"), "only there");
        store.pack(&NoProgress).unwrap();
    }
    let borrowing = Place {
        folder: tempfile::tempdir().unwrap(),
        store,
    };
    check_index(&borrowing, &packs(&borrowing), false);
}

#[test]
fn what_is_damaged_stale_or_left_behind_is_replaced() {
    let place = Place::new();
    for _ in 0..2 {
        more(&place, 5);
        place.store.pack(&NoProgress).unwrap();
    }
    let (good, bitmap) = (fs::read(index(&place)).unwrap(), beside(&place));
    let mut bad = good.clone();
    bad[good.len() / 2] ^= 1;
    fs::remove_file(index(&place)).unwrap();
    fs::write(index(&place), &bad).unwrap();
    // As a kill leaves it before an index gets its place, or after.
    let left = format!("multi-pack-index-{}.bitmap", "1".repeat(40));
    fs::write(folder(&place).join(left), b"left").unwrap();
    place.store.pack(&NoProgress).unwrap();
    assert_eq!(fs::read(index(&place)).unwrap(), good);
    check_index(&place, &packs(&place), true);
    assert_eq!(beside(&place), bitmap);
    fs::remove_file(folder(&place).join(&bitmap[0])).unwrap();
    place.store.pack(&NoProgress).unwrap();
    check_index(&place, &packs(&place), true);
    // Packs that it names are gone, as where a `git repack` had not seen it.
    more(&place, 1);
    place.git(&["repack", "-adq"]);
    more(&place, 1);
    place.git(&["repack", "-dq"]);
    fs::write(index(&place), &good).unwrap();
    assert!(
        !place
            .try_git(&["multi-pack-index", "verify"])
            .status
            .success()
    );
    place.store.pack(&NoProgress).unwrap();
    check_index(&place, &packs(&place), true);
    fs::remove_file(index(&place)).unwrap();
    fs::write(index(&place), &good).unwrap();
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    assert!(packs(&place).len() == 1 && !index(&place).exists());
    place.fsck();
}

#[test]
fn whoever_holds_the_lock_is_not_waited_for() {
    let place = Place::new();
    more(&place, 5);
    place.store.pack(&NoProgress).unwrap();
    more(&place, 5);
    let lock = folder(&place).join("multi-pack-index.lock");
    fs::write(&lock, b"").unwrap();
    let began = Instant::now();
    assert!(place.store.pack(&NoProgress).unwrap() > 0);
    assert!(began.elapsed() < Duration::from_secs(4));
    assert!(lock.exists() && !index(&place).exists());
    let left = fs::read_dir(place.path().join("objects")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with("tmp_")).count(), 0);
    fs::remove_file(&lock).unwrap();
    place.store.pack(&NoProgress).unwrap();
    assert!(!lock.exists());
    check_index(&place, &packs(&place), true);
}

#[test]
fn packs_get_reverse_indexes_where_git_gives_them_some() {
    let place = Place::new();
    place.git(&["config", "pack.writeReverseIndex", "true"]);
    let store = open(place.path());
    let of = |ending: &str| named(&place, |name| name.ends_with(ending));
    for _ in 0..2 {
        more(&place, 5);
        store.pack(&NoProgress).unwrap();
    }
    // A write of so many files is a pack of its own.
    let many = (0..60).map(|n| {
        let text = NewContent::Bytes(format!("{n}").into_bytes());
        (format!("many/{n}"), text, None)
    });
    let none: [&str; 0] = [];
    let main = store.branches().get("main").unwrap();
    main.apply(many, none, CommitOptions::default()).unwrap();
    assert_eq!(of(".pack").len(), 3);
    let check = || {
        for pack in of(".pack") {
            let pack = folder(&place).join(pack);
            let git = place.folder.path().join("git.idx");
            let arguments = ["index-pack", "--rev-index", "-o", git.to_str().unwrap()];
            place.git(&[&arguments[..], &[pack.to_str().unwrap()]].concat());
            let ours = fs::read(pack.with_extension("rev")).unwrap();
            assert_eq!(ours, fs::read(git.with_extension("rev")).unwrap());
            for made in ["idx", "rev"] {
                fs::remove_file(git.with_extension(made)).unwrap();
            }
        }
    };
    check();
    store.gc_with(&NOW, &NoProgress).unwrap();
    assert_eq!((of(".pack").len(), of(".rev").len()), (1, 1));
    check();
    place.fsck();
}

/// Not a test by itself: what the next one kills. Packs and collects without end.
#[test]
#[ignore = "run by another test"]
fn index_until_killed() {
    let Some(path) = std::env::var_os("PACKHOUSE_TEST_INDEXED_STORE") else {
        return;
    };
    let store = open(Path::new(&path));
    let mut snapshot = store.branches().get("main").unwrap();
    for round in 0u64.. {
        for file in 0..3 {
            let text = format!("{round} {file}").repeat(100);
            snapshot = write(&snapshot, &format!("{file}"), text);
        }
        store.pack(&NoProgress).unwrap();
        if round % 4 == 3 {
            store.gc_with(&NOW, &NoProgress).unwrap();
        }
    }
}

#[test]
fn a_kill_at_any_moment_leaves_an_index_of_packs_that_are_there() {
    let place = Place::new();
    let first = more(&place, 40);
    place.store.pack(&NoProgress).unwrap();
    let kept = folder(&place).join(&packs(&place)[0]);
    File::create(kept.with_extension("keep")).unwrap();
    let mut indexes = 0;
    for round in 0..25u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store_keep::multi_pack::index_until_killed",
                "--ignored",
                "--nocapture",
            ])
            .env("PACKHOUSE_TEST_INDEXED_STORE", place.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(60 + (round * 37) % 190));
        child.kill().unwrap();
        child.wait().unwrap();
        if let Ok(found) = MultiPackIndex::open(&index(&place)) {
            let found = found.unwrap();
            assert!(found.is_intact());
            for name in found.pack_names() {
                let idx = folder(&place).join(name);
                assert!(idx.exists() && idx.with_extension("pack").exists());
            }
            indexes += 1;
        }
        check_with_git(&place);
    }
    assert!(indexes > 0);
    assert_ne!(
        place.main().commit(),
        first.commit(),
        "the child came to work"
    );
    // What was left of a kill is replaced.
    more(&place, 1);
    place.store.pack(&NoProgress).unwrap();
    let whole = packs(&place).into_iter();
    let whole = whole.filter(|pack| folder(&place).join(pack).with_extension("idx").exists());
    check_index(&place, &whole.collect::<Vec<_>>(), true);
    place.store.gc_with(&NOW, &NoProgress).unwrap();
    check_with_git(&place);
}

#[test]
fn git_that_repacks_and_indexes_at_the_same_time_is_in_nobodys_way() {
    let place = Place::new();
    more(&place, 20);
    let until = Instant::now() + Duration::from_secs(6);
    let (mut written, mut packed) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let store = open(place.path());
            let mut snapshot = store.branches().get("main").unwrap();
            while Instant::now() < until {
                snapshot = write(
                    &snapshot,
                    &format!("w/{}", written % 7),
                    format!("{written}"),
                );
                written += 1;
            }
        });
        scope.spawn(|| {
            let store: Store = open(place.path());
            while Instant::now() < until {
                store.pack(&NoProgress).unwrap();
                // Whatever is there by now, all is found.
                let main = open(place.path()).branches().get("main").unwrap();
                assert!(main.files("").unwrap().all(|file| file.is_ok()));
                packed += 1;
            }
        });
        scope.spawn(|| {
            for round in 0.. {
                if Instant::now() > until {
                    break;
                }
                place.try_git(&["multi-pack-index", "write", "--bitmap"]);
                place.try_git(&["repack", "-dq"]);
                match round % 3 {
                    0 => place.try_git(&["repack", "-adbq"]),
                    1 => place.try_git(&["repack", "-dq", "--geometric=2", "--write-midx", "-b"]),
                    _ => place.try_git(&["gc", "--quiet"]),
                };
            }
        });
    });
    assert!(written > 10 && packed > 1, "{written} {packed}");
    more(&place, 1);
    place.store.pack(&NoProgress).unwrap();
    check_with_git(&place);
    let count = place.git(&["rev-list", "--count", "main"]);
    assert_eq!(count.parse::<usize>().unwrap(), written + 22);
}

#[test]
fn who_reads_while_git_and_a_collection_repack_misses_nothing() {
    let place = Place::new();
    more(&place, 20);
    let until = Instant::now() + Duration::from_secs(6);
    let (mut read, mut repacked, mut collected) = (0, 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Open all the time, so that what it knows of packs is old again and again.
            let store = open(place.path());
            while Instant::now() < until {
                let main = store.branches().get("main").unwrap();
                let database = store.database().unwrap();
                for file in main.files("").unwrap() {
                    let (path, ..) = file.unwrap();
                    assert!(!main.read(&path, 0, None).unwrap().is_empty());
                }
                // Nothing if git itself met a pack that was gone.
                let listed = place.try_git(&["rev-list", "--objects", "main"]).stdout;
                for line in String::from_utf8(listed).unwrap().lines() {
                    let id = ObjectId::from_hex(&line.as_bytes()[..40]).unwrap();
                    // One that came after this look is found all the same.
                    assert!(database.header(&id).unwrap().is_some(), "{line}");
                }
                read += 1;
            }
        });
        scope.spawn(|| {
            let store = open(place.path());
            let mut snapshot = store.branches().get("main").unwrap();
            for round in 0.. {
                if Instant::now() > until {
                    break;
                }
                snapshot = write(&snapshot, &format!("w/{}", round % 5), format!("{round}"));
                match round % 3 {
                    // `git gc` may hold the lock.
                    0 => collected += usize::from(store.gc_with(&NOW, &NoProgress).is_ok()),
                    _ => drop(store.pack(&NoProgress).unwrap()),
                }
            }
        });
        scope.spawn(|| {
            while Instant::now() < until {
                place.try_git(&["repack", "-dq"]);
                place.try_git(&["multi-pack-index", "write", "--bitmap"]);
                place.try_git(&["repack", "-adq"]);
                repacked += 1;
            }
        });
    });
    assert!(
        read > 0 && repacked > 0 && collected > 0,
        "{read} {repacked} {collected}"
    );
    place.fsck();
}
