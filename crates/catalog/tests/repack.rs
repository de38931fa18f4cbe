//! Packs that give way to others.

use packhouse_catalog::{
    Catalog, Fork, ForkError, NewPack, NewRef, PackSource, Publish, PublishError, Repack,
    RepackError, RepoId,
};

use crate::both::{Database, on_both};
use crate::sample::{AT, edit, id, pack, publish, repo, target};

on_both!(
    a_repack_replaces_packs_by_others,
    a_pack_may_take_the_place_of_itself,
    of_two_repacks_of_the_same_packs_one_is_refused,
    a_condemned_pack_is_not_listed,
    packs_that_came_meanwhile_stay,
    a_drop_is_refused_once_anything_was_written_since,
    what_was_checked_before_a_drop_is_refused,
    what_is_set_apart_keeps_its_time_and_forks_share_it,
    of_writers_and_drops_at_once_none_rests_on_what_is_gone,
);

/// A repository with packs of these numbers.
async fn with_packs(catalog: &Catalog, numbers: &[u8]) -> RepoId {
    let repo = repo(catalog).await.id;
    push(catalog, repo, None, numbers).await;
    repo
}

async fn push(catalog: &Catalog, repo: RepoId, from: Option<u64>, numbers: &[u8]) {
    let mut pushed = publish(
        repo,
        vec![edit("refs/heads/main", from, Some(from.unwrap_or(0) + 1))],
    );
    pushed.packs = numbers.iter().map(|number| pack(*number)).collect();
    catalog.publish(pushed).await.unwrap();
}

fn key(number: u8) -> [u8; 32] {
    pack(number).key
}

fn new(number: u8) -> NewPack {
    NewPack {
        source: PackSource::Reachable,
        ..pack(number)
    }
}

fn repack(repo: RepoId, replaced: &[u8], packs: &[u8]) -> Repack {
    Repack {
        repo,
        replaced: replaced.iter().map(|number| key(*number)).collect(),
        packs: packs.iter().map(|number| new(*number)).collect(),
        at_ms: AT,
        made_at: i64::MAX,
        drops_at: None,
    }
}

/// Packs of what no ref reaches in the place of others.
fn set_apart(repo: RepoId, replaced: &[u8], packs: &[u8], at_ms: i64) -> Repack {
    let mut apart = repack(repo, replaced, packs);
    for pack in &mut apart.packs {
        pack.source = PackSource::Unreachable;
    }
    Repack { at_ms, ..apart }
}

/// Packs taken out of the list, by who saw that nothing needs them at that generation.
fn drop_packs(repo: RepoId, packs: &[u8], drops_at: i64) -> Repack {
    Repack {
        drops_at: Some(drops_at),
        ..repack(repo, packs, &[])
    }
}

async fn listed(catalog: &Catalog, repo: RepoId) -> Vec<(u8, PackSource)> {
    let loaded = catalog.load(repo, None).await.unwrap().unwrap();
    let packs = loaded.packs.unwrap().into_iter();
    let mut listed: Vec<_> = packs.map(|pack| (pack.key[0], pack.source)).collect();
    listed.sort_by_key(|(number, _)| *number);
    listed
}

async fn a_repack_replaces_packs_by_others(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1, 2, 3]).await;
    let before = catalog.load(repo, None).await.unwrap().unwrap();
    let generation = catalog.repack(repack(repo, &[1, 3], &[9])).await.unwrap();
    assert_eq!(generation, before.repo.generation + 1);
    let after = catalog.load(repo, None).await.unwrap().unwrap();
    assert_eq!(after.repo.packs_generation, generation);
    assert_eq!(after.refs, before.refs);
    let expected = [(2, PackSource::Push), (9, PackSource::Reachable)];
    assert_eq!(listed(&catalog, repo).await, expected);
}

async fn a_pack_may_take_the_place_of_itself(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1, 2]).await;
    catalog.repack(repack(repo, &[1, 2], &[1])).await.unwrap();
    assert_eq!(listed(&catalog, repo).await, [(1, PackSource::Reachable)]);
}

async fn of_two_repacks_of_the_same_packs_one_is_refused(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1, 2]).await;
    let (one, other) = tokio::join!(
        catalog.repack(repack(repo, &[1, 2], &[8])),
        catalog.repack(repack(repo, &[2], &[9])),
    );
    let raced = |result: &Result<i64, RepackError>| matches!(result, Err(RepackError::Raced));
    assert!(raced(&one) != raced(&other), "{one:?} {other:?}");
    assert!(raced(&catalog.repack(repack(RepoId(9), &[], &[7])).await));
}

async fn a_condemned_pack_is_not_listed(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1]).await;
    let org = catalog.org("org").await.unwrap().unwrap().id;
    let condemned = catalog
        .condemn_packs(org, vec![key(9)], 0, 0)
        .await
        .unwrap();
    let condemned = match condemned[..] {
        [] => catalog
            .condemn_packs(org, vec![key(9)], 1, 1)
            .await
            .unwrap(),
        _ => condemned,
    };
    assert_eq!(condemned, [key(9)]);
    let refused = catalog.repack(repack(repo, &[1], &[9])).await;
    assert!(matches!(refused, Err(RepackError::Condemned { keys }) if keys == [key(9)]));
    assert_eq!(listed(&catalog, repo).await, [(1, PackSource::Push)]);
}

async fn packs_that_came_meanwhile_stay(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1]).await;
    let started = repack(repo, &[1], &[9]);
    push(&catalog, repo, Some(1), &[2]).await;
    catalog.repack(started).await.unwrap();
    let expected = [(2, PackSource::Push), (9, PackSource::Reachable)];
    assert_eq!(listed(&catalog, repo).await, expected);
}

async fn a_drop_is_refused_once_anything_was_written_since(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1]).await;
    let apart = catalog
        .repack(set_apart(repo, &[1], &[7], AT))
        .await
        .unwrap();
    push(&catalog, repo, Some(1), &[2]).await;
    let refused = catalog.repack(drop_packs(repo, &[7], apart)).await;
    assert!(matches!(refused, Err(RepackError::Stale)), "{refused:?}");
    let dropped = catalog.repack(drop_packs(repo, &[7], apart + 1)).await;
    let row = catalog.repo_by_id(repo).await.unwrap().unwrap();
    assert_eq!(row.dropped_generation, dropped.unwrap());
    assert_eq!(listed(&catalog, repo).await, [(2, PackSource::Push)]);
}

async fn what_was_checked_before_a_drop_is_refused(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1, 2]).await;
    let apart = catalog
        .repack(set_apart(repo, &[1], &[7], AT))
        .await
        .unwrap();
    let dropped = catalog.repack(drop_packs(repo, &[7], apart)).await.unwrap();
    let at = |checked_at| Publish {
        checked_at,
        ..publish(repo, vec![edit("refs/heads/b", None, Some(1))])
    };
    let made = Repack {
        made_at: apart,
        ..repack(repo, &[], &[9])
    };
    let stale = catalog.repack(made).await;
    assert!(matches!(stale, Err(RepackError::Stale)), "{stale:?}");
    let stale = catalog.publish(at(apart)).await;
    assert!(matches!(stale, Err(PublishError::Stale)), "{stale:?}");
    assert_eq!(target(&catalog, repo, "refs/heads/b").await, None);
    let row = catalog.repo_by_id(repo).await.unwrap().unwrap();
    let fork = |name: &str, checked_at| Fork {
        source: repo,
        org: row.org,
        name: name.to_owned(),
        default_branch: "main".to_owned(),
        refs: vec![NewRef {
            name: b"refs/heads/main".to_vec(),
            target: id(1),
            peeled: None,
        }],
        tail: None,
        who: "somebody".to_owned(),
        origin: None,
        message: "fork".to_owned(),
        at_ms: AT,
        checked_at,
    };
    let stale = catalog.fork(fork("early", apart)).await;
    assert!(matches!(stale, Err(ForkError::Stale)), "{stale:?}");
    assert!(catalog.repo(row.org, "early").await.unwrap().is_none());
    // A fork begins anew: nobody has seen an older state of it.
    let late = catalog.fork(fork("late", dropped)).await.unwrap();
    let next = publish(late.id, vec![edit("refs/heads/main", Some(1), Some(2))]);
    catalog.publish(next).await.unwrap();
    catalog.publish(at(dropped)).await.unwrap();
}

async fn what_is_set_apart_keeps_its_time_and_forks_share_it(db: &Database) {
    let catalog = db.open().await;
    let repo = with_packs(&catalog, &[1, 2]).await;
    catalog
        .repack(set_apart(repo, &[1], &[7], AT))
        .await
        .unwrap();
    let due = async |by_ms| {
        let due = catalog.unreachable_packs(by_ms, RepoId(0), 10).await;
        let due = due.unwrap().into_iter();
        due.map(|row| (row.repo, row.packs, row.objects))
            .collect::<Vec<_>>()
    };
    assert!(due(AT - 1).await.is_empty());
    assert_eq!(due(AT).await, [(repo, 1, 3)]);
    // The same objects, found unreachable once more: they are kept from now on.
    catalog
        .repack(set_apart(repo, &[2], &[7], AT + 5))
        .await
        .unwrap();
    assert!(due(AT + 4).await.is_empty());
    let row = catalog.repo_by_id(repo).await.unwrap().unwrap();
    let fork = Fork {
        source: repo,
        org: row.org,
        name: "fork".to_owned(),
        default_branch: "main".to_owned(),
        refs: Vec::new(),
        tail: None,
        who: "somebody".to_owned(),
        origin: None,
        message: "fork".to_owned(),
        at_ms: AT + 9,
        checked_at: row.generation,
    };
    let fork = catalog.fork(fork).await.unwrap();
    assert_eq!(due(AT + 5).await, [(repo, 1, 3), (fork.id, 1, 3)]);
    // A push of the same bytes takes them back, for the repository that it goes to.
    push(&catalog, repo, Some(1), &[7]).await;
    assert_eq!(listed(&catalog, repo).await, [(7, PackSource::Push)]);
    assert_eq!(due(AT + 5).await, [(fork.id, 1, 3)]);
    catalog.delete_repo(row.org, "fork").await.unwrap();
    assert!(due(AT + 5).await.is_empty());
}

/// A writer that builds on what it has seen in a pack, and another node that drops the pack since no ref needs it: in this
/// model `main` needs pack 7 whenever it points to an odd number.
async fn of_writers_and_drops_at_once_none_rests_on_what_is_gone(db: &Database) {
    const ROUNDS: u64 = 60;
    let (a, b) = (db.open().await, db.open().await);
    let repo = with_packs(&a, &[1]).await;
    for round in 0..ROUNDS {
        let row = a.repo_by_id(repo).await.unwrap().unwrap();
        let at = target(&a, repo, "refs/heads/main").await.unwrap();
        let from = u64::from_be_bytes(at[..8].try_into().unwrap());
        // Both have looked at this state: nothing needs the pack, and it is there to be built on.
        let even = from + from % 2;
        if even != from {
            let away = publish(repo, vec![edit("refs/heads/main", Some(from), Some(even))]);
            a.publish(Publish {
                checked_at: row.generation,
                ..away
            })
            .await
            .unwrap();
        }
        let apart = set_apart(repo, &[], &[7], AT + round as i64);
        let seen = a.repack(apart).await.unwrap();
        let write = publish(
            repo,
            vec![edit("refs/heads/main", Some(even), Some(even + 1))],
        );
        let write = Publish {
            checked_at: seen,
            ..write
        };
        let (written, gone) =
            tokio::join!(a.publish(write), b.repack(drop_packs(repo, &[7], seen)));
        let now = target(&b, repo, "refs/heads/main").await.unwrap();
        let needs = u64::from_be_bytes(now[..8].try_into().unwrap()) % 2 == 1;
        let has = listed(&b, repo)
            .await
            .iter()
            .any(|(number, _)| *number == 7);
        assert!(has || !needs, "round {round}: {written:?} {gone:?}");
        assert!(
            written.is_ok() != gone.is_ok(),
            "round {round}: {written:?} {gone:?}"
        );
    }
}
