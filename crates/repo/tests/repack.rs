//! Repacks of hosted repositories: nothing is lost, whoever reads, writes, repacks too, or is killed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::TryStreamExt;
use packhouse_bucket::Listed;
use packhouse_catalog::{Catalog, PackSource};
use packhouse_object::{Wanted, bitmapped, count_to_send};
use packhouse_repo::{
    DeleteBranch, Hosted, HostedOptions, Namespace, RepackHow, RepackReport, RepoError, Repository,
    SweepOptions,
};
use packhouse_testkit::clock::TestClock;
use packhouse_testkit::faults::{FaultPlan, FaultyBucket};

use crate::hosted::{
    Anything, NEVER, Place, branch, check_complete, content, new_org, new_repo, put, request,
};

fn go_on() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Several packs: each of the folds leaves one.
async fn with_packs(node: &Hosted, repo: &Repository, packs: usize) {
    with_packs_of(node, repo, packs, "").await;
}

async fn with_packs_of(node: &Hosted, repo: &Repository, packs: usize, label: &str) {
    for pack in 0..packs {
        for file in 0..3 {
            let text = format!("{label}{pack} {file}\n").repeat(50);
            put(repo, "main", &format!("dir{file}/f{pack}"), &text).await;
        }
        node.fold(id_of(node).await).await.unwrap().unwrap();
    }
}

async fn id_of(node: &Hosted) -> packhouse_catalog::RepoId {
    let org = node.catalog().org("acme").await.unwrap().unwrap().id;
    node.catalog().repo(org, "r").await.unwrap().unwrap().id
}

async fn repack(node: &Hosted) -> Option<RepackReport> {
    node.repack(id_of(node).await, RepackHow::Full, go_on())
        .await
        .unwrap()
}

/// A node without the `git` program.
async fn without_git(place: &Place, name: &str) -> Arc<Hosted> {
    let catalog = Catalog::open(&place.catalog).await.unwrap();
    let (cache, temp) = (
        place.folder.path().join(name).join("cache"),
        place.folder.path().join(name).join("tmp"),
    );
    let mut options = HostedOptions::new(catalog, place.bucket.clone(), cache, temp);
    options.fold = NEVER;
    options.git = None;
    Hosted::open(options).unwrap()
}

async fn sources(node: &Hosted) -> Vec<PackSource> {
    let loaded = node
        .catalog()
        .load(id_of(node).await, None)
        .await
        .unwrap()
        .unwrap();
    let mut sources: Vec<_> = loaded
        .packs
        .unwrap()
        .iter()
        .map(|pack| pack.source)
        .collect();
    sources.sort_by_key(|source| *source as u8);
    sources
}

/// Everything that the refs reach is a part of the one pack, and is sent as such.
async fn check_bitmaps(repo: &Repository) {
    let view = repo.view().await.unwrap();
    let wants: Vec<_> = view.refs().iter().map(|(_, at)| at.target).collect();
    let wanted = Wanted {
        wants,
        ..Wanted::default()
    };
    let db = view.database();
    let by_bitmap = count_to_send(db, &wanted, &()).unwrap();
    let packed = bitmapped(db).unwrap();
    assert_eq!(
        by_bitmap.len(),
        u64::from(packed.object_count()),
        "the pack has what is reached, and no more"
    );
    check_complete(repo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_repack_leaves_one_pack_with_bitmaps() {
    for place in [
        Place::local(),
        Place::with_distant_bucket(),
        Place::on_postgres(),
    ] {
        for with_git in [true, false] {
            let name = if with_git { "a" } else { "b" };
            let place = &place;
            let node = match with_git {
                true => place.node(name, NEVER).await,
                false => without_git(place, name).await,
            };
            if with_git {
                let org = new_org(&node).await;
                new_repo(&node, org, "r").await;
            }
            let org = node.catalog().org("acme").await.unwrap().unwrap().id;
            let repo = node.repository(org, "r").await.unwrap().unwrap();
            with_packs_of(&node, &repo, 3, name).await;
            // What is in the tail is in the pack too.
            put(&repo, "main", "tail", name).await;
            let report = repack(&node).await.unwrap();
            assert!(report.is_full && report.by_git == with_git, "{report:?}");
            assert_eq!((report.packs, report.unreachable), (1, 0));
            assert_eq!(sources(&node).await, [PackSource::Reachable]);
            check_bitmaps(&repo).await;
            assert_eq!(
                content(&repo, "main", "tail").await.unwrap(),
                name.as_bytes()
            );
            // Another node, which fetches all that it reads.
            let other = place.node(&format!("{name}-other"), NEVER).await;
            let there = other.repository(org, "r").await.unwrap().unwrap();
            check_bitmaps(&there).await;
            let due = node
                .repack(id_of(&node).await, RepackHow::WhenDue, go_on())
                .await;
            assert_eq!(due.unwrap(), None);
            other.shutdown().await;
            node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_ref_reaches_is_kept_apart_and_can_be_reached_again() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    with_packs(&node, &repo, 1).await;
    let mut side = request("side", "only-here", "x");
    side.base = Some(branch("main"));
    let lost = repo.commit(side).await.unwrap().commit;
    node.fold(id_of(&node).await).await.unwrap().unwrap();
    let deletion = DeleteBranch {
        name: branch("side"),
        policy: Arc::new(Anything),
        who: "test".to_owned(),
    };
    repo.delete_branch(deletion).await.unwrap();
    let report = repack(&node).await.unwrap();
    assert_eq!(
        (report.packs, report.unreachable),
        (2, 3),
        "a commit, its tree, its blob"
    );
    assert_eq!(
        sources(&node).await,
        [PackSource::Reachable, PackSource::Unreachable]
    );
    let view = repo.view().await.unwrap();
    assert!(view.database().contains(&lost).unwrap());
    assert!(
        view.resolve(&lost.to_string(), Namespace::Default)
            .unwrap()
            .is_some()
    );
    // The next one leaves it as it is.
    assert_eq!(repack(&node).await.unwrap().replaced, 1);
    assert_eq!(
        sources(&node).await,
        [PackSource::Reachable, PackSource::Unreachable]
    );
    check_bitmaps(&repo).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_that_repack_at_once_and_writers_do_no_harm() {
    let place = Place::local();
    let (a, b) = (place.node("a", NEVER).await, without_git(&place, "b").await);
    let org = new_org(&a).await;
    let repo = new_repo(&a, org, "r").await;
    with_packs(&a, &repo, 4).await;
    let other = b.repository(org, "r").await.unwrap().unwrap();
    let writes = async {
        for number in 0..20 {
            put(&other, "main", &format!("w{number}"), "text").await;
            if number % 5 == 4 {
                b.fold(id_of(&b).await).await.unwrap();
            }
        }
    };
    let (one, two, ()) = tokio::join!(repack(&a), repack(&b), writes);
    assert!(one.is_some() || two.is_some());
    for node in [&a, &b] {
        let repo = node.repository(org, "r").await.unwrap().unwrap();
        check_complete(&repo).await;
        assert_eq!(content(&repo, "main", "w19").await.unwrap(), b"text");
        assert_eq!(
            content(&repo, "main", "dir0/f0").await.unwrap(),
            "0 0\n".repeat(50).as_bytes()
        );
    }
    repack(&a).await.unwrap();
    assert_eq!(sources(&a).await, [PackSource::Reachable]);
    a.shutdown().await;
    b.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_packs_are_merged_when_it_is_time() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let due = tokio::spawn({
        let node = node.clone();
        async move { node.repacks_due().await }
    });
    tokio::task::yield_now().await;
    with_packs(&node, &repo, 10).await;
    put(&repo, "main", "last", "x").await;
    let id = id_of(&node).await;
    let told = tokio::time::timeout(Duration::from_secs(60), due).await;
    assert_eq!(told.unwrap().unwrap(), [id]);
    let report = node
        .repack(id, RepackHow::WhenDue, go_on())
        .await
        .unwrap()
        .unwrap();
    assert!(
        !report.is_full && report.packs == 1 && report.replaced >= 2,
        "{report:?}"
    );
    assert!(sources(&node).await.len() <= 9);
    check_complete(&repo).await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_takes_what_was_replaced_with_its_bitmaps_and_nothing_else() {
    let place = Place::local();
    let node = place.node("a", NEVER).await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let clock = TestClock::at(i64::try_from(now).unwrap());
    let options = SweepOptions {
        grace: Duration::from_secs(3600),
        clock: Arc::new(clock.reader()),
        ..SweepOptions::default()
    };
    for round in 0..3 {
        put(&repo, "main", &format!("f{round}"), "x").await;
        node.fold(id_of(&node).await).await.unwrap().unwrap();
        repack(&node).await.unwrap();
        node.sweep(&options, &()).await.unwrap();
        clock.advance(3_600_001);
        node.sweep(&options, &()).await.unwrap();
        let left: Vec<Listed> = place.bucket.list("orgs").try_collect().await.unwrap();
        let endings: Vec<_> = left
            .iter()
            .map(|listed| listed.key.as_str().rsplit('.').next().unwrap().to_owned())
            .filter(|ending| ending != "layer")
            .collect();
        assert_eq!(endings.len(), 3, "{left:?}");
        let other = place.node(&format!("n{round}"), NEVER).await;
        check_bitmaps(&other.repository(org, "r").await.unwrap().unwrap()).await;
        other.shutdown().await;
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repack_that_is_told_to_stop_leaves_all_as_it_was() {
    let place = Place::local();
    for node in [place.node("a", NEVER).await, without_git(&place, "b").await] {
        if node.catalog().org("acme").await.unwrap().is_none() {
            let org = new_org(&node).await;
            let repo = new_repo(&node, org, "r").await;
            with_packs(&node, &repo, 2).await;
        }
        let before = sources(&node).await;
        let stopped = node
            .repack(
                id_of(&node).await,
                RepackHow::Full,
                Arc::new(AtomicBool::new(true)),
            )
            .await;
        assert!(matches!(stopped, Err(RepoError::Stopped)), "{stopped:?}");
        assert_eq!(sources(&node).await, before);
        node.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_fails_at_any_step_loses_nothing() {
    let mut place = Place::with_distant_bucket();
    let faulty = Arc::new(FaultyBucket::new(place.bucket.clone(), 5, FaultPlan::NONE));
    place.bucket = faulty.clone();
    let node = without_git(&place, "a").await;
    let org = new_org(&node).await;
    let repo = new_repo(&node, org, "r").await;
    let mut failed = 0;
    for round in 0..4 {
        with_packs_of(&node, &repo, 2, &round.to_string()).await;
        faulty.set_plan(FaultPlan::ROUGH);
        for _ in 0..6 {
            let repacked = node.repack(id_of(&node).await, RepackHow::Full, go_on());
            failed += usize::from(repacked.await.is_err());
        }
        faulty.set_plan(FaultPlan::NONE);
        // One that has nothing in its cache finds all in the bucket.
        let other = place.node(&format!("n{round}"), NEVER).await;
        let there = other.repository(org, "r").await.unwrap().unwrap();
        check_complete(&there).await;
        let text = format!("{round}1 2\n").repeat(50);
        let found = content(&there, "main", "dir2/f1").await.unwrap();
        assert_eq!(found, text.as_bytes());
        other.shutdown().await;
    }
    assert!(failed > 0, "nothing failed");
    node.shutdown().await;
}
