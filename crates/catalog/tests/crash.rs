//! A process that is killed loses nothing it acknowledged.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;

use packhouse_catalog::{Catalog, RepoId};

use crate::load::assert_chain;
use crate::sample::{edit, publish, repo, with_tail};

/// Names the catalog to the process that is to be killed.
const CHILD: &str = "PACKHOUSE_CATALOG_CRASH_CHILD";

const MAIN: &str = "refs/heads/main";
const REPOS: usize = 8;
const ROUNDS: u64 = 6;

/// Publishes until it is killed, and prints what was acknowledged.
async fn publish_forever(url: &str) {
    let catalog = Catalog::open(url).await.unwrap();
    let org = catalog.org("org").await.unwrap().unwrap().id;
    let repos = catalog.list_repos(org, None, None, 100).await.unwrap();
    let tasks = repos.into_iter().map(|repo| {
        let catalog = catalog.clone();
        tokio::spawn(async move {
            for number in repo.generation as u64.. {
                let old = (number > 0).then_some(number);
                let change = publish(repo.id, vec![edit(MAIN, old, Some(number + 1))]);
                let done = catalog
                    .publish(with_tail(change, vec![5; 1500]))
                    .await
                    .unwrap();
                let line = format!("{} {}\n", repo.id, done.generation);
                std::io::stdout().write_all(line.as_bytes()).unwrap();
            }
        })
    });
    futures::future::join_all(tasks).await;
}

#[test]
fn child() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(publish_forever(&url));
}

/// Runs the child, kills it after a while, and returns the last generation it acknowledged for each
/// repository.
fn run_and_kill(url: &str, after: Duration) -> HashMap<RepoId, i64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::child", "--exact", "--nocapture"])
        .env(CHILD, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut acknowledged = HashMap::new();
        for line in out.lines() {
            // Anything else is the test harness, or a line cut short.
            let line = line.unwrap();
            let Some((repo, generation)) = line.split_once(' ') else {
                continue;
            };
            let (Ok(repo), Ok(generation)) = (repo.parse(), generation.parse()) else {
                continue;
            };
            acknowledged.insert(RepoId(repo), generation);
        }
        acknowledged
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn acknowledged_publishes_survive_a_kill() {
    crate::both::on_sqlite(async |db| {
        let catalog = db.open().await;
        let mut ids = vec![];
        for _ in 0..REPOS {
            ids.push(repo(&catalog).await.id);
        }
        catalog.close().await;
        let mut acknowledgements = 0;
        for round in 0..ROUNDS {
            let after = Duration::from_millis(150 + 70 * round);
            let url = db.url.clone();
            let acknowledged = tokio::task::spawn_blocking(move || run_and_kill(&url, after))
                .await
                .unwrap();
            acknowledgements += acknowledged.len();
            let catalog = db.open().await;
            for (repo, generation) in acknowledged {
                let row = catalog.repo_by_id(repo).await.unwrap().unwrap();
                assert!(
                    row.generation >= generation,
                    "{} < {generation}",
                    row.generation
                );
                let loaded = catalog.load(repo, None).await.unwrap().unwrap();
                assert_eq!(loaded.tail.len() as i64, row.generation);
                assert_chain(&catalog, repo, row.generation as usize).await;
            }
            catalog.close().await;
        }
        assert!(acknowledgements > 0, "the child never got to publish");
    });
}
