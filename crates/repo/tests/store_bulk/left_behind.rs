//! What a copy to disk leaves when it is killed.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use packhouse_repo::store::{
    CopyOut, Snapshot, Store, StoreOptions, StoreProgress, SyncIn, SyncOut, WriteOptions,
};

use super::{Place, changes, disk, from};

/// Names the place to a process that copies until it is killed.
const CHILD: &str = "PACKHOUSE_REPO_COPYING_CHILD";

/// Larger than what is written between two questions to the caller.
const BYTES: usize = 1 << 20;

/// Says once that a file is under way, and waits there.
struct WaitsHalfWay(PathBuf);

impl StoreProgress for WaitsHalfWay {
    fn step(&self, _done: u64, _total: Option<u64>) {}

    fn cancelled(&self) -> bool {
        if fs::read_dir(&self.0).is_ok_and(|mut files| files.next().is_some()) {
            // Nobody listens to a second thread.
            let _ = std::io::stdout().write_all(b"half way\n");
            // Until it is killed, or the test is gone.
            let _ = std::io::stdin().read_line(&mut String::new());
        }
        false
    }
}

#[test]
fn child() {
    let Ok(folder) = std::env::var(CHILD) else {
        return;
    };
    let folder = Path::new(&folder);
    let store = Store::open(folder.join("store.git"), StoreOptions::default()).unwrap();
    let waits = WaitsHalfWay(folder.join("local/out/d"));
    let options = CopyOut {
        progress: Some(&waits),
        ..all_to(&folder.join("local/out"))
    };
    let main = store.branches().get("main").unwrap();
    let _ = main.copy_out(&options);
    std::process::exit(0);
}

fn all_to(dest: &Path) -> CopyOut<'static> {
    CopyOut {
        sources: vec!["".into()],
        dest: dest.to_owned(),
        ..CopyOut::default()
    }
}

/// A process that is half way through a copy.
fn start(place: &Place) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["store_bulk::left_behind::child", "--exact", "--nocapture"])
        .env(CHILD, place.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = out.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("half way")));
    child
}

fn big(place: &Place) -> Snapshot {
    let mut seed = 1_u32;
    let mut byte = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    let data: Vec<u8> = (0..BYTES).map(|_| byte()).collect();
    let options = WriteOptions::default();
    place.main().write("d/big", &data, &options).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_killed_copy_left_is_no_content_and_goes_with_the_next_copy() {
    let place = Place::new();
    let snapshot = big(&place);
    let (out, folder) = (place.local("out"), place.local("out/d"));
    // Nobody but a copy calls a file so, or nearly so.
    place.make(&["out/d/.packhouse-copy-mine", "out/.packhouse-copy-00"]);
    for by_sync in [false, true] {
        fs::remove_dir_all(&folder).unwrap();
        let child = start(&place);
        let [half] = names(&folder).try_into().unwrap();
        assert_ne!(half, "big");

        // As long as it is at work nobody takes it away.
        let copied = match by_sync {
            false => snapshot.copy_out(&all_to(&out)).unwrap(),
            true => snapshot.sync_out("", &out, &SyncOut::default()).unwrap(),
        };
        assert!(changes(&copied).contains(&"+ d/big".to_owned()));
        assert_eq!(names(&folder), [half.as_str(), "big"]);
        kill(child);

        place.make(&["out/d/.packhouse-copy-mine"]);
        let synced = place.main().sync_in(&out, "again", &SyncIn::default());
        let told = changes(&synced.unwrap());
        let why = "under way, or left by a command that was killed: skipping";
        assert!(told.contains(&format!("? {why}")), "{told:?}");
        let copied = place
            .main()
            .copy_in(&from(std::slice::from_ref(&out), "more"))
            .unwrap();
        let named = [folder.join(&half), folder.join("big")];
        let copied = copied
            .copy_in(&from(&named, &format!("named/{by_sync}")))
            .unwrap();
        assert_eq!(changes(&copied), ["+ big".to_owned(), format!("? {why}")]);
        let stored = place.listed();
        assert!(stored.contains(&"again/d/.packhouse-copy-mine".to_owned()));
        assert!(
            !stored.iter().any(|path| path.contains(&half)),
            "{stored:?}"
        );

        match by_sync {
            false => drop(snapshot.copy_out(&all_to(&out)).unwrap()),
            true => {
                let dry = SyncOut {
                    dry_run: true,
                    ..SyncOut::default()
                };
                let would = changes(&snapshot.sync_out("", &out, &dry).unwrap());
                assert_eq!(would, ["- d/.packhouse-copy-mine"]);
                assert!(folder.join(&half).exists());
                drop(snapshot.sync_out("", &out, &SyncOut::default()).unwrap());
            }
        }
        let expected: &[&str] = match by_sync {
            false => &[".packhouse-copy-mine", "big"],
            true => &["big"],
        };
        assert_eq!(names(&folder), expected);
        place.make(&["out/d/.packhouse-copy-mine"]);
    }
}

#[test]
fn a_link_that_is_replaced_is_whole_or_not_there() {
    let place = Place::new();
    place.make(&["in/d/link -> there", "in/new -> d/link"]);
    let snapshot = place
        .main()
        .copy_in(&from(&[place.local("in/")], ""))
        .unwrap();
    let out = place.local("out");
    // What a killed copy of a link leaves has the name of a file's.
    big(&place);
    fs::create_dir_all(place.local("out/d")).unwrap();
    let child = start(&place);
    let [half] = names(&place.local("out/d")).try_into().unwrap();
    kill(child);
    fs::remove_file(place.local("out/d").join(&half)).unwrap();
    let left = out.join("d").join(&half);
    fs::create_dir(&left).unwrap();
    symlink("nowhere", left.join("new")).unwrap();

    fs::write(out.join("d/link"), "").unwrap();
    // Another thread of it may have come to this one.
    let _ = fs::remove_file(out.join("new"));
    symlink("elsewhere", out.join("new")).unwrap();
    let copied = snapshot.copy_out(&all_to(&out)).unwrap();
    assert_eq!(changes(&copied), ["~ d/link@", "~ new@"]);
    assert_eq!(disk(&out), ["d/", "d/link -> there", "new -> d/link"]);
    // With something of somebody's in it, it stays.
    fs::create_dir(&left).unwrap();
    fs::write(left.join("mine"), "").unwrap();
    snapshot.copy_out(&all_to(&out)).unwrap();
    assert!(left.join("mine").exists());
}
