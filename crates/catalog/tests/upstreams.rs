//! Upstreams, what was seen there, and credentials for them.

use packhouse_catalog::{
    Catalog, ClaimJobs, CreateRepoError, FirstSync, JobEnd, JobState, NewCredential, NewJob,
    NewUpstream, OrgId, PushEnd, RepoId, RepoRow, SyncEnd,
};

use crate::both::{Database, on_both};
use crate::sample::{AT, edit, id, publish, target};

on_both!(
    a_repository_and_its_first_sync_are_made_together,
    a_taken_name_leaves_nothing,
    syncs_are_counted_and_end_well_or_not,
    detaching_forgets_all_but_the_refs,
    another_default_branch_is_a_newer_generation,
    upstreams_are_found_by_page,
    credentials_come_and_go,
    a_moved_branch_is_asked_for_once_and_never_forgotten,
    pushes_end_well_or_not,
);

fn upstream() -> NewUpstream {
    NewUpstream {
        provider: "github".into(),
        owner: "octocat".into(),
        name: "hello".into(),
        url: "https://github.com/octocat/hello.git".into(),
        auth: "public".into(),
        follow_head: true,
        push_through: false,
    }
}

fn sync(repo: RepoId) -> FirstSync {
    let job = NewJob {
        kind: "sync",
        key: repo.to_string(),
        org: OrgId(1),
        repo: Some(repo),
        payload: "{}".into(),
        payload_if_pending: None,
        due_at_ms: 5,
        give_up_ms: 100,
    };
    FirstSync {
        job,
        credential: None,
    }
}

async fn org(catalog: &Catalog) -> OrgId {
    match catalog.org("org").await.unwrap() {
        Some(org) => org.id,
        None => catalog.create_org("org").await.unwrap().id,
    }
}

async fn following(catalog: &Catalog, name: &str) -> RepoRow {
    let org = org(catalog).await;
    let made = catalog.create_following(org, name, "main", upstream(), sync);
    made.await.unwrap()
}

async fn a_repository_and_its_first_sync_are_made_together(db: &Database) {
    let catalog = db.open().await;
    let repo = following(&catalog, "a").await;
    assert!(repo.syncing);
    assert_eq!(
        catalog.repo_by_id(repo.id).await.unwrap(),
        Some(repo.clone())
    );
    let row = catalog.upstream(repo.id).await.unwrap().unwrap();
    assert_eq!((row.upstream, row.runs, row.error), (upstream(), 0, None));
    let job = catalog
        .job("sync", &repo.id.to_string())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((job.state, job.repo), (JobState::Waiting, Some(repo.id)));
    // It takes writes like any other.
    let edits = vec![edit("refs/heads/main", None, Some(1))];
    catalog.publish(publish(repo.id, edits)).await.unwrap();
    assert!(catalog.repo_by_id(repo.id).await.unwrap().unwrap().syncing);
}

async fn a_taken_name_leaves_nothing(db: &Database) {
    let catalog = db.open().await;
    let org = org(&catalog).await;
    catalog.create_repo(org, "a", "main").await.unwrap();
    let mut tried = None;
    let made = catalog.create_following(org, "a", "main", upstream(), |repo| {
        tried = Some(repo);
        sync(repo)
    });
    assert!(matches!(made.await, Err(CreateRepoError::Exists { .. })));
    let tried = tried.unwrap();
    assert_eq!(catalog.upstream(tried).await.unwrap(), None);
    assert_eq!(catalog.count_jobs().await.unwrap(), []);
    let long = NewUpstream {
        url: "x".repeat(5000),
        ..upstream()
    };
    assert!(
        catalog
            .create_following(org, "b", "main", long, sync)
            .await
            .is_err()
    );
    assert_eq!(catalog.repo(org, "b").await.unwrap(), None);
}

async fn syncs_are_counted_and_end_well_or_not(db: &Database) {
    let catalog = db.open().await;
    let repo = following(&catalog, "a").await.id;
    assert_eq!(catalog.begin_sync(repo, 10).await.unwrap(), Some(1));
    let failed = SyncEnd::Failed {
        error: "it\0is down".into(),
    };
    assert!(catalog.end_sync(repo, failed, 11).await.unwrap());
    let row = catalog.upstream(repo).await.unwrap().unwrap();
    assert_eq!(row.error.as_deref(), Some("it\u{fffd}is down"));
    assert_eq!((row.started_at_ms, row.failed_at_ms), (Some(10), Some(11)));
    assert!(catalog.repo_by_id(repo).await.unwrap().unwrap().syncing);

    assert_eq!(catalog.begin_sync(repo, 20).await.unwrap(), Some(2));
    let name = |number: u64| format!("refs/heads/{number:04}").into_bytes();
    let refs = (0..1500)
        .map(|number| (name(number), Some(id(number))))
        .collect();
    let succeeded = |refs| SyncEnd::Succeeded {
        refs,
        head: Some("trunk".into()),
        left_out: None,
    };
    assert!(catalog.end_sync(repo, succeeded(refs), 21).await.unwrap());
    let row = catalog.upstream(repo).await.unwrap().unwrap();
    assert_eq!((row.head.as_deref(), row.error), (Some("trunk"), None));
    assert_eq!((row.runs, row.succeeded_at_ms), (2, Some(21)));
    assert!(!catalog.repo_by_id(repo).await.unwrap().unwrap().syncing);
    let refs = catalog.upstream_refs(repo).await.unwrap();
    assert_eq!(refs.len(), 1500);
    assert_eq!(refs[7], (name(7), id(7)));

    let changes = vec![
        (name(7), Some(id(70))),
        (name(8), None),
        (b"new".to_vec(), Some(id(9))),
    ];
    assert!(
        catalog
            .end_sync(repo, succeeded(changes), 31)
            .await
            .unwrap()
    );
    let refs = catalog.upstream_refs(repo).await.unwrap();
    assert_eq!(refs.len(), 1500);
    assert_eq!(refs[0].0, b"new");
    assert_eq!(refs[8], (name(7), id(70)));
    assert_eq!(refs[9].0, name(9));
}

async fn detaching_forgets_all_but_the_refs(db: &Database) {
    let catalog = db.open().await;
    let repo = following(&catalog, "a").await;
    let edits = vec![edit("refs/heads/main", None, Some(1))];
    catalog.publish(publish(repo.id, edits)).await.unwrap();
    let stored = catalog.create_credential(credential("1", &repo), 1).await;
    assert!(stored.unwrap());
    assert!(catalog.detach_upstream(repo.id).await.unwrap());
    assert!(!catalog.detach_upstream(repo.id).await.unwrap());
    assert_eq!(catalog.upstream(repo.id).await.unwrap(), None);
    assert_eq!(catalog.credential_of(repo.id).await.unwrap(), None);
    assert!(!catalog.repo_by_id(repo.id).await.unwrap().unwrap().syncing);
    assert_eq!(
        target(&catalog, repo.id, "refs/heads/main").await,
        Some(id(1))
    );
    assert_eq!(catalog.begin_sync(repo.id, 1).await.unwrap(), None);
    let failed = SyncEnd::Failed { error: "x".into() };
    assert!(!catalog.end_sync(repo.id, failed, 1).await.unwrap());
    let late = SyncEnd::Succeeded {
        refs: vec![(b"a".to_vec(), Some(id(1)))],
        head: None,
        left_out: None,
    };
    assert!(!catalog.end_sync(repo.id, late, 1).await.unwrap());
    assert_eq!(catalog.upstream_refs(repo.id).await.unwrap(), []);
}

async fn another_default_branch_is_a_newer_generation(db: &Database) {
    let catalog = db.open().await;
    let repo = following(&catalog, "a").await;
    assert!(catalog.set_default_branch(repo.id, "trunk").await.unwrap());
    let row = catalog.repo_by_id(repo.id).await.unwrap().unwrap();
    assert_eq!((row.default_branch.as_str(), row.generation), ("trunk", 1));
    let edits = vec![edit("refs/heads/trunk", None, Some(1))];
    let published = catalog.publish(publish(repo.id, edits)).await.unwrap();
    assert_eq!(published.generation, 2);
    assert!(!catalog.set_default_branch(RepoId(5), "x").await.unwrap());
}

async fn upstreams_are_found_by_page(db: &Database) {
    let catalog = db.open().await;
    let org = org(&catalog).await;
    for name in ["a", "c", "d", "e"] {
        following(&catalog, name).await;
    }
    catalog.create_repo(org, "b", "main").await.unwrap();
    catalog.delete_repo(org, "d").await.unwrap();
    let found = catalog.upstreams_between(org, "b", "e").await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(catalog.upstreams_between(org, "b", "b").await.unwrap(), []);
}

fn credential(id: &str, repo: &RepoRow) -> NewCredential {
    NewCredential {
        id: id.into(),
        org: repo.org,
        repo: repo.id,
        key_id: "k1".into(),
        sealed: vec![1, 0, 2],
    }
}

async fn credentials_come_and_go(db: &Database) {
    let catalog = db.open().await;
    let repo = catalog
        .create_repo(org(&catalog).await, "a", "main")
        .await
        .unwrap();
    assert!(
        catalog
            .create_credential(credential("1", &repo), AT)
            .await
            .unwrap()
    );
    assert!(
        !catalog
            .create_credential(credential("2", &repo), AT)
            .await
            .unwrap()
    );
    let row = catalog.credential("1").await.unwrap().unwrap();
    assert_eq!(row.credential, credential("1", &repo));
    assert_eq!(row.created_at_ms, AT);
    let newer = NewCredential {
        sealed: vec![9],
        key_id: "k2".into(),
        ..credential("1", &repo)
    };
    assert!(
        catalog
            .update_credential(newer.clone(), AT + 1)
            .await
            .unwrap()
    );
    let row = catalog.credential_of(repo.id).await.unwrap().unwrap();
    assert_eq!((row.credential, row.created_at_ms), (newer, AT));
    assert!(
        !catalog
            .update_credential(credential("2", &repo), AT)
            .await
            .unwrap()
    );
    assert_eq!(catalog.credential("2").await.unwrap(), None);
    assert!(catalog.delete_credential(repo.id).await.unwrap());
    assert!(!catalog.delete_credential(repo.id).await.unwrap());
    // Not for a repository that is gone.
    catalog.delete_repo(repo.org, &repo.name).await.unwrap();
    assert!(
        !catalog
            .create_credential(credential("3", &repo), AT)
            .await
            .unwrap()
    );
}

/// A repository whose writes go to its upstream, with its first sync done.
async fn pushing(catalog: &Catalog) -> RepoId {
    let org = org(catalog).await;
    let upstream = NewUpstream {
        push_through: true,
        ..upstream()
    };
    let made = catalog.create_following(org, "a", "main", upstream, sync);
    let repo = made.await.unwrap().id;
    run_job(catalog, repo).await;
    repo
}

async fn claimed(catalog: &Catalog) -> Option<(i64, i64)> {
    let claim = ClaimJobs {
        kind: "sync",
        holder: "test".into(),
        limit: 1,
        lease_ms: 1000,
        now_ms: 1000,
    };
    let jobs = catalog.claim_jobs(claim).await.unwrap();
    jobs.first().map(|job| (job.id, job.run))
}

async fn run_job(catalog: &Catalog, repo: RepoId) {
    let (id, run) = claimed(catalog).await.unwrap();
    catalog
        .finish_job(id, run, JobEnd::Done, 1000)
        .await
        .unwrap();
    let job = catalog.job("sync", &repo.to_string()).await.unwrap();
    assert_eq!(job.unwrap().state, JobState::Done);
}

async fn a_moved_branch_is_asked_for_once_and_never_forgotten(db: &Database) {
    let (catalog, other) = (db.open().await, db.open().await);
    let repo = pushing(&catalog).await;
    let has_changed = async || {
        let found = other.push_through_repos().await.unwrap();
        assert_eq!(found.len(), 1);
        found[0].has_changed
    };
    let ask = async || other.ask_push(repo, sync(repo).job, 500).await.unwrap();
    ask().await;
    assert!(!has_changed().await);
    assert!(!ask().await);

    // One node writes and dies before it asks; another one looks.
    let edits = vec![edit("refs/heads/main", None, Some(1))];
    catalog.publish(publish(repo, edits)).await.unwrap();
    assert!(has_changed().await);
    assert!(catalog.has_moved_since(repo, 0).await.unwrap());
    assert!(ask().await);
    assert!(!has_changed().await);
    assert!(!ask().await, "it is asked for already");

    // What moves during a run is not asked for during the run, but after it.
    let (id, run) = claimed(&catalog).await.unwrap();
    let edits = vec![edit("refs/tags/v1", None, Some(2))];
    let at = catalog
        .publish(publish(repo, edits))
        .await
        .unwrap()
        .generation;
    assert!(!ask().await);
    assert!(has_changed().await);
    catalog
        .finish_job(id, run, JobEnd::Done, 1000)
        .await
        .unwrap();
    assert!(ask().await);
    run_job(&catalog, repo).await;

    // Other refs and events are no reason to ask.
    let names = [
        "refs/notes/commits",
        "refs/namespaces/ephemeral/refs/heads/x",
    ];
    for name in names {
        let edits = vec![edit(name, None, Some(3))];
        catalog.publish(publish(repo, edits)).await.unwrap();
    }
    catalog
        .append_event(repo, "repo.sync.failed", None, "test")
        .await
        .unwrap();
    assert!(has_changed().await);
    assert!(!ask().await);
    assert!(!has_changed().await);
    assert!(!catalog.has_moved_since(repo, at).await.unwrap());
    let edits = vec![edit("refs/heads/main", Some(1), None)];
    catalog.publish(publish(repo, edits)).await.unwrap();
    assert!(ask().await, "a deleted branch has moved, too");

    // Nor is anything once that is switched off, or the repository is gone.
    assert!(
        catalog
            .set_push_through(repo, false, Vec::new())
            .await
            .unwrap()
    );
    assert!(
        !catalog
            .set_push_through(repo, false, Vec::new())
            .await
            .unwrap()
    );
    assert_eq!(catalog.push_through_repos().await.unwrap(), []);
    let edits = vec![edit("refs/heads/main", None, Some(1))];
    catalog.publish(publish(repo, edits)).await.unwrap();
    assert!(!ask().await);
    assert!(
        catalog
            .set_push_through(repo, true, Vec::new())
            .await
            .unwrap()
    );
    catalog.delete_repo(org(&catalog).await, "a").await.unwrap();
    assert_eq!(catalog.push_through_repos().await.unwrap(), []);
    assert!(!ask().await);
}

async fn pushes_end_well_or_not(db: &Database) {
    let catalog = db.open().await;
    let repo = pushing(&catalog).await;
    let name = |name: &str| name.as_bytes().to_vec();
    let end = |refs, error: Option<&str>| PushEnd {
        refs,
        through: 7,
        error: error.map(str::to_owned),
    };
    let row = async || catalog.upstream(repo).await.unwrap().unwrap();
    let seen = vec![(name("refs/heads/a"), Some(id(1)))];
    let failed = end(seen.clone(), Some("b\0 was refused"));
    assert!(catalog.end_push(repo, failed, 20).await.unwrap());
    let found = row().await;
    assert_eq!(found.push_error.as_deref(), Some("b\u{fffd} was refused"));
    assert_eq!(found.error, found.push_error);
    assert_eq!(
        (found.failed_at_ms, found.push_done, found.pushed_at_ms),
        (Some(20), 0, None)
    );
    let recorded = catalog.upstream_refs(repo).await.unwrap();
    assert_eq!(recorded, [(name("refs/heads/a"), id(1))]);

    let gone = vec![(name("refs/heads/a"), None)];
    assert!(catalog.end_push(repo, end(gone, None), 30).await.unwrap());
    let found = row().await;
    assert_eq!(
        (found.push_error, found.push_done, found.pushed_at_ms),
        (None, 7, Some(30))
    );
    assert_eq!(catalog.upstream_refs(repo).await.unwrap(), []);
    // Nothing had to go there.
    assert!(
        catalog
            .end_push(repo, end(Vec::new(), None), 40)
            .await
            .unwrap()
    );
    assert_eq!(row().await.pushed_at_ms, Some(30));

    // What is forgotten comes back with the next sync.
    let seen = ["refs/heads/a", "refs/heads/b"].map(|ref_| (name(ref_), Some(id(1))));
    catalog
        .end_push(repo, end(seen.into(), None), 50)
        .await
        .unwrap();
    catalog
        .set_push_through(repo, false, Vec::new())
        .await
        .unwrap();
    let forget = vec![name("refs/heads/a")];
    catalog.set_push_through(repo, true, forget).await.unwrap();
    let recorded = catalog.upstream_refs(repo).await.unwrap();
    assert_eq!(recorded, [(name("refs/heads/b"), id(1))]);
    assert_eq!(row().await.push_done, 0);
    assert!(catalog.detach_upstream(repo).await.unwrap());
    assert!(
        !catalog
            .end_push(repo, end(Vec::new(), None), 60)
            .await
            .unwrap()
    );
}
