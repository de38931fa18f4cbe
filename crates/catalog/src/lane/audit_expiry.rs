//! Removing audit entries that are too old, some at a time.
//!
//! Both kinds of entries are found in the order of their ticks, oldest first, so what is looked at is what goes. A move of
//! a ref stays in the reflog; it loses where it came from. How far that was done is remembered, for the row stays.

use crate::dialect::Conn;
use crate::ids::OrgId;

/// Removes entries of `org` older than `before_ms`, about `limit` at most; says how many.
pub(super) async fn write(
    conn: &mut Conn<'_>,
    org: OrgId,
    before_ms: i64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let mut args = conn.args();
    args.push(org.0);
    args.push(before_ms);
    args.push(limit);
    let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM (SELECT id, at_ms FROM audit \
               WHERE org_id = $1 ORDER BY tick, id LIMIT $3) AS oldest WHERE at_ms < $2)";
    let others = conn.execute(sql, args).await?;
    let moves = limit - others.cast_signed();
    if moves <= 0 {
        return Ok(others);
    }
    Ok(others + forget_origins(conn, org, before_ms, moves).await?)
}

async fn forget_origins(
    conn: &mut Conn<'_>,
    org: OrgId,
    before_ms: i64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let mut args = conn.args();
    args.push(org.0);
    let sql = "SELECT audit_expired_tick FROM orgs WHERE id = $1";
    let Some(row) = conn.fetch_optional(sql, args).await? else {
        return Ok(0);
    };
    let done: i64 = row.get(0)?;

    // The first that stays. Clocks of nodes differ a little, so a few older ones may stand behind it until the next time.
    let mut args = conn.args();
    args.push(org.0);
    args.push(done);
    args.push(before_ms);
    let sql = "SELECT tick FROM reflog WHERE org_id = $1 AND tick > $2 AND at_ms >= $3 AND kind IS NULL \
               ORDER BY tick LIMIT 1";
    let kept = conn.fetch_optional(sql, args).await?;
    let kept = kept.map_or(Ok(i64::MAX), |row| row.get::<i64>(0))?;

    let mut args = conn.args();
    for value in [org.0, done, kept, before_ms, limit] {
        args.push(value);
    }
    let sql = "UPDATE reflog SET address = NULL, request_id = NULL \
               WHERE (repo_id, generation, ordinal) IN (SELECT repo_id, generation, ordinal FROM reflog \
               WHERE org_id = $1 AND tick > $2 AND tick < $3 AND at_ms < $4 \
               AND (address IS NOT NULL OR request_id IS NOT NULL) \
               ORDER BY org_id, tick, repo_id, generation, ordinal LIMIT $5) RETURNING tick";
    let rows = conn.fetch_all(sql, args).await?;
    let mut last = None;
    for row in &rows {
        last = last.max(Some(row.get::<i64>(0)?));
    }
    let is_all = (rows.len() as i64) < limit;
    let through = match (is_all, last) {
        // All before the first that stays, or all there are: the newest tick may get more.
        (true, last) if kept < i64::MAX => last.max(Some(kept - 1)),
        // Of the last tick there may be more.
        (_, last) => last.map(|last| last - 1),
    };
    if let Some(through) = through.filter(|through| *through > done) {
        let mut args = conn.args();
        args.push(org.0);
        args.push(through);
        let sql = "UPDATE orgs SET audit_expired_tick = $2 WHERE id = $1";
        conn.execute(sql, args).await?;
    }
    Ok(rows.len() as u64)
}
