//! Hooks and their queues: held by one node at a time, taken over from one that is gone, never forgotten.

use packhouse_catalog::{
    Catalog, Delivery, DeliveryState, HeldQueue, Hook, HookId, Lease, NewHook, OrgId, Progress,
    Release, RepoId, RepoRow,
};

use crate::both::{Database, on_both};
use crate::sample::{AT, edit, publish, repo};

on_both!(
    hooks_come_and_go,
    a_queue_is_held_by_one_node_until_its_lease_ends,
    a_queue_starts_where_its_hook_does,
    a_scan_finds_what_nobody_was_told_of,
    what_a_scan_saw_while_the_queue_was_held_is_not_forgotten,
    a_replay_begins_again_and_stops_the_holder,
    deliveries_are_logged_and_dropped,
);

const MAIN: &str = "refs/heads/main";

fn new_hook(org: OrgId, repo: Option<RepoId>) -> NewHook {
    NewHook {
        org,
        repo,
        url: "https://example.com/hook?key=hush".into(),
        events: "push".into(),
        secret: "hush hush".into(),
    }
}

async fn hook(catalog: &Catalog, row: &RepoRow) -> Hook {
    catalog.create_hook(new_hook(row.org, None)).await.unwrap()
}

/// Moves the branch so many times further.
async fn moves(catalog: &Catalog, repo: RepoId, from: u64, count: u64) {
    for step in from..from + count {
        let old = (step > 0).then_some(step);
        catalog
            .publish(publish(repo, vec![edit(MAIN, old, Some(step + 1))]))
            .await
            .unwrap();
    }
}

fn lease(holder: &str, now_ms: i64) -> Lease {
    Lease {
        holder: holder.into(),
        now_ms,
        until_ms: now_ms + 1000,
    }
}

fn progress(hook: HookId, repo: RepoId, holder: &str, done: i64, release: Release) -> Progress {
    Progress {
        hook,
        repo,
        holder: holder.into(),
        done: (done, 0),
        failures: 0,
        failing_since_ms: None,
        release,
        deliveries: vec![],
    }
}

fn delivery(generation: i64, at_ms: i64, state: DeliveryState) -> Delivery {
    Delivery {
        generation,
        ordinal: 0,
        state,
        attempts: 1,
        at_ms,
        took_ms: 3,
        status: Some(200),
        response: Some("fine\0".into()),
        error: None,
    }
}

async fn scan(catalog: &Catalog, now_ms: i64) {
    for (org, after) in catalog.orgs_to_scan().await.unwrap() {
        let scan = catalog.scan_events(org, after).await.unwrap();
        catalog.record_scan(&scan, now_ms).await.unwrap();
    }
}

async fn hooks_come_and_go(db: &Database) {
    let catalog = db.open().await;
    let (one, other) = (repo(&catalog).await, repo(&catalog).await);
    let wide = hook(&catalog, &one).await;
    assert!(!format!("{wide:?} {:?}", new_hook(one.org, None)).contains("hush"));
    let narrow = catalog
        .create_hook(new_hook(one.org, Some(other.id)))
        .await
        .unwrap();
    assert_eq!(catalog.hook(narrow.id).await.unwrap(), Some(narrow.clone()));
    let listed = |repo, after| catalog.hooks(one.org, repo, after, 10);
    let both = listed(None, HookId(0)).await.unwrap();
    assert_eq!(both, [wide.clone(), narrow.clone()]);
    let one_of = std::slice::from_ref(&narrow);
    assert_eq!(listed(None, wide.id).await.unwrap(), one_of);
    let only = listed(Some(other.id), HookId(0)).await.unwrap();
    assert_eq!(only, one_of);
    let targets = catalog.hook_targets().await.unwrap();
    assert!(targets.contains(&(narrow.id, one.org, Some(other.id))));

    let stranger = catalog.create_org("stranger").await.unwrap().id;
    assert!(!catalog.delete_hook(stranger, wide.id).await.unwrap());
    assert!(catalog.delete_hook(one.org, wide.id).await.unwrap());
    assert!(!catalog.delete_hook(one.org, wide.id).await.unwrap());
    let gone = catalog.hold_queue(wide.id, one.id, lease("a", AT)).await;
    assert_eq!(gone.unwrap(), None);
    // Nobody scans an organisation without hooks.
    moves(&catalog, one.id, 0, 1).await;
    assert_eq!(catalog.orgs_to_scan().await.unwrap().len(), 1);
    catalog.delete_hook(one.org, narrow.id).await.unwrap();
    assert_eq!(catalog.orgs_to_scan().await.unwrap(), []);
}

async fn a_queue_is_held_by_one_node_until_its_lease_ends(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    let hook = hook(&catalog, &row).await;
    let hold = |holder, now| catalog.hold_queue(hook.id, row.id, lease(holder, now));
    let new = HeldQueue {
        done: (-1, 0),
        failures: 0,
        failing_since_ms: None,
    };
    assert_eq!(hold("a", AT).await.unwrap(), Some(new.clone()));
    assert_eq!(hold("b", AT + 999).await.unwrap(), None);
    assert_eq!(catalog.due_queues(AT + 999, 10).await.unwrap(), []);
    // The first holder is gone: its queue is due, and is taken.
    let due = catalog.due_queues(AT + 1000, 10).await.unwrap();
    assert_eq!(due, [(hook.id, row.id)]);
    assert_eq!(hold("b", AT + 1000).await.unwrap(), Some(new));
    let idle = Release::Idle { now_ms: AT };
    let late = progress(hook.id, row.id, "a", 7, idle);
    assert!(!catalog.record_progress(late).await.unwrap());
    // Held on, put off, and given back.
    let until_ms = AT + 9000;
    let on = progress(hook.id, row.id, "b", 3, Release::Hold { until_ms });
    assert!(catalog.record_progress(on).await.unwrap());
    assert_eq!(hold("a", AT + 8999).await.unwrap(), None);
    let at_ms = AT + 20_000;
    let mut off = progress(hook.id, row.id, "b", 4, Release::Due { at_ms });
    (off.failures, off.failing_since_ms) = (2, Some(AT));
    assert!(catalog.record_progress(off).await.unwrap());
    assert_eq!(hold("a", AT + 19_999).await.unwrap(), None);
    assert_eq!(
        catalog.waiting_queues().await.unwrap(),
        (1, Some(AT + 20_000))
    );
    let held = hold("a", AT + 20_000).await.unwrap().unwrap();
    assert_eq!((held.done, held.failures), ((4, 0), 2));
    assert_eq!(held.failing_since_ms, Some(AT));
    let back = progress(hook.id, row.id, "a", 5, idle);
    assert!(catalog.record_progress(back).await.unwrap());
    assert_eq!(catalog.waiting_queues().await.unwrap(), (0, None));
}

async fn a_queue_starts_where_its_hook_does(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    moves(&catalog, row.id, 0, 3).await;
    let hook = hook(&catalog, &row).await;
    let start = catalog.queue_start(row.id, hook.start_tick).await.unwrap();
    assert_eq!(start, (3, 0));
    moves(&catalog, row.id, 3, 2).await;
    let start = catalog.queue_start(row.id, hook.start_tick).await.unwrap();
    assert_eq!(start, (3, 0));
    let new = repo(&catalog).await;
    let start = catalog.queue_start(new.id, hook.start_tick).await.unwrap();
    assert_eq!(start, (-1, 0));
}

async fn a_scan_finds_what_nobody_was_told_of(db: &Database) {
    let catalog = db.open().await;
    let (row, other) = (repo(&catalog).await, repo(&catalog).await);
    let hook = hook(&catalog, &row).await;
    assert_eq!(catalog.orgs_to_scan().await.unwrap(), []);
    moves(&catalog, row.id, 0, 3).await;
    moves(&catalog, other.id, 0, 1).await;
    let narrow = catalog
        .create_hook(new_hook(row.org, Some(other.id)))
        .await
        .unwrap();
    moves(&catalog, other.id, 1, 1).await;
    scan(&catalog, AT).await;
    let mut due = catalog.due_queues(AT, 10).await.unwrap();
    due.sort();
    let expected = [
        (hook.id, row.id),
        (hook.id, other.id),
        (narrow.id, other.id),
    ];
    assert_eq!(due, expected);
    // What is done is not marked again, whether or not it is scanned again.
    for ((hook, repo), done) in expected.into_iter().zip([3, 2, 2]) {
        catalog
            .hold_queue(hook, repo, lease("a", AT))
            .await
            .unwrap()
            .unwrap();
        let idle = progress(hook, repo, "a", done, Release::Idle { now_ms: AT });
        assert!(catalog.record_progress(idle).await.unwrap());
    }
    scan(&catalog, AT).await;
    assert_eq!(catalog.due_queues(AT, 10).await.unwrap(), []);
}

async fn what_a_scan_saw_while_the_queue_was_held_is_not_forgotten(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    let hook = hook(&catalog, &row).await;
    catalog
        .hold_queue(hook.id, row.id, lease("a", AT))
        .await
        .unwrap()
        .unwrap();
    // The holder has looked and found nothing; now something comes, and a scan goes past it.
    moves(&catalog, row.id, 0, 1).await;
    scan(&catalog, AT).await;
    let idle = progress(hook.id, row.id, "a", 0, Release::Idle { now_ms: AT + 5 });
    assert!(catalog.record_progress(idle).await.unwrap());
    let due = catalog.due_queues(AT + 5, 10).await.unwrap();
    assert_eq!(due, [(hook.id, row.id)]);
}

async fn a_replay_begins_again_and_stops_the_holder(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    let hook = hook(&catalog, &row).await;
    moves(&catalog, row.id, 0, 5).await;
    let held = catalog.hold_queue(hook.id, row.id, lease("a", AT)).await;
    assert!(held.unwrap().is_some());
    let events = catalog.repo_events(row.id, (-1, 0), 10).await.unwrap();
    // After the third move.
    let after = events[3].position.tick;
    let replay = |org, id| catalog.replay_hook(org, id, after, AT);
    assert!(!replay(row.org, HookId(404)).await.unwrap());
    assert!(replay(row.org, hook.id).await.unwrap());
    let late = progress(hook.id, row.id, "a", 5, Release::Idle { now_ms: AT });
    assert!(!catalog.record_progress(late).await.unwrap());
    let held = catalog.hold_queue(hook.id, row.id, lease("b", AT)).await;
    let done = held.unwrap().unwrap().done;
    // The queue had delivered nothing yet: all waits, not only what is replayed.
    assert_eq!(done.0, -1);
    let on = progress(hook.id, row.id, "b", 5, Release::Idle { now_ms: AT });
    assert!(catalog.record_progress(on).await.unwrap());
    assert!(replay(row.org, hook.id).await.unwrap());
    let held = catalog.hold_queue(hook.id, row.id, lease("b", AT)).await;
    let done = held.unwrap().unwrap().done;
    let again = catalog.repo_events(row.id, done, 10).await.unwrap();
    assert_eq!(again, events[4..]);
}

async fn deliveries_are_logged_and_dropped(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    let hook = hook(&catalog, &row).await;
    catalog
        .hold_queue(hook.id, row.id, lease("a", AT))
        .await
        .unwrap()
        .unwrap();
    let mut tried = progress(hook.id, row.id, "a", 2, Release::Idle { now_ms: AT });
    tried.deliveries = vec![
        delivery(1, AT, DeliveryState::Delivered),
        delivery(2, AT + 1, DeliveryState::Retrying),
    ];
    assert!(catalog.record_progress(tried).await.unwrap());
    let again = delivery(2, AT + 2, DeliveryState::Delivered);
    catalog
        .record_delivery(hook.id, row.id, again)
        .await
        .unwrap();
    let newest = (i64::MAX, RepoId(0), 0, 0);
    let rows = catalog.deliveries(hook.id, newest, 10).await.unwrap();
    let shown: Vec<_> = rows
        .iter()
        .map(|row| (row.last.generation, row.last.attempts, row.last.state))
        .collect();
    let delivered = DeliveryState::Delivered;
    assert_eq!(shown, [(2, 2, delivered), (1, 1, delivered)]);
    assert_eq!(rows[0].last.response.as_deref(), Some("fine\u{fffd}"));
    let found = catalog.delivery(hook.id, row.id, 2, 0).await.unwrap();
    assert_eq!(found.as_ref(), Some(&rows[0]));
    let before = (rows[0].last.at_ms, row.id, 2, 0);
    let page = catalog.deliveries(hook.id, before, 10).await.unwrap();
    assert_eq!(page, rows[1..]);
    assert_eq!(catalog.drop_old_deliveries(AT + 1, 10).await.unwrap(), 1);
    let left = catalog.deliveries(hook.id, newest, 10).await.unwrap();
    assert_eq!(left, rows[..1]);
}
