//! Dead packs and the rows of deleted repositories.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use packhouse_catalog::{
    Catalog, Fold, FoldError, Fork, NewHook, NewJob, NewRef, OrgId, PackName, PackStanding,
    PublishError, RepoId, RepoRow, SweptRows,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::both::{Database, on_both};
use crate::sample::{AT, edit, id, pack, publish, repo, with_tail};

on_both!(
    an_unlisted_pack_is_condemned_after_its_grace,
    listing_a_pack_that_was_found_starts_over,
    a_condemned_pack_is_not_listed,
    what_is_listed_is_not_condemned_whatever_its_row_says,
    packs_of_another_organisation_are_others,
    a_forked_pack_outlives_its_source,
    rows_of_a_deleted_repository_go_in_steps,
    a_webhook_that_is_still_to_be_told_keeps_its_queue,
    writers_and_sweeps_side_by_side,
);

const MAIN: &str = "refs/heads/main";
const GRACE: i64 = 1000;

async fn standing(catalog: &Catalog, org: OrgId, key: [u8; 32]) -> PackStanding {
    let name = PackName { org, key };
    let asked = catalog.pack_standings(&[name]).await.unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].0, name);
    asked[0].1
}

/// What a sweep at that time may delete.
async fn condemn(catalog: &Catalog, org: OrgId, keys: &[u8], now_ms: i64) -> Vec<u8> {
    let keys = keys.iter().map(|key| [*key; 32]).collect();
    let condemned = catalog.condemn_packs(org, keys, now_ms - GRACE, now_ms);
    let mut keys: Vec<u8> = condemned.await.unwrap().iter().map(|key| key[0]).collect();
    keys.sort_unstable();
    keys
}

async fn list_packs(catalog: &Catalog, repo: RepoId, keys: &[u8]) -> Result<(), PublishError> {
    let mut write = publish(repo, vec![]);
    write.packs = keys.iter().map(|key| pack(*key)).collect();
    catalog.publish(write).await.map(drop)
}

/// Removes all rows there are of a deleted repository.
async fn sweep_rows(catalog: &Catalog, repo: RepoId) -> SweptRows {
    let mut all = SweptRows::default();
    while !all.is_last {
        let step = catalog.sweep_repo(repo, 100, AT).await.unwrap();
        all = SweptRows {
            rows: all.rows + step.rows,
            ..step
        };
    }
    all
}

async fn fork(catalog: &Catalog, source: &RepoRow, name: &str) -> RepoRow {
    let fork = Fork {
        source: source.id,
        org: source.org,
        name: name.to_owned(),
        default_branch: "main".to_owned(),
        refs: vec![NewRef {
            name: MAIN.as_bytes().to_vec(),
            target: id(1),
            peeled: None,
        }],
        tail: None,
        who: String::new(),
        origin: None,
        message: String::new(),
        at_ms: AT,
        checked_at: source.generation,
    };
    catalog.fork(fork).await.unwrap()
}

async fn an_unlisted_pack_is_condemned_after_its_grace(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    list_packs(&catalog, row.id, &[1]).await.unwrap();
    assert_eq!(condemn(&catalog, row.org, &[1, 2], AT).await, [0; 0]);
    let of = |key: u8| standing(&catalog, row.org, [key; 32]);
    assert_eq!(of(1).await, PackStanding::Listed);
    assert_eq!(of(2).await, PackStanding::Found { at_ms: AT });
    assert_eq!(of(3).await, PackStanding::Unlisted);
    // Seen again, it is as old as it was.
    assert_eq!(condemn(&catalog, row.org, &[2, 3], AT + 999).await, [0; 0]);
    assert_eq!(of(2).await, PackStanding::Found { at_ms: AT });
    assert_eq!(condemn(&catalog, row.org, &[1, 2, 3], AT + 1000).await, [2]);
    assert_eq!(of(2).await, PackStanding::Condemned);
    // For as long as it is there it is deleted again, whatever the clock says.
    assert_eq!(condemn(&catalog, row.org, &[2], AT).await, [2]);
    assert_eq!(condemn(&catalog, row.org, &[2], AT + 5000).await, [2]);
    // It is remembered from when it was last to be deleted.
    assert_eq!(catalog.forget_dead_packs(AT + 5000, 10).await.unwrap(), 1);
    assert_eq!(of(3).await, PackStanding::Unlisted);
    assert_eq!(of(2).await, PackStanding::Condemned);
    assert_eq!(catalog.forget_dead_packs(AT + 5001, 10).await.unwrap(), 1);
    assert_eq!(of(2).await, PackStanding::Unlisted);
}

async fn listing_a_pack_that_was_found_starts_over(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    condemn(&catalog, row.org, &[1, 2], AT).await;
    list_packs(&catalog, row.id, &[1]).await.unwrap();
    // Neither what a sweep planned before, nor its age from before, counts.
    assert_eq!(condemn(&catalog, row.org, &[1, 2], AT + GRACE).await, [2]);
    catalog.delete_repo(row.org, &row.name).await.unwrap();
    assert_eq!(condemn(&catalog, row.org, &[1], AT + GRACE).await, [0; 0]);
    sweep_rows(&catalog, row.id).await;
    assert_eq!(condemn(&catalog, row.org, &[1], AT + GRACE).await, [0; 0]);
    let found = PackStanding::Found { at_ms: AT + GRACE };
    assert_eq!(standing(&catalog, row.org, [1; 32]).await, found);
}

async fn a_condemned_pack_is_not_listed(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    condemn(&catalog, row.org, &[1, 2], AT).await;
    assert_eq!(condemn(&catalog, row.org, &[1], AT + GRACE).await, [1]);

    let mut write = with_tail(publish(row.id, vec![edit(MAIN, None, Some(1))]), "tail");
    write.packs = vec![pack(1), pack(2), pack(3)];
    match catalog.publish(write.clone()).await {
        Err(PublishError::Condemned { keys }) => assert_eq!(keys, [[1; 32]]),
        other => panic!("{other:?}"),
    }
    let loaded = catalog.load(row.id, None).await.unwrap().unwrap();
    assert_eq!(loaded.repo, row);
    assert_eq!((loaded.refs.len(), loaded.tail.len()), (0, 0));
    assert_eq!(loaded.packs, Some(vec![]));
    // Nor did it revive the other one.
    let found = PackStanding::Found { at_ms: AT };
    assert_eq!(standing(&catalog, row.org, [2; 32]).await, found);

    // Under another name it is fine.
    write.packs[0] = pack(9);
    let written = catalog.publish(write).await.unwrap();
    let fold = |key| Fold {
        repo: row.id,
        through: written.generation,
        rows: 1,
        bytes: 4,
        pack: pack(key),
    };
    let refused = catalog.fold(fold(1)).await;
    assert!(matches!(refused, Err(FoldError::Condemned)), "{refused:?}");
    catalog.fold(fold(10)).await.unwrap();
    let loaded = catalog.load(row.id, None).await.unwrap().unwrap();
    assert_eq!((loaded.tail.len(), loaded.packs.unwrap().len()), (0, 4));

    // A ref in the wrong place is still what is told first.
    let mut stale = publish(row.id, vec![edit(MAIN, None, Some(2))]);
    stale.packs = vec![pack(1)];
    let refused = catalog.publish(stale).await;
    assert!(matches!(refused, Err(PublishError::Moved { .. })));
}

/// Who lists a pack removes its row. Should one be left all the same, the pack stays.
async fn what_is_listed_is_not_condemned_whatever_its_row_says(db: &Database) {
    let catalog = db.open().await;
    let repo = repo(&catalog).await;
    list_packs(&catalog, repo.id, &[1, 2]).await.unwrap();
    const LEFT: &str = "INSERT INTO dead_packs (org_id, key, condemned, at_ms) \
                        SELECT r.org_id, p.key, 0, 1 FROM packs AS p JOIN repos AS r ON r.id = p.repo_id";
    db.execute(LEFT, LEFT).await;
    assert_eq!(condemn(&catalog, repo.org, &[1, 2], AT).await, []);
    for key in [1, 2] {
        let found = standing(&catalog, repo.org, [key; 32]).await;
        assert_eq!(found, PackStanding::Listed);
    }
}

async fn packs_of_another_organisation_are_others(db: &Database) {
    let catalog = db.open().await;
    let row = repo(&catalog).await;
    let other = catalog.create_org("other").await.unwrap().id;
    list_packs(&catalog, row.id, &[1]).await.unwrap();
    assert_eq!(
        standing(&catalog, other, [1; 32]).await,
        PackStanding::Unlisted
    );
    condemn(&catalog, other, &[1], AT).await;
    assert_eq!(condemn(&catalog, other, &[1], AT + GRACE).await, [1]);
    assert_eq!(condemn(&catalog, row.org, &[1], AT + GRACE).await, [0; 0]);
    // What is condemned there can be listed here.
    let mine = repo(&catalog).await;
    list_packs(&catalog, mine.id, &[1]).await.unwrap();
}

async fn a_forked_pack_outlives_its_source(db: &Database) {
    let catalog = db.open().await;
    let source = repo(&catalog).await;
    list_packs(&catalog, source.id, &[1, 2]).await.unwrap();
    let fork = fork(&catalog, &source, "fork").await;
    catalog.delete_repo(source.org, &source.name).await.unwrap();
    assert!(sweep_rows(&catalog, source.id).await.is_last);
    list_packs(&catalog, fork.id, &[3]).await.unwrap();
    let later = AT + 10 * GRACE;
    assert_eq!(
        condemn(&catalog, source.org, &[1, 2, 3], later).await,
        [0; 0]
    );
    assert_eq!(
        condemn(&catalog, source.org, &[1, 2, 3], 2 * later).await,
        [0; 0]
    );
    let loaded = catalog.load(fork.id, None).await.unwrap().unwrap();
    assert_eq!(loaded.packs.unwrap().len(), 3);
}

async fn rows_of_a_deleted_repository_go_in_steps(db: &Database) {
    let catalog = db.open().await;
    let (gone, neighbour) = (repo(&catalog).await, repo(&catalog).await);
    for row in [&gone, &neighbour] {
        let names: Vec<_> = (0..250).map(|n| format!("refs/heads/b{n}")).collect();
        let edits = names.iter().map(|name| edit(name, None, Some(1))).collect();
        let mut write = with_tail(publish(row.id, edits), "tail");
        write.packs = (0..10).map(pack).collect();
        catalog.publish(write).await.unwrap();
        let job = NewJob {
            kind: "sync",
            key: row.id.to_string(),
            org: row.org,
            repo: Some(row.id),
            payload: "{}".to_owned(),
            payload_if_pending: None,
            due_at_ms: AT,
            give_up_ms: 1000,
        };
        catalog.enqueue_job(job, AT).await.unwrap();
    }
    let deleted = |by_ms| catalog.deleted_repos(by_ms, (0, RepoId(0)), 10);
    assert_eq!(deleted(i64::MAX).await.unwrap(), []);
    // A repository that is not deleted loses nothing.
    let step = catalog.sweep_repo(gone.id, 100, AT).await.unwrap();
    assert_eq!((step.rows, step.is_last), (0, true));

    catalog.delete_repo(gone.org, &gone.name).await.unwrap();
    assert_eq!(deleted(AT).await.unwrap(), []);
    let listed = deleted(i64::MAX).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id, &listed[0].name), (gone.id, &gone.name));
    let after = (listed[0].deleted_at_ms, gone.id);
    let rest = catalog.deleted_repos(i64::MAX, after, 10).await.unwrap();
    assert_eq!(rest, []);
    let asked = [gone.id, neighbour.id, RepoId(1)];
    let live = catalog.live_repos(&asked).await.unwrap();
    assert_eq!(live, [neighbour.id]);

    let mut steps = Vec::new();
    while steps.last().is_none_or(|step: &SweptRows| !step.is_last) {
        steps.push(catalog.sweep_repo(gone.id, 100, AT).await.unwrap());
    }
    let rows: Vec<_> = steps.iter().map(|step| step.rows).collect();
    assert_eq!(rows, [100, 100, 62]);
    assert!(!steps.last().unwrap().is_busy);
    assert_eq!(deleted(i64::MAX).await.unwrap(), []);
    let again = catalog.sweep_repo(gone.id, 100, AT).await.unwrap();
    assert_eq!((again.rows, again.is_last), (0, true));

    // It is still known, and so is who moved what.
    let again = catalog.delete_repo(gone.org, &gone.name).await;
    assert!(again.unwrap_err().to_string().contains("deleted already"));
    assert!(catalog.repo_names(gone.id).await.unwrap().is_some());
    let log = catalog.reflog(gone.id, None, (-1, -1), 1000).await.unwrap();
    assert_eq!(log.len(), 250);
    // The neighbour is whole.
    let loaded = catalog.load(neighbour.id, None).await.unwrap().unwrap();
    assert_eq!((loaded.refs.len(), loaded.tail.len()), (250, 1));
    assert_eq!(loaded.packs.unwrap().len(), 10);
    let job = catalog.job("sync", &neighbour.id.to_string()).await;
    assert!(job.unwrap().is_some());
}

async fn a_webhook_that_is_still_to_be_told_keeps_its_queue(db: &Database) {
    let catalog = db.open().await;
    let (gone, neighbour) = (repo(&catalog).await, repo(&catalog).await);
    let hook = |repo| NewHook {
        org: gone.org,
        repo,
        url: "https://example.com".into(),
        events: "*".into(),
        secret: "hush".into(),
    };
    let wide = catalog.create_hook(hook(None)).await.unwrap();
    let narrow = catalog.create_hook(hook(Some(gone.id))).await.unwrap();
    for row in [&gone, &neighbour] {
        let moved = publish(row.id, vec![edit(MAIN, None, Some(1))]);
        catalog.publish(moved).await.unwrap();
    }
    catalog.delete_repo(gone.org, &gone.name).await.unwrap();
    for (org, after) in catalog.orgs_to_scan().await.unwrap() {
        let scan = catalog.scan_events(org, after).await.unwrap();
        catalog.record_scan(&scan, AT).await.unwrap();
    }
    assert_eq!(catalog.waiting_queues().await.unwrap().0, 3);
    let swept = sweep_rows(&catalog, gone.id).await;
    assert!(swept.is_busy);
    assert_eq!(catalog.waiting_queues().await.unwrap().0, 3);
    let listed = catalog.deleted_repos(i64::MAX, (0, RepoId(0)), 10).await;
    assert_eq!(listed.unwrap().len(), 1);
    assert!(catalog.hook(narrow.id).await.unwrap().is_some());

    // Told, they are swept, and the hook of the repository with them.
    db.execute(
        "UPDATE hook_queues SET due_at_ms = NULL",
        "UPDATE hook_queues SET due_at_ms = NULL",
    )
    .await;
    assert!(!sweep_rows(&catalog, gone.id).await.is_busy);
    assert_eq!(catalog.hook(narrow.id).await.unwrap(), None);
    assert_eq!(catalog.hook(wide.id).await.unwrap(), Some(wide.clone()));
    let lease = |now_ms| packhouse_catalog::Lease {
        holder: "a".into(),
        until_ms: now_ms + 1000,
        now_ms,
    };
    let held = catalog.hold_queue(wide.id, neighbour.id, lease(AT)).await;
    assert!(held.unwrap().is_some());
}

/// The bytes of packs.
type Bytes = Mutex<HashSet<[u8; 32]>>;

async fn a_moment(random: &mut StdRng) {
    tokio::time::sleep(Duration::from_micros(random.random_range(0..3000))).await;
}

/// Stores and lists packs with few names, forks, and deletes; what it lists is always there.
async fn write_for_a_while(catalog: &Catalog, bytes: &Bytes, seed: u64, refused: &Mutex<u64>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut own = repo_called(catalog, &format!("w{seed}")).await;
    for round in 0..60 {
        let mut new = pack(random.random_range(0..6));
        loop {
            bytes.lock().unwrap().insert(new.key);
            a_moment(&mut random).await;
            let mut write = publish(own.id, vec![]);
            write.packs = vec![new.clone()];
            match catalog.publish(write).await {
                Ok(_) => break,
                Err(PublishError::Condemned { keys }) => {
                    assert_eq!(keys, [new.key]);
                    *refused.lock().unwrap() += 1;
                    new.key = random.random();
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        let listed = catalog.load(own.id, None).await.unwrap().unwrap().packs;
        {
            let bytes = bytes.lock().unwrap();
            for pack in listed.unwrap() {
                assert!(bytes.contains(&pack.key), "{:?} is missing", pack.key);
            }
        }
        if random.random_bool(0.4) {
            let name = format!("w{seed}-{round}");
            let next = match random.random_bool(0.5) {
                true => fork(catalog, &own, &name).await,
                false => repo_called(catalog, &name).await,
            };
            catalog.delete_repo(own.org, &own.name).await.unwrap();
            sweep_rows(catalog, own.id).await;
            own = next;
        }
    }
}

async fn repo_called(catalog: &Catalog, name: &str) -> RepoRow {
    let org = catalog.org("org").await.unwrap().unwrap();
    catalog.create_repo(org.id, name, "main").await.unwrap()
}

async fn sweep_once(catalog: &Catalog, org: OrgId, bytes: &Bytes, random: &mut StdRng) {
    let keys: Vec<_> = bytes.lock().unwrap().iter().copied().collect();
    a_moment(random).await;
    let condemned = catalog.condemn_packs(org, keys, AT, AT).await.unwrap();
    for key in condemned {
        a_moment(random).await;
        bytes.lock().unwrap().remove(&key);
    }
}

/// Without any grace, and with deletions that come late: what is listed is there, on any node at any time, and what is
/// not listed is gone in the end.
async fn writers_and_sweeps_side_by_side(db: &Database) {
    let (one, two) = (db.open().await, db.open().await);
    let org = repo(&one).await.org;
    let (bytes, refused) = (Bytes::default(), Mutex::new(0));
    let writers = async {
        tokio::join!(
            write_for_a_while(&one, &bytes, 1, &refused),
            write_for_a_while(&two, &bytes, 2, &refused),
            write_for_a_while(&one, &bytes, 3, &refused),
            write_for_a_while(&two, &bytes, 4, &refused),
        )
    };
    let sweep = async |catalog: &Catalog, seed| {
        let mut random = StdRng::seed_from_u64(seed);
        loop {
            sweep_once(catalog, org, &bytes, &mut random).await;
        }
    };
    tokio::select! {
        _ = writers => {}
        () = sweep(&one, 5) => {}
        () = sweep(&two, 6) => {}
    }
    assert!(*refused.lock().unwrap() > 0, "no writer met a sweep");
    sweep_once(&one, org, &bytes, &mut StdRng::seed_from_u64(7)).await;
    let left = bytes.lock().unwrap().clone();
    let names: Vec<_> = left.iter().map(|key| PackName { org, key: *key }).collect();
    for (name, standing) in one.pack_standings(&names).await.unwrap() {
        assert_eq!(standing, PackStanding::Listed, "{name:?}");
    }
}
