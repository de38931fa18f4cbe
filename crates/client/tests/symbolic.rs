//! Backups and restores where refs stand for other refs.

use packhouse_client::{MirrorOptions, RefSelection, backup, restore};
use packhouse_repo::store::Store;

use crate::git::Git;
use crate::world::{World, git_of};

/// A store with history, and a copy of it.
fn with_copy(world: &World) -> (Store, Git) {
    let source = world.with_history("source");
    let store = world.store("store");
    let url = source.dir.display().to_string();
    restore(&store, &url, &MirrorOptions::default()).unwrap();
    let copy = world.bare("copy");
    backup(&store, url_of(&copy), &MirrorOptions::default()).unwrap();
    (store, copy)
}

fn url_of(git: &Git) -> String {
    git.dir.display().to_string()
}

fn symbolic(git: &Git, name: &str, target: &str) {
    git.run(&["symbolic-ref", name, target]);
}

/// Whether a ref stands for another, and which.
fn leads_to(git: &Git, name: &str) -> String {
    git.run(&["for-each-ref", "--format=%(symref)", name])
}

#[test]
fn a_symbolic_ref_that_only_one_side_has_is_deleted_alone() {
    let world = World::new();
    let (store, copy) = with_copy(&world);
    let refs = copy.refs();
    let ours = git_of(&store);
    for packed in [false, true] {
        symbolic(&copy, "refs/heads/sym", "refs/heads/main");
        symbolic(&ours, "refs/heads/sym", "refs/heads/main");
        if packed {
            copy.run(&["pack-refs", "--all"]);
            ours.run(&["pack-refs", "--all"]);
        }
        let restored = restore(
            &store,
            world.path("source.git").display().to_string(),
            &MirrorOptions::default(),
        )
        .unwrap();
        assert_eq!((restored.total(), restored.delete.len()), (1, 1));
        assert_eq!(ours.refs(), refs);
        let backed_up = backup(&store, url_of(&copy), &MirrorOptions::default()).unwrap();
        assert_eq!((backed_up.total(), backed_up.delete.len()), (1, 1));
        assert_eq!(copy.refs(), refs);
        assert!(
            backup(&store, url_of(&copy), &MirrorOptions::default())
                .unwrap()
                .in_sync()
        );
    }
    copy.fsck();
}

#[test]
fn a_symbolic_ref_goes_together_with_what_it_stands_for() {
    let world = World::new();
    let (store, copy) = with_copy(&world);
    let refs = copy.refs();
    for git in [&copy, &git_of(&store)] {
        git.run(&["update-ref", "refs/remotes/origin/main", "main"]);
        symbolic(git, "refs/remotes/origin/HEAD", "refs/remotes/origin/main");
    }
    let source = world.path("source.git").display().to_string();
    let diff = restore(&store, &source, &MirrorOptions::default()).unwrap();
    assert_eq!((diff.total(), diff.delete.len()), (2, 2));
    assert_eq!(git_of(&store).refs(), refs);
    let diff = backup(&store, url_of(&copy), &MirrorOptions::default()).unwrap();
    assert_eq!((diff.total(), diff.delete.len()), (2, 2));
    assert_eq!(copy.refs(), refs);
}

#[test]
fn a_symbolic_ref_that_agrees_stays_one() {
    let world = World::new();
    let (store, copy) = with_copy(&world);
    let main = store.branches().get("main").unwrap();
    store.branches().set("sym", &main).unwrap();
    symbolic(&copy, "refs/heads/sym", "refs/heads/main");
    assert!(
        backup(&store, url_of(&copy), &MirrorOptions::default())
            .unwrap()
            .in_sync()
    );

    let side = store.branches().get("side").unwrap();
    store.branches().set("main", &side).unwrap();
    store.branches().set("sym", &side).unwrap();
    let diff = backup(&store, url_of(&copy), &MirrorOptions::default()).unwrap();
    assert_eq!((diff.total(), diff.update.len()), (2, 2));
    assert_eq!(copy.refs(), git_of(&store).refs());
    assert_eq!(leads_to(&copy, "refs/heads/sym"), "refs/heads/main");
}

#[test]
fn a_symbolic_ref_that_differs_becomes_a_ref_of_its_own() {
    let world = World::new();
    let (store, copy) = with_copy(&world);
    let main = store.branches().get("main").unwrap();
    let side = store.branches().get("side").unwrap();
    // Where each of `main` and `sym` goes from `main`, and whether `main` goes away.
    for (case, main_to, sym_to) in [
        ("only the symbolic one moves", Some(&main), &side),
        ("only what it leads to moves", Some(&side), &main),
        ("what it leads to goes away", None, &main),
        (
            "both move, apart",
            Some(&side),
            &side.parent().unwrap().unwrap(),
        ),
    ] {
        store.branches().set("main", &main).unwrap();
        if store.branches().contains("sym").unwrap() {
            store.branches().delete("sym").unwrap();
        }
        backup(&store, url_of(&copy), &MirrorOptions::default()).unwrap();
        symbolic(&copy, "refs/heads/sym", "refs/heads/main");

        match main_to {
            Some(to) => drop(store.branches().set("main", to).unwrap()),
            None => store.branches().delete("main").unwrap(),
        }
        store.branches().set("sym", sym_to).unwrap();
        backup(&store, url_of(&copy), &MirrorOptions::default()).unwrap();
        assert_eq!(copy.refs(), git_of(&store).refs(), "{case}");
        assert!(
            backup(&store, url_of(&copy), &MirrorOptions::default())
                .unwrap()
                .in_sync(),
            "{case}"
        );
    }
    copy.fsck();
}

#[test]
fn a_symbolic_ref_to_nothing_is_replaced() {
    let world = World::new();
    let (store, copy) = with_copy(&world);
    symbolic(&copy, "refs/heads/sym", "refs/heads/nowhere");
    let main = store.branches().get("main").unwrap();
    store.branches().set("sym", &main).unwrap();
    let diff = backup(&store, url_of(&copy), &MirrorOptions::default()).unwrap();
    assert_eq!(diff.add.len(), 1);
    assert_eq!(copy.refs(), git_of(&store).refs());
}

#[test]
fn chosen_refs_and_additions_move_no_other_ref() {
    let world = World::new();
    let (store, copy) = with_copy(&world);
    let side = store.branches().get("side").unwrap();
    let before = copy.run(&["rev-parse", "main"]);
    symbolic(&copy, "refs/heads/sym", "refs/heads/main");
    let options = MirrorOptions {
        refs: RefSelection::Names(vec![("side".to_owned(), Some("sym".to_owned()))]),
        ..MirrorOptions::default()
    };
    backup(&store, url_of(&copy), &options).unwrap();
    assert_eq!(copy.run(&["rev-parse", "main"]), before);
    assert_eq!(copy.run(&["rev-parse", "sym"]), side.commit().to_string());

    // One that is not asked about goes on following.
    symbolic(&copy, "refs/heads/sym", "refs/heads/main");
    store.branches().set("main", &side).unwrap();
    let options = MirrorOptions {
        additive: true,
        ..MirrorOptions::default()
    };
    backup(&store, url_of(&copy), &options).unwrap();
    assert_eq!(leads_to(&copy, "refs/heads/sym"), "refs/heads/main");
    assert_eq!(copy.run(&["rev-parse", "sym"]), side.commit().to_string());
}
