//! What lanes do to upstreams and their credentials.

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::dialect::Conn;
use crate::git_credentials::NewCredential;
use crate::ids::RepoId;
use crate::repos::RepoRow;
use crate::upstreams::{FirstSync, NewUpstream, SeenRef, SyncEnd};

use super::push_through::{self, PushWork};
use super::{Done, jobs, write};

/// A change of upstreams. Each has its repository to itself.
#[derive(Debug)]
pub(crate) enum UpstreamWork {
    Create(Box<Creation>),
    Begin {
        repo: RepoId,
        at_ms: i64,
    },
    End {
        repo: RepoId,
        end: SyncEnd,
        at_ms: i64,
    },
    Detach {
        repo: RepoId,
    },
    Push(PushWork),
    SetDefaultBranch {
        repo: RepoId,
        branch: String,
    },
    CreateCredential {
        credential: NewCredential,
        at_ms: i64,
    },
    UpdateCredential {
        credential: NewCredential,
        at_ms: i64,
    },
    DeleteCredential {
        repo: RepoId,
    },
}

/// A repository that follows an upstream, with all that is stored at once.
#[derive(Debug)]
pub(crate) struct Creation {
    pub(crate) row: RepoRow,
    pub(crate) upstream: NewUpstream,
    pub(crate) first: FirstSync,
}

impl UpstreamWork {
    pub(super) fn repo(&self) -> RepoId {
        match self {
            Self::Create(creation) => creation.row.id,
            Self::Push(work) => work.repo(),
            Self::Begin { repo, .. }
            | Self::End { repo, .. }
            | Self::Detach { repo }
            | Self::SetDefaultBranch { repo, .. }
            | Self::DeleteCredential { repo } => *repo,
            Self::CreateCredential { credential, .. }
            | Self::UpdateCredential { credential, .. } => credential.repo,
        }
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::End {
                end: SyncEnd::Succeeded { refs, .. },
                ..
            } => refs.iter().map(|(name, _)| name.len() + 128).sum(),
            Self::Push(work) => work.bytes(),
            Self::CreateCredential { credential, .. }
            | Self::UpdateCredential { credential, .. } => credential.sealed.len(),
            _ => 0,
        }
    }
}

const UPSERT_REFS: Bulk = Bulk {
    head: "INSERT INTO upstream_refs (repo_id, name, target) \
           SELECT column1, column2, column3 FROM (VALUES ",
    columns: &[Kind::Int, Kind::Bytes, Kind::Bytes],
    foot: ") AS v WHERE column1 IS NOT NULL ON CONFLICT (repo_id, name) DO UPDATE SET \
           target = excluded.target",
    lock: "",
};

const DELETE_REFS: Bulk = Bulk {
    head: "DELETE FROM upstream_refs WHERE (repo_id, name) IN \
           (SELECT u.repo_id, u.name FROM (VALUES ",
    columns: &[Kind::Int, Kind::Bytes],
    foot: ") AS v JOIN upstream_refs AS u ON u.repo_id = v.column1 AND u.name = v.column2)",
    lock: "",
};

/// Does it. `job_id` is for a job that is new.
pub(super) async fn write(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    work: &UpstreamWork,
    job_id: i64,
) -> Result<Done, sqlx::Error> {
    match work {
        UpstreamWork::Create(creation) => create(conn, texts, creation, job_id).await,
        UpstreamWork::Begin { repo, at_ms } => {
            let mut args = conn.args();
            args.push(repo.0);
            args.push(*at_ms);
            let sql = "UPDATE upstreams SET runs = runs + 1, started_at_ms = $2 \
                       WHERE repo_id = $1 RETURNING runs";
            match conn.fetch_optional(sql, args).await? {
                Some(row) => Ok(Done::Generation(row.get(0)?)),
                None => Ok(Done::Refused),
            }
        }
        UpstreamWork::End { repo, end, at_ms } => self::end(conn, texts, *repo, end, *at_ms).await,
        UpstreamWork::Detach { repo } => detach(conn, *repo).await,
        UpstreamWork::Push(work) => push_through::write(conn, texts, work, job_id).await,
        UpstreamWork::SetDefaultBranch { repo, branch } => {
            let mut args = conn.args();
            args.push(repo.0);
            args.push(branch.as_str());
            // A newer generation, so that every node loads it.
            let sql = "UPDATE repos SET default_branch = $2, generation = generation + 1 \
                       WHERE id = $1 AND deleted_at_ms IS NULL";
            Ok(Done::Changed(conn.execute(sql, args).await? > 0))
        }
        UpstreamWork::CreateCredential { credential, at_ms } => {
            let created = create_credential(conn, credential, *at_ms).await?;
            Ok(Done::Changed(created > 0))
        }
        UpstreamWork::UpdateCredential { credential, at_ms } => {
            let mut args = conn.args();
            args.push(credential.id.as_str());
            args.push(credential.repo.0);
            args.push(credential.key_id.as_str());
            args.push(credential.sealed.as_slice());
            args.push(*at_ms);
            let sql = "UPDATE git_credentials SET key_id = $3, sealed = $4, updated_at_ms = $5 \
                       WHERE id = $1 AND repo_id = $2";
            Ok(Done::Changed(conn.execute(sql, args).await? > 0))
        }
        UpstreamWork::DeleteCredential { repo } => {
            let sql = "DELETE FROM git_credentials WHERE repo_id = $1";
            Ok(Done::Changed(of_repo(conn, sql, *repo).await? > 0))
        }
    }
}

async fn create(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    creation: &Creation,
    job_id: i64,
) -> Result<Done, sqlx::Error> {
    let Creation {
        row,
        upstream,
        first,
    } = creation;
    let mut args = conn.args();
    args.push(row.id.0);
    args.push(row.org.0);
    args.push(row.name.as_str());
    args.push(row.default_branch.as_str());
    args.push(row.created_at_ms);
    let sql = "INSERT INTO repos (id, org_id, name, default_branch, created_at_ms, generation, \
               packs_generation, folded_through, tail_rows, tail_bytes, fold_due, syncing) \
               VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, 0, 1) \
               ON CONFLICT (org_id, name) WHERE deleted_at_ms IS NULL DO NOTHING";
    if conn.execute(sql, args).await? == 0 {
        return Ok(Done::Refused);
    }
    let mut created = write::first_events(conn.dialect());
    created.row(|values| write::push_created(values, row));
    created.execute(conn, texts).await?;
    let mut args = conn.args();
    args.push(row.id.0);
    args.push(upstream.provider.as_str());
    args.push(upstream.owner.as_str());
    args.push(upstream.name.as_str());
    args.push(upstream.url.as_str());
    args.push(upstream.auth.as_str());
    args.push(i64::from(upstream.follow_head));
    args.push(i64::from(upstream.push_through));
    let sql = "INSERT INTO upstreams (repo_id, provider, owner, name, url, auth, follow_head, \
               push_through, runs) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0)";
    conn.execute(sql, args).await?;
    if let Some(credential) = &first.credential {
        create_credential(conn, credential, row.created_at_ms).await?;
    }
    jobs::enqueue(conn, &first.job, job_id, row.created_at_ms).await?;
    Ok(Done::RepoCreated(row.clone()))
}

async fn create_credential(
    conn: &mut Conn<'_>,
    credential: &NewCredential,
    at_ms: i64,
) -> Result<u64, sqlx::Error> {
    let mut args = conn.args();
    args.push(credential.id.as_str());
    args.push(credential.org.0);
    args.push(credential.repo.0);
    args.push(credential.key_id.as_str());
    args.push(credential.sealed.as_slice());
    args.push(at_ms);
    let sql = "INSERT INTO git_credentials \
               (id, org_id, repo_id, key_id, sealed, created_at_ms, updated_at_ms) \
               SELECT $1, $2, id, $4, $5, $6, $6 FROM repos \
               WHERE id = $3 AND deleted_at_ms IS NULL \
               ON CONFLICT (repo_id) DO NOTHING";
    conn.execute(sql, args).await
}

async fn end(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    repo: RepoId,
    end: &SyncEnd,
    at_ms: i64,
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(repo.0);
    args.push(at_ms);
    let (refs, head, left_out) = match end {
        SyncEnd::Failed { error } => {
            args.push(error.as_str());
            let sql = "UPDATE upstreams SET failed_at_ms = $2, error = $3 WHERE repo_id = $1";
            return Ok(Done::Changed(conn.execute(sql, args).await? > 0));
        }
        SyncEnd::Succeeded {
            refs,
            head,
            left_out,
        } => (refs, head, left_out),
    };
    args.push(head.as_deref());
    args.push(left_out.as_deref());
    let sql = "UPDATE upstreams SET succeeded_at_ms = $2, head = $3, error = $4 WHERE repo_id = $1";
    if conn.execute(sql, args).await? == 0 {
        return Ok(Done::Changed(false));
    }
    record_refs(conn, texts, repo, refs).await?;
    let sql = "UPDATE repos SET syncing = 0 WHERE id = $1 AND syncing = 1";
    of_repo(conn, sql, repo).await?;
    Ok(Done::Changed(true))
}

/// Records what the upstream has, where that changed.
pub(super) async fn record_refs(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    repo: RepoId,
    refs: &[SeenRef],
) -> Result<(), sqlx::Error> {
    let mut written = List::new(conn.dialect(), &UPSERT_REFS);
    let mut gone = List::new(conn.dialect(), &DELETE_REFS);
    for (name, target) in refs {
        match target {
            Some(target) => written.row(|row| {
                row.push(repo.0)
                    .push(name.as_slice())
                    .push(target.as_slice());
            }),
            None => gone.row(|row| {
                row.push(repo.0).push(name.as_slice());
            }),
        }
    }
    written.execute(conn, texts).await?;
    gone.execute(conn, texts).await?;
    Ok(())
}

async fn detach(conn: &mut Conn<'_>, repo: RepoId) -> Result<Done, sqlx::Error> {
    let followed = of_repo(conn, "DELETE FROM upstreams WHERE repo_id = $1", repo).await? > 0;
    for sql in [
        "DELETE FROM upstream_refs WHERE repo_id = $1",
        "DELETE FROM git_credentials WHERE repo_id = $1",
        "UPDATE repos SET syncing = 0 WHERE id = $1 AND syncing = 1",
    ] {
        of_repo(conn, sql, repo).await?;
    }
    Ok(Done::Changed(followed))
}

/// Runs a statement whose one parameter is a repository.
async fn of_repo(conn: &mut Conn<'_>, sql: &'static str, repo: RepoId) -> Result<u64, sqlx::Error> {
    let mut args = conn.args();
    args.push(repo.0);
    conn.execute(sql, args).await
}

/// What a test of all statements should look at.
#[cfg(test)]
pub(super) const ALL: [&Bulk; 2] = [&UPSERT_REFS, &DELETE_REFS];
