//! Backups and restores by every way there is.

use packhouse_client::remote::{FetchRequest, Remote};
use packhouse_client::{backup, restore};
use packhouse_object::Received;

use crate::world::{WAYS, Way, World, assert_no_leftovers, git_of};

#[test]
fn a_restore_brings_all_refs_and_later_ones_what_changed() {
    for way in WAYS {
        let mut world = World::new();
        let source = world.with_history("source");
        let url = world.url("source", way);
        let options = world.options(way);
        let store = world.store("store");

        let first = restore(&store, &url, &options).unwrap_or_else(|e| panic!("{way:?}: {e:?}"));
        assert_eq!((first.add.len(), first.total()), (5, 5), "{way:?}");
        assert_eq!(git_of(&store).refs(), source.refs(), "{way:?}");
        git_of(&store).fsck();

        let work = world.work("source");
        work.commit_file("new", "new\n");
        work.run(&[
            "push",
            "-q",
            "../source.git",
            "main:main",
            "+main~9:side",
            ":light",
        ]);
        let second = restore(&store, &url, &options).unwrap();
        assert_eq!(
            (second.add.len(), second.update.len(), second.delete.len()),
            (0, 2, 1),
            "{way:?}"
        );
        assert_eq!(git_of(&store).refs(), source.refs(), "{way:?}");
        git_of(&store).fsck();
        assert!(restore(&store, &url, &options).unwrap().in_sync());
        assert_no_leftovers(&store);
    }
}

#[test]
fn a_backup_makes_the_other_side_the_same() {
    for way in WAYS {
        let mut world = World::new();
        let source = world.with_history("source");
        let target = world.bare("target");
        let store = world.store("store");
        restore(
            &store,
            source.dir.display().to_string(),
            &world.options(way),
        )
        .unwrap();
        let url = world.url("target", way);
        let options = world.options(way);

        let first = backup(&store, &url, &options).unwrap_or_else(|e| panic!("{way:?}: {e:?}"));
        assert_eq!((first.add.len(), first.total()), (5, 5), "{way:?}");
        assert_eq!(target.refs(), source.refs(), "{way:?}");
        target.fsck();

        let main = store.branches().get("main").unwrap();
        let side = store.branches().set("side", &main.back(3).unwrap());
        side.unwrap();
        store.tags().delete("light").unwrap();
        let second = backup(&store, &url, &options).unwrap();
        assert_eq!(
            (second.add.len(), second.update.len(), second.delete.len()),
            (0, 1, 1),
            "{way:?}"
        );
        assert_eq!(target.refs(), git_of(&store).refs(), "{way:?}");
        target.fsck();
        assert!(backup(&store, &url, &options).unwrap().in_sync());
    }
}

#[test]
fn a_fetch_brings_only_what_is_missing() {
    for way in WAYS {
        let mut world = World::new();
        world.with_history("source");
        let url = world.url("source", way);
        let store = world.store("store");
        restore(&store, &url, &world.options(way)).unwrap();
        // A commit of our own that the remote does not have must not keep it from finding what both have.
        store.branches().set_current("main").unwrap();
        let ours = world.path("ours");
        git_of(&store).run(&["clone", "-q", ".", &ours.display().to_string()]);
        let ours = crate::git::Git::at(ours);
        ours.commit_file("ours", "ours\n");
        ours.run(&["push", "-q", "origin", "HEAD:main"]);

        let work = world.work("source");
        let wanted = work.commit_file("new", "new\n");
        work.run(&["push", "-q", "../source.git", "main:main"]);
        let remote = Remote::open(&url, world.remote_options(way)).unwrap();
        let view = store.view().unwrap();
        let request = FetchRequest {
            wants: vec![packhouse_object::ObjectId::from_hex(wanted.as_bytes()).unwrap()],
            haves: view.refs().iter().map(|(_, value)| value.target).collect(),
            database: view.database(),
            quarantine: store.quarantine_dir(),
        };
        let Some(Received::Small(objects)) = remote.fetch(&request, &()).unwrap() else {
            panic!("{way:?}: that is no small pack");
        };
        assert_eq!(objects.len(), 3, "{way:?}: commit, tree, file");
    }
}

#[test]
fn refs_are_listed_with_head_and_peeled_tags() {
    for way in WAYS {
        let mut world = World::new();
        let source = world.with_history("source");
        let url = world.url("source", way);
        let remote = Remote::open(&url, world.remote_options(way)).unwrap();
        let refs = remote.refs(&()).unwrap();
        let listed: Vec<String> = refs
            .refs
            .iter()
            .map(|entry| format!("{} {}", entry.target, entry.name))
            .collect();
        assert_eq!(listed.join("\n"), source.refs(), "{way:?}");
        assert_eq!(
            refs.head.unwrap().to_string(),
            source.run(&["rev-parse", "HEAD"]),
            "{way:?}"
        );
        assert_eq!(
            refs.head_ref.unwrap().to_string(),
            "refs/heads/main",
            "{way:?}"
        );
        let heavy = refs
            .refs
            .iter()
            .find(|entry| entry.peeled.is_some())
            .unwrap();
        assert_eq!(heavy.name.to_string(), "refs/tags/heavy");
        assert_eq!(
            heavy.peeled.unwrap().to_string(),
            source.run(&["rev-parse", "heavy^{commit}"])
        );
    }
}

#[test]
fn empty_repositories_have_no_refs_and_take_none_away() {
    for way in WAYS {
        let mut world = World::new();
        world.bare("empty");
        let url = world.url("empty", way);
        let store = world.store("store");
        let options = world.options(way);
        assert!(
            restore(&store, &url, &options).unwrap().in_sync(),
            "{way:?}"
        );
        assert!(backup(&store, &url, &options).unwrap().in_sync(), "{way:?}");
    }
}

#[test]
fn a_missing_repository_is_told_apart() {
    for way in WAYS.into_iter().filter(|way| *way != Way::OurHttp) {
        let mut world = World::new();
        let url = world.url("nothing", way);
        let store = world.store("store");
        let error = restore(&store, &url, &world.options(way))
            .unwrap_err()
            .to_string();
        assert!(error.contains("Repository not found"), "{way:?}: {error}");
    }
}

#[test]
fn large_packs_arrive_as_files_and_in_bounded_memory() {
    for way in [Way::Path, Way::Http, Way::Ssh, Way::Daemon] {
        let mut world = World::new();
        let source = world.with_history("source");
        let work = world.work("source");
        let mut noise = Vec::new();
        let mut state = 1u64;
        while noise.len() < 5 << 20 {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            noise.extend_from_slice(&state.to_be_bytes());
        }
        std::fs::write(work.dir.join("noise"), &noise).unwrap();
        work.run(&["add", "noise"]);
        work.run(&["commit", "-q", "-m", "noise"]);
        work.run(&["push", "-q", "../source.git", "main:main"]);
        let store = world.store("store");
        let url = world.url("source", way);
        restore(&store, &url, &world.options(way)).unwrap();
        assert_eq!(git_of(&store).refs(), source.refs(), "{way:?}");
        git_of(&store).fsck();
        assert_no_leftovers(&store);

        let target = world.bare("target");
        let url = world.url("target", way);
        backup(&store, &url, &world.options(way)).unwrap();
        assert_eq!(target.refs(), source.refs(), "{way:?}");
        target.fsck();
    }
}

#[test]
fn ssh_is_called_as_git_calls_it() {
    let mut world = World::new();
    world.with_history("it's");
    let store = world.store("store");
    let url = world.url("it's", Way::Ssh);
    restore(&store, &url, &world.options(Way::Ssh)).unwrap();
    let log = world.ssh_log();
    assert!(log.contains("-G git@localhost"), "{log}");
    assert!(
        log.contains("-o SendEnv=GIT_PROTOCOL -p 2222 git@localhost git-upload-pack '/"),
        "{log}"
    );
    assert!(log.contains("/it'\\''s.git'"), "{log}");
}

#[test]
fn hundreds_of_refs_go_both_ways() {
    for way in [Way::Path, Way::Http, Way::OldSsh] {
        let mut world = World::new();
        let source = world.with_history("source");
        let main = source.run(&["rev-parse", "main"]);
        let side = source.run(&["rev-parse", "side"]);
        let lines: String = (0..300)
            .map(|number| {
                let target = if number % 2 == 0 { &main } else { &side };
                format!("create refs/heads/many/{number} {target}\n")
            })
            .collect();
        source.feed(&["update-ref", "--stdin"], lines.as_bytes());
        let store = world.store("store");
        let url = world.url("source", way);
        let options = world.options(way);
        assert_eq!(restore(&store, &url, &options).unwrap().add.len(), 305);
        assert_eq!(git_of(&store).refs(), source.refs(), "{way:?}");
        let target = world.bare("target");
        let url = world.url("target", way);
        assert_eq!(backup(&store, &url, &options).unwrap().add.len(), 305);
        assert_eq!(target.refs(), source.refs(), "{way:?}");
        target.fsck();
    }
}
