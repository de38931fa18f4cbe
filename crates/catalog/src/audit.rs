//! The audit log: every change that was made, by whom, from where, for which request.
//!
//! A ref that moves has its row in the reflog anyway; the row also says where the request came from, so the log costs
//! the path of refs no row and no statement. What moves no ref (a repository is created, a webhook deleted) is a row of
//! `audit`, written in the transaction that makes the change. So what was done is in the log exactly once, and what was
//! refused is not. Both are kept when the repository is deleted.
//!
//! The order is that of the ticks of events. A row of `audit` has the tick that the next event of its organisation will
//! have, and stands before the events of that tick.

use std::sync::Arc;

use crate::dialect::{Conn, Row};
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, SweepWork};
use crate::{Catalog, CatalogError, text};

/// Longest kind, target, address and request id that are stored.
const MAX_TEXT_BYTES: usize = 1024;

/// Longest detail of an entry.
const MAX_DETAIL_BYTES: usize = 16 << 10;

/// Where a change came from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// The client's address; none for what a server does by itself.
    pub address: Option<String>,
    /// The request it was made for, or the run of a job.
    pub request_id: String,
}

/// What the log is to say of a change that moves no ref.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewAuditEntry {
    /// Whose log; `None`: that of the organisation that is created.
    pub org: Option<OrgId>,
    /// The repository it is about; `None`: the one that is changed or created, if one is.
    pub repo: Option<RepoId>,
    /// What is done, such as `webhook.delete`.
    pub kind: &'static str,
    /// Name or id of what it is done to; `None`: the id of the webhook that is created, if one is.
    pub target: Option<String>,
    /// More about it, as JSON; never a secret.
    pub detail: Option<String>,
    /// Who does it.
    pub who: String,
    /// Where that comes from.
    pub origin: Option<Arc<Origin>>,
}

/// A change that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditEntry {
    /// The repository it is about.
    pub repo: Option<RepoId>,
    /// What was done.
    pub what: AuditedChange,
    /// Who did it.
    pub who: String,
    /// From which address, if that is known.
    pub address: Option<String>,
    /// For which request, if that is known.
    pub request_id: Option<String>,
    /// When.
    pub at_ms: i64,
    /// Where the list goes on after this entry.
    pub next: AuditCursor,
}

/// What was done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditedChange {
    /// A ref moved.
    Ref {
        /// Generation of the change.
        generation: i64,
        /// Place within it.
        ordinal: i64,
        /// Full name.
        name: Vec<u8>,
        /// Where it was; `None`: absent.
        old: Option<Vec<u8>>,
        /// Where it went; `None`: deleted.
        new: Option<Vec<u8>>,
        /// Why.
        message: String,
    },
    /// Something else.
    Other {
        /// Id of the entry.
        id: i64,
        /// What, such as `webhook.delete`.
        kind: String,
        /// Name or id of what it was done to.
        target: Option<String>,
        /// More about it, as JSON.
        detail: Option<String>,
    },
}

/// Which log to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AuditOf {
    /// That of an organisation, with all its repositories.
    Org(OrgId),
    /// That of a repository, deleted or not.
    Repo(RepoId),
}

/// How far a log was read, newest first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AuditCursor {
    /// The last move of a ref that was read: tick, repository, generation, ordinal.
    pub refs: (i64, i64, i64, i64),
    /// The last other entry: tick and id.
    pub others: (i64, i64),
}

impl AuditCursor {
    /// Before the newest entry.
    pub const START: AuditCursor = AuditCursor {
        refs: (i64::MAX, i64::MAX, i64::MAX, i64::MAX),
        others: (i64::MAX, i64::MAX),
    };
}

macro_rules! moves_of {
    ($where:expr, $order:expr) => {
        concat!(
            "SELECT tick, repo_id, generation, ordinal, name, old, new, message, who, address, request_id, at_ms \
             FROM reflog WHERE ",
            $where,
            " AND tick IS NOT NULL AND kind IS NULL ORDER BY ",
            $order,
            " LIMIT $6"
        )
    };
}

const MOVES_OF_ORG: &str = moves_of!(
    "org_id = $1 AND (tick, repo_id, generation, ordinal) < ($2, $3, $4, $5)",
    "tick DESC, repo_id DESC, generation DESC, ordinal DESC"
);

// In one repository the ticks grow with the generation.
const MOVES_OF_REPO: &str = moves_of!(
    "repo_id = $1 AND tick <= $2 AND repo_id <= $3 AND (generation, ordinal) < ($4, $5)",
    "generation DESC, ordinal DESC"
);

macro_rules! others_of {
    ($column:expr) => {
        concat!(
            "SELECT tick, id, repo_id, kind, target, detail, who, address, request_id, at_ms FROM audit WHERE ",
            $column,
            " = $1 AND (tick, id) < ($2, $3) ORDER BY tick DESC, id DESC LIMIT $4"
        )
    };
}

const OTHERS_OF_ORG: &str = others_of!("org_id");
const OTHERS_OF_REPO: &str = others_of!("repo_id");

/// An entry with its place: at the same tick, what moved no ref is older.
struct Placed {
    tick: i64,
    entry: AuditEntry,
}

impl Catalog {
    /// The same catalog, whose next change is put into the audit log with `entry` if it is made. For one change only.
    pub fn audited(&self, mut entry: NewAuditEntry) -> Catalog {
        entry.who = text::storable(entry.who);
        self.with_audit(entry)
    }

    /// Entries of a log after `after`, newest first, at most `limit`.
    pub async fn audit_log(
        &self,
        of: AuditOf,
        after: AuditCursor,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut moves = moves(&mut conn, of, after, limit)
            .await?
            .into_iter()
            .peekable();
        let mut others = others(&mut conn, of, after, limit)
            .await?
            .into_iter()
            .peekable();
        let mut next = after;
        let mut merged = Vec::new();
        while merged.len() < limit as usize {
            let is_move = match (moves.peek(), others.peek()) {
                (Some(moved), Some(other)) => moved.tick >= other.tick,
                (moved, other) => {
                    if moved.is_none() && other.is_none() {
                        break;
                    }
                    moved.is_some()
                }
            };
            let newest = if is_move { moves.next() } else { others.next() };
            let Some(Placed { mut entry, .. }) = newest else {
                break;
            };
            if is_move {
                next.refs = entry.next.refs;
            } else {
                next.others = entry.next.others;
            }
            entry.next = next;
            merged.push(entry);
        }
        Ok(merged)
    }

    /// Removes entries of an organisation's log that are older than `before_ms`, about `limit` at most, in one
    /// transaction; says how many. A move of a ref stays in the reflog without where it came from.
    pub async fn expire_audit(
        &self,
        org: OrgId,
        before_ms: i64,
        limit: u32,
    ) -> Result<u64, CatalogError> {
        let work = SweepWork::ExpireAudit {
            org,
            before_ms,
            limit,
        };
        match self.submit_aside(work.into()).await? {
            Done::Count(count) => Ok(count),
            _ => Ok(0),
        }
    }

    /// Every repository of that name that an organisation has or had, the newest first, at most `limit`.
    pub async fn repos_ever_named(
        &self,
        org: OrgId,
        name: &str,
        limit: u32,
    ) -> Result<Vec<RepoId>, CatalogError> {
        if text::check("repository name", name, crate::MAX_REPO_NAME_BYTES).is_err() {
            return Ok(Vec::new());
        }
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(org.0);
        args.push(name);
        args.push(i64::from(limit));
        // Each half has its index; ids grow with time.
        let sql = "SELECT id FROM repos WHERE org_id = $1 AND name = $2 AND deleted_at_ms IS NULL \
                   UNION ALL SELECT id FROM repos WHERE org_id = $1 AND name = $2 AND deleted_at_ms IS NOT NULL \
                   ORDER BY id DESC LIMIT $3";
        let rows = conn.fetch_all(sql, args).await?;
        rows.iter().map(|row| Ok(RepoId(row.get(0)?))).collect()
    }
}

/// Refuses what cannot be stored.
pub(crate) fn check(entry: &NewAuditEntry) -> Result<(), CatalogError> {
    text::check("audit kind", entry.kind, MAX_TEXT_BYTES)?;
    for (what, text, limit) in [
        ("audit target", &entry.target, MAX_TEXT_BYTES),
        ("audit detail", &entry.detail, MAX_DETAIL_BYTES),
    ] {
        if let Some(text) = text {
            text::check(what, text, limit)?;
        }
    }
    entry.origin.as_deref().map_or(Ok(()), check_origin)
}

/// Refuses what cannot be stored.
pub(crate) fn check_origin(origin: &Origin) -> Result<(), CatalogError> {
    text::check("request id", &origin.request_id, MAX_TEXT_BYTES)?;
    if let Some(address) = &origin.address {
        text::check("client address", address, MAX_TEXT_BYTES)?;
    }
    Ok(())
}

async fn moves(
    conn: &mut Conn<'_>,
    of: AuditOf,
    after: AuditCursor,
    limit: u32,
) -> Result<Vec<Placed>, sqlx::Error> {
    let (id, sql) = match of {
        AuditOf::Org(org) => (org.0, MOVES_OF_ORG),
        AuditOf::Repo(repo) => (repo.0, MOVES_OF_REPO),
    };
    let (tick, repo, generation, ordinal) = after.refs;
    let mut args = conn.args();
    for value in [id, tick, repo, generation, ordinal, i64::from(limit)] {
        args.push(value);
    }
    conn.fetch_all(sql, args)
        .await?
        .iter()
        .map(read_move)
        .collect()
}

async fn others(
    conn: &mut Conn<'_>,
    of: AuditOf,
    after: AuditCursor,
    limit: u32,
) -> Result<Vec<Placed>, sqlx::Error> {
    let (id, sql) = match of {
        AuditOf::Org(org) => (org.0, OTHERS_OF_ORG),
        AuditOf::Repo(repo) => (repo.0, OTHERS_OF_REPO),
    };
    let mut args = conn.args();
    for value in [id, after.others.0, after.others.1, i64::from(limit)] {
        args.push(value);
    }
    conn.fetch_all(sql, args)
        .await?
        .iter()
        .map(read_other)
        .collect()
}

fn read_move(row: &Row) -> Result<Placed, sqlx::Error> {
    let refs = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(Placed {
        tick: refs.0,
        entry: AuditEntry {
            repo: Some(RepoId(refs.1)),
            what: AuditedChange::Ref {
                generation: refs.2,
                ordinal: refs.3,
                name: row.get(4)?,
                old: row.get(5)?,
                new: row.get(6)?,
                message: row.get(7)?,
            },
            who: row.get(8)?,
            address: row.get(9)?,
            request_id: row.get(10)?,
            at_ms: row.get(11)?,
            next: AuditCursor {
                refs,
                ..AuditCursor::START
            },
        },
    })
}

fn read_other(row: &Row) -> Result<Placed, sqlx::Error> {
    let others: (i64, i64) = (row.get(0)?, row.get(1)?);
    Ok(Placed {
        tick: others.0,
        entry: AuditEntry {
            repo: row.get::<Option<i64>>(2)?.map(RepoId),
            what: AuditedChange::Other {
                id: others.1,
                kind: row.get(3)?,
                target: row.get(4)?,
                detail: row.get(5)?,
            },
            who: row.get(6)?,
            address: row.get(7)?,
            request_id: row.get(8)?,
            at_ms: row.get(9)?,
            next: AuditCursor {
                others,
                ..AuditCursor::START
            },
        },
    })
}
