//! Forks: rows copied in one transaction.

use bytes::Bytes;
use packhouse_catalog::{Catalog, Fold, Fork, ForkError, NewRef, PackSource, RepoRow};

use crate::both::{Database, on_both};
use crate::sample::{AT, edit, id, pack, publish, repo, target, with_tail};

on_both!(
    a_fork_has_the_packs_and_the_tail_of_its_source,
    forks_go_on_without_their_source,
    a_taken_name_is_refused_and_leaves_nothing,
    a_deleted_source_cannot_be_forked,
    forks_made_beside_writes_and_folds_are_whole,
);

const MAIN: &str = "refs/heads/main";

fn fork_of(source: &RepoRow, name: &str, refs: &[(&str, u64)], tail: Option<&[u8]>) -> Fork {
    let refs = refs.iter().map(|(name, number)| NewRef {
        name: name.as_bytes().to_vec(),
        target: id(*number),
        peeled: None,
    });
    Fork {
        source: source.id,
        org: source.org,
        name: name.to_owned(),
        default_branch: "main".to_owned(),
        refs: refs.collect(),
        tail: tail.map(Bytes::copy_from_slice),
        who: "somebody".to_owned(),
        origin: None,
        message: "fork: from elsewhere".to_owned(),
        at_ms: AT,
        checked_at: source.generation,
    }
}

/// A repository with two packs and two tail rows.
async fn source(catalog: &Catalog) -> RepoRow {
    let source = repo(catalog).await;
    let mut first = publish(source.id, vec![edit(MAIN, None, Some(1))]);
    first.packs = vec![pack(1), pack(2)];
    catalog.publish(first).await.unwrap();
    for (from, to, row) in [(1, 2, "one"), (2, 3, "two")] {
        let edits = vec![edit(MAIN, Some(from), Some(to))];
        let write = with_tail(publish(source.id, edits), row);
        catalog.publish(write).await.unwrap();
    }
    catalog.repo_by_id(source.id).await.unwrap().unwrap()
}

async fn a_fork_has_the_packs_and_the_tail_of_its_source(db: &Database) {
    let catalog = db.open().await;
    let source = source(&catalog).await;
    let refs = [(MAIN, 3), ("refs/tags/v1", 1)];
    let made = catalog
        .fork(fork_of(&source, "fork", &refs, Some(b"own")))
        .await
        .unwrap();
    let loaded = catalog.load(made.id, None).await.unwrap().unwrap();
    assert_eq!(loaded.repo, made);
    assert_eq!(made.name, "fork");
    assert_eq!((made.tail_rows, made.tail_bytes), (3, 9));
    let rows: Vec<_> = loaded.tail.iter().map(|row| &row.objects[..]).collect();
    assert_eq!(rows, [&b"one"[..], b"two", b"own"]);
    let keys: Vec<_> = loaded.packs.unwrap().iter().map(|pack| pack.key).collect();
    assert_eq!(keys, [[1; 32], [2; 32]]);
    let names: Vec<_> = loaded.refs.iter().map(|row| row.name.clone()).collect();
    assert_eq!(names, [MAIN.as_bytes(), b"refs/tags/v1"]);
    let log = catalog.reflog(made.id, None, (-1, -1), 10).await.unwrap();
    assert_eq!(log.len(), 2);
    assert_eq!(
        (log[0].old.clone(), log[0].new.clone()),
        (None, Some(id(3)))
    );
    // The source is as it was.
    let after = catalog.repo_by_id(source.id).await.unwrap().unwrap();
    assert_eq!(after, source);
}

async fn forks_go_on_without_their_source(db: &Database) {
    let catalog = db.open().await;
    let source = source(&catalog).await;
    let made = catalog
        .fork(fork_of(&source, "fork", &[(MAIN, 3)], None))
        .await
        .unwrap();
    catalog.delete_repo(source.org, &source.name).await.unwrap();
    let edits = vec![edit(MAIN, Some(3), Some(4))];
    let write = with_tail(publish(made.id, edits), "three");
    let written = catalog.publish(write).await.unwrap();
    assert_eq!(written.generation, made.generation + 1);
    let loaded = catalog.load(made.id, None).await.unwrap().unwrap();
    assert_eq!((loaded.tail.len(), loaded.packs.unwrap().len()), (3, 2));
    // What it took over folds like what it wrote itself.
    let fold = Fold {
        repo: made.id,
        through: written.generation,
        rows: 3,
        bytes: 11,
        pack: packhouse_catalog::NewPack {
            source: PackSource::Fold,
            ..pack(9)
        },
    };
    catalog.fold(fold).await.unwrap();
    let loaded = catalog.load(made.id, None).await.unwrap().unwrap();
    assert_eq!((loaded.tail.len(), loaded.packs.unwrap().len()), (0, 3));
}

async fn a_taken_name_is_refused_and_leaves_nothing(db: &Database) {
    let catalog = db.open().await;
    let source = source(&catalog).await;
    let taken = repo(&catalog).await;
    let refused = catalog
        .fork(fork_of(&source, &taken.name, &[(MAIN, 3)], Some(b"own")))
        .await;
    assert!(matches!(refused, Err(ForkError::Exists { name }) if name == taken.name));
    assert_eq!(target(&catalog, taken.id, MAIN).await, None);
    let all = catalog
        .list_repos(source.org, None, None, 10)
        .await
        .unwrap();
    assert_eq!(all.len(), 2);
}

async fn a_deleted_source_cannot_be_forked(db: &Database) {
    let catalog = db.open().await;
    let source = source(&catalog).await;
    catalog.delete_repo(source.org, &source.name).await.unwrap();
    let refused = catalog.fork(fork_of(&source, "fork", &[], None)).await;
    assert!(matches!(refused, Err(ForkError::SourceGone)));
    // Nor can one of another organisation.
    let other = catalog.create_org("other").await.unwrap();
    let mut fork = fork_of(&repo(&catalog).await, "fork", &[], None);
    fork.org = other.id;
    assert!(matches!(
        catalog.fork(fork).await,
        Err(ForkError::SourceGone)
    ));
}

/// Every row that a fork has belongs to one generation of its source, whatever happens to that meanwhile.
async fn forks_made_beside_writes_and_folds_are_whole(db: &Database) {
    let (writer, forker) = (db.open().await, db.open().await);
    let source = source(&writer).await;
    let writes = async {
        for number in 4..40_u64 {
            let edits = vec![edit(MAIN, Some(number - 1), Some(number))];
            let row = number.to_be_bytes().to_vec();
            let write = with_tail(publish(source.id, edits), row);
            let written = writer.publish(write).await.unwrap();
            if number % 5 == 0 {
                let loaded = writer.load(source.id, None).await.unwrap().unwrap();
                let fold = Fold {
                    repo: source.id,
                    through: written.generation,
                    rows: loaded.tail.len() as u64,
                    bytes: loaded.tail.iter().map(|row| row.objects.len() as u64).sum(),
                    pack: pack(number as u8),
                };
                writer.fold(fold).await.unwrap();
            }
        }
    };
    let forks = async {
        let mut made = Vec::new();
        for number in 0..30 {
            let name = format!("fork-{number}");
            let fork = fork_of(&source, &name, &[(MAIN, 3)], None);
            made.push(forker.fork(fork).await.unwrap());
        }
        made
    };
    let ((), made) = tokio::join!(writes, forks);
    for fork in made {
        let loaded = forker.load(fork.id, None).await.unwrap().unwrap();
        let bytes: usize = loaded.tail.iter().map(|row| row.objects.len()).sum();
        assert_eq!(loaded.tail.len() as i64, fork.tail_rows);
        assert_eq!(bytes as i64, fork.tail_bytes);
        let newest_pack = loaded.packs.unwrap()[0].generation;
        assert!(newest_pack <= fork.packs_generation);
        assert!(
            loaded
                .tail
                .iter()
                .all(|row| row.generation > fork.folded_through)
        );
    }
}
