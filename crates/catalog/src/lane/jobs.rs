//! What lanes do to jobs: one statement each.

use crate::CatalogError;
use crate::dialect::{Conn, Dialect};
use crate::jobs::{self, ClaimJobs, JobEnd, JobState, NewJob, columns};

use super::Done;

/// A change of jobs.
#[derive(Debug)]
pub(crate) enum JobWork {
    Enqueue {
        job: NewJob,
        now_ms: i64,
    },
    Claim(ClaimJobs),
    Renew {
        id: i64,
        run: i64,
        until_ms: i64,
    },
    Finish {
        id: i64,
        run: i64,
        end: JobEnd,
        now_ms: i64,
    },
    Forget {
        kind: &'static str,
        key: String,
    },
    Prune {
        ended_before_ms: i64,
        limit: u32,
    },
}

impl JobWork {
    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Enqueue { job, .. } => {
                job.payload.len() + job.payload_if_pending.as_ref().map_or(0, String::len)
            }
            Self::Finish { .. } => 4096,
            _ => 0,
        }
    }
}

/// Does it. `id` is the id of a job that is new.
pub(super) async fn write(
    conn: &mut Conn<'_>,
    work: &JobWork,
    id: i64,
) -> Result<Done, sqlx::Error> {
    match work {
        JobWork::Enqueue { job, now_ms } => enqueue(conn, job, id, *now_ms).await,
        JobWork::Claim(claim) => self::claim(conn, claim).await,
        JobWork::Renew { id, run, until_ms } => {
            let mut args = conn.args();
            args.push(*id);
            args.push(*run);
            args.push(*until_ms);
            let sql = "UPDATE jobs SET due_at_ms = $3 WHERE id = $1 AND run = $2 AND state = 1";
            Ok(Done::Changed(conn.execute(sql, args).await? > 0))
        }
        JobWork::Finish {
            id,
            run,
            end,
            now_ms,
        } => finish(conn, (*id, *run), end, *now_ms).await,
        JobWork::Forget { kind, key } => {
            let mut args = conn.args();
            args.push(*kind);
            args.push(key.as_str());
            let sql = "DELETE FROM jobs WHERE kind = $1 AND key = $2";
            Ok(Done::Changed(conn.execute(sql, args).await? > 0))
        }
        JobWork::Prune {
            ended_before_ms,
            limit,
        } => {
            let mut args = conn.args();
            args.push(*ended_before_ms);
            args.push(i64::from(*limit));
            let sql = "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs \
                       WHERE due_at_ms IS NULL AND finished_at_ms < $1 \
                       ORDER BY finished_at_ms LIMIT $2)";
            Ok(Done::Changed(conn.execute(sql, args).await? > 0))
        }
    }
}

pub(super) async fn enqueue(
    conn: &mut Conn<'_>,
    job: &NewJob,
    id: i64,
    now_ms: i64,
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(id);
    args.push(job.kind);
    args.push(job.key.as_str());
    args.push(job.org.0);
    args.push(job.repo.map(|repo| repo.0));
    args.push(job.payload.as_str());
    args.push(job.due_at_ms);
    args.push(now_ms);
    args.push(job.give_up_ms);
    args.push(
        job.payload_if_pending
            .as_ref()
            .unwrap_or(&job.payload)
            .as_str(),
    );
    // What runs keeps its lease; what waits is due when the new request is, with all its attempts before it.
    // An earlier request that may have to be tried again is served by what is left, too.
    let sql = concat!(
        "INSERT INTO jobs (id, kind, key, org_id, repo_id, payload, state, due_at_ms, \
         requested_at_ms, give_up_ms, requests, claimed_requests, attempts, run) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8, $9, 1, 0, 0, 0) \
         ON CONFLICT (kind, key) DO UPDATE SET \
         payload = CASE WHEN jobs.due_at_ms IS NOT NULL THEN $10 ELSE excluded.payload END, \
         state = CASE WHEN jobs.state = 1 THEN 1 ELSE 0 END, \
         due_at_ms = CASE WHEN jobs.state = 1 THEN jobs.due_at_ms ELSE excluded.due_at_ms END, \
         attempts = CASE WHEN jobs.state = 1 THEN jobs.attempts ELSE 0 END, \
         requested_at_ms = excluded.requested_at_ms, give_up_ms = excluded.give_up_ms, \
         requests = jobs.requests + 1 \
         RETURNING ",
        columns!()
    );
    rows(conn.fetch_all(sql, args).await?)
}

async fn claim(conn: &mut Conn<'_>, claim: &ClaimJobs) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(claim.kind);
    args.push(claim.now_ms);
    args.push(i64::from(claim.limit));
    args.push(claim.holder.as_str());
    args.push(claim.now_ms.saturating_add(claim.lease_ms));
    let sql = match conn.dialect() {
        Dialect::Sqlite => concat!(
            "UPDATE jobs SET state = 1, holder = $4, due_at_ms = $5, started_at_ms = $2, \
             run = run + 1, attempts = attempts + 1, claimed_requests = requests \
             WHERE id IN (SELECT id FROM jobs WHERE kind = $1 AND due_at_ms <= $2 \
             ORDER BY due_at_ms, id LIMIT $3) RETURNING ",
            columns!()
        ),
        // The array is made once; a subquery could be run again and lock others.
        Dialect::Postgres => concat!(
            "UPDATE jobs SET state = 1, holder = $4, due_at_ms = $5, started_at_ms = $2, \
             run = run + 1, attempts = attempts + 1, claimed_requests = requests \
             WHERE id = ANY (ARRAY(SELECT id FROM jobs WHERE kind = $1 AND due_at_ms <= $2 \
             ORDER BY due_at_ms, id LIMIT $3 FOR UPDATE SKIP LOCKED)) RETURNING ",
            columns!()
        ),
    };
    rows(conn.fetch_all(sql, args).await?)
}

async fn finish(
    conn: &mut Conn<'_>,
    (id, run): (i64, i64),
    end: &JobEnd,
    now_ms: i64,
) -> Result<Done, sqlx::Error> {
    let (state, due_at_ms, error) = match end {
        JobEnd::Done => (JobState::Done, None, None),
        JobEnd::Retry { error, due_at_ms } => (JobState::Waiting, Some(*due_at_ms), Some(error)),
        JobEnd::Failed { error } => (JobState::Failed, None, Some(error)),
        JobEnd::Released => (JobState::Waiting, Some(now_ms), None),
    };
    let mut args = conn.args();
    args.push(id);
    args.push(run);
    args.push(now_ms);
    args.push(state as i64);
    args.push(due_at_ms);
    args.push(error.map(String::as_str));
    args.push(i64::from(matches!(end, JobEnd::Released)));
    // Asked for again while it ran: it is due at once, as if it were new.
    let sql = concat!(
        "UPDATE jobs SET holder = NULL, \
         state = CASE WHEN requests > claimed_requests THEN 0 ELSE CAST($4 AS BIGINT) END, \
         due_at_ms = CASE WHEN requests > claimed_requests THEN CAST($3 AS BIGINT) \
         ELSE CAST($5 AS BIGINT) END, \
         attempts = CASE WHEN requests > claimed_requests OR CAST($4 AS BIGINT) = 2 THEN 0 \
         ELSE attempts - CAST($7 AS BIGINT) END, \
         error = CASE WHEN CAST($7 AS BIGINT) = 1 THEN error ELSE $6 END, \
         finished_at_ms = CASE WHEN CAST($7 AS BIGINT) = 1 THEN finished_at_ms \
         ELSE CAST($3 AS BIGINT) END \
         WHERE id = $1 AND run = $2 AND state = 1 RETURNING ",
        columns!()
    );
    rows(conn.fetch_all(sql, args).await?)
}

fn rows(rows: Vec<crate::dialect::Row>) -> Result<Done, sqlx::Error> {
    let read = |row: &_| jobs::read(row);
    let jobs: Result<Vec<_>, CatalogError> = rows.iter().map(read).collect();
    // A row just written has a state that is known.
    jobs.map(Done::Jobs)
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
