//! Claiming and running the jobs of one kind.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use packhouse_catalog::{CatalogError, ClaimJobs, JobEnd, JobRow};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{JobError, JobHandler, JobMetrics, JobOptions, JobQueue, millis};

/// How long to wait after the catalog failed.
const CATALOG_PAUSE: Duration = Duration::from_secs(2);

/// The task of one kind of jobs.
pub(super) struct Runner {
    pub(super) queue: JobQueue,
    pub(super) handler: Arc<dyn JobHandler>,
    pub(super) holder: String,
    pub(super) metrics: JobMetrics,
    pub(super) stop: CancellationToken,
}

impl Runner {
    pub(super) async fn run(self) {
        let runner = Arc::new(self);
        let mut woken = runner.queue.wake.subscribe();
        let mut running = JoinSet::new();
        while !runner.stop.is_cancelled() {
            woken.borrow_and_update();
            let free = runner.handler.at_once().saturating_sub(running.len());
            let pause = match runner.claim(free).await {
                Ok((jobs, pause)) => {
                    for job in jobs {
                        running.spawn(runner.clone().run_one(job));
                    }
                    pause
                }
                Err(error) => {
                    let kind = runner.handler.kind();
                    tracing::warn!(
                        kind,
                        error = crate::error::chain(&error),
                        "could not look for jobs"
                    );
                    CATALOG_PAUSE
                }
            };
            tokio::select! {
                () = runner.stop.cancelled() => {}
                changed = woken.changed() => if changed.is_err() { break },
                Some(_) = running.join_next() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// Jobs to begin, and how long to wait before looking again.
    async fn claim(&self, free: usize) -> Result<(Vec<JobRow>, Duration), CatalogError> {
        let options = &self.queue.options;
        if free == 0 {
            return Ok((Vec::new(), options.poll));
        }
        let now_ms = self.queue.now_ms();
        let claim = ClaimJobs {
            kind: self.handler.kind(),
            holder: self.holder.clone(),
            limit: u32::try_from(free).unwrap_or(u32::MAX),
            lease_ms: millis(options.lease),
            now_ms,
        };
        let jobs = self.queue.catalog.claim_jobs(claim).await?;
        Ok((jobs, options.poll))
    }

    async fn run_one(self: Arc<Self>, job: JobRow) {
        let kind = self.handler.kind();
        let begun = Instant::now();
        tracing::debug!(
            kind,
            key = job.key,
            run = job.run,
            attempt = job.attempts,
            "job begins"
        );
        let end = match self.died_too_often(&job) {
            Some(error) => JobEnd::Failed { error },
            None => {
                let ended = self.with_lease(&job).await;
                self.end_of(&job, ended)
            }
        };
        let outcome = match &end {
            JobEnd::Done => "done",
            JobEnd::Retry { error, .. } => {
                tracing::warn!(
                    kind,
                    key = job.key,
                    attempt = job.attempts,
                    error,
                    "job failed and will be tried again"
                );
                "retry"
            }
            JobEnd::Failed { error } => {
                tracing::error!(
                    kind,
                    key = job.key,
                    attempt = job.attempts,
                    error,
                    "job given up"
                );
                "failed"
            }
            JobEnd::Released => "released",
        };
        self.metrics.ended(kind, outcome, begun.elapsed());
        self.record(&job, end).await;
    }

    /// A job whose runs end without a word (they take their node with them) is not tried for ever.
    fn died_too_often(&self, job: &JobRow) -> Option<String> {
        let ended = job.requested_at_ms.saturating_add(job.give_up_ms);
        let is_late =
            job.attempts > 1 && self.queue.now_ms() > ended.saturating_add(job.give_up_ms);
        is_late.then(|| {
            job.error
                .clone()
                .unwrap_or_else(|| "no attempt came to an end".to_owned())
        })
    }

    /// Runs the handler, and keeps the job for as long as that takes.
    async fn with_lease(&self, job: &JobRow) -> Result<(), JobError> {
        let options = &self.queue.options;
        let stop = self.stop.child_token();
        let work = AssertUnwindSafe(self.handler.run(job, &stop)).catch_unwind();
        // Outside the loop: its patience must not begin anew with each renewal.
        let cut_off = self.cut_off(&stop);
        tokio::pin!(work, cut_off);
        let mut renew = tokio::time::interval(options.lease / 3);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        renew.tick().await;
        loop {
            tokio::select! {
                ended = &mut work => return ended.unwrap_or_else(|_| {
                    Err(JobError::Retry("the job's own code failed; the server's log has the details".to_owned()))
                }),
                _ = renew.tick() => {
                    let until_ms = self.queue.now_ms() + millis(options.lease);
                    match self.queue.catalog.renew_job(job.id, job.run, until_ms).await {
                        Ok(true) => {}
                        // Forgotten, or another node has taken it over.
                        Ok(false) => stop.cancel(),
                        Err(error) => tracing::warn!(kind = job.kind, key = job.key, %error, "could not renew a job"),
                    }
                }
                () = &mut cut_off => return Err(JobError::Stopped),
            }
        }
    }

    /// Ends when a handler that was told to stop has had its time.
    async fn cut_off(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        tokio::time::sleep(self.queue.options.stop_within).await;
    }

    fn end_of(&self, job: &JobRow, ended: Result<(), JobError>) -> JobEnd {
        match ended {
            Ok(()) => JobEnd::Done,
            Err(JobError::Stopped) => JobEnd::Released,
            Err(JobError::GiveUp(error)) => JobEnd::Failed { error },
            Err(JobError::Retry(error)) => {
                let random = rand_fraction();
                let due_at_ms =
                    self.queue.now_ms() + pause_ms(&self.queue.options, job.attempts, random);
                if due_at_ms > job.requested_at_ms.saturating_add(job.give_up_ms) {
                    JobEnd::Failed { error }
                } else {
                    JobEnd::Retry { error, due_at_ms }
                }
            }
        }
    }

    async fn record(&self, job: &JobRow, end: JobEnd) {
        let failed = match &end {
            JobEnd::Failed { error } => Some(error.clone()),
            _ => None,
        };
        let catalog = &self.queue.catalog;
        let now_ms = self.queue.now_ms();
        match catalog.finish_job(job.id, job.run, end, now_ms).await {
            Ok(Some(_)) => {
                if let Some(error) = failed {
                    self.handler.given_up(job, &error).await;
                }
            }
            Ok(None) => {
                tracing::debug!(
                    kind = job.kind,
                    key = job.key,
                    "a job was no longer this node's"
                );
            }
            // Its lease ends, and somebody does it again.
            Err(error) => {
                tracing::warn!(kind = job.kind, key = job.key, %error, "could not record a job's end");
            }
        }
    }
}

/// The pause after so many attempts. `random` in 0..1 spreads jobs that failed together.
fn pause_ms(options: &JobOptions, attempts: i64, random: f64) -> i64 {
    let doublings = attempts.saturating_sub(1).clamp(0, 30) as u32;
    let pause = options
        .first_pause
        .saturating_mul(1 << doublings)
        .min(options.longest_pause);
    // Four fifths to six fifths of it.
    let thousandths = 800 + (400.0 * random) as i64;
    millis(pause).saturating_mul(thousandths) / 1000
}

fn rand_fraction() -> f64 {
    // The bits of a version 4 UUID beyond its marks are random.
    let bits = uuid::Uuid::new_v4().as_u128() as u32;
    f64::from(bits) / f64::from(u32::MAX)
}

/// Forgets jobs that ended long ago.
pub(super) async fn prune(queue: JobQueue, stop: CancellationToken) {
    /// Between two looks.
    const EVERY: Duration = Duration::from_secs(600);
    const AT_ONCE: u32 = 1000;
    loop {
        let before_ms = queue.now_ms() - millis(queue.options.keep_ended);
        if let Err(error) = queue.catalog.prune_jobs(before_ms, AT_ONCE).await {
            tracing::warn!(%error, "could not forget ended jobs");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let options = JobOptions {
            first_pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(3600),
            ..JobOptions::default()
        };
        assert_eq!(pause_ms(&options, 1, 0.5), 5_000);
        assert_eq!(pause_ms(&options, 2, 0.5), 10_000);
        assert_eq!(pause_ms(&options, 5, 0.5), 80_000);
        assert_eq!(pause_ms(&options, 99, 0.5), 3_600_000);
        assert_eq!(pause_ms(&options, i64::MAX, 0.5), 3_600_000);
        assert_eq!(pause_ms(&options, 1, 0.0), 4_000);
        assert_eq!(pause_ms(&options, 1, 1.0), 6_000);
    }
}
