//! Jobs: work to be done later, by whichever node is free, until it is done or given up.
//!
//! There is one row for each kind and key, so a request for what is waiting already adds nothing, and a
//! request for what is running makes it run once more afterwards. Who claims a job holds it for as long
//! as its lease; a node that dies stops renewing it, and another takes the job over. So a job may run
//! twice, and its work has to be safe to do twice.
//!
//! Times come from the caller: leases and pauses can be tested without waiting for them.

use crate::dialect::Row;
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, JobWork, Work};
use crate::{Catalog, CatalogError, text};

/// Longest key and kind that are stored.
const MAX_KEY_BYTES: usize = 512;
/// Longest payload that is stored.
const MAX_PAYLOAD_BYTES: usize = 64 << 10;
/// Longest error that is kept.
const MAX_ERROR_BYTES: usize = 4 << 10;

/// A job to be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewJob {
    /// What is to be done, such as `sync`.
    pub kind: &'static str,
    /// What it is done to: of one kind and key there is one job.
    pub key: String,
    /// Whose it is.
    pub org: OrgId,
    /// The repository it is about.
    pub repo: Option<RepoId>,
    /// Its parameters, JSON.
    pub payload: String,
    /// The parameters to leave if an earlier request is not done yet: those that serve both. `None`: `payload`.
    pub payload_if_pending: Option<String>,
    /// When it may begin.
    pub due_at_ms: i64,
    /// How long after the request it is tried again.
    pub give_up_ms: i64,
}

/// How a job stands.
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
pub enum JobState {
    /// It waits for its turn.
    Waiting = 0,
    /// Somebody is at it.
    Running = 1,
    /// It is done.
    Done = 2,
    /// It was given up.
    Failed = 3,
}

impl JobState {
    fn from_number(number: i64) -> Result<Self, CatalogError> {
        [Self::Waiting, Self::Running, Self::Done, Self::Failed]
            .into_iter()
            .find(|state| *state as i64 == number)
            .ok_or_else(|| CatalogError::Unknown {
                what: format!("job state {number}"),
            })
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A job.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobRow {
    /// Its id.
    pub id: i64,
    /// What is to be done.
    pub kind: String,
    /// What it is done to.
    pub key: String,
    /// Whose it is.
    pub org: OrgId,
    /// The repository it is about.
    pub repo: Option<RepoId>,
    /// Its parameters, JSON.
    pub payload: String,
    /// How it stands.
    pub state: JobState,
    /// When it is to be claimed: its turn, or the end of its holder's lease. `None` once it has ended.
    pub due_at_ms: Option<i64>,
    /// When it was last asked for.
    pub requested_at_ms: i64,
    /// How long after that it is tried again.
    pub give_up_ms: i64,
    /// How often it was begun since it was asked for, or last succeeded.
    pub attempts: i64,
    /// Counts claims. Whoever holds the job is known by this number.
    pub run: i64,
    /// Who holds it.
    pub holder: Option<String>,
    /// When it was last begun.
    pub started_at_ms: Option<i64>,
    /// When it last ended, well or not.
    pub finished_at_ms: Option<i64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// The columns that `read` expects, in its order.
macro_rules! columns {
    () => {
        "id, kind, key, org_id, repo_id, payload, state, due_at_ms, requested_at_ms, give_up_ms, \
         attempts, run, holder, started_at_ms, finished_at_ms, error"
    };
}
pub(crate) use columns;

pub(crate) fn read(row: &Row) -> Result<JobRow, CatalogError> {
    Ok(JobRow {
        id: row.get(0)?,
        kind: row.get(1)?,
        key: row.get(2)?,
        org: OrgId(row.get(3)?),
        repo: row.get::<Option<i64>>(4)?.map(RepoId),
        payload: row.get(5)?,
        state: JobState::from_number(row.get(6)?)?,
        due_at_ms: row.get(7)?,
        requested_at_ms: row.get(8)?,
        give_up_ms: row.get(9)?,
        attempts: row.get(10)?,
        run: row.get(11)?,
        holder: row.get(12)?,
        started_at_ms: row.get(13)?,
        finished_at_ms: row.get(14)?,
        error: row.get(15)?,
    })
}

/// A request for jobs to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClaimJobs {
    /// Of this kind.
    pub kind: &'static str,
    /// Who will do them.
    pub holder: String,
    /// So many at most.
    pub limit: u32,
    /// For how long nobody else may take them.
    pub lease_ms: i64,
    /// The time.
    pub now_ms: i64,
}

/// How a run of a job ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JobEnd {
    /// It is done.
    Done,
    /// It failed and is tried again then.
    Retry {
        /// Why, for people.
        error: String,
        /// When.
        due_at_ms: i64,
    },
    /// It failed and is given up.
    Failed {
        /// Why, for people.
        error: String,
    },
    /// It was not finished; another node may begin at once, and this run does not count.
    Released,
}

impl Catalog {
    /// Asks for a job. Returns its row: a new one, or that of the kind and key.
    ///
    /// A job that waits, also for its next attempt, is due at once if the request is. One that runs is run
    /// again afterwards.
    pub async fn enqueue_job(&self, job: NewJob, now_ms: i64) -> Result<JobRow, CatalogError> {
        check(&job)?;
        let work = JobWork::Enqueue { job, now_ms };
        match self.jobs_lane(work).await? {
            Done::Jobs(jobs) if jobs.len() == 1 => Ok(jobs.into_iter().next().expect("it has one")),
            _ => Err(CatalogError::Unknown {
                what: "a job that was not stored".into(),
            }),
        }
    }

    /// Takes jobs whose time has come, longest due first. Writes only if there are any.
    pub async fn claim_jobs(&self, claim: ClaimJobs) -> Result<Vec<JobRow>, CatalogError> {
        text::check("job holder", &claim.holder, MAX_KEY_BYTES)?;
        let due = self.next_job(claim.kind).await?;
        if claim.limit == 0 || due.is_none_or(|due| due > claim.now_ms) {
            return Ok(Vec::new());
        }
        match self.jobs_lane(JobWork::Claim(claim)).await? {
            Done::Jobs(jobs) => Ok(jobs),
            _ => Ok(Vec::new()),
        }
    }

    /// When the next job of a kind is to be claimed.
    pub async fn next_job(&self, kind: &str) -> Result<Option<i64>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(kind);
        let sql = "SELECT due_at_ms FROM jobs WHERE kind = $1 AND due_at_ms IS NOT NULL \
                   ORDER BY due_at_ms LIMIT 1";
        let row = conn.fetch_optional(sql, args).await?;
        Ok(row.map(|row| row.get(0)).transpose()?)
    }

    /// Keeps a claimed job longer. False if it is no longer this run's.
    pub async fn renew_job(&self, id: i64, run: i64, until_ms: i64) -> Result<bool, CatalogError> {
        let work = JobWork::Renew { id, run, until_ms };
        Ok(matches!(self.jobs_lane(work).await?, Done::Changed(true)))
    }

    /// Records how a run ended. `None` if the job is no longer this run's, else how it stands now: waiting,
    /// if it was asked for again meanwhile.
    pub async fn finish_job(
        &self,
        id: i64,
        run: i64,
        mut end: JobEnd,
        now_ms: i64,
    ) -> Result<Option<JobState>, CatalogError> {
        if let JobEnd::Retry { error, .. } | JobEnd::Failed { error } = &mut end {
            *error = shortened(text::storable(std::mem::take(error)));
        }
        let work = JobWork::Finish {
            id,
            run,
            end,
            now_ms,
        };
        match self.jobs_lane(work).await? {
            Done::Jobs(jobs) => Ok(jobs.first().map(|job| job.state)),
            _ => Ok(None),
        }
    }

    /// Forgets a job, whatever its state. A run under way is not stopped, but cannot record its end.
    pub async fn forget_job(&self, kind: &'static str, key: &str) -> Result<bool, CatalogError> {
        text::check("job key", key, MAX_KEY_BYTES)?;
        let key = key.to_owned();
        let work = JobWork::Forget { kind, key };
        Ok(matches!(self.jobs_lane(work).await?, Done::Changed(true)))
    }

    /// Forgets jobs that ended before then, at most `limit`. Whether there were any.
    pub async fn prune_jobs(&self, ended_before_ms: i64, limit: u32) -> Result<bool, CatalogError> {
        let work = JobWork::Prune {
            ended_before_ms,
            limit,
        };
        Ok(matches!(self.jobs_lane(work).await?, Done::Changed(true)))
    }

    /// The job of a kind and key.
    pub async fn job(&self, kind: &str, key: &str) -> Result<Option<JobRow>, CatalogError> {
        if text::check("job key", key, MAX_KEY_BYTES).is_err() {
            return Ok(None);
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(kind);
        args.push(key);
        let sql = concat!(
            "SELECT ",
            columns!(),
            " FROM jobs WHERE kind = $1 AND key = $2"
        );
        conn.fetch_optional(sql, args)
            .await?
            .as_ref()
            .map(read)
            .transpose()
    }

    /// Jobs of an organisation, or of one of its repositories, newest first, at most `limit`; only those
    /// with an id below `before`.
    pub async fn list_jobs(
        &self,
        org: OrgId,
        repo: Option<RepoId>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<JobRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(before.unwrap_or(i64::MAX));
        args.push(i64::from(limit));
        let rows = if let Some(repo) = repo {
            args.push(repo.0);
            let sql = concat!(
                "SELECT ",
                columns!(),
                " FROM jobs WHERE org_id = $1 AND repo_id = $4 AND id < $2 \
                 ORDER BY id DESC LIMIT $3"
            );
            conn.fetch_all(sql, args).await?
        } else {
            let sql = concat!(
                "SELECT ",
                columns!(),
                " FROM jobs WHERE org_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
            );
            conn.fetch_all(sql, args).await?
        };
        rows.iter().map(read).collect()
    }

    /// How many jobs of each kind wait or run.
    pub async fn count_jobs(&self) -> Result<Vec<(String, JobState, i64)>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let args = conn.args();
        let sql = "SELECT kind, state, COUNT(*) FROM jobs WHERE due_at_ms IS NOT NULL \
                   GROUP BY kind, state ORDER BY kind, state";
        let rows = conn.fetch_all(sql, args).await?;
        rows.iter()
            .map(|row| {
                Ok((
                    row.get(0)?,
                    JobState::from_number(row.get(1)?)?,
                    row.get(2)?,
                ))
            })
            .collect()
    }

    /// Any lane would do; always the same one keeps nodes' own claims out of each other's way.
    async fn jobs_lane(&self, work: JobWork) -> Result<Done, CatalogError> {
        self.submit_at(0, Work::Jobs(Box::new(work))).await
    }
}

pub(crate) fn check(job: &NewJob) -> Result<(), CatalogError> {
    text::check("job kind", job.kind, MAX_KEY_BYTES)?;
    text::check("job key", &job.key, MAX_KEY_BYTES)?;
    text::check("job payload", &job.payload, MAX_PAYLOAD_BYTES)?;
    if let Some(payload) = &job.payload_if_pending {
        text::check("job payload", payload, MAX_PAYLOAD_BYTES)?;
    }
    Ok(())
}

fn shortened(mut error: String) -> String {
    if error.len() > MAX_ERROR_BYTES {
        let end = error.floor_char_boundary(MAX_ERROR_BYTES);
        error.truncate(end);
        error.push('…');
    }
    error
}
