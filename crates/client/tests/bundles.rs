//! Bundles, as `git` writes and reads them.

use std::fs::Permissions;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use packhouse_client::{
    MirrorFormat, MirrorOptions, RefSelection, backup, bundle_export, bundle_import,
    read_bundle_header, restore,
};
use packhouse_repo::store::{Store, StoreErrorKind, StoreOptions};

use crate::git::Git;
use crate::world::{World, assert_no_leftovers, clone_shallow, git_of};

fn filled(world: &World) -> (Store, Git) {
    let source = world.with_history("source");
    let store = world.store("store");
    let url = source.dir.display().to_string();
    restore(&store, &url, &MirrorOptions::default()).unwrap();
    store.branches().set_current("main").unwrap();
    (store, source)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn git_verifies_and_clones_what_is_exported() {
    let world = World::new();
    let (store, source) = filled(&world);
    let path = world.path("x.bundle");
    let header = bundle_export(&store, &path, &RefSelection::All, false, None).unwrap();
    assert_eq!(header.refs.len(), 6);
    assert_eq!(read_bundle_header(&path).unwrap(), header);
    source.run(&["bundle", "verify", &text(&path)]);
    let clone = world.path("clone");
    source.run(&["clone", "-q", &text(&path), &text(&clone)]);
    let clone = Git::at(clone);
    assert_eq!(
        clone.run(&["status", "--porcelain", "-b"]),
        "## main...origin/main"
    );
    assert_eq!(
        clone.run(&["rev-parse", "HEAD"]),
        source.run(&["rev-parse", "main"])
    );
    clone.fsck();
    let mirror = world.path("mirror.git");
    source.run(&["clone", "-q", "--mirror", &text(&path), &text(&mirror)]);
    assert_eq!(Git::at(mirror).refs(), source.refs());
}

#[test]
fn a_shallow_clone_is_exported_without_its_history_only() {
    let world = World::new();
    let source = world.with_history("source");
    clone_shallow(&source, 2, "../shallow.git");
    let store = Store::open(world.path("shallow.git"), StoreOptions::default()).unwrap();
    let path = world.path("x.bundle");
    let error = bundle_export(&store, &path, &RefSelection::All, false, None).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("shallow.git' is a shallow clone"), "{said}");
    assert!(!path.exists());
    bundle_export(&store, &path, &RefSelection::All, true, None).unwrap();
    source.run(&["bundle", "verify", "-q", &text(&path)]);
}

#[test]
fn what_git_bundles_is_imported() {
    let world = World::new();
    let source = world.with_history("source");
    for version in ["2", "3"] {
        let path = world.path(&format!("v{version}.bundle"));
        let flag = format!("--version={version}");
        source.run(&["bundle", "create", "-q", &flag, &text(&path), "--all"]);
        let store = world.store(&format!("store-{version}"));
        let diff = bundle_import(&store, &path, &RefSelection::All, None).unwrap();
        assert_eq!((diff.add.len(), diff.total()), (5, 5));
        assert_eq!(git_of(&store).refs(), source.refs());
        git_of(&store).fsck();
    }
}

#[test]
fn a_bundle_with_a_ref_that_cannot_be_is_refused_and_changes_nothing() {
    let world = World::new();
    let source = world.with_history("source");
    let path = world.path("x.bundle");
    source.run(&["bundle", "create", "-q", &text(&path), "--all"]);
    let whole = std::fs::read(&path).unwrap();
    let at = |name: &[u8]| {
        let found = whole.windows(name.len()).position(|part| part == name);
        found.unwrap()..found.unwrap() + name.len()
    };
    let other = world.store("other");
    let dry = MirrorOptions {
        dry_run: true,
        ..MirrorOptions::default()
    };
    for name in ["refs/heads/s..e", "refs/heads/x.lock", "../../evil", "side"] {
        let mut bytes = whole.clone();
        bytes.splice(at(b"refs/heads/side"), name.bytes());
        std::fs::write(&path, &bytes).unwrap();
        let errors = [
            bundle_import(&other, &path, &RefSelection::All, None),
            restore(&other, text(&path), &MirrorOptions::default()),
            restore(&other, text(&path), &dry),
        ];
        for error in errors.map(Result::unwrap_err) {
            assert_eq!(error.kind(), StoreErrorKind::Git);
            assert!(error.to_string().contains(&format!("'{name}'")), "{error}");
        }
        assert_eq!(git_of(&other).refs(), "");
        assert_no_leftovers(&other);
        let rest = world.store(&format!("rest-{}", name.len()));
        bundle_import(&rest, &path, &RefSelection::names(["main"]), None).unwrap();
        assert_eq!(rest.branches().names().unwrap(), ["main"]);
    }
}

#[test]
fn heads_of_working_copies_in_a_bundle_are_no_refs() {
    let world = World::new();
    world.with_history("source");
    let work = world.work("source");
    work.run(&["worktree", "add", "-q", "--detach", "../second"]);
    work.run(&["update-ref", "ORIG_HEAD", "main"]);
    let path = world.path("x.bundle");
    work.run(&["bundle", "create", "-q", &text(&path), "--all", "ORIG_HEAD"]);
    let header = read_bundle_header(&path).unwrap();
    let names: Vec<_> = header
        .refs
        .iter()
        .map(|(name, _)| name.to_string())
        .collect();
    for name in ["HEAD", "worktrees/second/HEAD", "ORIG_HEAD"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    let store = world.store("store");
    bundle_import(&store, &path, &RefSelection::All, None).unwrap();
    assert_eq!(git_of(&store).refs(), work.refs());
}

#[test]
fn a_bundle_that_builds_on_others_needs_them() {
    let world = World::new();
    let (store, source) = filled(&world);
    let work = world.work("source");
    work.commit_file("new", "new\n");
    let path = world.path("new.bundle");
    work.run(&["bundle", "create", "-q", &text(&path), "main~1..main"]);
    let empty = world.store("empty");
    let error = bundle_import(&empty, &path, &RefSelection::All, None).unwrap_err();
    assert!(error.to_string().contains("lacks commits"), "{error}");
    assert_eq!(git_of(&empty).refs(), "");

    let diff = bundle_import(&store, &path, &RefSelection::All, None).unwrap();
    assert_eq!((diff.update.len(), diff.total()), (1, 1));
    assert_eq!(
        git_of(&store).run(&["rev-parse", "main"]),
        work.run(&["rev-parse", "main"])
    );
    assert_eq!(
        git_of(&store).run(&["rev-parse", "side"]),
        source.run(&["rev-parse", "side"])
    );
    git_of(&store).fsck();
}

#[test]
fn squashed_refs_have_one_commit_with_the_same_files() {
    let world = World::new();
    let (store, source) = filled(&world);
    let (one, two) = (world.path("one.bundle"), world.path("two.bundle"));
    for path in [&one, &two] {
        bundle_export(&store, path, &RefSelection::All, true, None).unwrap();
    }
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    source.run(&["bundle", "verify", &text(&one)]);
    let small = world.store("small");
    bundle_import(&small, &one, &RefSelection::All, None).unwrap();
    let git = git_of(&small);
    for name in ["main", "side", "light", "heavy"] {
        assert_eq!(git.run(&["rev-list", "--count", name]), "1");
        assert_eq!(
            git.run(&["rev-parse", &format!("{name}^{{tree}}")]),
            source.run(&["rev-parse", &format!("{name}^{{tree}}")])
        );
    }
    git.fsck();
    assert_eq!(
        git_of(&store).refs(),
        source.refs(),
        "the store stays as it is"
    );
}

#[test]
fn chosen_refs_are_bundled_and_taken_out_under_other_names() {
    let world = World::new();
    let (store, _) = filled(&world);
    let path = world.path("x.bundle");
    let side = RefSelection::Names(vec![("side".to_owned(), Some("elsewhere".to_owned()))]);
    let header = bundle_export(&store, &path, &side, false, None).unwrap();
    assert_eq!(header.refs.len(), 1);
    assert_eq!(header.refs[0].0, "refs/heads/elsewhere");
    let other = world.store("other");
    let back = RefSelection::Names(vec![("elsewhere".to_owned(), Some("side".to_owned()))]);
    bundle_import(&other, &path, &back, None).unwrap();
    assert_eq!(other.branches().names().unwrap(), ["side"]);
    git_of(&other).fsck();
}

#[test]
fn a_damaged_bundle_changes_nothing() {
    let world = World::new();
    let (store, _) = filled(&world);
    let path = world.path("x.bundle");
    bundle_export(&store, &path, &RefSelection::All, false, None).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let other = world.store("other");
    let damaged = world.path("damaged.bundle");
    let mut cases: Vec<Vec<u8>> = [0, 5, 40, 300, whole.len() / 2, whole.len() - 1]
        .into_iter()
        .map(|length| whole[..length].to_vec())
        .collect();
    for at in [0, 70, 600, whole.len() / 2, whole.len() - 5] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        cases.push(bytes);
    }
    for bytes in cases {
        std::fs::write(&damaged, &bytes).unwrap();
        let error = bundle_import(&other, &damaged, &RefSelection::All, None).unwrap_err();
        assert_eq!(git_of(&other).refs(), "", "{error}");
        assert_no_leftovers(&other);
    }
    let missing = bundle_import(&other, world.path("no.bundle"), &RefSelection::All, None);
    assert_eq!(missing.unwrap_err().kind(), StoreErrorKind::NotFound);
}

#[test]
fn bundles_damaged_at_random_are_taken_in_whole_or_not_at_all() {
    let world = World::new();
    let (store, _) = filled(&world);
    let path = world.path("x.bundle");
    bundle_export(&store, &path, &RefSelection::All, false, None).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let other = world.store("other");
    let mutant = world.path("mutant.bundle");
    let mut state = 7u64;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 33) as usize % limit
    };
    // Half of the damage is where the lines are.
    let lines = whole.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
    for round in 0..300 {
        let mut bytes = whole.clone();
        let at = below(if round % 2 == 0 { lines } else { whole.len() });
        let end = (at + 1 + below(40)).min(bytes.len());
        match below(4) {
            0 => bytes[at] = below(256) as u8,
            1 => drop(bytes.drain(at..end)),
            2 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            _ => bytes.truncate(at),
        }
        std::fs::write(&mutant, &bytes).unwrap();
        let before = git_of(&other).refs();
        if bundle_import(&other, &mutant, &RefSelection::All, None).is_err() {
            assert_eq!(git_of(&other).refs(), before, "round {round}");
        }
        assert_no_leftovers(&other);
    }
    git_of(&other).fsck();
}

#[test]
fn backups_and_restores_know_bundles_by_their_names() {
    let world = World::new();
    let (store, source) = filled(&world);
    let path = world.path("x.bundle");
    let dry = MirrorOptions {
        dry_run: true,
        ..MirrorOptions::default()
    };
    assert_eq!(backup(&store, text(&path), &dry).unwrap().add.len(), 5);
    assert!(!path.exists());
    let diff = backup(&store, text(&path), &MirrorOptions::default()).unwrap();
    assert_eq!(diff.add.len(), 5);
    assert!(backup(&store, text(&path), &dry).unwrap().in_sync());

    let other = world.store("other");
    let main = store.branches().get("main").unwrap();
    drop(main);
    assert_eq!(restore(&other, text(&path), &dry).unwrap().add.len(), 5);
    assert_eq!(git_of(&other).refs(), "");
    restore(
        &other,
        format!("file://{}", text(&path)),
        &MirrorOptions::default(),
    )
    .unwrap();
    assert_eq!(git_of(&other).refs(), source.refs());
    // A bundle need not hold everything, so nothing is deleted.
    let main = other.branches().get("main").unwrap();
    other.branches().set("ours", &main).unwrap();
    assert!(
        restore(&other, text(&path), &MirrorOptions::default())
            .unwrap()
            .in_sync()
    );
    assert!(other.branches().contains("ours").unwrap());

    let squash = MirrorOptions {
        squash: true,
        format: Some(MirrorFormat::Bundle),
        ..MirrorOptions::default()
    };
    let odd = world.path("odd-name");
    backup(&store, text(&odd), &squash).unwrap();
    source.run(&["bundle", "verify", &text(&odd)]);
    let refused = MirrorOptions {
        squash: true,
        ..MirrorOptions::default()
    };
    let error = backup(&store, text(&world.path("y.git")), &refused).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
}

#[test]
fn nothing_to_bundle_is_no_bundle() {
    let world = World::new();
    let store = world.store("store");
    let path = world.path("x.bundle");
    let error = bundle_export(&store, &path, &RefSelection::All, false, None).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Value);
    assert!(!path.exists());
}

#[test]
fn history_can_be_left_out_of_what_is_taken_from_a_bundle() {
    let world = World::new();
    let (store, source) = filled(&world);
    let path = text(&world.path("x.bundle"));
    backup(&store, &path, &MirrorOptions::default()).unwrap();
    let squash = MirrorOptions {
        squash: true,
        ..MirrorOptions::default()
    };
    let small = world.store("small");
    let dry = MirrorOptions {
        dry_run: true,
        ..squash.clone()
    };
    let planned = restore(&small, &path, &dry).unwrap();
    assert!(small.branches().is_empty().unwrap());
    let done = restore(&small, &path, &squash).unwrap();
    assert_eq!(planned, done);
    let git = git_of(&small);
    for name in ["main", "side", "light", "heavy"] {
        assert_eq!(git.run(&["rev-list", "--count", name]), "1");
        assert_eq!(
            git.run(&["rev-parse", &format!("{name}^{{tree}}")]),
            source.run(&["rev-parse", &format!("{name}^{{tree}}")])
        );
    }
    let old = source.run(&["rev-parse", "main~1"]);
    assert!(small.snapshot(&old, 0).is_err(), "the history is not there");
    git.fsck();
    assert_no_leftovers(&small);
    assert!(restore(&small, &path, &squash).unwrap().in_sync());

    // What comes without history from one that was written without is the same.
    let flat = text(&world.path("flat.bundle"));
    backup(&store, &flat, &squash).unwrap();
    assert!(
        restore(&small, &flat, &MirrorOptions::default())
            .unwrap()
            .in_sync()
    );
    // A store that has the history already takes only the new commits.
    restore(&store, &path, &squash).unwrap();
    assert_eq!(git_of(&store).refs(), git.refs());
    git_of(&store).fsck();

    let url = source.dir.display().to_string();
    let refused = restore(&small, &url, &squash).unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Value);
}

#[test]
fn a_dry_run_names_what_a_bundle_builds_on() {
    let world = World::new();
    let (_, source) = filled(&world);
    let path = text(&world.path("x.bundle"));
    source.run(&["bundle", "create", "-q", &path, "main~1..main"]);
    let other = world.store("other");
    let dry = MirrorOptions {
        dry_run: true,
        ..MirrorOptions::default()
    };
    let said = restore(&other, &path, &dry).unwrap_err().to_string();
    let real = restore(&other, &path, &MirrorOptions::default()).unwrap_err();
    assert!(said.contains("lacks commits"), "{said}");
    assert_eq!(said, real.to_string());
}

#[test]
fn a_bundle_goes_where_links_lead_into_pipes_and_keeps_permissions() {
    let world = World::new();
    let (store, _) = filled(&world);
    let whole = world.path("whole.bundle");
    bundle_export(&store, &whole, &RefSelection::All, false, None).unwrap();
    let expected = std::fs::read(&whole).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;

    let place = world.path("place.bundle");
    std::fs::write(&place, "old").unwrap();
    std::fs::set_permissions(&place, Permissions::from_mode(0o600)).unwrap();
    let link = world.path("link.bundle");
    symlink("place.bundle", &link).unwrap();
    let pipe = world.path("pipe.bundle");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let all = |path: &Path| {
        bundle_export(&store, path, &RefSelection::All, false, None).unwrap();
    };
    let backed_up = |path: &Path| {
        let dry_run = MirrorOptions {
            dry_run: true,
            ..MirrorOptions::default()
        };
        backup(&store, path, &dry_run).unwrap();
        backup(&store, path, &MirrorOptions::default()).unwrap();
    };
    for export in [&all as &dyn Fn(&Path), &backed_up] {
        std::fs::write(&place, "old").unwrap();
        export(&link);
        assert!(link.is_symlink());
        assert_eq!(std::fs::read(&place).unwrap(), expected);
        assert_eq!(mode(&place), 0o600);
        std::thread::scope(|scope| {
            let reading = scope.spawn(|| std::fs::read(&pipe).unwrap());
            export(&pipe);
            let found = std::fs::symlink_metadata(&pipe).unwrap();
            assert!(found.file_type().is_fifo(), "the pipe was replaced");
            assert_eq!(reading.join().unwrap(), expected);
        });
    }
}
