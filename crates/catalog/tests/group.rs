//! Operations that share a transaction do not share their fate.

use std::time::{Duration, Instant};

use packhouse_catalog::{
    Catalog, CatalogError, CreateRepoError, OrgId, PublishError, Published, RepoId,
};

use crate::both::{Database, on_both};
use crate::load::assert_chain;
use crate::sample::{edit, id, publish, repo, target, with_tail};

on_both!(
    a_refusal_leaves_its_neighbours_alone,
    a_fault_is_found_by_running_alone,
    an_unconfirmed_commit_is_no_success,
    operations_on_one_repository_keep_their_order,
    a_repository_of_nobody_fails_alone,
    large_tails_wait_their_turn,
    a_lost_connection_is_replaced,
);

const MAIN: &str = "refs/heads/main";

async fn repos(catalog: &Catalog, count: usize) -> Vec<RepoId> {
    let mut repos = vec![];
    for _ in 0..count {
        repos.push(repo(catalog).await.id);
    }
    repos
}

type Answer = Result<Published, PublishError>;

/// Publishes to all at once; `message` says what the nth edit is called.
async fn publish_all(
    catalog: &Catalog,
    repos: &[RepoId],
    message: impl Fn(usize) -> &'static str,
    old: impl Fn(usize) -> Option<u64>,
) -> Vec<Answer> {
    let tasks = repos.iter().enumerate().map(|(number, &repo)| {
        let catalog = catalog.clone();
        let mut edit = edit(MAIN, old(number), Some(number as u64 + 10));
        edit.message = message(number).into();
        let change = with_tail(publish(repo, vec![edit]), vec![1; 500]);
        tokio::spawn(async move { catalog.publish(change).await })
    });
    let answers = futures::future::join_all(tasks).await;
    answers.into_iter().map(Result::unwrap).collect()
}

async fn a_refusal_leaves_its_neighbours_alone(db: &Database) {
    let catalog = db.open().await;
    let repos = repos(&catalog, 60).await;
    let wrong = |number: usize| number.is_multiple_of(3).then_some(1);
    let answers = publish_all(&catalog, &repos, |_| "", wrong).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let at = target(&catalog, repos[number], MAIN).await;
        if number.is_multiple_of(3) {
            assert!(matches!(answer, Err(PublishError::Moved { .. })));
            assert_eq!(at, None);
        } else {
            assert_eq!(answer.unwrap().generation, 1);
            assert_eq!(at, Some(id(number as u64 + 10)));
        }
    }
}

async fn a_fault_is_found_by_running_alone(db: &Database) {
    let catalog = db.open().await;
    let repos = repos(&catalog, 60).await;
    db.execute(
        "CREATE TRIGGER poison BEFORE INSERT ON reflog WHEN NEW.message = 'poison' \
         BEGIN SELECT RAISE(ABORT, 'poisoned'); END;",
        "CREATE FUNCTION poison() RETURNS trigger AS \
         $$ BEGIN RAISE EXCEPTION 'poisoned'; END $$ LANGUAGE plpgsql; \
         CREATE TRIGGER poison BEFORE INSERT ON reflog FOR EACH ROW \
         WHEN (NEW.message = 'poison') EXECUTE FUNCTION poison();",
    )
    .await;
    let message = |number: usize| if number % 20 == 7 { "poison" } else { "fine" };
    let answers = publish_all(&catalog, &repos, message, |_| None).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let at = target(&catalog, repos[number], MAIN).await;
        if number % 20 == 7 {
            let failed = answer.unwrap_err();
            let PublishError::Catalog(CatalogError::Database { source }) = failed else {
                panic!("{failed:?}")
            };
            assert!(source.to_string().contains("poisoned"));
            assert_eq!(at, None);
        } else {
            answer.unwrap();
            assert_eq!(at, Some(id(number as u64 + 10)));
        }
    }
}

async fn an_unconfirmed_commit_is_no_success(db: &Database) {
    let catalog = db.open().await;
    let repos = repos(&catalog, 2).await;
    // Something that only the COMMIT finds out.
    db.execute(
        "CREATE TABLE parents (id INTEGER PRIMARY KEY); \
         CREATE TABLE children (id INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED); \
         CREATE TRIGGER late AFTER INSERT ON reflog WHEN NEW.message = 'late' \
         BEGIN INSERT INTO children VALUES (1); END;",
        "CREATE TABLE parents (id INTEGER PRIMARY KEY); \
         CREATE TABLE children (id INTEGER REFERENCES parents (id) DEFERRABLE INITIALLY DEFERRED); \
         CREATE FUNCTION late() RETURNS trigger AS \
         $$ BEGIN INSERT INTO children VALUES (1); RETURN NEW; END $$ LANGUAGE plpgsql; \
         CREATE TRIGGER late AFTER INSERT ON reflog FOR EACH ROW \
         WHEN (NEW.message = 'late') EXECUTE FUNCTION late();",
    )
    .await;
    let answers = publish_all(&catalog, &repos[..1], |_| "late", |_| None).await;
    let failed = answers.into_iter().next().unwrap().unwrap_err();
    assert!(
        matches!(
            failed,
            PublishError::Catalog(CatalogError::Unconfirmed { .. })
        ),
        "{failed:?}"
    );
    assert_eq!(target(&catalog, repos[0], MAIN).await, None);
    for answer in publish_all(&catalog, &repos, |_| "on time", |_| None).await {
        answer.unwrap();
    }
}

async fn operations_on_one_repository_keep_their_order(db: &Database) {
    let catalog = db.open().await;
    let repos = repos(&catalog, 3).await;
    // All are asked for before the first is answered: each is right only in this order.
    let mut waiting = vec![];
    for number in 0..100_u64 {
        for &repo in &repos {
            let old = (number > 0).then_some(number);
            let change = publish(repo, vec![edit(MAIN, old, Some(number + 1))]);
            let catalog = catalog.clone();
            // Unconstrained: a task that has done much would be told to pause instead of queued.
            let ask = async move { catalog.publish(change).await };
            let mut asked = Box::pin(tokio::task::unconstrained(ask));
            assert!(futures::poll!(&mut asked).is_pending());
            waiting.push(asked);
        }
    }
    for answer in futures::future::join_all(waiting).await {
        answer.unwrap();
    }
    for repo in repos {
        assert_chain(&catalog, repo, 100).await;
    }
}

async fn a_repository_of_nobody_fails_alone(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("acme").await.unwrap().id;
    let tasks = (0..40).map(|number| {
        let catalog = catalog.clone();
        let org = if number % 10 == 3 { OrgId(404) } else { org };
        tokio::spawn(async move {
            catalog
                .create_repo(org, &format!("r{number}"), "main")
                .await
        })
    });
    for (number, answer) in futures::future::join_all(tasks)
        .await
        .into_iter()
        .enumerate()
    {
        match answer.unwrap() {
            Ok(repo) => assert_eq!(repo.org, org),
            Err(CreateRepoError::Catalog {
                source: CatalogError::Database { .. },
                ..
            }) => {
                assert_eq!(number % 10, 3);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(
        catalog
            .list_repos(org, None, None, 100)
            .await
            .unwrap()
            .len(),
        36
    );
}

async fn large_tails_wait_their_turn(db: &Database) {
    let catalog = db.open().await;
    let repos = repos(&catalog, 6).await;
    // More than one group takes, and more than a lane holds.
    let tasks = repos.iter().map(|&repo| {
        let catalog = catalog.clone();
        let change = publish(repo, vec![edit(MAIN, None, Some(1))]);
        let change = with_tail(change, vec![3; 20 << 20]);
        tokio::spawn(async move { catalog.publish(change).await })
    });
    for answer in futures::future::join_all(tasks).await {
        answer.unwrap().unwrap();
    }
    let loaded = catalog.load(repos[5], None).await.unwrap().unwrap();
    assert_eq!(loaded.tail[0].objects.len(), 20 << 20);
}

async fn a_lost_connection_is_replaced(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await.id;
    catalog
        .publish(publish(repo, vec![edit(MAIN, None, Some(1))]))
        .await
        .unwrap();
    db.disconnect().await;
    // The write that finds it out does not fail.
    catalog
        .publish(publish(repo, vec![edit(MAIN, Some(1), Some(2))]))
        .await
        .unwrap();
    // A reader may be told once per connection.
    let started = Instant::now();
    while catalog.ping().await.is_err() {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    assert_eq!(target(&catalog, repo, MAIN).await, Some(id(2)));
}
