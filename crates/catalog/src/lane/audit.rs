//! Putting what a group did into the audit log, in the group's transaction.

use crate::bulk::{Bulk, Kind, List, Texts};
use crate::clock::now_ms;
use crate::dialect::{Conn, Dialect};
use crate::ids::{IdSource, OrgId, RepoId};

use super::{Done, Op};

use Kind::{Int, Text};

macro_rules! insert_audit {
    ($tick:expr) => {
        Bulk {
            head: concat!(
                "INSERT INTO audit (id, org_id, repo_id, kind, target, detail, who, address, request_id, at_ms, tick) \
                 SELECT column1, column2, column3, column4, column5, column6, column7, column8, column9, column10, ",
                $tick,
                " FROM (VALUES "
            ),
            columns: &[Int, Int, Int, Text, Text, Text, Text, Text, Text, Int],
            foot: ") AS v WHERE column1 IS NOT NULL",
            lock: "",
        }
    };
}

// The tick of the next event; `events` says why it is this.
const INSERT_SQLITE: Bulk = insert_audit!(
    "(SELECT COALESCE(MAX(l.tick), 0) + 1 FROM reflog AS l WHERE l.org_id = v.column2)"
);
const INSERT_POSTGRES: Bulk = insert_audit!(
    "(SELECT base FROM event_clock) + CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"
);

/// What a work created, for the log.
#[derive(Default)]
struct Created {
    org: Option<OrgId>,
    repo: Option<RepoId>,
    hook: Option<String>,
}

/// Writes the entries of what was done; `asked` has each operation of the group with its answer.
pub(super) async fn write<'a>(
    conn: &mut Conn<'_>,
    texts: &mut Texts,
    ids: &IdSource,
    asked: impl Iterator<Item = (&'a Op, &'a Done)>,
) -> Result<(), sqlx::Error> {
    let bulk = match conn.dialect() {
        Dialect::Sqlite => &INSERT_SQLITE,
        Dialect::Postgres => &INSERT_POSTGRES,
    };
    let mut list = List::new(conn.dialect(), bulk);
    let at_ms = now_ms();
    for (op, done) in asked {
        let (Some(entry), Some(created)) = (op.audit.as_deref(), created(done)) else {
            continue;
        };
        let Some(org) = entry.org.or(created.org) else {
            continue;
        };
        let repo = entry.repo.or(created.repo).or(op.work.repo());
        let target = entry.target.as_deref().or(created.hook.as_deref());
        let origin = entry.origin.as_deref();
        list.row(|row| {
            row.push(ids.next(at_ms))
                .push(org.0)
                .push(repo.map(|repo| repo.0));
            row.push(entry.kind)
                .push(target)
                .push(entry.detail.as_deref())
                .push(entry.who.as_str());
            row.push(origin.and_then(|origin| origin.address.as_deref()))
                .push(origin.map(|origin| origin.request_id.as_str()))
                .push(at_ms);
        });
    }
    list.execute(conn, texts).await?;
    Ok(())
}

/// What was created by a work that was done; `None`: it was not done.
fn created(done: &Done) -> Option<Created> {
    match done {
        Done::Changed(false)
        | Done::Moved(_)
        | Done::Stale
        | Done::SourceGone
        | Done::Condemned(_)
        | Done::Refused
        | Done::Held(None) => None,
        Done::RepoCreated(row) => Some(Created {
            org: Some(row.org),
            repo: Some(row.id),
            ..Created::default()
        }),
        Done::OrgCreated(org) => Some(Created {
            org: Some(org.id),
            ..Created::default()
        }),
        Done::HookCreated(hook) => Some(Created {
            hook: Some(hook.id.to_string()),
            ..Created::default()
        }),
        Done::Generation(_)
        | Done::Held(Some(_))
        | Done::Count(_)
        | Done::Changed(true)
        | Done::Swept(_)
        | Done::Jobs(_) => Some(Created::default()),
    }
}

/// What a test of all statements should look at.
#[cfg(test)]
pub(super) const ALL: [&Bulk; 1] = [&INSERT_SQLITE];
