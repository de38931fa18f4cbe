//! Transfers in processes that are killed at any moment: everything happened, or nothing.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use packhouse_client::{MirrorOptions, backup, restore};
use packhouse_repo::store::{Store, StoreOptions, StoreProgress};

use crate::git::Git;
use crate::world::{World, git_of};

const STORE: &str = "PACKHOUSE_TEST_STORE";
const URL: &str = "PACKHOUSE_TEST_URL";
const VERB: &str = "PACKHOUSE_TEST_VERB";
const HELD: &str = "PACKHOUSE_TEST_HELD";

/// How long a transfer is held, unless it is killed, and how long others wait for it.
const HELD_FOR: Duration = Duration::from_secs(60);

/// Holds a transfer where it is.
struct Hold;

impl StoreProgress for Hold {
    fn step(&self, _done: u64, _total: Option<u64>) {
        std::thread::sleep(HELD_FOR);
    }
}

#[test]
#[ignore = "the other tests run it in a process of its own"]
fn one_transfer() {
    let of = |name| std::env::var(name).unwrap();
    let store = Store::open(of(STORE), StoreOptions::default()).unwrap();
    let is_held = std::env::var_os(HELD).is_some();
    let options = MirrorOptions {
        progress: is_held.then_some(&Hold),
        ..MirrorOptions::default()
    };
    match of(VERB).as_str() {
        "backup" => backup(&store, of(URL), &options).unwrap(),
        _ => restore(&store, of(URL), &options).unwrap(),
    };
}

/// Runs the transfer and kills it after so long. Returns whether it was done before.
fn transfer(verb: &str, store: &str, url: &str, patience: Duration) -> bool {
    let mut child = started(&mut command(verb, store, url));
    std::thread::sleep(patience);
    let done = child.try_wait().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    done.is_some_and(|status| status.success())
}

fn command(verb: &str, store: &str, url: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "killed::one_transfer", "--ignored"])
        .env(STORE, store)
        .env(URL, url)
        .env(VERB, verb);
    command
}

fn started(command: &mut Command) -> Child {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.spawn().unwrap()
}

fn noisy(world: &World) -> Git {
    let source = world.with_history("source");
    let work = world.work("source");
    for number in 0..40u64 {
        let mut state = number + 1;
        let mut noise = String::new();
        while noise.len() < 50_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            noise.push_str(&format!("{state:x}"));
        }
        std::fs::write(work.dir.join(format!("noise-{number}")), noise).unwrap();
    }
    work.run(&["add", "."]);
    work.run(&["commit", "-q", "-m", "noise"]);
    work.run(&["push", "-q", "../source.git", "main:main"]);
    source
}

#[test]
fn a_killed_restore_leaves_all_or_nothing() {
    let world = World::new();
    let source = noisy(&world);
    let url = source.dir.display().to_string();
    let mut seen = [0, 0];
    for round in 0..24u64 {
        let store = world.store(&format!("store-{round}"));
        let path = store.path().display().to_string();
        transfer("restore", &path, &url, Duration::from_millis(round * 12));
        let refs = git_of(&store).refs();
        let all = refs == source.refs();
        assert!(all || refs.is_empty(), "{refs}");
        seen[usize::from(all)] += 1;
        git_of(&store).fsck();
        restore(&store, &url, &MirrorOptions::default()).unwrap();
        assert_eq!(git_of(&store).refs(), source.refs());
        git_of(&store).fsck();
    }
    assert!(seen[0] > 0, "no round was killed in time: {seen:?}");
}

#[test]
fn a_killed_backup_leaves_all_or_nothing() {
    let world = World::new();
    let source = noisy(&world);
    let store = world.store("store");
    let options = MirrorOptions::default();
    restore(&store, source.dir.display().to_string(), &options).unwrap();
    let path = store.path().display().to_string();
    let bundle = world.path("x.bundle").display().to_string();
    for round in 0..24u64 {
        let target = world.path(&format!("target-{round}.git"));
        let url = target.display().to_string();
        let patience = Duration::from_millis(round * 12);
        transfer("backup", &path, &url, patience);
        if target.exists() {
            let target = Git::at(&target);
            let refs = target.refs();
            assert!(refs.is_empty() || refs == source.refs(), "{refs}");
            target.fsck();
        }
        backup(&store, &url, &options).unwrap();
        assert_eq!(Git::at(&target).refs(), source.refs());

        transfer("backup", &path, &bundle, patience);
        if Path::new(&bundle).exists() {
            source.run(&["bundle", "verify", "-q", &bundle]);
            std::fs::remove_file(&bundle).unwrap();
        }
    }
}

#[test]
fn what_a_killed_backup_left_beside_its_place_goes_with_the_next_one() {
    let world = World::new();
    let source = world.with_history("source");
    let store = world.store("store");
    let options = MirrorOptions::default();
    restore(&store, source.dir.display().to_string(), &options).unwrap();
    let path = store.path().display().to_string();
    let target = world.path("backups/target.git");
    let (url, folder) = (target.display().to_string(), target.parent().unwrap());
    let names = || {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let mut child = started(command("backup", &path, &url).env(HELD, "1"));
    let begun = Instant::now();
    while !names()
        .iter()
        .any(|name| folder.join(name).join("new/HEAD").exists())
    {
        assert!(begun.elapsed() < HELD_FOR && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(5));
    }
    let under_way = names();
    // One at work keeps what it has.
    let other = folder.join("other.git");
    backup(&store, other.display().to_string(), &options).unwrap();
    assert_eq!(names(), [&under_way[..], &["other.git".into()]].concat());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(), [&under_way[..], &["other.git".into()]].concat());
    let dry = MirrorOptions {
        dry_run: true,
        ..MirrorOptions::default()
    };
    backup(&store, &url, &dry).unwrap();
    assert_eq!(names().len(), 2);
    backup(&store, &url, &options).unwrap();
    assert_eq!(names(), ["other.git", "target.git"]);
    assert_eq!(Git::at(&target).refs(), source.refs());
}
