//! Events: every one, once, in an order that does not change.

use std::collections::BTreeMap;

use packhouse_catalog::{Catalog, Event, EventKind, Fork, NewRef, OrgId, Position, RepoId};
use sqlx::Connection as _;

use crate::both::{Database, on_both, on_postgres};
use crate::sample::{edit, id, publish, repo};

on_both!(
    a_reader_beside_many_writers_sees_every_event_once_and_in_order,
    every_kind_of_change_is_an_event,
    an_event_of_a_deleted_repository_is_refused,
    listeners_are_told,
    old_events_are_dropped_and_moves_are_not,
    a_fork_begins_with_its_own_events,
);

const MAIN: &str = "refs/heads/main";

const START: Position = Position {
    tick: 0,
    repo: RepoId(0),
    generation: 0,
    ordinal: 0,
};

async fn all(catalog: &Catalog, org: OrgId) -> Vec<Event> {
    catalog.org_events(org, START, 100_000).await.unwrap()
}

/// All events, once there are so many. On PostgreSQL they are seen when older transactions have ended, also those of
/// other users of the server.
async fn settled(catalog: &Catalog, org: OrgId, count: usize) -> Vec<Event> {
    for _ in 0..1000 {
        let events = all(catalog, org).await;
        if events.len() >= count {
            return events;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("there never were {count} events");
}

fn kinds(events: &[Event]) -> Vec<String> {
    let kind = |event: &Event| match &event.kind {
        EventKind::Ref { name, .. } => String::from_utf8(name.clone()).unwrap(),
        EventKind::Other { kind, .. } => kind.clone(),
    };
    events.iter().map(kind).collect()
}

/// Reads so many events, a few at a time.
async fn follow(catalog: Catalog, org: OrgId, count: usize) -> Vec<Event> {
    let mut seen: Vec<Event> = vec![];
    while seen.len() < count {
        let after = seen.last().map_or(START, |event| event.position);
        let page = catalog.org_events(org, after, 7).await.unwrap();
        if page.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        seen.extend(page);
    }
    seen
}

async fn a_reader_beside_many_writers_sees_every_event_once_and_in_order(db: &Database) {
    const REPOS: usize = 9;
    const STEPS: u64 = 40;
    let nodes = [db.open().await, db.open().await];
    let mut repos = vec![];
    for _ in 0..REPOS {
        repos.push(repo(&nodes[0]).await);
    }
    let org = repos[0].org;
    let count = REPOS * (1 + 2 * STEPS as usize);
    let readers = nodes
        .clone()
        .map(|node| tokio::spawn(follow(node, org, count)));
    // Every repository is written to through both nodes in turn, which makes ids and commits cross.
    let writers = repos.iter().map(|repo| {
        let (nodes, repo) = (nodes.clone(), repo.id);
        tokio::spawn(async move {
            for step in 0..STEPS {
                let old = (step > 0).then_some(step);
                let name = format!("refs/tags/{step}");
                let edits = vec![edit(MAIN, old, Some(step + 1)), edit(&name, None, Some(1))];
                let node = &nodes[usize::try_from(step % 2).unwrap()];
                node.publish(publish(repo, edits)).await.unwrap();
            }
        })
    });
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    let [one, other] = readers;
    let seen = one.await.unwrap();
    assert_eq!(seen, other.await.unwrap());
    assert!(
        seen.windows(2)
            .all(|pair| pair[0].position < pair[1].position)
    );
    let mut by_repo: BTreeMap<RepoId, Vec<Event>> = BTreeMap::new();
    for event in seen {
        by_repo.entry(event.position.repo).or_default().push(event);
    }
    for repo in &repos {
        // The repository's own order is the same, and complete.
        let own = nodes[0]
            .repo_events(repo.id, (-1, 0), 10_000)
            .await
            .unwrap();
        assert_eq!(own.len() as u64, 1 + 2 * STEPS);
        assert_eq!(by_repo[&repo.id], own);
    }
}

async fn every_kind_of_change_is_an_event(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    let edits = vec![
        edit(MAIN, None, Some(1)),
        edit("refs/heads/check", None, None),
    ];
    catalog.publish(publish(row.id, edits)).await.unwrap();
    let detail = Some(r#"{"run_count":1}"#.to_owned());
    let sync = "repo.sync.started";
    let appended = catalog.append_event(row.id, sync, detail.clone(), "sync");
    assert!(appended.await.unwrap());
    catalog
        .publish(publish(row.id, vec![edit(MAIN, Some(1), None)]))
        .await
        .unwrap();
    catalog.delete_repo(row.org, &row.name).await.unwrap();

    let events = settled(&catalog, row.org, 5).await;
    let expected = ["repo.created", MAIN, sync, MAIN, "repo.deleted"];
    assert_eq!(kinds(&events), expected);
    let moved = |event: &Event| match &event.kind {
        EventKind::Ref { old, new, .. } => (old.clone(), new.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(moved(&events[1]), (None, Some(id(1))));
    assert_eq!(moved(&events[3]), (Some(id(1)), None));
    let other = EventKind::Other {
        kind: sync.to_owned(),
        detail,
    };
    assert_eq!((&events[2].kind, events[2].who.as_str()), (&other, "sync"));
    // None of it is in the reflog but the moves.
    let reflog = catalog.reflog(row.id, None, (-1, 0), 10).await.unwrap();
    assert_eq!(reflog.len(), 2);
    // One at a time, and by its place.
    let position = events[2].position;
    let found = catalog.event(row.id, position.generation, position.ordinal);
    assert_eq!(found.await.unwrap().as_ref(), Some(&events[2]));
    assert_eq!(catalog.event(row.id, 99, 0).await.unwrap(), None);
    // A reader that starts at the end sees what comes, and that is nothing yet.
    let end = catalog.org_events_end(row.org).await.unwrap();
    assert!(end > events[4].position);
    assert_eq!(catalog.org_events(row.org, end, 9).await.unwrap(), []);
}

async fn an_event_of_a_deleted_repository_is_refused(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    catalog.delete_repo(row.org, &row.name).await.unwrap();
    for repo in [row.id, RepoId(404)] {
        let appended = catalog.append_event(repo, "repo.sync.started", None, "");
        assert!(!appended.await.unwrap());
    }
    assert!(
        catalog
            .append_event(row.id, "with\0nul", None, "")
            .await
            .is_err()
    );
    assert_eq!(settled(&catalog, row.org, 2).await.len(), 2);
}

async fn listeners_are_told(db: &Database) {
    let catalog = db.open().await;
    let mut changes = catalog.changes();
    let row = repo(&catalog).await;
    catalog
        .publish(publish(row.id, vec![edit(MAIN, None, Some(1))]))
        .await
        .unwrap();
    for _ in 0..2 {
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!((change.org, change.repo), (row.org, row.id));
    }
}

async fn old_events_are_dropped_and_moves_are_not(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    catalog
        .publish(publish(row.id, vec![edit(MAIN, None, Some(1))]))
        .await
        .unwrap();
    assert_eq!(catalog.drop_old_events(0, 100).await.unwrap(), 0);
    assert_eq!(catalog.drop_old_events(i64::MAX, 100).await.unwrap(), 1);
    assert_eq!(kinds(&settled(&catalog, row.org, 1).await), [MAIN]);
}

async fn a_fork_begins_with_its_own_events(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    let first = publish(row.id, vec![edit(MAIN, None, Some(1))]);
    catalog.publish(first).await.unwrap();
    let new = |name: &str| NewRef {
        name: name.as_bytes().to_vec(),
        target: id(1),
        peeled: None,
    };
    let fork = Fork {
        source: row.id,
        org: row.org,
        name: "fork".into(),
        default_branch: "main".into(),
        refs: vec![new(MAIN), new("refs/heads/side")],
        tail: None,
        who: "somebody".into(),
        origin: None,
        message: "fork".into(),
        at_ms: 1,
        checked_at: 1,
    };
    let fork = catalog.fork(fork).await.unwrap();
    let next = publish(fork.id, vec![edit(MAIN, Some(1), Some(2))]);
    catalog.publish(next).await.unwrap();
    let events = settled(&catalog, row.org, 6).await;
    let expected = ["repo.created", MAIN, "refs/heads/side", MAIN];
    assert_eq!(kinds(&events[2..]), expected);
    assert!(
        events[2..]
            .iter()
            .all(|event| event.position.repo == fork.id)
    );
    let own = catalog.repo_events(fork.id, (-1, 0), 10).await.unwrap();
    assert_eq!(own, events[2..]);
}

#[test]
fn what_another_transaction_may_precede_waits_for_it() {
    on_postgres(async |db: &Database| {
        let catalog = db.open().await;
        let row = repo(&catalog).await;
        let mut other = sqlx::PgConnection::connect(&db.url).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        sqlx::query("SELECT pg_current_xact_id()")
            .execute(&mut *tx)
            .await
            .unwrap();
        catalog
            .publish(publish(row.id, vec![edit(MAIN, None, Some(1))]))
            .await
            .unwrap();
        // Other tests use the server too: what is seen is a prefix at most.
        assert!(all(&catalog, row.org).await.len() < 2);
        // The repository's own order is known already.
        let own = catalog.repo_events(row.id, (0, 0), 10).await.unwrap();
        assert_eq!(kinds(&own), [MAIN]);
        tx.commit().await.unwrap();
        assert_eq!(settled(&catalog, row.org, 2).await.len(), 2);
    });
}

#[test]
fn ticks_go_on_in_a_copy_on_another_server() {
    on_postgres(async |db: &Database| {
        let catalog = db.open().await;
        let row = repo(&catalog).await;
        catalog
            .publish(publish(row.id, vec![edit(MAIN, None, Some(1))]))
            .await
            .unwrap();
        catalog.close().await;
        // As if the ids of the server before were far ahead.
        db.execute("", "UPDATE reflog SET tick = tick + 1000000000000")
            .await;
        let catalog = db.open().await;
        let other = repo(&catalog).await;
        catalog
            .publish(publish(row.id, vec![edit(MAIN, Some(1), Some(2))]))
            .await
            .unwrap();
        let events = settled(&catalog, row.org, 4).await;
        let expected = ["repo.created", MAIN, "repo.created", MAIN];
        assert_eq!(kinds(&events), expected);
        assert_eq!(events[2].position.repo, other.id);
    });
}
