use packhouse_repo::store::{StoreError, StoreErrorKind};

use super::place::{Place, write};

const GONE: &str = "0123456789abcdef0123456789abcdef01234567";

#[test]
fn notes_are_set_read_listed_and_removed() {
    let place = Place::new();
    let notes = place.store.notes("commits").unwrap();
    assert_eq!(notes.keys().unwrap(), Vec::<String>::new());
    let head = place.main().commit().to_string();
    notes.set(&head, "seen\n").unwrap();
    notes.set(GONE, "of nothing").unwrap();
    notes.set("main", "seen twice").unwrap();
    assert_eq!(notes.get(&head).unwrap(), "seen twice");
    assert_eq!(notes.len().unwrap(), 2);
    assert!(notes.contains(GONE).unwrap() && !notes.contains("no key").unwrap());
    notes.delete(GONE).unwrap();
    assert_eq!(notes.keys().unwrap(), [head]);
    let error = notes.delete(GONE).unwrap_err();
    assert!(matches!(&error, StoreError::NoSuchNote { id } if id == GONE));
    assert_eq!(error.kind(), StoreErrorKind::Key);
    assert_eq!(notes.get(GONE).unwrap_err().kind(), StoreErrorKind::Key);
    let wrong = notes.get(&GONE.to_uppercase()).unwrap_err();
    assert_eq!(wrong.kind(), StoreErrorKind::Value);
    assert!(wrong.to_string().contains("40-char"), "{wrong}");
    place.fsck();
}

#[test]
fn git_reads_what_was_noted_and_the_log_tells_of_it() {
    let place = Place::new();
    let head = place.main().commit().to_string();
    let notes = place.store.notes("commits").unwrap();
    notes.set(&head, "hello from here").unwrap();
    assert_eq!(place.git(&["notes", "show", "main"]), "hello from here");
    notes.set(GONE, "x").unwrap();
    notes.delete(GONE).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let changes = [(head.clone(), text("again")), (GONE.to_owned(), text("y"))];
    notes.apply(changes).unwrap();
    notes.apply([]).unwrap();
    notes.set(GONE, "y").unwrap();
    let log = place.git(&["log", "--format=%s", "refs/notes/commits"]);
    let expected = [
        "Notes batch update (2 changes)".to_owned(),
        format!("Notes removed by 'git notes' on {}", &GONE[..7]),
        format!("Notes added by 'git notes' on {}", &GONE[..7]),
        format!("Notes added by 'git notes' on {}", &head[..7]),
    ];
    assert_eq!(log.lines().collect::<Vec<_>>(), expected);
    let reflog = place.git(&["reflog", "show", "--format=%gs", "refs/notes/commits"]);
    assert_eq!(reflog.lines().count(), 4);
    place.fsck();
}

#[test]
fn a_batch_that_removes_what_is_not_there_changes_nothing() {
    let place = Place::new();
    let notes = place.store.notes("builds/nightly").unwrap();
    let head = place.main().commit().to_string();
    let refused = notes.apply([
        (head.clone(), Some("x".to_owned())),
        (GONE.to_owned(), None),
    ]);
    assert!(matches!(refused, Err(StoreError::NoSuchNote { .. })));
    assert!(notes.is_empty().unwrap());
    assert!(matches!(
        place.store.notes("a..b"),
        Err(StoreError::BadRefName { .. })
    ));
}

#[test]
fn notes_that_git_spread_over_folders_are_found_and_replaced() {
    let place = Place::new();
    let mut snapshot = place.main();
    let mut commits = vec![snapshot.commit().to_string()];
    for number in 0..6 {
        snapshot = write(&snapshot, "f", format!("{number}"));
        commits.push(snapshot.commit().to_string());
    }
    // Folders of two digits, and for one note two of them, as Git does with very many.
    let mut stream = "commit refs/notes/commits\ncommitter A <a@b.c> 1 +0000\ndata 0\n".to_owned();
    for (number, id) in commits.iter().enumerate() {
        let path = match number {
            0 => format!("{}/{}/{}", &id[..2], &id[2..4], &id[4..]),
            _ => format!("{}/{}", &id[..2], &id[2..]),
        };
        stream += &format!("M 100644 inline {path}\ndata 5\nnote{number}\n");
    }
    let input = place.folder.path().join("stream");
    std::fs::write(&input, stream).unwrap();
    let script = format!("git fast-import --quiet < '{}'", input.display());
    let done = std::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(place.path())
        .status();
    assert!(done.unwrap().success());

    let notes = place.store.notes("commits").unwrap();
    let mut sorted = commits.clone();
    sorted.sort();
    assert_eq!(notes.keys().unwrap(), sorted);
    for (number, id) in commits.iter().enumerate() {
        assert_eq!(notes.get(id).unwrap(), format!("note{number}"));
    }
    notes.set(&commits[0], "flat").unwrap();
    notes.delete(&commits[1]).unwrap();
    assert_eq!(notes.get(&commits[0]).unwrap(), "flat");
    assert_eq!(notes.len().unwrap(), commits.len() - 1);
    let listed = place.git(&["ls-tree", "-r", "--name-only", "refs/notes/commits"]);
    assert!(listed.lines().any(|path| path == commits[0]));
    assert_eq!(listed.lines().count(), commits.len() - 1);
    assert_eq!(place.git(&["notes", "show", &commits[0]]), "flat");
    assert_eq!(place.git(&["notes", "show", &commits[2]]), "note2");
    place.fsck();
}

#[test]
fn writers_at_the_same_time_lose_no_note() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let store = super::place::open(place.path());
            scope.spawn(move || {
                let notes = store.notes("commits").unwrap();
                for number in 0..10 {
                    notes
                        .set(&format!("{writer:020x}{number:020x}"), "x")
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(place.store.notes("commits").unwrap().len().unwrap(), 40);
    place.fsck();
}
