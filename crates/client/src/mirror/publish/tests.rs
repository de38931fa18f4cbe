use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use packhouse_object::{ObjectId, PackFileWriter};
use packhouse_repo::given_up::for_caller;
use packhouse_repo::store::{Create, StoreOptions, WriteOptions};
use packhouse_testkit::git::Git;
use packhouse_testkit::locks::let_go_when_waited_for;
use tempfile::TempDir;

use super::*;

/// A store with the branches `main`, `a/b` and `b/c`, and commits that come from another one.
struct World {
    store: Store,
    other: Store,
    _folder: TempDir,
}

/// How what refs are moved to gets there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    AsObjects,
    AsPack,
    /// It was here already, and no ref led to it.
    Before,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str| {
            let create = Create::New {
                branch: Some("main".to_owned()),
            };
            let options = StoreOptions {
                create,
                ..StoreOptions::default()
            };
            Store::open(folder.path().join(name), options).unwrap()
        };
        let (store, other) = (open("store.git"), open("other.git"));
        let main = store.branches().get("main").unwrap();
        for name in ["a/b", "b/c"] {
            store.branches().set(name, &main).unwrap();
        }
        World {
            store,
            other,
            _folder: folder,
        }
    }

    fn git(&self) -> Git {
        Git::at(self.store.path())
    }

    /// A commit that the store has if it came before, and what it would have to get otherwise.
    fn commit(&self, came: Came) -> (ObjectId, Option<Received>) {
        let of = match came {
            Came::Before => &self.store,
            Came::AsObjects | Came::AsPack => &self.other,
        };
        let start = of.branches().get("main").unwrap();
        let options = WriteOptions::default();
        let new = start.write("folder/new", b"new", &options).unwrap();
        let commit = new.commit();
        if came == Came::Before {
            of.branches().set("main", &start).unwrap();
            self.git()
                .run(&["reflog", "expire", "--expire=now", "--all"]);
            return (commit, None);
        }
        let database = of.database().unwrap();
        let listed = Git::at(of.path()).run(&["rev-list", "--objects", "main"]);
        let objects = listed.lines().map(|line| {
            let id = ObjectId::from_hex(&line.as_bytes()[..40]).unwrap();
            let object = database.read(&id).unwrap().unwrap();
            NewObject::new(object.kind, object.data).unwrap()
        });
        let objects: Vec<NewObject> = objects.collect();
        if came == Came::AsObjects {
            return (commit, Some(Received::Small(objects)));
        }
        let mut pack = PackFileWriter::create(self.store.quarantine_dir()).unwrap();
        for object in &objects {
            pack.add_new(object).unwrap();
        }
        (commit, Some(Received::Large(pack.finish().unwrap())))
    }

    /// Makes these the refs of the store, together with `main` and others that are not in their way. `between` is called
    /// after what makes room is gone, and before the rest moves.
    fn mirror(
        &self,
        received: Option<Received>,
        wanted: &[(&str, ObjectId)],
        mut between: impl FnMut(),
    ) -> Result<(), StoreError> {
        let main = self.store.branches().get("main").unwrap().commit();
        let wanted = wanted.iter().copied().chain([("main", main)]);
        let wanted = wanted.map(|(name, target)| (RefName::branch(name).unwrap(), target));
        let wanted: RefTargets = wanted.collect();
        let mut calls = 0;
        let moved = publish_decided(&self.store, received, "fetch", |found| {
            calls += 1;
            if calls == 2 {
                between();
            }
            Ok::<_, Infallible>((edits(found, &wanted, true), ()))
        })?;
        assert!(moved.is_ok());
        Ok(())
    }

    /// The files of objects that a collection removes that looks at the refs now, and that packs all others anew.
    fn unreached(&self) -> Vec<PathBuf> {
        let git = self.git();
        let objects = self.store.path().join("objects");
        let unreached = git.run(&["fsck", "--unreachable", "--no-reflogs"]);
        let loose = unreached.lines().map(|line| {
            let hex = line.rsplit(' ').next().unwrap();
            objects.join(&hex[..2]).join(&hex[2..])
        });
        let packs = fs::read_dir(objects.join("pack")).unwrap();
        let packs = packs.map(|entry| entry.unwrap().path());
        let files: BTreeSet<PathBuf> = loose.chain(packs).collect();
        assert!(!files.is_empty());
        files.into_iter().collect()
    }
}

#[test]
fn a_collection_that_looked_before_refs_moved_removes_nothing_that_they_name() {
    for came in [Came::AsObjects, Came::AsPack, Came::Before] {
        for names in [&["new"][..], &["a", "b"]] {
            let world = World::new();
            let (commit, received) = world.commit(came);
            let wanted: Vec<_> = names.iter().map(|name| (*name, commit)).collect();
            // Where there is no room to be made, and the objects come with the refs, there is nothing to find yet.
            let is_there = came == Came::Before || names.len() > 1;
            let mut found = Vec::new();
            let at_work = world.store.path().join("gc.pid");
            let moved = world.mirror(received, &wanted, || {
                // Of another machine: nothing more is known of it.
                fs::write(&at_work, "1 elsewhere").unwrap();
                if is_there {
                    found = world.unreached();
                }
            });
            moved.unwrap();
            for file in found {
                // One of a pack, if not loose.
                let _ = fs::remove_file(file);
            }
            world.git().fsck();
            let file = format!("{}:folder/new", names[0]);
            assert_eq!(world.git().run(&["show", &file]), "new", "{came:?}");
        }
    }
}

#[test]
fn refs_that_were_moved_to_what_a_collection_has_removed_are_where_they_were() {
    for came in [Came::AsPack, Came::Before] {
        let world = World::new();
        let git = world.git();
        let before = git.refs();
        let (commit, received) = world.commit(came);
        let moved = world.mirror(received, &[("a", commit), ("b", commit)], || {
            git.run(&["gc", "--quiet", "--prune=now"]);
        });
        let error = moved.unwrap_err().to_string();
        assert!(error.contains(&commit.to_string()), "{error}");
        assert_eq!(git.refs(), before, "{came:?}");
        git.fsck();
    }
}

#[test]
fn what_made_room_and_was_removed_meanwhile_keeps_nothing_else_away() {
    let world = World::new();
    let git = world.git();
    let main = world.store.branches().get("main").unwrap();
    let lost = world.store.branches().get("a/b").unwrap();
    let lost = lost.write("lost", b"lost", &WriteOptions::default());
    let wanted = ["a", "b"].map(|name| (RefName::branch(name).unwrap(), main.commit()));
    let wanted = RefTargets::from(wanted);
    let mut calls = 0;
    let moved = publish_decided(&world.store, None, "fetch", |found| {
        calls += 1;
        if calls == 1 {
            return Ok((edits(found, &wanted, true), ()));
        }
        git.run(&["gc", "--quiet", "--prune=now"]);
        Err("refused")
    });
    assert_eq!(moved.unwrap(), Err("refused"));
    assert!(
        !git.try_run(&["cat-file", "-e", &lost.unwrap().commit().to_string()])
            .ok
    );
    let names = world.store.branches().names().unwrap();
    assert_eq!(names, ["b/c", "main"]);
    git.fsck();
}

#[test]
fn what_made_room_comes_back_though_the_caller_has_given_up() {
    let world = World::new();
    let before = world.git().refs();
    let git_dir = world.store.path();
    let main = world.store.branches().get("main").unwrap().commit();
    // Somebody has it, and does not let it go.
    let held = git_dir.join("refs/heads/other.lock");
    fs::write(&held, "").unwrap();
    let folder = git_dir.join("refs/heads/b");
    // From now on there is something to wait for where it is undone, too.
    let give_up = Arc::new(move || {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("c.lock"), "").unwrap();
        true
    });
    let wanted = [("a", main), ("b", main), ("other", main)];
    let moved = let_go_when_waited_for(git_dir, "refs/heads/b/c.lock", || {
        for_caller(give_up, || world.mirror(None, &wanted, || {}))
    });
    assert!(matches!(moved, Err(StoreError::Cancelled)), "{moved:?}");
    fs::remove_file(held).unwrap();
    assert_eq!(world.git().refs(), before);
}
