//! Several nodes on one catalog: two handles, many tasks, no lost update.

use packhouse_catalog::{Catalog, PublishError, RepoId};

use crate::both::{Database, on_both};
use crate::load::assert_chain;
use crate::sample::{edit, id, publish, repo, target, with_tail};

on_both!(no_update_is_lost, nodes_do_not_lock_each_other_out);

const MAIN: &str = "refs/heads/main";

/// Moves a ref one further, from wherever it is; returns how often somebody was faster.
async fn advance(catalog: &Catalog, repo: RepoId) -> usize {
    for refused in 0.. {
        let at = target(catalog, repo, MAIN).await;
        let number = at.map(|at| u64::from_be_bytes(at[..8].try_into().unwrap()));
        let edits = vec![edit(MAIN, number, Some(number.unwrap_or(0) + 1))];
        match catalog
            .publish(with_tail(publish(repo, edits), "row"))
            .await
        {
            Ok(_) => return refused,
            Err(PublishError::Moved { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    unreachable!()
}

async fn no_update_is_lost(db: &Database) {
    let nodes = [db.open().await, db.open().await];
    let repo = repo(&nodes[0]).await.id;
    let tasks = (0..16).map(|number| {
        let catalog = nodes[number % 2].clone();
        tokio::spawn(async move {
            let mut refused = 0;
            for _ in 0..8 {
                refused += advance(&catalog, repo).await;
            }
            refused
        })
    });
    let refused: usize = futures::future::join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .sum();
    assert!(refused > 0, "nobody met anybody");
    assert_eq!(target(&nodes[1], repo, MAIN).await, Some(id(128)));
    assert_chain(&nodes[0], repo, 128).await;
    let row = nodes[0].repo_by_id(repo).await.unwrap().unwrap();
    assert_eq!((row.generation, row.tail_rows), (128, 128));
}

async fn nodes_do_not_lock_each_other_out(db: &Database) {
    let nodes = [db.open().await, db.open().await, db.open().await];
    let mut repos = vec![];
    for _ in 0..10 {
        repos.push(repo(&nodes[0]).await.id);
    }
    let tasks = (0..30).map(|task: usize| {
        let (catalog, repos) = (nodes[task % 3].clone(), repos.clone());
        tokio::spawn(async move {
            // Each in an order of its own, so that groups overlap in every way.
            for step in 0..20 {
                advance(&catalog, repos[(task * 7 + step * (task % 4 + 1)) % 10]).await;
            }
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.unwrap();
    }
    let mut moves = 0;
    for repo in repos {
        let row = nodes[0].repo_by_id(repo).await.unwrap().unwrap();
        assert_chain(&nodes[1], repo, row.generation as usize).await;
        moves += row.generation;
    }
    assert_eq!(moves, 600);
}
