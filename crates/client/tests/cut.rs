//! Connections that break, stall, or are given up.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use packhouse_client::{MirrorOptions, backup, restore};
use packhouse_object::ReceiveLimits;
use packhouse_repo::store::{Create, Store, StoreErrorKind, StoreOptions, StoreProgress};

use crate::git::Git;
use packhouse_testkit::git_site::GitSite;
use packhouse_testkit::small_disk::SmallDisk;

use crate::sites::{Cut, OurSite};
use crate::world::{Way, World, assert_no_leftovers, git_of};

/// Adds what makes a pack of some 300 KiB.
pub(crate) fn grow(work: &Git) {
    grow_to(work, "main:main", "../source.git");
}

/// As [`grow`], pushed there.
pub(crate) fn grow_to(work: &Git, refspec: &str, to: &str) {
    for number in 0..10u64 {
        let mut noise = String::new();
        let mut state = number + 1;
        while noise.len() < 30_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            noise.push_str(&format!("{state:x}"));
        }
        work.commit_file(&format!("noise-{number}"), &noise);
    }
    work.run(&["push", "-q", to, refspec]);
}

/// Keeps packs in files from the first byte on, as large ones are.
fn on_disk(mut options: MirrorOptions<'static>) -> MirrorOptions<'static> {
    options.remote.limits = ReceiveLimits {
        small_pack_bytes: 1000,
        ..options.remote.limits
    };
    options
}

#[test]
fn a_restore_that_is_cut_off_leaves_nothing() {
    let mut world = World::new();
    let source = world.with_history("source");
    let store = world.store("store");
    restore(
        &store,
        world.url("source", Way::Path),
        &world.options(Way::Path),
    )
    .unwrap();
    let before = git_of(&store).refs();
    grow(&world.work("source"));
    let sites: [Arc<dyn crate::responder::Site>; 2] = [
        GitSite::new(&world.path("."), true),
        OurSite::new(&source.dir),
    ];
    for site in sites {
        for bytes in [0, 1, 90, 200, 300, 1000, 50_000, 140_000] {
            // The advertisement and the refs come whole.
            let cut = Cut::after(site.clone(), 2, bytes);
            let url = format!("{}source.git", world.serve(cut));
            let options = on_disk(world.options(Way::Http));
            let error = restore(&store, &url, &options).unwrap_err();
            assert!(
                matches!(error.kind(), StoreErrorKind::Os | StoreErrorKind::Git),
                "{bytes}: {error:?}"
            );
            assert_eq!(git_of(&store).refs(), before, "{bytes}");
            assert_no_leftovers(&store);
        }
    }
    git_of(&store).fsck();
    let url = world.url("source", Way::Http);
    restore(&store, &url, &world.options(Way::Http)).unwrap();
    assert_eq!(git_of(&store).refs(), source.refs());
    git_of(&store).fsck();
}

#[test]
fn a_full_disk_moves_nothing_and_there_is_no_trace_of_it() {
    let Some(disk) = SmallDisk::mount(4) else {
        return;
    };
    let world = World::new();
    let source = world.with_history("source");
    grow(&world.work("source"));
    let url = source.dir.display().to_string();
    let create = Create::New { branch: None };
    let on_disk = StoreOptions {
        create,
        ..StoreOptions::default()
    };
    let here = Store::open(disk.path().join("here.git"), on_disk).unwrap();
    let there = crate::git::init_bare(&disk.path().join("there.git"));
    let full = world.store("full");
    let options = MirrorOptions::default();
    restore(&full, &url, &options).unwrap();
    let to = there.dir.display().to_string();
    let bundle = disk.path().join("x.bundle");
    disk.fill(100 << 10);
    for error in [
        restore(&here, &url, &options).unwrap_err(),
        backup(&full, &to, &options).unwrap_err(),
        backup(&full, bundle.display().to_string(), &options).unwrap_err(),
        backup(
            &full,
            disk.path().join("new.git").display().to_string(),
            &options,
        )
        .unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Os, "{error:?}");
        let cause = error.io().map(std::io::Error::kind);
        assert_eq!(cause, Some(std::io::ErrorKind::StorageFull), "{error:?}");
    }
    assert_eq!(git_of(&here).refs(), "");
    assert_eq!(there.refs(), "");
    assert_no_leftovers(&here);
    let mut names: Vec<_> = std::fs::read_dir(disk.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["filler", "here.git", "there.git"]);
    git_of(&here).fsck();
    there.fsck();
    disk.make_room();
    restore(&here, &url, &options).unwrap();
    backup(&full, &to, &options).unwrap();
    for copy in [git_of(&here), there] {
        assert_eq!(copy.refs(), source.refs());
        copy.fsck();
    }
}
#[test]
fn a_program_that_is_killed_in_the_middle_leaves_nothing() {
    let mut world = World::new();
    let source = world.with_history("source");
    grow(&world.work("source"));
    let store = world.store("store");
    let url = world.url("source", Way::Ssh);
    for bytes in [0, 10, 1000, 3000, 100_000] {
        let options = on_disk(world.options(Way::Ssh));
        // `dd` ends after so many bytes, and with it the connection.
        crate::world::write_program(
            &world.path("fake-ssh"),
            &format!(
                "#!/bin/bash\ncase $1 in -G) exit 0;; esac\nshift 5\nexec 4<&0\nexec dd bs=1 count={bytes} status=none < <(sh -c \"$*\" <&4)\n"
            ),
        );
        let error = restore(&store, &url, &options).unwrap_err();
        assert!(
            matches!(error.kind(), StoreErrorKind::Os | StoreErrorKind::Git),
            "{bytes}: {error:?}"
        );
        assert_eq!(git_of(&store).refs(), "");
        assert_no_leftovers(&store);
    }
    restore(&store, &url, &world.options(Way::Ssh)).unwrap();
    assert_eq!(git_of(&store).refs(), source.refs());
}

#[test]
fn a_push_that_is_cut_off_moves_nothing_or_all() {
    let mut world = World::new();
    world.with_history("source");
    grow(&world.work("source"));
    let store = world.store("store");
    restore(
        &store,
        world.url("source", Way::Path),
        &world.options(Way::Path),
    )
    .unwrap();
    let target = world.bare("target");
    let site = GitSite::new(&world.path("."), true);
    for bytes in [0, 1, 100, 150] {
        let cut = Cut::after(site.clone(), 1, bytes);
        let url = format!("{}target.git", world.serve(cut));
        backup(&store, &url, &world.options(Way::Http)).unwrap_err();
        let refs = target.refs();
        // The report may be lost after all refs moved.
        assert!(
            refs.is_empty() || refs == git_of(&store).refs(),
            "{bytes}: {refs}"
        );
        target.fsck();
        for name in target.run(&["for-each-ref", "--format=%(refname)"]).lines() {
            target.run(&["update-ref", "-d", name]);
        }
    }
    let url = world.url("target", Way::Http);
    backup(&store, &url, &world.options(Way::Http)).unwrap();
    assert_eq!(target.refs(), git_of(&store).refs());
    target.fsck();
}

/// A server that takes everything and says nothing.
fn silent() -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicBool::new(false));
    let noted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let noted = noted.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 1024];
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                    noted.store(true, Ordering::SeqCst);
                }
                let _ = stream.write_all(b"");
            });
        }
    });
    (address.to_string(), asked)
}

#[test]
fn silence_ends_after_a_while() {
    let world = World::new();
    let store = world.store("store");
    let (address, _) = silent();
    for scheme in ["http", "git"] {
        let mut options = world.options(Way::Http);
        options.remote.idle_timeout = Duration::from_millis(600);
        let begun = Instant::now();
        let error = restore(&store, format!("{scheme}://{address}/x.git"), &options).unwrap_err();
        assert!(error.to_string().contains("in time"), "{error}");
        assert_eq!(error.kind(), StoreErrorKind::Os);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}

struct GivenUp(Arc<AtomicBool>);

impl StoreProgress for GivenUp {
    fn cancelled(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_caller_that_gives_up_is_not_kept_waiting() {
    let world = World::new();
    let store = world.store("store");
    for scheme in ["http", "git"] {
        let (address, asked) = silent();
        // Given up as soon as the server was asked.
        let progress = GivenUp(asked);
        let options = MirrorOptions {
            progress: Some(&progress),
            ..world.options(Way::Http)
        };
        let begun = Instant::now();
        let error = restore(&store, format!("{scheme}://{address}/x.git"), &options).unwrap_err();
        assert_eq!(error.to_string(), "cancelled");
        assert_eq!(error.kind(), StoreErrorKind::Runtime);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
