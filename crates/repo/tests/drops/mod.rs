//! Dropping what no ref has reached for long: it goes, and nothing else does.

mod writes;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use packhouse_catalog::{OrgId, PackSource, RepoId};
use packhouse_object::{Commit, NewObject, ObjectId, ObjectKind, PackFileWriter, Received};
use packhouse_repo::{
    Command, CommandStatus, CommitOutcome, DeleteBranch, DropReport, ForkRequest, Hosted,
    Namespace, Push, RepackHow, RepoError, Repository, SweepOptions,
};
use packhouse_testkit::clock::TestClock;

use crate::hosted::{
    Anything, NEVER, Place, branch, check_complete, content, new_org, new_repo, put, request,
    someone,
};

const DAY_MS: i64 = 24 * 3_600_000;

pub(crate) fn go_on() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

pub(crate) async fn id_of(node: &Hosted, org: OrgId, name: &str) -> RepoId {
    node.catalog().repo(org, name).await.unwrap().unwrap().id
}

pub(crate) async fn delete_branch(repo: &Repository, name: &str) -> bool {
    let deletion = DeleteBranch {
        name: branch(name),
        policy: Arc::new(Anything),
        who: "test".to_owned(),
    };
    repo.delete_branch(deletion).await.is_ok()
}

/// A push of `received` that puts a branch somewhere.
pub(crate) fn push(
    name: &str,
    old: Option<ObjectId>,
    new: ObjectId,
    received: Option<Received>,
) -> Push {
    Push {
        commands: vec![Command {
            name: branch(name),
            old,
            new: Some(new),
        }],
        received,
        atomic: false,
        policy: Arc::new(Anything),
        who: "test".to_owned(),
    }
}

pub(crate) fn commit_of(tree: ObjectId, parents: Vec<ObjectId>, message: &str) -> NewObject {
    let commit = Commit {
        tree,
        parents,
        author: someone(),
        committer: someone(),
        extra_headers: Vec::new(),
        message: message.into(),
    };
    NewObject::new(ObjectKind::Commit, Bytes::from(commit.encode())).unwrap()
}

/// Two nodes and a repository, of which a branch was deleted that had objects of its own.
struct World {
    place: Place,
    node: Arc<Hosted>,
    other: Arc<Hosted>,
    org: OrgId,
    repo: Repository,
    lost: CommitOutcome,
    clock: TestClock,
}

impl World {
    async fn new(place: Place) -> World {
        let node = place.node("a", NEVER).await;
        let other = place.node("b", NEVER).await;
        let org = new_org(&node).await;
        let repo = new_repo(&node, org, "r").await;
        put(&repo, "main", "a", "kept").await;
        let mut side = request("side", "only-here", "lost");
        side.base = Some(branch("main"));
        let lost = repo.commit(side).await.unwrap();
        node.fold(id_of(&node, org, "r").await).await.unwrap();
        assert!(delete_branch(&repo, "side").await);
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let clock = TestClock::at(i64::try_from(now).unwrap());
        World {
            place,
            node,
            other,
            org,
            repo,
            lost,
            clock,
        }
    }

    /// Has what is lost set apart.
    async fn set_apart(place: Place) -> World {
        let world = World::new(place).await;
        let report = world.repack().await;
        assert_eq!((report.packs, report.unreachable), (2, 3));
        world
    }

    async fn id(&self) -> RepoId {
        id_of(&self.node, self.org, "r").await
    }

    async fn repack(&self) -> packhouse_repo::RepackReport {
        let id = self.id().await;
        let repacked = self.node.repack(id, RepackHow::Full, go_on()).await;
        repacked.unwrap().unwrap()
    }

    fn options(&self) -> SweepOptions {
        SweepOptions {
            keep_unreachable: Duration::from_secs(14 * 24 * 3600),
            grace: Duration::from_secs(3600),
            clock: Arc::new(self.clock.reader()),
            ..SweepOptions::default()
        }
    }

    async fn sweep(&self) -> u64 {
        self.other
            .sweep(&self.options(), &())
            .await
            .unwrap()
            .objects
    }

    /// Drops on the other node, whatever was kept how long.
    async fn drop_now(&self) -> Option<DropReport> {
        let dropped = self
            .other
            .drop_unreachable(self.id().await, i64::MAX, go_on());
        dropped.await.unwrap()
    }

    async fn sources(&self) -> Vec<PackSource> {
        let loaded = self.node.catalog().load(self.id().await, None).await;
        let packs = loaded.unwrap().unwrap().packs.unwrap();
        let mut sources: Vec<_> = packs.iter().map(|pack| pack.source).collect();
        sources.sort_by_key(|source| *source as u8);
        sources
    }

    /// The repository as a request of now gets it.
    async fn again(&self, node: &Hosted) -> Repository {
        node.repository(self.org, "r").await.unwrap().unwrap()
    }

    async fn end(self) {
        // One that has nothing in its caches.
        let fresh = self.place.node("fresh", NEVER).await;
        check_complete(&self.again(&fresh).await).await;
        fresh.shutdown().await;
        self.other.shutdown().await;
        self.node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_ref_has_reached_for_long_goes_and_is_nowhere_any_more() {
    for place in [
        Place::local(),
        Place::with_distant_bucket(),
        Place::on_postgres(),
    ] {
        let world = World::set_apart(place).await;
        let lost = world.lost.commit;
        // It is in the node's memory of objects.
        let view = world.repo.view().await.unwrap();
        assert!(view.database().commit(lost).is_ok());
        assert_eq!(world.sweep().await, 0);
        world.clock.advance(13 * DAY_MS);
        assert_eq!(world.sweep().await, 0);
        world.clock.advance(DAY_MS + 1000);
        assert_eq!(world.sweep().await, 3);
        assert_eq!(world.sources().await, [PackSource::Reachable]);
        // Who has it open reads it; for all others it is gone, by whichever way it is asked for.
        assert!(view.database().commit(lost).is_ok());
        for node in [&world.node, &world.other] {
            let repo = world.again(node).await;
            let view = repo.view().await.unwrap();
            assert!(!view.database().contains(&lost).unwrap());
            assert!(view.database().header(&lost).unwrap().is_none());
            let name = lost.to_string();
            assert_eq!(view.resolve(&name, Namespace::Default).unwrap(), None);
            let statuses = repo.receive(push("back", None, lost, None)).await.unwrap();
            let expected = CommandStatus::Rejected("missing necessary objects".to_owned());
            assert_eq!(statuses, [expected]);
        }
        // What was dropped is deleted from the bucket after the grace of sweeps, like all that nobody lists.
        world.sweep().await;
        world.clock.advance(2 * 3_600_000);
        world.sweep().await;
        let kept = content(&world.again(&world.other).await, "main", "a").await;
        assert_eq!(kept.unwrap(), b"kept");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_reached_again_stays_and_the_rest_goes() {
    let world = World::set_apart(Place::local()).await;
    // Its commit comes back by name; the tree of another one stays lost.
    let mut more = request("other", "lost-too", "x");
    more.base = Some(branch("main"));
    let gone = world.repo.commit(more).await.unwrap();
    assert!(delete_branch(&world.repo, "other").await);
    let id = world.id().await;
    world.node.fold(id).await.unwrap();
    assert_eq!(world.repack().await.unreachable, 3);
    let back = push("back", None, world.lost.commit, None);
    let statuses = world.repo.receive(back).await.unwrap();
    assert_eq!(statuses, [CommandStatus::Ok]);
    let dropped = world.drop_now().await.unwrap();
    // All of the other is used, and stays as it is.
    assert_eq!((dropped.packs, dropped.objects), (1, 3));
    let repo = world.again(&world.other).await;
    assert_eq!(content(&repo, "back", "only-here").await.unwrap(), b"lost");
    let view = repo.view().await.unwrap();
    assert!(!view.database().contains(&gone.commit).unwrap());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_small_write_has_in_common_with_it_stays() {
    let world = World::set_apart(Place::local()).await;
    // The blob is there, and is not stored once more.
    put(&world.repo, "main", "again", "lost").await;
    assert_eq!(world.drop_now().await.unwrap().objects, 3);
    let repo = world.again(&world.other).await;
    assert_eq!(content(&repo, "main", "again").await.unwrap(), b"lost");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_something_younger_names_stays_for_as_long_as_that() {
    let world = World::set_apart(Place::local()).await;
    // A commit that has the blob again, and was left as well, but lately.
    let mut young = request("young", "again", "lost");
    young.base = Some(branch("main"));
    let young = world.repo.commit(young).await.unwrap();
    assert!(delete_branch(&world.repo, "young").await);
    assert_eq!(world.drop_now().await.unwrap().objects, 3);
    let repo = world.again(&world.other).await;
    let view = repo.view().await.unwrap();
    let lost_blob = NewObject::new(ObjectKind::Blob, Bytes::from_static(b"lost")).unwrap();
    let is_there = |id: &ObjectId| view.database().contains(id).unwrap();
    assert!(is_there(&young.commit) && is_there(&lost_blob.id));
    assert!(!is_there(&world.lost.commit) && !is_there(&world.lost.tree));
    assert_eq!(
        world.sources().await,
        [PackSource::Reachable, PackSource::Unreachable]
    );
    // It comes back whole.
    let back = push("back", None, young.commit, None);
    let statuses = world.again(&world.node).await.receive(back).await.unwrap();
    assert_eq!(statuses, [CommandStatus::Ok]);
    assert_eq!(content(&repo, "back", "again").await.unwrap(), b"lost");
    assert!(delete_branch(&world.repo, "back").await);
    // And goes when it is old itself.
    let id = world.id().await;
    world.node.fold(id).await.unwrap();
    world.repack().await;
    assert_eq!(world.drop_now().await.unwrap().packs, 2);
    assert_eq!(world.sources().await, [PackSource::Reachable]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_all_refs_reached_once_stays_if_one_reaches_it_again() {
    for place in [Place::local(), Place::with_distant_bucket()] {
        let node = place.node("a", NEVER).await;
        let org = new_org(&node).await;
        let repo = new_repo(&node, org, "r").await;
        let only = put(&repo, "only", "a", "kept").await.commit;
        let id = id_of(&node, org, "r").await;
        let repack = async || node.repack(id, RepackHow::Full, go_on()).await.unwrap();
        node.fold(id).await.unwrap();
        repack().await.unwrap();
        assert!(delete_branch(&repo, "only").await);
        // The pack is set apart as it is, and what the refs reached in it is known from the bitmaps that it still has.
        repack().await.unwrap();
        let statuses = repo.receive(push("only", None, only, None)).await.unwrap();
        assert_eq!(statuses, [CommandStatus::Ok]);
        let dropped = node.drop_unreachable(id, i64::MAX, go_on()).await;
        assert_eq!(dropped.unwrap(), None);
        let fresh = place.node("fresh", NEVER).await;
        let repo = fresh.repository(org, "r").await.unwrap().unwrap();
        assert_eq!(content(&repo, "only", "a").await.unwrap(), b"kept");
        check_complete(&repo).await;
        fresh.shutdown().await;
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_is_pushed_again_is_set_apart_no_longer() {
    let world = World::set_apart(Place::local()).await;
    let mut writer = PackFileWriter::create(world.place.folder.path()).unwrap();
    let view = world.repo.view().await.unwrap();
    let apart = view.database().packs().iter().find(|pack| {
        let ids: Vec<_> = pack.iter().map(|(id, _)| id).collect();
        ids.contains(&world.lost.commit)
    });
    // The same bytes, as a client may send them.
    for (_, offset) in apart.unwrap().iter_by_offset() {
        let cache = Arc::new(packhouse_object::ObjectCache::new(0));
        let object = apart.unwrap().read(offset, &cache).unwrap();
        writer
            .add_new(&NewObject::new(object.kind, object.data).unwrap())
            .unwrap();
    }
    let pack = writer.finish().unwrap();
    let again = push(
        "again",
        None,
        world.lost.commit,
        Some(Received::Large(pack)),
    );
    let statuses = world.repo.receive(again).await.unwrap();
    assert_eq!(statuses, [CommandStatus::Ok]);
    assert_eq!(
        world.sources().await,
        [PackSource::Push, PackSource::Reachable]
    );
    assert_eq!(world.drop_now().await, None);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_keeps_what_its_source_drops() {
    let world = World::set_apart(Place::local()).await;
    let fork = |name: &str| ForkRequest {
        name: name.to_owned(),
        default_branch: None,
        at: Some(world.lost.commit.to_string()),
        snapshot: None,
        who: "test".to_owned(),
        audit: None,
    };
    let source = world
        .node
        .catalog()
        .repo(world.org, "r")
        .await
        .unwrap()
        .unwrap();
    world.node.fork(&source, fork("early")).await.unwrap();
    world.drop_now().await.unwrap();
    // The node that forks has not heard of it.
    let late = world.node.fork(&source, fork("late")).await;
    assert!(late.is_err(), "{late:?}");
    let early = id_of(&world.node, world.org, "early").await;
    let reachable = async |id| {
        let loaded = world.node.catalog().load(id, None).await.unwrap().unwrap();
        let packs = loaded.packs.unwrap().into_iter();
        let mut reachable = packs.filter(|pack| pack.source == PackSource::Reachable);
        reachable.next().unwrap().key
    };
    let dropped = world.other.drop_unreachable(early, i64::MAX, go_on()).await;
    // It uses all of it.
    assert_eq!(dropped.unwrap(), None);
    let early = world
        .other
        .repository(world.org, "early")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(content(&early, "main", "only-here").await.unwrap(), b"lost");
    check_complete(&early).await;
    // What it has in common with its source is shared as before.
    let early = id_of(&world.node, world.org, "early").await;
    assert_eq!(reachable(early).await, reachable(world.id().await).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drop_that_is_told_to_stop_or_finds_a_damaged_repository_drops_nothing() {
    let world = World::set_apart(Place::local()).await;
    let stop = Arc::new(AtomicBool::new(true));
    let stopped = world
        .node
        .drop_unreachable(world.id().await, i64::MAX, stop)
        .await;
    assert!(matches!(stopped, Err(RepoError::Stopped)), "{stopped:?}");
    let expected = [PackSource::Reachable, PackSource::Unreachable];
    assert_eq!(world.sources().await, expected);
    // As by a mistake of somebody: a ref to what is nowhere.
    let nowhere = NewObject::new(ObjectKind::Blob, Bytes::from_static(b"nowhere")).unwrap();
    let broken = packhouse_catalog::Publish {
        repo: world.id().await,
        tail: None,
        packs: Vec::new(),
        edits: vec![packhouse_catalog::RefEdit {
            name: b"refs/heads/broken".to_vec(),
            old: None,
            new: Some(nowhere.id.as_slice().to_vec()),
            peeled: None,
            message: String::new(),
            who: None,
            origin: None,
        }],
        who: "test".to_owned(),
        at_ms: 0,
        only_at: None,
        checked_at: i64::MAX,
    };
    world.node.catalog().publish(broken).await.unwrap();
    world.clock.advance(20 * DAY_MS);
    let report = world.other.sweep(&world.options(), &()).await.unwrap();
    assert_eq!((report.objects, report.undropped), (0, 1));
    assert_eq!(world.sources().await, expected);
    world.other.shutdown().await;
    world.node.shutdown().await;
}
