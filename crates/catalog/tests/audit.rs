//! The audit log: what was done, once, in one order; nothing that was refused.

use std::sync::Arc;

use packhouse_catalog::{
    AuditCursor, AuditEntry, AuditOf, AuditedChange, Catalog, HookId, NewAuditEntry, NewHook,
    OrgId, Origin, Publish, PublishError, RefEdit,
};

use crate::both::{Database, on_both};
use crate::sample::{AT, edit, publish, repo};

on_both!(
    pages_hold_every_entry_once_and_in_the_order_of_the_changes,
    what_is_refused_is_not_in_the_log,
    a_log_outlives_its_repository,
    writers_beside_each_other_lose_no_entry,
    what_cannot_be_stored_is_refused,
    old_entries_go_in_lots_and_moves_stay_in_the_reflog,
    entries_of_a_clock_that_was_ahead_hold_up_no_others,
);

const MAIN: &str = "refs/heads/main";

fn origin(request: &str) -> Option<Arc<Origin>> {
    Some(Arc::new(Origin {
        address: Some("192.0.2.1".into()),
        request_id: request.into(),
    }))
}

fn entry(org: OrgId, kind: &'static str, request: &str) -> NewAuditEntry {
    NewAuditEntry {
        org: Some(org),
        repo: None,
        kind,
        target: None,
        detail: Some("{}".into()),
        who: "somebody".into(),
        origin: origin(request),
    }
}

fn from(request: &str, edit: RefEdit) -> RefEdit {
    RefEdit {
        origin: origin(request),
        ..edit
    }
}

fn hook(org: OrgId) -> NewHook {
    NewHook {
        org,
        repo: None,
        url: "https://example.com".into(),
        events: "push".into(),
        secret: "s".into(),
    }
}

/// The whole log, in pages of `limit`.
async fn whole(catalog: &Catalog, of: AuditOf, limit: u32) -> Vec<AuditEntry> {
    let (mut all, mut after) = (Vec::new(), AuditCursor::START);
    loop {
        let page = catalog.audit_log(of, after, limit).await.unwrap();
        assert!(page.len() <= limit as usize);
        let Some(last) = page.last() else { return all };
        after = last.next;
        all.extend(page);
    }
}

/// Requests of a log, oldest first.
fn requests(entries: &[AuditEntry]) -> Vec<&str> {
    let requests = entries.iter().rev();
    requests
        .map(|entry| entry.request_id.as_deref().unwrap())
        .collect()
}

async fn pages_hold_every_entry_once_and_in_the_order_of_the_changes(db: &Database) {
    let catalog = db.open().await;
    let (one, two) = (repo(&catalog).await, repo(&catalog).await);
    let mut expected = Vec::new();
    let mut of_one = Vec::new();
    for step in 0..12_u64 {
        let request = format!("r{step}");
        let at = (step > 0).then_some(step / 3);
        match step % 3 {
            0 => {
                let moved = edit(MAIN, at.filter(|at| *at > 0), Some(step / 3 + 1));
                let made = catalog
                    .publish(publish(one.id, vec![from(&request, moved)]))
                    .await;
                made.unwrap();
                of_one.push(request.clone());
            }
            1 => {
                let entry = entry(one.org, "webhook.create", &request);
                catalog
                    .audited(entry)
                    .create_hook(hook(one.org))
                    .await
                    .unwrap();
            }
            _ => {
                let name = format!("refs/heads/{step}");
                let moved = from(&request, edit(&name, None, Some(1)));
                catalog.publish(publish(two.id, vec![moved])).await.unwrap();
            }
        }
        expected.push(request);
    }
    let all = whole(&catalog, AuditOf::Org(one.org), 100).await;
    assert_eq!(requests(&all), expected);
    for limit in [1, 2, 5] {
        let mut pages = whole(&catalog, AuditOf::Org(one.org), limit).await;
        for (page, all) in pages.iter_mut().zip(&all) {
            page.next = all.next;
        }
        assert_eq!(pages, all);
        let log = whole(&catalog, AuditOf::Repo(one.id), limit).await;
        assert_eq!(requests(&log), of_one);
    }
    let (moved, other) = (&all[all.len() - 1], &all[all.len() - 2]);
    assert_eq!(moved.address.as_deref(), Some("192.0.2.1"));
    assert!(matches!(&moved.what, AuditedChange::Ref { old: None, .. }));
    let AuditedChange::Other {
        target: Some(id), ..
    } = &other.what
    else {
        panic!("{other:?}")
    };
    let id = HookId(id.parse().unwrap());
    assert!(catalog.hook(id).await.unwrap().is_some());
    // The order of changes is that of the log also after what moved no ref.
    assert_eq!(other.who, "somebody");
}

async fn what_is_refused_is_not_in_the_log(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    let audited = |kind| catalog.audited(entry(repo.org, kind, "refused"));
    let taken = audited("repo.create")
        .create_repo(repo.org, &repo.name, "main")
        .await;
    taken.unwrap_err();
    assert!(
        !audited("webhook.delete")
            .delete_hook(repo.org, HookId(1))
            .await
            .unwrap()
    );
    assert!(
        !audited("upstream.detach")
            .detach_upstream(repo.id)
            .await
            .unwrap()
    );
    assert!(
        !audited("git_credential.delete")
            .delete_credential(repo.id)
            .await
            .unwrap()
    );
    audited("repo.delete")
        .delete_repo(repo.org, "none")
        .await
        .unwrap_err();
    let moved = from("refused", edit(MAIN, Some(7), Some(8)));
    let refused = catalog.publish(publish(repo.id, vec![moved])).await;
    assert!(matches!(refused, Err(PublishError::Moved { .. })));
    assert!(whole(&catalog, AuditOf::Org(repo.org), 10).await.is_empty());
    // A handle that is not told what to write writes nothing.
    catalog.create_hook(hook(repo.org)).await.unwrap();
    assert!(whole(&catalog, AuditOf::Org(repo.org), 10).await.is_empty());
}

async fn a_log_outlives_its_repository(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("org").await.unwrap().id;
    let mut ids = Vec::new();
    for life in 0..2 {
        let audited = |kind| catalog.audited(entry(org, kind, &format!("{kind}-{life}")));
        let made = audited("repo.create")
            .create_repo(org, "name", "main")
            .await
            .unwrap();
        let moved = from(&format!("move-{life}"), edit(MAIN, None, Some(1)));
        catalog
            .publish(publish(made.id, vec![moved]))
            .await
            .unwrap();
        audited("repo.delete")
            .delete_repo(org, "name")
            .await
            .unwrap();
        let log = whole(&catalog, AuditOf::Repo(made.id), 2).await;
        let (create, moved, delete) = (
            format!("repo.create-{life}"),
            format!("move-{life}"),
            format!("repo.delete-{life}"),
        );
        assert_eq!(requests(&log), [create, moved, delete]);
        ids.insert(0, made.id);
    }
    assert_eq!(
        catalog.repos_ever_named(org, "name", 10).await.unwrap(),
        ids
    );
    assert!(
        catalog
            .repos_ever_named(org, "other", 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(whole(&catalog, AuditOf::Org(org), 4).await.len(), 6);
    // Events that are dropped for their age take nothing with them.
    catalog.drop_old_events(i64::MAX, 1000).await.unwrap();
    assert_eq!(whole(&catalog, AuditOf::Org(org), 4).await.len(), 6);
}

async fn writers_beside_each_other_lose_no_entry(db: &Database) {
    const WRITERS: usize = 8;
    const STEPS: usize = 12;
    let nodes = [db.open().await, db.open().await];
    let org = nodes[0].create_org("org").await.unwrap().id;
    let tasks = (0..WRITERS).map(|writer| {
        let catalog = nodes[writer % 2].clone();
        tokio::spawn(async move {
            let name = format!("repo-{writer}");
            let made = catalog.audited(entry(org, "repo.create", &name));
            let made = made.create_repo(org, &name, "main").await.unwrap();
            for step in 0..STEPS {
                let request = format!("{writer}-{step}");
                let branch = format!("refs/heads/{step}");
                let moved = from(&request, edit(&branch, None, Some(1)));
                catalog
                    .publish(publish(made.id, vec![moved]))
                    .await
                    .unwrap();
                let hooked =
                    catalog.audited(entry(org, "webhook.create", &format!("hook-{request}")));
                hooked.create_hook(hook(org)).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let all = whole(&nodes[0], AuditOf::Org(org), 7).await;
    let mut found = requests(&all);
    assert_eq!(found.len(), WRITERS * (1 + 2 * STEPS));
    // Each writer's own changes are in the order it made them.
    for writer in 0..WRITERS {
        let own = |request: &&&str| request.starts_with(&format!("{writer}-"));
        let own: Vec<_> = found.iter().filter(own).copied().collect();
        let expected: Vec<_> = (0..STEPS).map(|step| format!("{writer}-{step}")).collect();
        assert_eq!(own, expected);
    }
    found.sort_unstable();
    found.dedup();
    assert_eq!(found.len(), WRITERS * (1 + 2 * STEPS));
}

async fn what_cannot_be_stored_is_refused(db: &Database) {
    let catalog = db.open().await;
    let org = catalog.create_org("org").await.unwrap().id;
    let bad = [
        NewAuditEntry {
            target: Some("a\0b".into()),
            ..entry(org, "repo.create", "r")
        },
        NewAuditEntry {
            detail: Some("x".repeat(100_000)),
            ..entry(org, "repo.create", "r")
        },
        entry(org, "repo.create", "a\0b"),
    ];
    for bad in bad {
        catalog
            .audited(bad)
            .create_repo(org, "name", "main")
            .await
            .unwrap_err();
    }
    assert!(catalog.repo(org, "name").await.unwrap().is_none());
    let nul = NewAuditEntry {
        who: "a\0b".into(),
        ..entry(org, "repo.create", "r")
    };
    catalog
        .audited(nul)
        .create_repo(org, "name", "main")
        .await
        .unwrap();
    let log = whole(&catalog, AuditOf::Org(org), 10).await;
    assert_eq!(log[0].who, "a\u{fffd}b");
}

/// Removes what is older than `before_ms` in lots of `limit`; says how many entries that were.
async fn expire(catalog: &Catalog, org: OrgId, before_ms: i64, limit: u32) -> u64 {
    let mut removed = 0;
    loop {
        let lot = catalog.expire_audit(org, before_ms, limit).await.unwrap();
        assert!(lot <= u64::from(limit));
        removed += lot;
        if lot < u64::from(limit) {
            return removed;
        }
    }
}

async fn old_entries_go_in_lots_and_moves_stay_in_the_reflog(db: &Database) {
    let catalog = db.open().await;
    let (one, other) = (
        repo(&catalog).await,
        catalog.create_org("other").await.unwrap(),
    );
    let moved = async |step: u64, edits: Vec<RefEdit>| {
        let change = publish(one.id, edits);
        let at_ms = AT + step.cast_signed() * 1000;
        catalog.publish(Publish { at_ms, ..change }).await.unwrap();
    };
    for step in 0..6_u64 {
        let at = (step > 0).then_some(step);
        let request = format!("r{step}");
        moved(step, vec![from(&request, edit(MAIN, at, Some(step + 1)))]).await;
    }
    // Many at one tick, as in a push.
    let pushed = (0..7).map(|n| from("push", edit(&format!("refs/heads/{n}"), None, Some(1))));
    moved(6, pushed.collect()).await;
    for n in 0..5 {
        let entry = entry(one.org, "webhook.create", &format!("h{n}"));
        catalog
            .audited(entry)
            .create_hook(hook(one.org))
            .await
            .unwrap();
    }
    catalog
        .audited(entry(other.id, "webhook.create", "theirs"))
        .create_hook(hook(other.id))
        .await
        .unwrap();

    let told = async || {
        let log = whole(&catalog, AuditOf::Org(one.org), 100).await;
        let known = log.iter().filter(|entry| entry.request_id.is_some());
        assert!(
            log.iter()
                .all(|entry| entry.request_id.is_some() == entry.address.is_some())
        );
        (log.len(), known.count())
    };
    assert_eq!(told().await, (18, 18));
    assert_eq!(expire(&catalog, one.org, AT, 2).await, 0);
    assert_eq!(expire(&catalog, one.org, AT + 3000, 2).await, 3);
    assert_eq!(told().await, (18, 15));
    assert_eq!(expire(&catalog, one.org, AT + 3000, 2).await, 0);
    // The lot ends within the push.
    assert_eq!(expire(&catalog, one.org, AT + 7000, 4).await, 10);
    assert_eq!(told().await, (18, 5));
    assert_eq!(expire(&catalog, one.org, i64::MAX, 2).await, 5);
    assert_eq!(told().await, (13, 0));
    moved(
        9,
        vec![from("later", edit("refs/heads/later", None, Some(1)))],
    )
    .await;
    assert_eq!(told().await, (14, 1));
    assert_eq!(expire(&catalog, one.org, AT + 10_000, 100).await, 1);
    assert_eq!(told().await, (14, 0));
    let reflog = catalog.reflog(one.id, None, (-1, -1), 100).await.unwrap();
    assert_eq!(reflog.len(), 14);
    let theirs = whole(&catalog, AuditOf::Org(other.id), 10).await;
    assert_eq!(requests(&theirs), ["theirs"]);
}

async fn entries_of_a_clock_that_was_ahead_hold_up_no_others(db: &Database) {
    const BEFORE: i64 = 4_000_000_000_000;
    const AHEAD: i64 = 9_000_000_000_000;
    let catalog = db.open().await;
    let one = repo(&catalog).await;
    let hooks = async |count: u64, request: &str| {
        for _ in 0..count {
            let made = catalog.audited(entry(one.org, "webhook.create", request));
            made.create_hook(hook(one.org)).await.unwrap();
        }
    };
    let moved = async |steps: std::ops::Range<u64>, at_ms: i64, request: &str| {
        for step in steps {
            let at = (step > 0).then_some(step);
            let edits = vec![from(request, edit(MAIN, at, Some(step + 1)))];
            let change = publish(one.id, edits);
            catalog.publish(Publish { at_ms, ..change }).await.unwrap();
        }
    };
    hooks(4, "ahead").await;
    let later = "UPDATE audit SET at_ms = 9000000000000";
    db.execute(later, later).await;
    moved(0..3, AHEAD, "ahead").await;
    hooks(5, "old").await;
    moved(3..6, AT, "old").await;

    assert_eq!(expire(&catalog, one.org, BEFORE, 2).await, 8);
    let log = whole(&catalog, AuditOf::Org(one.org), 100).await;
    let told = log.iter().filter_map(|entry| entry.request_id.as_deref());
    assert_eq!(told.collect::<Vec<_>>(), ["ahead"; 7]);
    assert_eq!(expire(&catalog, one.org, BEFORE, 2).await, 0);
    assert_eq!(expire(&catalog, one.org, i64::MAX, 2).await, 7);
}
