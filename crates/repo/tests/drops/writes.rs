//! Writes that began before a drop and end after it.

use bytes::Bytes;
use packhouse_object::{
    FinishedPack, NewObject, ObjectId, ObjectKind, PackFileWriter, Received, Tree, TreeEntry,
};
use packhouse_repo::{CommandStatus, PublishError, RepoError};

use super::{World, commit_of, go_on, push};
use crate::hosted::{Place, branch, content, put};

/// A pack of a tree that names a blob which is elsewhere, and a commit of it.
fn pack_naming(
    blob: ObjectId,
    parent: ObjectId,
    folder: &std::path::Path,
) -> (ObjectId, FinishedPack) {
    let tree = Tree {
        entries: vec![TreeEntry {
            mode: packhouse_object::EntryMode::Blob,
            name: "named".into(),
            id: blob,
        }],
    };
    let tree = NewObject::new(ObjectKind::Tree, Bytes::from(tree.encode())).unwrap();
    let commit = commit_of(tree.id, vec![parent], "names what is gone");
    let mut writer = PackFileWriter::create(folder).unwrap();
    writer.add_new(&tree).unwrap();
    writer.add_new(&commit).unwrap();
    (commit.id, writer.finish().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_was_checked_before_a_drop_is_checked_again() {
    for place in [Place::local(), Place::on_postgres()] {
        let world = World::set_apart(place).await;
        let main = put(&world.repo, "main", "b", "2").await.commit;
        let lost_blob = NewObject::new(ObjectKind::Blob, Bytes::from_static(b"lost")).unwrap();
        let folder = world.place.folder.path();
        // These requests came, and their packs were found complete, before the drop.
        let (large_by, small_by, named_by, fine_by) = (
            world.again(&world.node).await,
            world.again(&world.node).await,
            world.again(&world.node).await,
            world.again(&world.node).await,
        );
        let (large, pack) = pack_naming(lost_blob.id, main, folder);
        let small = commit_of(world.lost.tree, vec![world.lost.commit], "on what is gone");
        let kept_blob = NewObject::new(ObjectKind::Blob, Bytes::from_static(b"kept")).unwrap();
        let (fine, fine_pack) = pack_naming(kept_blob.id, main, folder);
        for repo in [&large_by, &small_by, &named_by, &fine_by] {
            repo.view().await.unwrap();
        }
        assert_eq!(world.drop_now().await.unwrap().objects, 3);
        let received = Some(Received::Large(pack));
        let refused = large_by.receive(push("large", None, large, received)).await;
        let is_blob = matches!(&refused, Err(RepoError::Vanished { id }) if *id == lost_blob.id);
        assert!(is_blob, "{refused:?}");
        let received = Some(Received::Small(vec![small.clone()]));
        let refused = small_by
            .receive(push("small", None, small.id, received))
            .await;
        assert!(
            matches!(refused, Err(RepoError::Vanished { .. })),
            "{refused:?}"
        );
        let refused = named_by.receive(push("named", None, world.lost.commit, None));
        let expected = CommandStatus::Rejected("missing necessary objects".to_owned());
        assert_eq!(refused.await.unwrap(), [expected]);
        // One that needs nothing of it goes through.
        let received = Some(Received::Large(fine_pack));
        let pushed = fine_by.receive(push("fine", None, fine, received)).await;
        assert_eq!(pushed.unwrap(), [CommandStatus::Ok]);
        let view = world.again(&world.other).await.view().await.unwrap();
        let mut refs: Vec<_> = view
            .refs()
            .iter()
            .map(|(name, _)| name.to_string())
            .collect();
        refs.sort();
        assert_eq!(refs, ["refs/heads/fine", "refs/heads/main"]);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_beside_a_pack_is_checked_again_too() {
    let world = World::set_apart(Place::local()).await;
    let main = put(&world.repo, "main", "b", "2").await.commit;
    let (lost, lost_tree) = (world.lost.commit, world.lost.tree);
    let kept_blob = NewObject::new(ObjectKind::Blob, Bytes::from_static(b"kept")).unwrap();
    let folder = world.place.folder.path();
    let edit = |name: &str, new: ObjectId| packhouse_repo::RefEdit {
        name: branch(name),
        old: None,
        new: Some(new),
        message: "test".to_owned(),
    };
    // All was decided before the drop: an object that names what is gone, and a ref that is put on it.
    let on_gone = commit_of(lost_tree, vec![main], "on what is gone");
    let (by_object, by_ref) = (
        world.again(&world.node).await,
        world.again(&world.node).await,
    );
    for repo in [&by_object, &by_ref] {
        repo.view().await.unwrap();
    }
    let changes = [
        (by_object, edit("object", on_gone.id), vec![on_gone]),
        (by_ref, edit("ref", lost), Vec::new()),
    ];
    assert_eq!(world.drop_now().await.unwrap().objects, 3);
    for (repo, edit, objects) in changes {
        // The pack itself needs nothing that is gone.
        let (_, pack) = pack_naming(kept_blob.id, main, folder);
        let edits = vec![edit];
        let written = repo.publish("test", vec![pack], move |_| {
            let (objects, edits) = (objects.clone(), edits.clone());
            Ok::<_, packhouse_object::ReadError>((packhouse_repo::Change { objects, edits }, ()))
        });
        let refused = written.await.map(|_| ());
        let is_vanished = matches!(
            &refused,
            Err(PublishError::Repo(RepoError::Vanished { .. }))
        );
        assert!(is_vanished, "{refused:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_being_prepared_when_something_was_dropped_is_prepared_again() {
    let world = World::set_apart(Place::local()).await;
    let lost_blob = NewObject::new(ObjectKind::Blob, Bytes::from_static(b"lost")).unwrap();
    let (seen, dropped) = std::sync::mpsc::channel::<()>();
    let (other, id) = (world.other.clone(), world.id().await);
    let runtime = tokio::runtime::Handle::current();
    let mut is_first = true;
    // The write finds the blob in its view, and it is dropped before the write is recorded.
    let written = world.repo.publish("test", Vec::new(), move |view| {
        let has_blob = view.database().contains(&lost_blob.id)?;
        if std::mem::take(&mut is_first) {
            assert!(has_blob);
            let other = other.clone();
            runtime
                .block_on(async { other.drop_unreachable(id, i64::MAX, go_on()).await })
                .unwrap();
            seen.send(()).unwrap();
        }
        let main = view.refs().get(view.head()).unwrap().target;
        let tree = Tree {
            entries: vec![TreeEntry {
                mode: packhouse_object::EntryMode::Blob,
                name: "again".into(),
                id: lost_blob.id,
            }],
        };
        let tree = NewObject::new(ObjectKind::Tree, Bytes::from(tree.encode())).unwrap();
        let commit = commit_of(tree.id, vec![main], "again");
        let new = Some(commit.id);
        let mut objects = vec![tree, commit];
        if !has_blob {
            objects.push(lost_blob.clone());
        }
        let edits = vec![packhouse_repo::RefEdit {
            name: view.head().clone(),
            old: Some(main),
            new,
            message: "test".to_owned(),
        }];
        Ok::<_, packhouse_object::ReadError>((packhouse_repo::Change { objects, edits }, ()))
    });
    written.await.unwrap();
    dropped.recv().unwrap();
    let repo = world.again(&world.other).await;
    assert_eq!(content(&repo, "main", "again").await.unwrap(), b"lost");
    world.end().await;
}
