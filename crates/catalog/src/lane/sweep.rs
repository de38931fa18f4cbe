//! What lanes do for a sweep: condemning packs, and removing the rows of deleted repositories.

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::dead_packs::{listed, read_key};
use crate::dialect::{Conn, Dialect};
use crate::ids::{OrgId, RepoId};
use crate::sweep::{SweptRows, TABLES, TAIL, TAIL_ROWS};

use super::{Done, audit_expiry};

use Kind::{Bytes, Int};

/// A step of a sweep.
#[derive(Debug)]
pub(crate) enum SweepWork {
    Condemn {
        org: OrgId,
        keys: Vec<[u8; 32]>,
        found_by_ms: i64,
        now_ms: i64,
    },
    Forget {
        before_ms: i64,
        limit: u32,
    },
    Rows {
        repo: RepoId,
        limit: u32,
        now_ms: i64,
    },
    ExpireAudit {
        org: OrgId,
        before_ms: i64,
        limit: u32,
    },
}

impl SweepWork {
    pub(super) fn repo(&self) -> Option<RepoId> {
        match self {
            Self::Rows { repo, .. } => Some(*repo),
            Self::Condemn { .. } | Self::Forget { .. } | Self::ExpireAudit { .. } => None,
        }
    }

    /// About how much memory it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Condemn { keys, .. } => keys.len() * 64,
            Self::Forget { .. } | Self::Rows { .. } | Self::ExpireAudit { .. } => 0,
        }
    }
}

/// Whether others may hold a lock too.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Share {
    Yes,
    No,
}

/// Holds which packs an organisation lists as it is, until the COMMIT: who lists packs shares the lock, who condemns
/// has it alone. SQLite's one writer does without.
pub(super) async fn lock_listings(
    conn: &mut Conn<'_>,
    org: OrgId,
    share: Share,
) -> Result<(), sqlx::Error> {
    /// Tells this lock from others of the database; "pack".
    const CLASS: i32 = 0x7061_636b;
    if conn.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    let mut args = conn.args();
    args.push(CLASS);
    // Two organisations with the same half may wait for each other needlessly.
    args.push((org.0 ^ (org.0 >> 32)) as i32);
    let sql = match share {
        Share::Yes => "SELECT pg_advisory_xact_lock_shared($1, $2)",
        Share::No => "SELECT pg_advisory_xact_lock($1, $2)",
    };
    conn.execute(sql, args).await?;
    Ok(())
}

const INSERT_FOUND: Bulk = Bulk {
    head: "INSERT INTO dead_packs (org_id, key, condemned, at_ms) \
           SELECT v.column1, v.column2, 0, v.column3 FROM (VALUES ",
    columns: &[Int, Bytes, Int],
    foot: concat!(
        ") AS v WHERE v.column1 IS NOT NULL AND NOT ",
        listed!("v.column1", "v.column2"),
        " ON CONFLICT (org_id, key) DO NOTHING"
    ),
    lock: "",
};

const CONDEMN: Bulk = Bulk {
    head: "UPDATE dead_packs SET condemned = 1, at_ms = v.column3 FROM (VALUES ",
    columns: &[Int, Bytes, Int, Int],
    foot: concat!(
        ") AS v WHERE dead_packs.org_id = v.column1 AND dead_packs.key = v.column2 \
         AND (dead_packs.condemned = 1 OR dead_packs.at_ms <= v.column4) AND NOT ",
        listed!("v.column1", "v.column2"),
        " RETURNING dead_packs.key"
    ),
    lock: "",
};

/// Does it.
pub(super) async fn write(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    work: &SweepWork,
) -> Result<Done, sqlx::Error> {
    match work {
        SweepWork::Condemn {
            org,
            keys,
            found_by_ms,
            now_ms,
        } => condemn(conn, texts, *org, keys, (*found_by_ms, *now_ms)).await,
        SweepWork::Forget { before_ms, limit } => {
            let mut args = conn.args();
            args.push(*before_ms);
            args.push(i64::from(*limit));
            let sql = "DELETE FROM dead_packs WHERE (org_id, key) IN \
                       (SELECT org_id, key FROM dead_packs WHERE at_ms < $1 LIMIT $2)";
            Ok(Done::Count(conn.execute(sql, args).await?))
        }
        SweepWork::Rows {
            repo,
            limit,
            now_ms,
        } => sweep_rows(conn, *repo, i64::from(*limit), *now_ms).await,
        SweepWork::ExpireAudit {
            org,
            before_ms,
            limit,
        } => {
            let removed = audit_expiry::write(conn, *org, *before_ms, i64::from(*limit));
            Ok(Done::Count(removed.await?))
        }
    }
}

async fn condemn(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    org: OrgId,
    keys: &[[u8; 32]],
    (found_by_ms, now_ms): (i64, i64),
) -> Result<Done, sqlx::Error> {
    // A statement of its own: the ones after it see what those have committed that it waited for.
    lock_listings(conn, org, Share::No).await?;
    let mut found = List::new(conn.dialect(), &INSERT_FOUND);
    let mut condemned = List::new(conn.dialect(), &CONDEMN);
    for key in keys {
        found.row(|row| {
            row.push(org.0).push(key.as_slice()).push(now_ms);
        });
        condemned.row(|row| {
            row.push(org.0).push(key.as_slice());
            row.push(now_ms).push(found_by_ms);
        });
    }
    found.execute(conn, texts).await?;
    let rows = condemned.fetch(conn, texts).await?;
    let keys: Result<Vec<_>, _> = rows.iter().map(|row| read_key(row, 0)).collect();
    keys.map(Done::Condemned)
        .map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

async fn sweep_rows(
    conn: &mut Conn<'_>,
    repo: RepoId,
    limit: i64,
    now_ms: i64,
) -> Result<Done, sqlx::Error> {
    let mut swept = SweptRows::default();
    let tables = TABLES.map(|sql| (sql, limit));
    for (sql, most) in [(TAIL, TAIL_ROWS)].into_iter().chain(tables) {
        let most = most.min(limit - swept.rows.cast_signed());
        let mut args = conn.args();
        args.push(repo.0);
        args.push(most);
        let removed = conn.execute(sql, args).await?;
        swept.rows += removed;
        // There may be more.
        if removed.cast_signed() >= most {
            return Ok(Done::Swept(swept));
        }
    }
    let mut args = conn.args();
    args.push(repo.0);
    let sql = "SELECT 1 FROM jobs WHERE repo_id = $1 UNION ALL \
               SELECT 1 FROM hook_queues AS q JOIN hooks AS h ON h.id = q.hook_id \
               JOIN repos AS r ON r.org_id = h.org_id AND r.id = q.repo_id WHERE r.id = $1";
    swept.is_busy = conn.fetch_optional(sql, args).await?.is_some();
    if !swept.is_busy {
        let mut args = conn.args();
        args.push(repo.0);
        args.push(now_ms);
        let sql = "UPDATE repos SET swept_at_ms = $2 WHERE id = $1 AND deleted_at_ms IS NOT NULL";
        conn.execute(sql, args).await?;
    }
    swept.is_last = true;
    Ok(Done::Swept(swept))
}

/// What a test of all statements should look at.
#[cfg(test)]
pub(super) const ALL: [&Bulk; 2] = [&INSERT_FOUND, &CONDEMN];
