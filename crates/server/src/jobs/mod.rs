//! Jobs: work that outlives the request that asked for it.
//!
//! The catalog keeps them (`packhouse_catalog::jobs` in words: one job for each kind and key, claimed with a
//! lease, tried again until given up). Here each kind has a [`JobHandler`] and a task that claims and runs its
//! jobs, a bounded number at a time. A request puts a job into the [`JobQueue`], whose node begins at once if it
//! has a free place; other nodes look every second.
//!
//! What always holds:
//!
//! - A handler's work is safe to do twice: a node may die after doing it and before recording that.
//! - Every task is owned by [`Jobs`], told to stop at shutdown, and joined. What it did not finish is released, and
//!   another node goes on with it at once.

mod metrics;
mod repack;
mod runner;
mod sweep;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use packhouse_catalog::{Catalog, CatalogError, JobRow, NewAuditEntry, NewJob};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use metrics::JobMetrics;
pub(crate) use metrics::render_counts;
pub(crate) use repack::RepackHandler;
pub(crate) use sweep::SweepHandler;
pub use sweep::Sweeping;

/// Milliseconds since 1970, by whichever clock.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How jobs are run.
#[derive(Clone)]
pub struct JobOptions {
    /// How long a job stays with a node that no longer says anything.
    pub lease: Duration,
    /// How often a node looks for jobs that others were asked for.
    pub poll: Duration,
    /// The pause after the first failure; it doubles with each further one…
    pub first_pause: Duration,
    /// …up to this.
    pub longest_pause: Duration,
    /// How long handlers may take to stop at shutdown before they are cut off.
    pub stop_within: Duration,
    /// How long ended jobs are remembered.
    pub keep_ended: Duration,
    /// The time, for leases and pauses.
    pub clock: Clock,
}

impl Default for JobOptions {
    fn default() -> JobOptions {
        JobOptions {
            lease: Duration::from_secs(10),
            poll: Duration::from_secs(1),
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(3600),
            stop_within: Duration::from_secs(10),
            keep_ended: Duration::from_secs(7 * 24 * 3600),
            clock: Arc::new(wall_clock_ms),
        }
    }
}

impl std::fmt::Debug for JobOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobOptions")
            .field("lease", &self.lease)
            .field("poll", &self.poll)
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn wall_clock_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        })
}

/// Why a run of a job failed. The message is shown by the API: it holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Trying again later may help.
    #[error("{0}")]
    Retry(String),
    /// Trying again does not help.
    #[error("{0}")]
    GiveUp(String),
    /// It was told to stop, and did.
    #[error("stopped")]
    Stopped,
}

/// What does the jobs of one kind.
#[async_trait]
pub trait JobHandler: Send + Sync + 'static {
    /// The kind.
    fn kind(&self) -> &'static str;

    /// How many are run at a time on one node.
    fn at_once(&self) -> usize;

    /// Does a job. What it does has to be safe to do twice. Ends soon after `stop` is cancelled, which happens at
    /// shutdown and when the job was taken over or forgotten.
    async fn run(&self, job: &JobRow, stop: &CancellationToken) -> Result<(), JobError>;

    /// Told when a job is given up after it failed with `error`, once that is recorded.
    async fn given_up(&self, job: &JobRow, error: &str) {
        let _ = (job, error);
    }
}

/// Where jobs are asked for. Clones are the same queue.
#[derive(Clone)]
pub struct JobQueue {
    catalog: Catalog,
    wake: Arc<watch::Sender<u64>>,
    options: JobOptions,
}

impl std::fmt::Debug for JobQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobQueue").finish_non_exhaustive()
    }
}

impl JobQueue {
    /// A queue in `catalog`.
    pub fn new(catalog: Catalog, options: JobOptions) -> JobQueue {
        JobQueue {
            catalog,
            wake: Arc::new(watch::Sender::new(0)),
            options,
        }
    }

    /// Asks for a job. It is stored when this returns, and will be run whatever happens to this node.
    pub async fn enqueue(&self, job: NewJob) -> Result<JobRow, CatalogError> {
        self.put(&self.catalog, job).await
    }

    /// The same, with an entry in the audit log.
    pub(crate) async fn enqueue_audited(
        &self,
        job: NewJob,
        entry: NewAuditEntry,
    ) -> Result<JobRow, CatalogError> {
        self.put(&self.catalog.audited(entry), job).await
    }

    async fn put(&self, catalog: &Catalog, job: NewJob) -> Result<JobRow, CatalogError> {
        let row = catalog.enqueue_job(job, self.now_ms()).await?;
        self.wake();
        Ok(row)
    }

    /// Has this node look for jobs now: some were stored by other means, or a test has moved the clock.
    pub fn wake(&self) {
        self.wake
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Where its jobs are stored.
    pub(crate) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The time by the clock of jobs.
    pub fn now_ms(&self) -> i64 {
        (self.options.clock)()
    }
}

/// The tasks that do jobs. Dropping it stops them at once.
#[derive(Debug)]
pub struct Jobs {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    stop_within: Duration,
}

impl Jobs {
    /// Starts a task for each handler. Call from within a Tokio runtime.
    pub fn start(
        queue: &JobQueue,
        handlers: Vec<Arc<dyn JobHandler>>,
        metrics: &JobMetrics,
    ) -> Jobs {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        // Names this node in rows, for people: what counts is the number of the run.
        let holder = format!("{}-{}", std::process::id(), uuid::Uuid::new_v4());
        for handler in handlers {
            let runner = runner::Runner {
                queue: queue.clone(),
                handler,
                holder: holder.clone(),
                metrics: metrics.clone(),
                stop: stop.clone(),
            };
            tasks.spawn(runner.run());
        }
        tasks.spawn(runner::prune(queue.clone(), stop.clone()));
        Jobs {
            tasks,
            stop,
            stop_within: queue.options.stop_within,
        }
    }

    /// Sees to it that the catalog is swept so often.
    pub(crate) fn sweep_every(&mut self, queue: &JobQueue, every: Duration) {
        let stop = self.stop.clone();
        self.tasks
            .spawn(sweep::schedule(queue.clone(), every, stop));
    }

    /// Sees to it that repositories are repacked when their packs are due.
    pub(crate) fn repack_when_due(
        &mut self,
        queue: &JobQueue,
        hosted: Arc<packhouse_repo::Hosted>,
    ) {
        let stop = self.stop.clone();
        self.tasks
            .spawn(repack::ask_when_due(queue.clone(), hosted, stop));
    }

    /// Tells every handler to stop, waits for them, and releases what they did not finish.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let joined = async { while self.tasks.join_next().await.is_some() {} };
        // Runners cut their handlers off themselves; this is for a catalog that does not answer.
        let patience = self.stop_within + Duration::from_secs(5);
        if tokio::time::timeout(patience, joined).await.is_err() {
            tracing::warn!(
                "jobs did not stop in time; other nodes take them over when their leases end"
            );
        }
    }
}
