//! Folding tails into packs.

use packhouse_catalog::{Catalog, Fold, FoldError, Loaded, NewPack, PackSource, RepoId, Since};

use crate::both::{Database, on_both};
use crate::sample::{edit, pack, publish, repo, target, with_tail};

on_both!(
    a_fold_replaces_rows_by_a_pack,
    a_part_may_be_folded,
    a_fold_of_other_rows_is_refused,
    one_of_two_folds_wins,
    writes_and_folds_go_on_together,
    a_lease_has_one_holder,
    long_tails_are_found,
);

const MAIN: &str = "refs/heads/main";

async fn write(catalog: &Catalog, repo: RepoId, rows: u64, size: usize) {
    for _ in 0..rows {
        let at = target(catalog, repo, MAIN).await;
        let number = at.map(|at| u64::from_be_bytes(at[..8].try_into().unwrap()));
        let edits = vec![edit(MAIN, number, Some(number.unwrap_or(0) + 1))];
        catalog
            .publish(with_tail(publish(repo, edits), vec![7; size]))
            .await
            .unwrap();
    }
}

/// A fold of the rows of `loaded` up to a generation.
fn fold_of(loaded: &Loaded, through: i64, number: u8) -> Fold {
    let rows: Vec<_> = loaded
        .tail
        .iter()
        .filter(|row| row.generation <= through)
        .collect();
    Fold {
        repo: loaded.repo.id,
        through,
        rows: rows.len() as u64,
        bytes: rows.iter().map(|row| row.objects.len() as u64).sum(),
        pack: NewPack {
            source: PackSource::Fold,
            ..pack(number)
        },
    }
}

async fn a_fold_replaces_rows_by_a_pack(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await.id;
    write(&catalog, repo, 5, 100).await;
    let before = catalog.load(repo, None).await.unwrap().unwrap();
    let generation = catalog.fold(fold_of(&before, 5, 1)).await.unwrap();
    assert_eq!(generation, 6);

    let after = catalog.load(repo, None).await.unwrap().unwrap();
    let row = &after.repo;
    assert_eq!(
        (row.generation, row.packs_generation, row.folded_through),
        (6, 6, 5)
    );
    assert_eq!((row.tail_rows, row.tail_bytes, after.tail.len()), (0, 0, 0));
    assert_eq!(after.refs, before.refs);
    assert_eq!(after.packs.unwrap()[0].source, PackSource::Fold);
    let news = catalog
        .load(repo, Some(Since::from(&before.repo)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (news.refs.len(), news.tail.len(), news.packs.unwrap().len()),
        (0, 0, 1)
    );
    write(&catalog, repo, 1, 10).await;
}

async fn a_part_may_be_folded(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await.id;
    write(&catalog, repo, 5, 100).await;
    let before = catalog.load(repo, None).await.unwrap().unwrap();
    catalog.fold(fold_of(&before, 3, 1)).await.unwrap();
    let after = catalog.load(repo, None).await.unwrap().unwrap();
    assert_eq!(after.tail, before.tail[3..]);
    assert_eq!((after.repo.tail_rows, after.repo.tail_bytes), (2, 200));
}

async fn a_fold_of_other_rows_is_refused(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    write(&catalog, repo.id, 3, 100).await;
    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    let right = fold_of(&loaded, 3, 1);
    let wrong = [
        Fold {
            rows: 2,
            ..right.clone()
        },
        Fold {
            bytes: 301,
            ..right.clone()
        },
        Fold {
            through: 2,
            ..right.clone()
        },
        Fold {
            through: 4,
            ..right.clone()
        },
        Fold {
            repo: RepoId(9),
            ..right.clone()
        },
    ];
    for fold in wrong {
        assert!(matches!(catalog.fold(fold).await, Err(FoldError::Raced)));
    }
    assert_eq!(catalog.load(repo.id, None).await.unwrap().unwrap(), loaded);
    catalog.fold(right.clone()).await.unwrap();
    assert!(matches!(
        catalog.fold(right.clone()).await,
        Err(FoldError::Raced)
    ));

    write(&catalog, repo.id, 1, 100).await;
    let loaded = catalog.load(repo.id, None).await.unwrap().unwrap();
    catalog.delete_repo(repo.org, &repo.name).await.unwrap();
    assert!(matches!(
        catalog.fold(fold_of(&loaded, 5, 1)).await,
        Err(FoldError::Raced)
    ));
}

async fn one_of_two_folds_wins(db: &Database) {
    let nodes = [db.open().await, db.open().await];
    let repo = repo(&nodes[0]).await.id;
    for round in 0..10 {
        write(&nodes[0], repo, 4, 50).await;
        let loaded = nodes[0].load(repo, None).await.unwrap().unwrap();
        let last = loaded.repo.generation;
        // Of all the rows, and of half of them.
        let folds =
            [(0, last, 2 * round), (1, last - 2, 2 * round + 1)].map(|(node, through, key)| {
                let (catalog, fold): (Catalog, _) =
                    (nodes[node].clone(), fold_of(&loaded, through, key));
                tokio::spawn(async move { catalog.fold(fold).await })
            });
        let mut won = 0;
        for fold in folds {
            match fold.await.unwrap() {
                Ok(_) => won += 1,
                Err(FoldError::Raced) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(won, 1);
        let after = nodes[1].load(repo, None).await.unwrap().unwrap();
        assert_eq!(after.repo.tail_rows, after.tail.len() as i64);
        let bytes: usize = after.tail.iter().map(|row| row.objects.len()).sum();
        assert_eq!(after.repo.tail_bytes, bytes as i64);
        if after.repo.tail_rows > 0 {
            nodes[0]
                .fold(fold_of(&after, after.repo.generation, 100 + round))
                .await
                .unwrap();
        }
    }
}

async fn writes_and_folds_go_on_together(db: &Database) {
    let nodes = [db.open().await, db.open().await];
    let repo = repo(&nodes[0]).await.id;
    let writer = {
        let catalog = nodes[0].clone();
        tokio::spawn(async move {
            for number in 0..100_u64 {
                let old = (number > 0).then_some(number);
                let edits = vec![edit(MAIN, old, Some(number + 1))];
                let change = with_tail(publish(repo, edits), number.to_be_bytes().to_vec());
                catalog.publish(change).await.unwrap();
            }
        })
    };
    let mut folded = 0;
    let mut key = 0;
    while !writer.is_finished() || folded < 100 {
        let loaded = nodes[1].load(repo, None).await.unwrap().unwrap();
        let Some(last) = loaded.tail.last() else {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            continue;
        };
        let fold = fold_of(&loaded, last.generation, key);
        let rows = fold.rows;
        // Nobody else folds, so a publish in between must not refuse it.
        nodes[1].fold(fold).await.unwrap();
        folded += rows;
        key = key.wrapping_add(1);
    }
    writer.await.unwrap();
    assert_eq!(folded, 100);
    let after = nodes[0].load(repo, None).await.unwrap().unwrap();
    assert_eq!(
        (
            after.repo.tail_rows,
            after.repo.tail_bytes,
            after.tail.len()
        ),
        (0, 0, 0)
    );
}

async fn a_lease_has_one_holder(db: &Database) {
    let nodes = [db.open().await, db.open().await];
    let repo = repo(&nodes[0]).await;
    let lease = async |node: usize, holder: &str, for_ms, now_ms| {
        nodes[node]
            .lease_fold(repo.id, holder, for_ms, now_ms)
            .await
            .unwrap()
    };
    assert!(lease(0, "a", 1000, 5000).await);
    assert!(!lease(1, "b", 1000, 5999).await);
    assert!(
        lease(0, "a", 1000, 5500).await,
        "its holder may take it longer"
    );
    assert!(!lease(1, "b", 1000, 6499).await);
    assert!(lease(1, "b", 1000, 6500).await, "it runs out");
    assert!(!lease(0, "a", 1000, 6600).await);
    assert!(lease(1, "b", 0, 6600).await, "it is given back");
    assert!(lease(0, "a", 1000, 6600).await);
    assert_eq!(nodes[0].repo_by_id(repo.id).await.unwrap().unwrap(), repo);

    write(&nodes[0], repo.id, 1, 1).await;
    let loaded = nodes[0].load(repo.id, None).await.unwrap().unwrap();
    nodes[0].fold(fold_of(&loaded, 1, 1)).await.unwrap();
    assert!(lease(1, "b", 1000, 6700).await, "a fold ends it");
    nodes[0].delete_repo(repo.org, &repo.name).await.unwrap();
    assert!(!lease(1, "b", 1000, 6700).await);
    assert!(!nodes[0].lease_fold(RepoId(5), "a", 1, 1).await.unwrap());
}

async fn long_tails_are_found(db: &Database) {
    let catalog = db.open().await;
    let many = repo(&catalog).await;
    let large = repo(&catalog).await;
    let short = repo(&catalog).await;
    let empty = repo(&catalog).await;
    write(&catalog, many.id, 40, 10).await;
    write(&catalog, large.id, 2, 3 << 20).await;
    write(&catalog, short.id, 3, 10).await;
    let find = async |rows, bytes, limit| catalog.repos_to_fold(rows, bytes, limit).await.unwrap();
    assert_eq!(find(40, 4 << 20, 10).await, [many.id, large.id]);
    assert_eq!(find(41, 4 << 20, 10).await, [large.id]);
    assert_eq!(find(41, 7 << 20, 10).await, []);
    assert_eq!(find(1, 1, 10).await, [many.id, short.id, large.id]);
    assert_eq!(find(0, 0, 2).await, [many.id, short.id]);
    assert!(!find(0, 0, 10).await.contains(&empty.id));

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now_ms = i64::try_from(now.as_millis()).unwrap();
    assert!(
        catalog
            .lease_fold(many.id, "a", 60_000, now_ms)
            .await
            .unwrap()
    );
    assert_eq!(find(40, 4 << 20, 10).await, [large.id]);
    catalog.delete_repo(large.org, &large.name).await.unwrap();
    assert_eq!(find(40, 4 << 20, 10).await, []);
    let loaded = catalog.load(many.id, None).await.unwrap().unwrap();
    catalog.fold(fold_of(&loaded, 40, 1)).await.unwrap();
    assert_eq!(find(1, 1, 10).await, [short.id]);
}
