//! Jobs: how a node runs them, and what the API shows of them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use packhouse_catalog::{Catalog, ClaimJobs, JobRow, JobState, NewJob, OrgId, RepoId};
use packhouse_server::jobs::{JobError, JobHandler, JobMetrics, JobOptions, JobQueue, Jobs};
use packhouse_testkit::clock::TestClock;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{TestServer, Token};

const KIND: &str = "test";
const GIVE_UP_MS: i64 = 100_000;

/// What a handler of this kind does, and what it saw.
#[derive(Default)]
struct Work {
    running: AtomicUsize,
    most: AtomicUsize,
    begun: Mutex<Vec<String>>,
    given_up: Mutex<Vec<String>>,
}

struct Handler(Arc<Work>);

#[async_trait]
impl JobHandler for Handler {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn at_once(&self) -> usize {
        2
    }

    async fn run(&self, job: &JobRow, stop: &CancellationToken) -> Result<(), JobError> {
        let work = &self.0;
        work.begun.lock().unwrap().push(job.key.clone());
        let running = work.running.fetch_add(1, Ordering::SeqCst) + 1;
        work.most.fetch_max(running, Ordering::SeqCst);
        let ended = match job.payload.as_str() {
            "slow" => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(())
            }
            "fail" => Err(JobError::Retry("no luck".to_owned())),
            "never" => Err(JobError::GiveUp("it cannot be".to_owned())),
            "panic" => {
                work.running.fetch_sub(1, Ordering::SeqCst);
                panic!("as the test wants")
            }
            "deaf" => std::future::pending().await,
            "wait" => {
                stop.cancelled().await;
                Err(JobError::Stopped)
            }
            _ => Ok(()),
        };
        work.running.fetch_sub(1, Ordering::SeqCst);
        ended
    }

    async fn given_up(&self, job: &JobRow, error: &str) {
        let told = format!("{}: {error}", job.key);
        self.0.given_up.lock().unwrap().push(told);
    }
}

struct Node {
    _folder: tempfile::TempDir,
    catalog: Catalog,
    clock: TestClock,
    queue: JobQueue,
    work: Arc<Work>,
    jobs: Jobs,
}

impl Node {
    async fn start() -> Node {
        let clock = TestClock::default();
        let options = JobOptions {
            poll: Duration::from_millis(50),
            first_pause: Duration::from_secs(10),
            clock: Arc::new(clock.reader()),
            ..JobOptions::default()
        };
        Node::with(options, clock).await
    }

    /// A node with these options; `clock` says when [`Node::job`] makes a job due.
    async fn with(options: JobOptions, clock: TestClock) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let catalog = Catalog::open(&url).await.unwrap();
        let queue = JobQueue::new(catalog.clone(), options);
        let work = Arc::new(Work::default());
        let metrics = JobMetrics::new(&prometheus::Registry::new()).unwrap();
        let handlers: Vec<Arc<dyn JobHandler>> = vec![Arc::new(Handler(work.clone()))];
        let jobs = Jobs::start(&queue, handlers, &metrics);
        Node {
            _folder: folder,
            catalog,
            clock,
            queue,
            work,
            jobs,
        }
    }

    fn job(&self, key: &str, payload: &str) -> NewJob {
        NewJob {
            kind: KIND,
            key: key.to_owned(),
            org: OrgId(1),
            repo: Some(RepoId(1)),
            payload: payload.to_owned(),
            payload_if_pending: None,
            due_at_ms: self.clock.now_ms(),
            give_up_ms: GIVE_UP_MS,
        }
    }

    async fn ask(&self, key: &str, payload: &str) {
        self.queue.enqueue(self.job(key, payload)).await.unwrap();
    }

    async fn row(&self, key: &str) -> JobRow {
        self.catalog.job(KIND, key).await.unwrap().unwrap()
    }

    /// Waits until a job is as `is` says.
    async fn until(&self, key: &str, is: impl Fn(&JobRow) -> bool) -> JobRow {
        for _ in 0..500 {
            let row = self.row(key).await;
            if is(&row) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the job stays as it is: {:?}", self.row(key).await);
    }

    async fn until_state(&self, key: &str, state: JobState) -> JobRow {
        self.until(key, |row| row.state == state).await
    }
}

#[tokio::test]
async fn a_job_begins_at_once_and_few_run_together() {
    let node = Node::start().await;
    for number in 0..7 {
        node.ask(&format!("{number}"), "slow").await;
    }
    for number in 0..7 {
        node.until_state(&format!("{number}"), JobState::Done).await;
    }
    assert_eq!(node.work.begun.lock().unwrap().len(), 7);
    assert_eq!(node.work.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_failed_job_is_tried_again_later_and_given_up_in_the_end() {
    let node = Node::start().await;
    node.ask("a", "fail").await;
    let row = node.until("a", |row| row.error.is_some()).await;
    assert_eq!((row.state, row.attempts), (JobState::Waiting, 1));
    assert_eq!(row.error.as_deref(), Some("no luck"));
    let pause = row.due_at_ms.unwrap() - node.clock.now_ms();
    assert!((8_000..=12_000).contains(&pause), "{pause}");
    // Until the clock moves nothing happens.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(node.row("a").await.attempts, 1);
    for attempt in 2.. {
        let row = node.row("a").await;
        let Some(due_at_ms) = row.due_at_ms else {
            break;
        };
        node.clock.advance(due_at_ms - node.clock.now_ms());
        node.queue.wake();
        node.until("a", |row| {
            row.attempts == attempt && row.state != JobState::Running
        })
        .await;
    }
    let row = node.until_state("a", JobState::Failed).await;
    // 10, 20 and 40 seconds, each give or take a fifth, and the next pause would pass the end.
    assert!((4..=5).contains(&row.attempts), "{row:?}");
    for _ in 0..100 {
        if !node.work.given_up.lock().unwrap().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*node.work.given_up.lock().unwrap(), ["a: no luck"]);
}

#[tokio::test]
async fn what_cannot_succeed_and_what_breaks_down_are_told_apart() {
    let node = Node::start().await;
    node.ask("never", "never").await;
    node.ask("panic", "panic").await;
    let row = node.until_state("never", JobState::Failed).await;
    assert_eq!(row.error.as_deref(), Some("it cannot be"));
    let row = node.until("panic", |row| row.error.is_some()).await;
    assert_eq!(row.state, JobState::Waiting);
    // And the node goes on.
    node.ask("fine", "").await;
    node.until_state("fine", JobState::Done).await;
}

#[tokio::test]
async fn a_dead_nodes_job_is_done_by_another() {
    let node = Node::start().await;
    let now_ms = node.clock.now_ms();
    // A job due a little later is claimed by a node that is never heard of again.
    let later = NewJob {
        due_at_ms: now_ms + 1000,
        ..node.job("a", "")
    };
    node.queue.enqueue(later).await.unwrap();
    let claim = ClaimJobs {
        kind: KIND,
        holder: "dead".to_owned(),
        limit: 1,
        lease_ms: 5000,
        now_ms: now_ms + 1000,
    };
    assert_eq!(node.catalog.claim_jobs(claim).await.unwrap().len(), 1);
    node.clock.advance(5999);
    node.queue.wake();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(node.row("a").await.holder.as_deref(), Some("dead"));
    node.clock.advance(1);
    node.queue.wake();
    let row = node.until_state("a", JobState::Done).await;
    assert_eq!(row.run, 2);
}

#[tokio::test]
async fn a_shutdown_releases_what_is_not_done() {
    let node = Node::start().await;
    node.ask("a", "wait").await;
    node.until_state("a", JobState::Running).await;
    let Node { jobs, catalog, .. } = node;
    jobs.shutdown().await;
    let row = catalog.job(KIND, "a").await.unwrap().unwrap();
    assert_eq!((row.state, row.attempts), (JobState::Waiting, 0));
    assert_eq!((row.holder, row.error), (None, None));
}

#[tokio::test]
async fn a_handler_that_does_not_listen_is_cut_off() {
    let options = JobOptions {
        lease: Duration::from_millis(300),
        stop_within: Duration::from_millis(400),
        ..JobOptions::default()
    };
    let node = Node::with(options, TestClock::default()).await;
    let job = NewJob {
        repo: None,
        due_at_ms: 0,
        ..node.job("a", "deaf")
    };
    node.queue.enqueue(job).await.unwrap();
    let Node {
        jobs,
        catalog,
        work,
        ..
    } = node;
    while work.begun.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let started = std::time::Instant::now();
    jobs.shutdown().await;
    assert!(started.elapsed() < Duration::from_secs(3));
    let row = catalog.job(KIND, "a").await.unwrap().unwrap();
    assert_eq!(row.state, JobState::Waiting, "it was released");
}

#[tokio::test]
async fn a_forgotten_job_is_stopped() {
    let options = JobOptions {
        lease: Duration::from_millis(300),
        ..JobOptions::default()
    };
    let node = Node::with(options, TestClock::default()).await;
    let job = NewJob {
        repo: None,
        due_at_ms: 0,
        ..node.job("a", "wait")
    };
    node.queue.enqueue(job).await.unwrap();
    let Node {
        jobs,
        catalog,
        work,
        ..
    } = node;
    let runs = async |count| {
        for _ in 0..500 {
            if work.running.load(Ordering::SeqCst) == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there are not {count} jobs under way");
    };
    runs(1).await;
    // Renewing keeps it well past its first lease.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(work.begun.lock().unwrap().len(), 1);
    assert!(catalog.forget_job(KIND, "a").await.unwrap());
    runs(0).await;
    jobs.shutdown().await;
}

#[tokio::test]
async fn jobs_are_listed_for_a_repository_and_for_the_organisation() {
    let server = TestServer::with_repo("a").await;
    server.create("b").await;
    let catalog = server.server.hosted().catalog();
    for (id, keys) in [("a", ["1", "2"]), ("b", ["3", "4"])] {
        let repo = catalog.repo(server.org, id).await.unwrap().unwrap().id;
        for key in keys {
            let job = NewJob {
                // Nobody does jobs of this kind.
                kind: "nothing",
                key: key.to_owned(),
                org: server.org,
                repo: Some(repo),
                payload: json!({ "secret": "hunter2" }).to_string(),
                payload_if_pending: None,
                due_at_ms: 1_700_000_000_000,
                give_up_ms: 1,
            };
            catalog.enqueue_job(job, 1_700_000_000_000).await.unwrap();
        }
    }
    let listed = server
        .get("/repos/jobs", &Token::read("a"))
        .await
        .expect(200);
    let jobs = listed.body["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    assert_eq!(jobs[0]["repo_id"], "a");
    assert_eq!(jobs[0]["kind"], "nothing");
    assert_eq!(jobs[0]["status"], "waiting");
    assert_eq!(jobs[0]["next_attempt_at"], "2023-11-14T22:13:20Z");
    assert_eq!(listed.body["has_more"], false);
    assert!(!listed.body.to_string().contains("hunter2"));

    let org = Token::new("org", &["org:read"]);
    let first = server.get("/jobs?limit=3", &org).await.expect(200);
    assert_eq!(first.body["jobs"].as_array().unwrap().len(), 3);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let path = format!("/jobs?limit=3&cursor={cursor}");
    let rest = server.get(&path, &org).await.expect(200);
    assert_eq!(rest.body["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(rest.body["has_more"], false);

    server.get("/jobs", &Token::read("a")).await.expect(403);
    server.get("/repos/jobs", &org).await.expect(403);
    server
        .get("/repos/jobs", &Token::read("c"))
        .await
        .expect(404);
    let bad = server.get("/repos/jobs?cursor=x", &Token::read("a")).await;
    assert!(bad.expect(400).error().contains("none of this list"));

    let metrics = server.http.get(format!("{}/metrics", server.url()));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    let line = "packhouse_jobs{kind=\"nothing\",state=\"waiting\"} 4";
    assert!(metrics.contains(line), "{metrics}");
}
