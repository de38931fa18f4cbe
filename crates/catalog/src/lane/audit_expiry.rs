//! Removing audit entries that are too old, some at a time.
//!
//! Both kinds of entries are found by their time, oldest first, so what is looked at is what goes. Their ticks would not
//! do: a node whose clock was ahead leaves entries that stay for long, and what is younger than them by its tick may be
//! too old all the same. A move of a ref stays in the reflog; it loses where it came from.

use crate::dialect::Conn;
use crate::ids::OrgId;

const DELETE_OTHERS: &str = "DELETE FROM audit WHERE id IN (SELECT id FROM audit \
    WHERE org_id = $1 AND at_ms < $2 ORDER BY at_ms LIMIT $3)";
/// The condition on the origin is that of the index, word for word.
const FORGET_ORIGINS: &str = "UPDATE reflog SET address = NULL, request_id = NULL \
    WHERE (repo_id, generation, ordinal) IN (SELECT repo_id, generation, ordinal FROM reflog \
    WHERE org_id = $1 AND at_ms < $2 AND (address IS NOT NULL OR request_id IS NOT NULL) \
    ORDER BY at_ms LIMIT $3)";

/// Removes entries of `org` older than `before_ms`, `limit` at most; says how many.
pub(super) async fn write(
    conn: &mut Conn<'_>,
    org: OrgId,
    before_ms: i64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let others = execute(conn, DELETE_OTHERS, org, before_ms, limit).await?;
    let moves = limit - others.cast_signed();
    if moves <= 0 {
        return Ok(others);
    }
    Ok(others + execute(conn, FORGET_ORIGINS, org, before_ms, moves).await?)
}

async fn execute(
    conn: &mut Conn<'_>,
    statement: &'static str,
    org: OrgId,
    before_ms: i64,
    limit: i64,
) -> Result<u64, sqlx::Error> {
    let mut args = conn.args();
    args.push(org.0);
    args.push(before_ms);
    args.push(limit);
    conn.execute(statement, args).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Sql;
    use crate::open::Place;

    /// The cost follows what is removed, not what stays.
    #[tokio::test]
    async fn what_is_too_old_is_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("catalog.db").display());
        let mut owned = Place::parse(&url).unwrap().connect_writer().await.unwrap();
        crate::migrate::run(&mut owned).await.unwrap();
        let mut conn = owned.conn();
        for (text, index) in [
            (DELETE_OTHERS, "audit_age (org_id=? AND at_ms<?)"),
            (FORGET_ORIGINS, "reflog_origin_age (org_id=? AND at_ms<?)"),
        ] {
            let explain = Sql::Built(format!("EXPLAIN QUERY PLAN {text}").into());
            let args = conn.args();
            let steps = conn.fetch_all(explain, args).await.unwrap();
            let steps: Vec<String> = steps.iter().map(|step| step.get(3).unwrap()).collect();
            assert!(steps.iter().any(|step| step.contains(index)), "{steps:?}");
            let reads_through = |step: &String| step.starts_with("SCAN") || step.contains("TEMP");
            assert!(!steps.iter().any(reads_through), "{steps:?}");
        }
    }
}
