//! What lanes do for hooks. None of it touches a repository's row, so it waits for no writer of one.

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::deliveries::Delivery;
use crate::dialect::{Conn, Dialect};
use crate::events::last_tick;
use crate::hook_queues::{HeldQueue, Lease, Progress, Release};
use crate::hooks::{Hook, NewHook};
use crate::ids::{HookId, OrgId, RepoId};

use super::Done;

use Kind::{Int, Text};

/// Work on hooks, their queues and their log.
#[derive(Debug)]
pub(crate) enum HookWork {
    Create {
        id: HookId,
        hook: NewHook,
        /// How many there may be of its repository, or for all of its organisation; it is one of them.
        at_most: Option<i64>,
        at_ms: i64,
    },
    Delete {
        org: OrgId,
        id: HookId,
    },
    Hold {
        hook: HookId,
        repo: RepoId,
        lease: Lease,
    },
    Progress(Progress),
    Scanned {
        org: OrgId,
        through: i64,
        repos: Vec<(RepoId, i64)>,
        now_ms: i64,
    },
    Replay {
        org: OrgId,
        id: HookId,
        after_tick: i64,
        now_ms: i64,
    },
    Log {
        hook: HookId,
        repo: RepoId,
        delivery: Delivery,
    },
    DropOld {
        before_ms: i64,
        limit: u32,
    },
}

impl HookWork {
    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Progress(progress) => {
                let texts = progress.deliveries.iter().map(|delivery| {
                    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
                    128 + length(&delivery.response) + length(&delivery.error)
                });
                texts.sum()
            }
            Self::Scanned { repos, .. } => repos.len() * 32,
            _ => 4096,
        }
    }
}

const UPSERT_DELIVERIES: Bulk = Bulk {
    head: "INSERT INTO deliveries (hook_id, repo_id, generation, ordinal, state, attempts, at_ms, \
           took_ms, status, response, error) SELECT column1, column2, column3, column4, column5, \
           column6, column7, column8, column9, column10, column11 FROM (VALUES ",
    columns: &[Int, Int, Int, Int, Int, Int, Int, Int, Int, Text, Text],
    foot: ") AS v WHERE column1 IS NOT NULL \
           ON CONFLICT (hook_id, repo_id, generation, ordinal) DO UPDATE SET \
           state = excluded.state, attempts = deliveries.attempts + excluded.attempts, at_ms = excluded.at_ms, \
           took_ms = excluded.took_ms, status = excluded.status, response = excluded.response, \
           error = excluded.error",
    lock: "",
};

macro_rules! mark_queues {
    ($hooks_of:expr) => {
        Bulk {
            head: concat!(
                "INSERT INTO hook_queues (hook_id, repo_id, generation, ordinal, wanted, \
                 due_at_ms, failures, held_until_ms) \
                 SELECT h.id, column2, -1, 0, column3, column4, 0, 0 /* hook ",
                $hooks_of,
                " */ FROM (VALUES "
            ),
            columns: &[Int, Int, Int, Int],
            foot: concat!(
                ") AS v JOIN hooks AS h ON h.org_id = v.column1 AND h.repo_id ",
                $hooks_of,
                " WHERE column1 IS NOT NULL ON CONFLICT (hook_id, repo_id) DO UPDATE SET \
                 wanted = excluded.wanted, \
                 due_at_ms = COALESCE(hook_queues.due_at_ms, excluded.due_at_ms) \
                 WHERE excluded.wanted > hook_queues.generation \
                 AND excluded.wanted > hook_queues.wanted"
            ),
            lock: "",
        }
    };
}

// Queues that got there already are left alone. Which hooks there are is read here and not before, so that one that was
// created meanwhile is not passed over.
const MARK_QUEUES_OF_ORG: Bulk = mark_queues!("IS NULL");
const MARK_QUEUES_OF_REPO: Bulk = mark_queues!("= v.column2");

pub(super) async fn run(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    work: &HookWork,
) -> Result<Done, sqlx::Error> {
    match work {
        HookWork::Create {
            id,
            hook,
            at_most,
            at_ms,
        } => {
            if let Some(at_most) = at_most
                && !has_room(conn, hook, *at_most).await?
            {
                return Ok(Done::Refused);
            }
            create(conn, *id, hook, *at_ms).await
        }
        HookWork::Delete { org, id } => delete(conn, *org, *id).await,
        HookWork::Hold { hook, repo, lease } => hold(conn, *hook, *repo, lease).await,
        HookWork::Progress(progress) => record(conn, texts, progress).await,
        HookWork::Scanned {
            org,
            through,
            repos,
            now_ms,
        } => scanned(conn, texts, *org, *through, repos, *now_ms).await,
        HookWork::Replay {
            org,
            id,
            after_tick,
            now_ms,
        } => replay(conn, *org, *id, *after_tick, *now_ms).await,
        HookWork::Log {
            hook,
            repo,
            delivery,
        } => {
            log(conn, texts, *hook, *repo, std::slice::from_ref(delivery)).await?;
            Ok(Done::Changed(true))
        }
        HookWork::DropOld { before_ms, limit } => drop_old(conn, *before_ms, *limit).await,
    }
}

/// Whether there are fewer hooks beside `new` than there may be. It stays so until the COMMIT.
async fn has_room(conn: &mut Conn<'_>, new: &NewHook, at_most: i64) -> Result<bool, sqlx::Error> {
    // SQLite has one writer. Here other nodes write too, and who comes later shall count what is written now.
    if conn.dialect() == Dialect::Postgres {
        let mut args = conn.args();
        args.push(new.org.0);
        let sql = "SELECT id FROM orgs WHERE id = $1 FOR NO KEY UPDATE";
        conn.fetch_optional(sql, args).await?;
    }
    Ok(count(conn, new.org, new.repo).await? < at_most)
}

async fn count(conn: &mut Conn<'_>, org: OrgId, repo: Option<RepoId>) -> Result<i64, sqlx::Error> {
    let mut args = conn.args();
    args.push(org.0);
    let sql = if let Some(repo) = repo {
        args.push(repo.0);
        "SELECT COUNT(*) FROM hooks WHERE org_id = $1 AND repo_id = $2"
    } else {
        "SELECT COUNT(*) FROM hooks WHERE org_id = $1 AND repo_id IS NULL"
    };
    let row = conn.fetch_optional(sql, args).await?;
    row.ok_or(sqlx::Error::RowNotFound)?.get(0)
}

async fn create(
    conn: &mut Conn<'_>,
    id: HookId,
    new: &NewHook,
    at_ms: i64,
) -> Result<Done, sqlx::Error> {
    let start_tick = match conn.dialect() {
        Dialect::Sqlite => last_tick(conn, new.org).await?,
        // Every event that is committed already has this tick or a lower one.
        Dialect::Postgres => {
            let args = conn.args();
            let sql =
                "SELECT base + CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT) FROM event_clock";
            let row = conn.fetch_optional(sql, args).await?;
            row.ok_or(sqlx::Error::RowNotFound)?.get(0)?
        }
    };
    let mut args = conn.args();
    args.push(id.0);
    args.push(new.org.0);
    args.push(new.repo.map(|repo| repo.0));
    args.push(new.url.as_str());
    args.push(new.events.as_str());
    args.push(new.secret.as_str());
    args.push(at_ms);
    args.push(start_tick);
    let sql = "INSERT INTO hooks (id, org_id, repo_id, url, events, secret, created_at_ms, start_tick) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    conn.execute(sql, args).await?;
    let mut args = conn.args();
    args.push(new.org.0);
    args.push(start_tick);
    let sql =
        "INSERT INTO hook_scans (org_id, tick) VALUES ($1, $2) ON CONFLICT (org_id) DO NOTHING";
    conn.execute(sql, args).await?;
    let NewHook {
        org,
        repo,
        url,
        events,
        secret,
    } = new.clone();
    Ok(Done::HookCreated(Hook {
        id,
        org,
        repo,
        url,
        events,
        secret,
        created_at_ms: at_ms,
        start_tick,
    }))
}

async fn delete(conn: &mut Conn<'_>, org: OrgId, id: HookId) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(id.0);
    args.push(org.0);
    let sql = "DELETE FROM hooks WHERE id = $1 AND org_id = $2";
    if conn.execute(sql, args).await? == 0 {
        return Ok(Done::Changed(false));
    }
    let mut args = conn.args();
    args.push(id.0);
    conn.execute("DELETE FROM hook_queues WHERE hook_id = $1", args)
        .await?;
    let mut args = conn.args();
    args.push(org.0);
    let sql = "DELETE FROM hook_scans WHERE org_id = $1 \
               AND NOT EXISTS (SELECT 1 FROM hooks WHERE org_id = $1)";
    conn.execute(sql, args).await?;
    Ok(Done::Changed(true))
}

async fn hold(
    conn: &mut Conn<'_>,
    hook: HookId,
    repo: RepoId,
    lease: &Lease,
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(hook.0);
    args.push(repo.0);
    args.push(lease.now_ms);
    args.push(lease.holder.as_str());
    args.push(lease.until_ms);
    let sql = "INSERT INTO hook_queues (hook_id, repo_id, generation, ordinal, wanted, due_at_ms, \
               failures, holder, held_until_ms) SELECT $1, $2, -1, 0, -1, $3, 0, $4, $5 \
               FROM hooks WHERE id = $1 \
               ON CONFLICT (hook_id, repo_id) DO UPDATE SET holder = excluded.holder, \
               held_until_ms = excluded.held_until_ms, \
               due_at_ms = COALESCE(hook_queues.due_at_ms, excluded.due_at_ms) \
               WHERE hook_queues.held_until_ms <= $3 \
               AND (hook_queues.due_at_ms IS NULL OR hook_queues.due_at_ms <= $3) \
               RETURNING generation, ordinal, failures, failing_since_ms";
    let held = match conn.fetch_optional(sql, args).await? {
        Some(row) => Some(HeldQueue {
            done: (row.get(0)?, row.get(1)?),
            failures: row.get(2)?,
            failing_since_ms: row.get(3)?,
        }),
        None => None,
    };
    Ok(Done::Held(held))
}

async fn record(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    progress: &Progress,
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(progress.hook.0);
    args.push(progress.repo.0);
    args.push(progress.holder.as_str());
    args.push(progress.done.0);
    args.push(progress.done.1);
    args.push(progress.failures);
    args.push(progress.failing_since_ms);
    let sql = match progress.release {
        Release::Hold { until_ms } => {
            args.push(until_ms);
            "UPDATE hook_queues SET generation = $4, ordinal = $5, failures = $6, failing_since_ms = $7, \
             held_until_ms = $8 WHERE hook_id = $1 AND repo_id = $2 AND holder = $3"
        }
        Release::Due { at_ms } => {
            args.push(at_ms);
            "UPDATE hook_queues SET generation = $4, ordinal = $5, failures = $6, failing_since_ms = $7, \
             due_at_ms = $8, holder = NULL, held_until_ms = 0 \
             WHERE hook_id = $1 AND repo_id = $2 AND holder = $3"
        }
        // What a scan saw after the holder looked for the last time is not forgotten.
        Release::Idle { now_ms } => {
            args.push(now_ms);
            "UPDATE hook_queues SET generation = $4, ordinal = $5, failures = $6, failing_since_ms = $7, \
             due_at_ms = CASE WHEN wanted > $4 THEN $8 ELSE NULL END, \
             holder = NULL, held_until_ms = 0 \
             WHERE hook_id = $1 AND repo_id = $2 AND holder = $3"
        }
    };
    if conn.execute(sql, args).await? == 0 {
        return Ok(Done::Changed(false));
    }
    log(
        conn,
        texts,
        progress.hook,
        progress.repo,
        &progress.deliveries,
    )
    .await?;
    Ok(Done::Changed(true))
}

async fn log(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    hook: HookId,
    repo: RepoId,
    deliveries: &[Delivery],
) -> Result<(), sqlx::Error> {
    let mut list = List::new(conn.dialect(), &UPSERT_DELIVERIES);
    for delivery in deliveries {
        list.row(|row| {
            row.push(hook.0)
                .push(repo.0)
                .push(delivery.generation)
                .push(delivery.ordinal);
            row.push(delivery.state.number())
                .push(delivery.attempts)
                .push(delivery.at_ms)
                .push(delivery.took_ms);
            row.push(delivery.status.map(i64::from))
                .push(delivery.response.as_deref())
                .push(delivery.error.as_deref());
        });
    }
    list.execute(conn, texts).await?;
    Ok(())
}

async fn scanned(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    org: OrgId,
    through: i64,
    repos: &[(RepoId, i64)],
    now_ms: i64,
) -> Result<Done, sqlx::Error> {
    for marks in [&MARK_QUEUES_OF_ORG, &MARK_QUEUES_OF_REPO] {
        let mut list = List::new(conn.dialect(), marks);
        for (repo, wanted) in repos {
            list.row(|row| {
                row.push(org.0).push(repo.0).push(*wanted).push(now_ms);
            });
        }
        list.execute(conn, texts).await?;
    }
    let mut args = conn.args();
    args.push(org.0);
    args.push(through);
    let sql = "UPDATE hook_scans SET tick = $2 WHERE org_id = $1 AND tick < $2";
    conn.execute(sql, args).await?;
    Ok(Done::Changed(true))
}

async fn replay(
    conn: &mut Conn<'_>,
    org: OrgId,
    id: HookId,
    after_tick: i64,
    now_ms: i64,
) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(id.0);
    args.push(org.0);
    args.push(after_tick);
    // Never later: what waits is not dropped.
    let sql = "UPDATE hooks SET start_tick = CASE WHEN start_tick < $3 THEN start_tick ELSE $3 END \
               WHERE id = $1 AND org_id = $2";
    if conn.execute(sql, args).await? == 0 {
        return Ok(Done::Changed(false));
    }
    // The queues go back to where that is; a holder finds its queue held by nobody, and stops.
    let mut args = conn.args();
    args.push(id.0);
    args.push(org.0);
    args.push(after_tick);
    args.push(now_ms);
    let sql = "INSERT INTO hook_queues (hook_id, repo_id, generation, ordinal, wanted, due_at_ms, \
               failures, held_until_ms) \
               SELECT h.id, l.repo_id, MIN(l.generation) - 1, 2147483647, MAX(l.generation), $4, 0, 0 \
               FROM hooks AS h JOIN reflog AS l ON l.org_id = h.org_id AND l.tick > $3 \
               WHERE h.id = $1 AND h.org_id = $2 AND (h.repo_id IS NULL OR h.repo_id = l.repo_id) \
               GROUP BY h.id, l.repo_id \
               ON CONFLICT (hook_id, repo_id) DO UPDATE SET \
               generation = CASE WHEN excluded.generation < hook_queues.generation \
               THEN excluded.generation ELSE hook_queues.generation END, \
               ordinal = CASE WHEN excluded.generation < hook_queues.generation \
               THEN excluded.ordinal ELSE hook_queues.ordinal END, \
               wanted = excluded.wanted, due_at_ms = excluded.due_at_ms, failures = 0, \
               failing_since_ms = NULL, holder = NULL, held_until_ms = 0";
    conn.execute(sql, args).await?;
    Ok(Done::Changed(true))
}

async fn drop_old(conn: &mut Conn<'_>, before_ms: i64, limit: u32) -> Result<Done, sqlx::Error> {
    let mut args = conn.args();
    args.push(before_ms);
    args.push(i64::from(limit));
    let sql = "DELETE FROM deliveries WHERE (hook_id, repo_id, generation, ordinal) IN \
               (SELECT hook_id, repo_id, generation, ordinal FROM deliveries \
               WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)";
    let dropped = conn.execute(sql, args).await?;
    let args = conn.args();
    // A scan beside the deletion of a hook may have made one.
    let sql = "DELETE FROM hook_queues WHERE due_at_ms IS NOT NULL AND NOT EXISTS \
               (SELECT 1 FROM hooks WHERE hooks.id = hook_queues.hook_id)";
    conn.execute(sql, args).await?;
    Ok(Done::Count(dropped))
}

/// What a test of all statements should look at.
#[cfg(test)]
pub(super) const ALL: [&Bulk; 3] = [
    &UPSERT_DELIVERIES,
    &MARK_QUEUES_OF_ORG,
    &MARK_QUEUES_OF_REPO,
];
