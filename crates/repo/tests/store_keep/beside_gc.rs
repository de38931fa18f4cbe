//! Writes while `git gc --prune=now` runs again and again: it removes what is young, too.

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use packhouse_repo::store::{Batch, Durability, Store, StoreOptions, WriteOptions};

use super::place::{Place, write};

const LASTS: Duration = Duration::from_secs(5);

fn collecting(place: &Place, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                place.try_git(&["gc", "--quiet", "--prune=now"]);
            }
        });
        work();
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn small_writes_are_there_and_stay_there() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let place = Place::new();
        let options = StoreOptions {
            durability,
            ..StoreOptions::default()
        };
        let store = Store::open(place.path(), options).unwrap();
        let mut snapshot = store.branches().get("main").unwrap();
        let mut written = 0;
        let until = Instant::now() + LASTS;
        collecting(&place, || {
            while Instant::now() < until {
                snapshot = write(
                    &snapshot,
                    &format!("folder/f{}", written % 7),
                    format!("{written}"),
                );
                written += 1;
            }
        });
        assert!(written > 10, "{written}");
        place.fsck();
        let count = place.git(&["rev-list", "--count", "main"]);
        assert_eq!(count.parse::<usize>().unwrap(), written + 1);
    }
}

/// More files than are stored as such.
fn write_many(batch: &mut Batch, round: usize) {
    for number in 0..80 {
        let text = format!("{round} {number}");
        batch
            .write(format!("b/{number}"), text.as_bytes(), None)
            .unwrap();
    }
}

#[test]
fn packed_refs_notes_batches_and_large_files_too() {
    let place = Place::new();
    let notes = place.store.notes("commits").unwrap();
    let mut snapshot = place.main();
    let until = Instant::now() + LASTS;
    let large = vec![7; 9 << 20];
    let mut rounds = 0;
    collecting(&place, || {
        while Instant::now() < until {
            let mut batch = snapshot.batch(Default::default()).unwrap();
            write_many(&mut batch, rounds);
            snapshot = batch.commit().unwrap();
            let mut content = large.clone();
            content.extend(format!("{rounds}").into_bytes());
            snapshot = snapshot
                .write("large", &content, &WriteOptions::default())
                .unwrap();
            let commit = snapshot.commit().to_string();
            notes.set(&commit, &format!("round {rounds}")).unwrap();
            place.store.branches().set("other", &snapshot).unwrap();
            rounds += 1;
        }
    });
    assert!(rounds > 1, "{rounds}");
    place.fsck();
    let count = place.git(&["rev-list", "--count", "main"]);
    assert_eq!(count.parse::<usize>().unwrap(), 2 * rounds + 1);
    let count = place.git(&["rev-list", "--count", "refs/notes/commits"]);
    assert_eq!(count.parse::<usize>().unwrap(), rounds);
}

/// A collection of another machine, of which nothing more is known.
fn begin_elsewhere(place: &Place) {
    fs::write(place.path().join("gc.pid"), "1 elsewhere").unwrap();
}

#[test]
fn a_pack_gets_a_second_name_and_is_not_copied() {
    let place = Place::new();
    let snapshot = place.main();
    begin_elsewhere(&place);
    let mut batch = snapshot.batch(Default::default()).unwrap();
    write_many(&mut batch, 0);
    batch.commit().unwrap();
    let packs = fs::read_dir(place.path().join("objects/pack")).unwrap();
    let packs: Vec<_> = packs
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "pack"))
        .map(|entry| entry.metadata().unwrap())
        .collect();
    let twice: Vec<_> = packs.iter().filter(|pack| pack.nlink() == 2).collect();
    assert_eq!(twice.len(), 2, "{packs:?}");
    assert_eq!(twice[0].ino(), twice[1].ino());
    place.fsck();
}

#[test]
fn a_write_that_cannot_be_secured_says_that_the_ref_moved() {
    let place = Place::new();
    let snapshot = place.main();
    begin_elsewhere(&place);
    let packs = place.path().join("objects/pack");
    fs::remove_dir_all(&packs).unwrap();
    fs::write(&packs, "in the way").unwrap();
    let failed = snapshot.write("f", b"content", &WriteOptions::default());
    let failed = failed.unwrap_err();
    let mut words = String::new();
    let mut at: Option<&dyn Error> = Some(&failed);
    while let Some(error) = at {
        words += &format!("{error}\n");
        at = error.source();
    }
    assert!(words.contains("the ref moved"), "{words}");
    assert!(words.contains("objects/pack"), "{words}");
    fs::remove_file(&packs).unwrap();
    fs::create_dir(&packs).unwrap();
    place.fsck();
    assert_eq!(place.git(&["show", "main:f"]), "content");
}

#[test]
fn a_branch_is_set_to_what_stays_or_not_at_all() {
    let place = Place::new();
    let branches = place.store.branches();
    let main = write(&place.main(), "folder/a", "a");
    let squashed = main.squash(None, Some("all of it")).unwrap();
    let hex = squashed.commit().to_string();
    let file = place.path().join("objects").join(&hex[..2]).join(&hex[2..]);
    fs::remove_file(file).unwrap();
    for name in ["main", "new"] {
        let error = branches.set(name, &squashed).unwrap_err();
        assert!(error.to_string().contains(&hex), "{error}");
        let error = place.store.tags().set(name, &squashed).unwrap_err();
        assert!(error.to_string().contains(&hex), "{error}");
    }
    assert_eq!(branches.names().unwrap(), ["main"]);
    assert_eq!(place.main().commit(), main.commit());
    place.fsck();

    // The commit is there, but nothing of what it has, which nothing else names.
    let lost = write(&main, "lost", "lost");
    let tree = lost.tree().to_string();
    branches.set("main", &main).unwrap();
    let file = place
        .path()
        .join("objects")
        .join(&tree[..2])
        .join(&tree[2..]);
    fs::rename(&file, place.folder.path().join("aside")).unwrap();
    for name in ["main", "new"] {
        let error = branches.set(name, &lost).unwrap_err();
        assert!(error.to_string().contains(&tree), "{error}");
    }
    assert_eq!(branches.names().unwrap(), ["main"]);
    assert_eq!(place.main().commit(), main.commit());
    fs::rename(place.folder.path().join("aside"), &file).unwrap();
    branches.set("new", &lost).unwrap();
    place.fsck();
}

#[test]
fn what_a_branch_is_set_to_is_stored_once_more_beside_a_collection() {
    let place = Place::new();
    let branches = place.store.branches();
    let main = write(&place.main(), "folder/a", "a");
    let squashed = main.squash(None, Some("all of it")).unwrap();
    // Nothing leads to what this one has.
    let lost = write(&main, "folder/b", "b");
    branches.set("main", &main).unwrap();
    place.git(&["reflog", "expire", "--expire=now", "--all"]);
    let unreached = place.git(&["fsck", "--unreachable", "--no-reflogs"]);
    assert_eq!(unreached.lines().count(), 5, "{unreached}");
    begin_elsewhere(&place);
    branches.set("one", &squashed).unwrap();
    branches.set("two", &lost).unwrap();
    // It goes on with what it found.
    for line in unreached.lines() {
        let hex = line.rsplit(' ').next().unwrap();
        let file = place.path().join("objects").join(&hex[..2]).join(&hex[2..]);
        fs::remove_file(file).unwrap();
    }
    place.fsck();
    assert_eq!(place.git(&["show", "two:folder/b"]), "b");
}

#[test]
fn branches_that_are_set_to_what_a_squash_made_stay_whole() {
    let place = Place::new();
    let branches = place.store.branches();
    let mut main = place.main();
    let (mut set, mut lost) = (0, 0);
    let until = Instant::now() + LASTS;
    collecting(&place, || {
        while Instant::now() < until {
            main = write(&main, "file", format!("{set} {lost}"));
            let squashed = main.squash(None, Some(&format!("{set} {lost}"))).unwrap();
            match branches.set(&format!("b{}", set % 50), &squashed) {
                Ok(_) => set += 1,
                Err(error) => {
                    // Of the two either may have gone first.
                    let ids = [squashed.commit(), squashed.tree()].map(|id| id.to_string());
                    let said = error.to_string();
                    assert!(ids.iter().any(|id| said.contains(id)), "{said}");
                    lost += 1;
                }
            }
        }
    });
    assert!(set > 10, "{set} {lost}");
    place.fsck();
}
