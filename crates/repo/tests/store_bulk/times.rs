//! Changes that the times of files do not tell: a sync finds them all the same, in both directions.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use packhouse_repo::store::{CopyIn, CopyOut, FileType, Snapshot, SyncIn, SyncOut, WriteOptions};
use proptest::prelude::*;

use super::roundtrip::{Files, Node, found, lay_out};
use super::{Place, changes, from};

fn sync_in(place: &Place) -> Snapshot {
    let options = SyncIn::default();
    place
        .main()
        .sync_in(place.local("d"), "t", &options)
        .unwrap()
}

fn sync_out(place: &Place) -> Snapshot {
    let options = SyncOut {
        checksum: false,
        ..SyncOut::default()
    };
    place
        .main()
        .sync_out("t", place.local("d"), &options)
        .unwrap()
}

/// What the store has, as if it were on disk.
fn stored(snapshot: &Snapshot) -> Files {
    let mut files = Files::new();
    for file in snapshot.files("t").unwrap() {
        let (path, mode, _) = file.unwrap();
        let data = snapshot.read(&path, 0, None).unwrap().to_vec();
        let node = match FileType::from(mode) {
            FileType::Link => Node::Link(data),
            file_type => Node::File(data, file_type == FileType::Executable),
        };
        files.insert(path[2..].to_vec(), node);
    }
    files
}

/// Gives a file a time, in seconds from one.
fn set_time(path: &Path, seconds: i64, from: i64) {
    let time = UNIX_EPOCH + Duration::from_secs((from + seconds).try_into().unwrap());
    let file = fs::File::options().read(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[derive(Clone, Debug)]
enum Edit {
    /// New content under a name, with a time around that of the commit or as it comes.
    Write(u8, Vec<u8>, Option<i64>),
    /// The same, in a file that takes the place of the old one.
    Replace(u8, Vec<u8>, i64),
    Chmod(u8, bool),
    Touch(u8, i64),
    Remove(u8),
    Link(u8, u8),
    Swap(u8, u8),
    /// A file becomes a folder, or the folder a file.
    Turn(u8, Vec<u8>),
    /// Somebody else commits something else, or the same file.
    Commit,
    CommitTo(u8, Vec<u8>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = 0..6u8;
    // Mostly of one size.
    let data = prop_oneof![
        4 => prop::sample::select(vec![&b"aaaa"[..], b"bbbb", b"cccc"]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    let time = prop_oneof![4 => -3..4i64, 1 => Just(-1_000_000), 1 => Just(1_000_000)];
    prop_oneof![
        4 => (name.clone(), data.clone(), prop::option::of(time.clone()))
            .prop_map(|(name, data, time)| Edit::Write(name, data, time)),
        2 => (name.clone(), data.clone(), time.clone()).prop_map(|(name, data, time)| Edit::Replace(name, data, time)),
        1 => (name.clone(), any::<bool>()).prop_map(|(name, run)| Edit::Chmod(name, run)),
        1 => (name.clone(), time).prop_map(|(name, time)| Edit::Touch(name, time)),
        1 => name.clone().prop_map(Edit::Remove),
        1 => (name.clone(), name.clone()).prop_map(|(name, to)| Edit::Link(name, to)),
        1 => (name.clone(), name.clone()).prop_map(|(one, other)| Edit::Swap(one, other)),
        1 => (name.clone(), data.clone()).prop_map(|(name, data)| Edit::Turn(name, data)),
        1 => Just(Edit::Commit),
        1 => (name, data).prop_map(|(name, data)| Edit::CommitTo(name, data)),
    ]
}

fn carry_out(place: &Place, edit: &Edit) {
    let path = |name: &u8| place.local(&format!("d/{name}"));
    let clear = |path: &Path| match path.is_dir() && !path.is_symlink() {
        true => fs::remove_dir_all(path).unwrap(),
        false => drop(fs::remove_file(path)),
    };
    let is_file = |path: &Path| path.is_file() && !path.is_symlink();
    let commit = place.main().seconds();
    match edit {
        Edit::Write(name, data, time) => {
            let path = path(name);
            if !is_file(&path) {
                clear(&path);
            }
            fs::write(&path, data).unwrap();
            if let Some(time) = time {
                set_time(&path, *time, commit);
            }
        }
        Edit::Replace(name, data, time) => {
            let aside = place.local("aside");
            fs::write(&aside, data).unwrap();
            set_time(&aside, *time, commit);
            if path(name).is_dir() {
                clear(&path(name));
            }
            fs::rename(aside, path(name)).unwrap();
        }
        Edit::Chmod(name, run) if is_file(&path(name)) => {
            let mode = if *run { 0o755 } else { 0o644 };
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        Edit::Touch(name, time) if is_file(&path(name)) => set_time(&path(name), *time, commit),
        Edit::Remove(name) => clear(&path(name)),
        Edit::Link(name, to) => {
            clear(&path(name));
            symlink(to.to_string(), path(name)).unwrap();
        }
        Edit::Swap(one, other) if one != other && is_file(&path(one)) && is_file(&path(other)) => {
            let aside = place.local("aside");
            fs::rename(path(one), &aside).unwrap();
            fs::rename(path(other), path(one)).unwrap();
            fs::rename(aside, path(other)).unwrap();
        }
        Edit::Turn(name, data) => {
            let was_folder = path(name).is_dir();
            clear(&path(name));
            let file = match was_folder {
                true => path(name),
                false => path(name).join("below"),
            };
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, data).unwrap();
        }
        Edit::Commit => {
            let main = place.main();
            let text = main.commit().to_string();
            main.write("else", text.as_bytes(), &WriteOptions::default())
                .unwrap();
        }
        Edit::CommitTo(name, data) => {
            let path = format!("t/{name}");
            place
                .main()
                .write(path, data, &WriteOptions::default())
                .unwrap();
        }
        Edit::Chmod(..) | Edit::Touch(..) | Edit::Swap(..) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sync_leaves_both_sides_equal_whatever_times_files_have(
        many in any::<bool>(),
        rounds in prop::collection::vec((any::<bool>(), prop::collection::vec(edit(), 1..6)), 1..5),
    ) {
        let place = Place::new();
        fs::create_dir(place.local("d")).unwrap();
        // From some number on it is remembered what files held.
        let others = (0..if many { 70 } else { 1 }).map(|n| {
            let name = format!("other/{n}").into_bytes();
            (name.clone(), Node::File(name, n % 5 == 0))
        });
        lay_out(&place.local("d"), &others.collect());
        if many {
            std::thread::sleep(Duration::from_millis(30));
        }
        sync_in(&place);
        for (out, edits) in &rounds {
            for edit in edits {
                carry_out(&place, edit);
            }
            match out {
                true => sync_out(&place),
                false => sync_in(&place),
            };
            prop_assert_eq!(stored(&place.main()), found(&place.local("d")), "{}", if *out { "out" } else { "in" });
        }
    }
}

#[test]
fn by_times_files_older_than_the_second_of_the_commit_are_unchanged_and_no_others() {
    let place = Place::new();
    place.make(&["d/a", "d/b"]);
    let synced = sync_in(&place);
    let by_times = CopyIn {
        delete: true,
        checksum: false,
        ..from(&[place.local("d/")], "t")
    };
    for seconds in [0, 1, 3600, -1, -3600] {
        fs::write(place.local("d/a"), seconds.to_string()).unwrap();
        set_time(&place.local("d/a"), seconds, synced.seconds());
        let copied = synced.copy_in(&CopyIn {
            dry_run: true,
            ..by_times.clone()
        });
        let changed = changes(&copied.unwrap());
        assert_eq!(changed == ["~ a"], seconds >= 0, "{seconds}: {changed:?}");
    }
    fs::set_permissions(place.local("d/b"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(changes(&place.main().copy_in(&by_times).unwrap()), ["~ b*"]);
    assert_eq!(changes(&sync_in(&place)), ["~ a"]);
    assert_eq!(sync_in(&place).changes(), None);
}

#[test]
fn a_change_before_a_commit_about_something_else_is_found() {
    let place = Place::new();
    place.make(&["d/a", "d/b"]);
    let synced = sync_in(&place);
    fs::write(place.local("d/a"), "new").unwrap();
    // The clock goes on.
    while place.main().seconds() < synced.seconds() + 2 {
        carry_out(&place, &Edit::Commit);
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(changes(&sync_in(&place)), ["~ a"]);
}

#[test]
fn files_on_disk_that_are_older_than_the_commit_are_brought_up_to_it() {
    let place = Place::new();
    place.stored(&["t/a", "t/b"]);
    sync_out(&place);
    let time = place.main().seconds();
    carry_out(&place, &Edit::CommitTo(0, b"there".to_vec()));
    let main = place
        .main()
        .write("t/a", b"newer", &WriteOptions::default())
        .unwrap();
    set_time(&place.local("d/a"), -3600, time);
    let options = CopyOut {
        sources: vec!["t/".into()],
        dest: place.local("d"),
        delete: true,
        checksum: false,
        ..CopyOut::default()
    };
    assert_eq!(changes(&main.copy_out(&options).unwrap()), ["+ 0", "~ a"]);
    assert_eq!(fs::read(place.local("d/a")).unwrap(), b"newer");
    assert_eq!(main.copy_out(&options).unwrap().changes(), None);
}

#[test]
fn what_a_large_file_held_is_remembered_too() {
    let place = Place::new();
    place.make(&["d/a"]);
    let large = place.local("d/large");
    fs::write(&large, vec![b'x'; 5 << 20]).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    sync_in(&place);
    let caches = fs::read_dir(place.store.path().join("packhouse/stat-cache"));
    if let Ok(caches) = caches {
        assert_eq!(caches.count(), 1);
    }
    assert_eq!(sync_in(&place).changes(), None);
    let modified = fs::metadata(&large).unwrap().modified().unwrap();
    fs::write(&large, vec![b'y'; 5 << 20]).unwrap();
    let file = fs::File::options().read(true).open(&large).unwrap();
    file.set_modified(modified).unwrap();
    assert_eq!(changes(&sync_in(&place)), ["~ large"]);
}

#[test]
fn many_files_are_remembered_whatever_is_said_of_times() {
    let place = Place::new();
    for n in 0..100 {
        place.make(&[&format!("d/{n}")]);
    }
    std::thread::sleep(Duration::from_millis(50));
    sync_in(&place);
    let caches = place.store.path().join("packhouse/stat-cache");
    if !caches.exists() {
        // A file system by whose times nothing is remembered.
        return;
    }
    let remembered = || {
        let caches = fs::read_dir(&caches).unwrap();
        caches
            .map(|cache| fs::read(cache.unwrap().path()).unwrap())
            .collect::<Vec<_>>()
    };
    let after_first = remembered();
    assert_eq!(after_first.len(), 1);
    // All are found in what was remembered, so that there is nothing to add to it.
    assert_eq!(sync_in(&place).changes(), None);
    assert_eq!(remembered(), after_first);
}
