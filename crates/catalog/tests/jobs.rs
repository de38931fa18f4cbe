//! Jobs: asked for, claimed, renewed, taken over, ended.

use std::collections::HashSet;

use packhouse_catalog::{Catalog, ClaimJobs, JobEnd, JobRow, JobState, NewJob, OrgId, RepoId};

use crate::both::{Database, on_both};

on_both!(
    a_job_is_claimed_once_and_done,
    requests_for_one_key_are_one_job,
    a_request_during_a_run_makes_one_more_run,
    a_failed_job_waits_and_is_given_up_in_the_end,
    a_dead_nodes_job_is_taken_over,
    a_released_job_goes_on_at_once,
    many_nodes_share_the_jobs,
    jobs_are_listed_counted_and_forgotten,
    what_cannot_be_stored_is_refused,
);

const KIND: &str = "sync";
const NOW: i64 = 1_000_000;
const LEASE: i64 = 1000;
const ORG: OrgId = OrgId(7);

fn new(key: &str) -> NewJob {
    NewJob {
        kind: KIND,
        key: key.into(),
        org: ORG,
        repo: Some(RepoId(key.len() as i64)),
        payload: format!("{{\"of\":\"{key}\"}}"),
        payload_if_pending: None,
        due_at_ms: NOW,
        give_up_ms: 60_000,
    }
}

async fn claim(catalog: &Catalog, holder: &str, limit: u32, now_ms: i64) -> Vec<JobRow> {
    let claim = ClaimJobs {
        kind: KIND,
        holder: holder.into(),
        limit,
        lease_ms: LEASE,
        now_ms,
    };
    catalog.claim_jobs(claim).await.unwrap()
}

async fn claim_one(catalog: &Catalog, holder: &str, now_ms: i64) -> JobRow {
    let mut claimed = claim(catalog, holder, 10, now_ms).await;
    assert_eq!(claimed.len(), 1);
    claimed.remove(0)
}

async fn a_job_is_claimed_once_and_done(db: &Database) {
    let nodes = [db.open().await, db.open().await];
    let asked = nodes[0].enqueue_job(new("a"), NOW - 5).await.unwrap();
    assert_eq!((asked.state, asked.attempts), (JobState::Waiting, 0));
    assert_eq!(claim(&nodes[1], "b", 10, NOW - 1).await, []);

    let job = claim_one(&nodes[0], "a", NOW).await;
    assert_eq!((job.id, job.state), (asked.id, JobState::Running));
    assert_eq!(
        (job.attempts, job.run, job.due_at_ms),
        (1, 1, Some(NOW + LEASE))
    );
    assert_eq!((job.org, job.repo), (ORG, Some(RepoId(1))));
    assert_eq!(job.payload, "{\"of\":\"a\"}");
    assert_eq!(job.holder.as_deref(), Some("a"));
    assert_eq!(claim(&nodes[1], "b", 10, NOW).await, []);

    let end = nodes[0]
        .finish_job(job.id, job.run, JobEnd::Done, NOW + 3)
        .await;
    assert_eq!(end.unwrap(), Some(JobState::Done));
    let done = nodes[1].job(KIND, "a").await.unwrap().unwrap();
    assert_eq!((done.due_at_ms, done.finished_at_ms), (None, Some(NOW + 3)));
    assert_eq!(done.holder, None);
    assert_eq!(claim(&nodes[1], "b", 10, i64::MAX / 2).await, []);
    let again = nodes[0]
        .finish_job(job.id, job.run, JobEnd::Done, NOW + 4)
        .await;
    assert_eq!(again.unwrap(), None, "a run ends once");
}

async fn requests_for_one_key_are_one_job(db: &Database) {
    let catalog = db.open().await;
    let first = catalog.enqueue_job(new("a"), NOW).await.unwrap();
    let wide = NewJob {
        payload: "{\"ref\":1}".into(),
        payload_if_pending: Some("{\"all\":1}".into()),
        due_at_ms: NOW - 10,
        ..new("a")
    };
    let second = catalog.enqueue_job(wide.clone(), NOW).await.unwrap();
    assert_eq!(
        (second.id, second.payload.as_str()),
        (first.id, "{\"all\":1}")
    );
    assert_eq!(second.due_at_ms, Some(NOW - 10), "the earlier time");
    let other = catalog.enqueue_job(new("b"), NOW).await.unwrap();
    assert_ne!(other.id, first.id);
    assert_eq!(claim(&catalog, "a", 10, NOW).await.len(), 2);
    // An ended job begins anew, with the parameters of the new request.
    for job in [first, other] {
        catalog
            .finish_job(job.id, 1, JobEnd::Done, NOW)
            .await
            .unwrap();
    }
    let third = catalog.enqueue_job(wide, NOW).await.unwrap();
    assert_eq!(
        (third.state, third.payload.as_str()),
        (JobState::Waiting, "{\"ref\":1}")
    );
}

async fn a_request_during_a_run_makes_one_more_run(db: &Database) {
    let catalog = db.open().await;
    catalog.enqueue_job(new("a"), NOW).await.unwrap();
    let job = claim_one(&catalog, "a", NOW).await;
    for _ in 0..5 {
        let asked = catalog.enqueue_job(new("a"), NOW + 1).await.unwrap();
        assert_eq!(
            (asked.state, asked.due_at_ms),
            (JobState::Running, job.due_at_ms)
        );
    }
    let end = catalog
        .finish_job(job.id, job.run, JobEnd::Done, NOW + 2)
        .await
        .unwrap();
    assert_eq!(end, Some(JobState::Waiting));
    let job = claim_one(&catalog, "a", NOW + 2).await;
    assert_eq!((job.run, job.attempts), (2, 1));
    let end = catalog
        .finish_job(job.id, job.run, JobEnd::Done, NOW + 3)
        .await
        .unwrap();
    assert_eq!(end, Some(JobState::Done));

    // Also when the run that was under way fails for good.
    catalog.enqueue_job(new("a"), NOW).await.unwrap();
    let job = claim_one(&catalog, "a", NOW).await;
    catalog.enqueue_job(new("a"), NOW).await.unwrap();
    let failed = JobEnd::Failed { error: "no".into() };
    let end = catalog
        .finish_job(job.id, job.run, failed, NOW + 2)
        .await
        .unwrap();
    assert_eq!(end, Some(JobState::Waiting));
    assert_eq!(claim_one(&catalog, "a", NOW + 2).await.attempts, 1);
}

async fn a_failed_job_waits_and_is_given_up_in_the_end(db: &Database) {
    let catalog = db.open().await;
    catalog.enqueue_job(new("a"), NOW).await.unwrap();
    let job = claim_one(&catalog, "a", NOW).await;
    let retry = JobEnd::Retry {
        error: "the other\0side is down".into(),
        due_at_ms: NOW + 500,
    };
    let end = catalog
        .finish_job(job.id, job.run, retry, NOW + 1)
        .await
        .unwrap();
    assert_eq!(end, Some(JobState::Waiting));
    let waiting = catalog.job(KIND, "a").await.unwrap().unwrap();
    assert_eq!(
        waiting.error.as_deref(),
        Some("the other\u{fffd}side is down")
    );
    assert_eq!(claim(&catalog, "a", 10, NOW + 499).await, []);
    assert_eq!(catalog.next_job(KIND).await.unwrap(), Some(NOW + 500));
    let job = claim_one(&catalog, "a", NOW + 500).await;
    assert_eq!(job.attempts, 2);
    let failed = JobEnd::Failed {
        error: "é".repeat(10_000),
    };
    let end = catalog
        .finish_job(job.id, job.run, failed, NOW + 501)
        .await
        .unwrap();
    assert_eq!(end, Some(JobState::Failed));
    let failed = catalog.job(KIND, "a").await.unwrap().unwrap();
    assert!(failed.error.unwrap().len() < 5000);
    assert_eq!(catalog.next_job(KIND).await.unwrap(), None);
    // A new request tries again at once, and success forgets the error.
    catalog.enqueue_job(new("a"), NOW + 600).await.unwrap();
    let job = claim_one(&catalog, "a", NOW + 600).await;
    assert_eq!(job.attempts, 1);
    catalog
        .finish_job(job.id, job.run, JobEnd::Done, NOW + 601)
        .await
        .unwrap();
    assert_eq!(catalog.job(KIND, "a").await.unwrap().unwrap().error, None);
}

async fn a_dead_nodes_job_is_taken_over(db: &Database) {
    let nodes = [db.open().await, db.open().await];
    nodes[0].enqueue_job(new("a"), NOW).await.unwrap();
    let job = claim_one(&nodes[0], "a", NOW).await;
    assert!(
        nodes[0]
            .renew_job(job.id, job.run, NOW + 3000)
            .await
            .unwrap()
    );
    assert_eq!(claim(&nodes[1], "b", 10, NOW + 2999).await, []);
    let taken = claim_one(&nodes[1], "b", NOW + 3000).await;
    assert_eq!((taken.id, taken.run, taken.attempts), (job.id, 2, 2));
    assert_eq!(taken.holder.as_deref(), Some("b"));
    // The first comes back and finds that it is no longer its own.
    assert!(
        !nodes[0]
            .renew_job(job.id, job.run, NOW + 9000)
            .await
            .unwrap()
    );
    let late = nodes[0]
        .finish_job(job.id, job.run, JobEnd::Done, NOW + 3001)
        .await;
    assert_eq!(late.unwrap(), None);
    assert_eq!(claim(&nodes[0], "a", 10, NOW + 3001).await, []);
    let end = nodes[1]
        .finish_job(taken.id, taken.run, JobEnd::Done, NOW + 3002)
        .await;
    assert_eq!(end.unwrap(), Some(JobState::Done));
}

async fn a_released_job_goes_on_at_once(db: &Database) {
    let catalog = db.open().await;
    catalog.enqueue_job(new("a"), NOW).await.unwrap();
    let job = claim_one(&catalog, "a", NOW).await;
    let retry = JobEnd::Retry {
        error: "down".into(),
        due_at_ms: NOW,
    };
    catalog
        .finish_job(job.id, job.run, retry, NOW)
        .await
        .unwrap();
    let job = claim_one(&catalog, "a", NOW).await;
    catalog
        .finish_job(job.id, job.run, JobEnd::Released, NOW + 1)
        .await
        .unwrap();
    let waiting = catalog.job(KIND, "a").await.unwrap().unwrap();
    assert_eq!(
        (waiting.attempts, waiting.error.as_deref()),
        (1, Some("down"))
    );
    assert_eq!(claim_one(&catalog, "b", NOW + 1).await.attempts, 2);
}

async fn many_nodes_share_the_jobs(db: &Database) {
    let nodes = [db.open().await, db.open().await, db.open().await];
    for number in 0..60 {
        nodes[0]
            .enqueue_job(new(&format!("{number}")), NOW)
            .await
            .unwrap();
    }
    let workers = nodes.clone().map(|catalog| {
        tokio::spawn(async move {
            let mut done = Vec::new();
            loop {
                let claimed = claim(&catalog, "x", 4, NOW).await;
                if claimed.is_empty() {
                    return done;
                }
                for job in claimed {
                    let end = catalog.finish_job(job.id, job.run, JobEnd::Done, NOW).await;
                    assert_eq!(end.unwrap(), Some(JobState::Done));
                    done.push(job.key);
                }
            }
        })
    });
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.unwrap());
    }
    // PostgreSQL's claims skip what another holds, so the last to look may have found nothing too early.
    done.extend(
        claim(&nodes[0], "x", 60, NOW)
            .await
            .into_iter()
            .map(|job| job.key),
    );
    assert_eq!(done.len(), 60);
    assert_eq!(done.into_iter().collect::<HashSet<_>>().len(), 60);
}

async fn jobs_are_listed_counted_and_forgotten(db: &Database) {
    let catalog = db.open().await;
    let mut ids = Vec::new();
    for key in ["a", "b", "cc"] {
        ids.push(catalog.enqueue_job(new(key), NOW).await.unwrap().id);
    }
    let other = NewJob {
        org: OrgId(8),
        ..new("other")
    };
    catalog.enqueue_job(other, NOW).await.unwrap();
    let list = async |repo, before, limit| {
        let listed = catalog.list_jobs(ORG, repo, before, limit).await.unwrap();
        listed.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, None, 10).await, [ids[2], ids[1], ids[0]]);
    assert_eq!(list(None, None, 2).await, [ids[2], ids[1]]);
    assert_eq!(list(None, Some(ids[1]), 2).await, [ids[0]]);
    assert_eq!(list(Some(RepoId(1)), None, 9).await, [ids[1], ids[0]]);

    let job = claim(&catalog, "a", 1, NOW).await.remove(0);
    let counts = catalog.count_jobs().await.unwrap();
    let expected = [(JobState::Waiting, 3), (JobState::Running, 1)];
    assert_eq!(
        counts,
        expected.map(|(state, count)| (KIND.to_owned(), state, count))
    );

    catalog
        .finish_job(job.id, job.run, JobEnd::Done, NOW + 5)
        .await
        .unwrap();
    assert!(!catalog.prune_jobs(NOW + 5, 10).await.unwrap());
    assert!(catalog.prune_jobs(NOW + 6, 10).await.unwrap());
    assert!(
        !catalog.prune_jobs(i64::MAX, 10).await.unwrap(),
        "what is not done stays"
    );
    assert_eq!(catalog.job(KIND, &job.key).await.unwrap(), None);

    let running = claim(&catalog, "a", 9, NOW).await;
    for job in &running {
        assert!(catalog.forget_job(KIND, &job.key).await.unwrap());
        assert!(!catalog.renew_job(job.id, job.run, NOW + 9).await.unwrap());
    }
    assert!(!catalog.forget_job(KIND, "a").await.unwrap());
    assert_eq!(catalog.count_jobs().await.unwrap(), []);
}

async fn what_cannot_be_stored_is_refused(db: &Database) {
    let catalog = db.open().await;
    for job in [
        NewJob {
            key: "a\0".into(),
            ..new("a")
        },
        NewJob {
            key: "a".repeat(513),
            ..new("a")
        },
        NewJob {
            payload: "a\0".into(),
            ..new("a")
        },
        NewJob {
            payload: "x".repeat(65_537),
            ..new("a")
        },
        NewJob {
            payload_if_pending: Some("\0".into()),
            ..new("a")
        },
    ] {
        assert!(catalog.enqueue_job(job, NOW).await.is_err());
    }
    assert_eq!(catalog.count_jobs().await.unwrap(), []);
}
