//! What lanes do to repositories whose branches and tags go to their upstream.

use crate::bulk::Texts;
use crate::dialect::Conn;
use crate::ids::RepoId;
use crate::jobs::NewJob;
use crate::push_through::PushEnd;

use super::{Done, jobs, upstreams};

/// A change of what goes to upstreams.
#[derive(Debug)]
pub(crate) enum PushWork {
    Set {
        repo: RepoId,
        on: bool,
        forget: Vec<Vec<u8>>,
    },
    Ask {
        repo: RepoId,
        job: NewJob,
        now_ms: i64,
    },
    End {
        repo: RepoId,
        end: PushEnd,
        at_ms: i64,
    },
}

impl PushWork {
    pub(super) fn repo(&self) -> RepoId {
        match self {
            Self::Set { repo, .. } | Self::Ask { repo, .. } | Self::End { repo, .. } => *repo,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Set { forget, .. } => forget.iter().map(|name| name.len() + 64).sum(),
            Self::Ask { job, .. } => job.payload.len(),
            Self::End { end, .. } => end.refs.iter().map(|(name, _)| name.len() + 128).sum(),
        }
    }
}

/// Does it. `job_id` is for a job that is new.
pub(super) async fn write(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    work: &PushWork,
    job_id: i64,
) -> Result<Done, sqlx::Error> {
    match work {
        PushWork::Set { repo, on, forget } => set(conn, texts, *repo, *on, forget).await,
        PushWork::Ask { repo, job, now_ms } => ask(conn, *repo, job, job_id, *now_ms).await,
        PushWork::End { repo, end, at_ms } => self::end(conn, texts, *repo, end, *at_ms).await,
    }
}

async fn set(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    repo: RepoId,
    on: bool,
    forget: &[Vec<u8>],
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(repo.0);
    args.push(i64::from(on));
    // From the beginning: whatever the upstream does not have goes there.
    let sql = "UPDATE upstreams SET push_through = $2, push_seen = 0, push_done = 0, \
               push_error = NULL WHERE repo_id = $1 AND push_through <> $2";
    let changed = conn.execute(sql, args).await? > 0;
    if changed {
        let gone: Vec<_> = forget.iter().map(|name| (name.clone(), None)).collect();
        upstreams::record_refs(conn, texts, repo, &gone).await?;
    }
    Ok(Done::Changed(changed))
}

async fn ask(
    conn: &mut Conn<'_>,
    repo: RepoId,
    job: &NewJob,
    job_id: i64,
    now_ms: i64,
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(repo.0);
    args.push(job.kind);
    args.push(job.key.as_str());
    // A run that is under way looks at the refs itself, and notes which it saw.
    let sql = "SELECT r.generation, u.push_seen FROM upstreams AS u \
               JOIN repos AS r ON r.id = u.repo_id WHERE u.repo_id = $1 AND u.push_through = 1 \
               AND r.deleted_at_ms IS NULL AND r.generation > u.push_seen AND NOT EXISTS \
               (SELECT 1 FROM jobs AS j WHERE j.kind = $2 AND j.key = $3 AND j.state = 1)";
    let Some(row) = conn.fetch_optional(sql, args).await? else {
        return Ok(Done::Changed(false));
    };
    let (generation, seen): (i64, i64) = (row.get(0)?, row.get(1)?);
    let mut args = conn.args();
    args.push(repo.0);
    args.push(generation);
    let sql = "UPDATE upstreams SET push_seen = $2 WHERE repo_id = $1 AND push_seen < $2";
    conn.execute(sql, args).await?;
    if !crate::push_through::has_moved(conn, repo, seen).await? {
        return Ok(Done::Changed(false));
    }
    jobs::enqueue(conn, job, job_id, now_ms).await?;
    Ok(Done::Changed(true))
}

async fn end(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    repo: RepoId,
    end: &PushEnd,
    at_ms: i64,
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(repo.0);
    args.push(end.through);
    args.push(at_ms);
    let changed = match &end.error {
        None => {
            args.push(i64::from(!end.refs.is_empty()));
            let sql = "UPDATE upstreams SET push_done = $2, push_error = NULL, \
                       pushed_at_ms = CASE WHEN $4 = 1 THEN $3 ELSE pushed_at_ms END, push_seen = CASE WHEN push_seen < $2 THEN $2 ELSE push_seen END \
                       WHERE repo_id = $1";
            conn.execute(sql, args).await?
        }
        Some(error) => {
            args.push(error.as_str());
            let sql = "UPDATE upstreams SET failed_at_ms = $3, error = $4, push_error = $4, \
                       push_seen = CASE WHEN push_seen < $2 THEN $2 ELSE push_seen END \
                       WHERE repo_id = $1";
            conn.execute(sql, args).await?
        }
    };
    if changed > 0 {
        upstreams::record_refs(conn, texts, repo, &end.refs).await?;
    }
    Ok(Done::Changed(changed > 0))
}
