//! Packs that give way to others.

use packhouse_catalog::{Catalog, NewPack, PackSource, Repack, RepackError, RepoId};

use crate::both::{Database, on_both};
use crate::sample::{edit, pack, publish, repo};

on_both!(
    a_repack_replaces_packs_by_others,
    a_pack_may_take_the_place_of_itself,
    of_two_repacks_of_the_same_packs_one_is_refused,
    a_condemned_pack_is_not_listed,
    packs_that_came_meanwhile_stay,
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
