//! Events: what happened to repositories, in an order that never changes.
//!
//! The reflog is their log. A ref that moves writes its row there anyway, in the transaction that moves it; a few other
//! events (a repository was created, an upstream was synced) are rows of the same table without a ref. So no event is
//! lost, none is invented, and nothing is written twice.
//!
//! Within a repository events are in the order of their generation and ordinal. Across an organisation they are in the
//! order of their *tick* first. On SQLite, which has one writer, a tick is one more than the last one of the
//! organisation. On PostgreSQL many transactions commit at once, and a counter would make them wait for each other; there
//! a tick is the id of the transaction, or that of the repository's event before it if that is greater. Every
//! transaction with an id below that of the oldest one under way has ended, so what a reader sees below that bound is
//! final: nothing will ever appear before it. A reader is given nothing beyond.

use crate::clock::now_ms;
use crate::dialect::{Conn, Dialect, Row};
use crate::ids::{OrgId, RepoId};
use crate::lane::{Done, Work};
use crate::{Catalog, CatalogError, text};

/// Longest kind of an event.
const MAX_KIND_BYTES: usize = 64;

/// Longest detail of an event.
const MAX_DETAIL_BYTES: usize = 64 << 10;

/// Where an event stands in the order of its organisation, and in that of its repository.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Ord, PartialOrd)]
pub struct Position {
    /// Moment within the organisation.
    pub tick: i64,
    /// The repository.
    pub repo: RepoId,
    /// Generation of the change.
    pub generation: i64,
    /// Place within that change, from 0.
    pub ordinal: i64,
}

/// One event.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// Where it stands.
    pub position: Position,
    /// What happened.
    pub kind: EventKind,
    /// Who did it; may be empty.
    pub who: String,
    /// When.
    pub at_ms: i64,
}

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EventKind {
    /// A ref moved.
    Ref {
        /// Full name.
        name: Vec<u8>,
        /// Where it was; `None`: absent.
        old: Option<Vec<u8>>,
        /// Where it went; `None`: deleted.
        new: Option<Vec<u8>>,
    },
    /// Something else.
    Other {
        /// Its name, such as `repo.created`.
        kind: String,
        /// More about it, for whoever knows the name; JSON by convention.
        detail: Option<String>,
    },
}

/// The event that a repository was created.
pub(crate) const CREATED: &str = "repo.created";

/// The event that a repository was deleted.
pub(crate) const DELETED: &str = "repo.deleted";

/// The columns that `read` expects.
macro_rules! columns {
    () => {
        "SELECT tick, repo_id, generation, ordinal, name, old, new, who, kind, detail, at_ms FROM reflog "
    };
}

/// Below this tick nothing will appear any more.
const HORIZON_POSTGRES: &str = "SELECT base + CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT) FROM event_clock";

impl Catalog {
    /// Appends an event that moves no ref, such as `repo.sync.started`, and makes it durable. False if the repository is
    /// deleted or never was.
    pub async fn append_event(
        &self,
        repo: RepoId,
        kind: &str,
        detail: Option<String>,
        who: &str,
    ) -> Result<bool, CatalogError> {
        text::check("event kind", kind, MAX_KIND_BYTES)?;
        if let Some(detail) = &detail {
            text::check("event detail", detail, MAX_DETAIL_BYTES)?;
        }
        let work = Work::AppendEvent {
            repo,
            kind: kind.to_owned(),
            detail,
            who: text::storable(who.to_owned()),
            at_ms: now_ms(),
        };
        Ok(matches!(
            self.submit(repo, work).await?,
            Done::Generation(_)
        ))
    }

    /// Events of a repository after `(generation, ordinal)`, oldest first, at most `limit`.
    pub async fn repo_events(
        &self,
        repo: RepoId,
        after: (i64, i64),
        limit: u32,
    ) -> Result<Vec<Event>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(repo.0);
        args.push(after.0);
        args.push(after.1);
        args.push(i64::from(limit));
        // Rows without a tick are older than events.
        let sql = concat!(
            columns!(),
            "WHERE repo_id = $1 AND (generation, ordinal) > ($2, $3) AND tick IS NOT NULL \
             ORDER BY generation, ordinal LIMIT $4"
        );
        let rows = conn.fetch_all(sql, args).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Events of an organisation after `after`, in their final order, at most `limit`. What another transaction might
    /// still get in front of is left for later.
    pub async fn org_events(
        &self,
        org: OrgId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Event>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        // Before the events are read: what is below it is complete in whatever is read later.
        let horizon = horizon(&mut conn).await?;
        let mut args = conn.args();
        args.push(org.0);
        args.push(after.tick);
        args.push(after.repo.0);
        args.push(after.generation);
        args.push(after.ordinal);
        args.push(horizon);
        args.push(i64::from(limit));
        let sql = concat!(
            columns!(),
            "WHERE org_id = $1 AND (tick, repo_id, generation, ordinal) > ($2, $3, $4, $5) \
             AND tick < $6 ORDER BY tick, repo_id, generation, ordinal LIMIT $7"
        );
        let rows = conn.fetch_all(sql, args).await?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// The event of a repository at `(generation, ordinal)`.
    pub async fn event(
        &self,
        repo: RepoId,
        generation: i64,
        ordinal: i64,
    ) -> Result<Option<Event>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(repo.0);
        args.push(generation);
        args.push(ordinal);
        let sql = concat!(
            columns!(),
            "WHERE repo_id = $1 AND generation = $2 AND ordinal = $3 AND tick IS NOT NULL"
        );
        let row = conn.fetch_optional(sql, args).await?;
        Ok(row.as_ref().map(read).transpose()?)
    }

    /// A position after every event of the organisation whose order is final: where a reader starts that wants only
    /// what comes.
    pub async fn org_events_end(&self, org: OrgId) -> Result<Position, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let horizon = horizon(&mut conn).await?;
        let tick = if horizon == i64::MAX {
            last_tick(&mut conn, org).await?
        } else {
            horizon - 1
        };
        Ok(Position {
            tick,
            repo: RepoId(i64::MAX),
            generation: i64::MAX,
            ordinal: i64::MAX,
        })
    }

    /// Drops events that moved no ref and are older than `before_ms`, at most `limit`; says how many. Moves of refs are
    /// the reflog and stay.
    pub async fn drop_old_events(&self, before_ms: i64, limit: u32) -> Result<u64, CatalogError> {
        let work = Work::DropOldEvents { before_ms, limit };
        match self.submit_at(0, work).await? {
            Done::Count(count) => Ok(count),
            _ => Ok(0),
        }
    }
}

/// Below what tick nothing can appear any more. SQLite has one writer: everything that can be read is final.
pub(crate) async fn horizon(conn: &mut Conn<'_>) -> Result<i64, sqlx::Error> {
    match conn.dialect() {
        Dialect::Sqlite => Ok(i64::MAX),
        Dialect::Postgres => {
            let args = conn.args();
            conn.fetch_optional(HORIZON_POSTGRES, args)
                .await?
                .ok_or(sqlx::Error::RowNotFound)?
                .get(0)
        }
    }
}

/// The tick of the newest event of an organisation that can be seen; 0 if there is none.
pub(crate) async fn last_tick(conn: &mut Conn<'_>, org: OrgId) -> Result<i64, sqlx::Error> {
    let mut args = conn.args();
    args.push(org.0);
    let sql = "SELECT COALESCE(MAX(tick), 0) FROM reflog WHERE org_id = $1";
    conn.fetch_optional(sql, args)
        .await?
        .ok_or(sqlx::Error::RowNotFound)?
        .get(0)
}

/// Makes ticks go on where transaction ids do not: in a copy of a PostgreSQL database on another server. To be called
/// before anything is written.
pub(crate) async fn set_clock(conn: &mut Conn<'_>) -> Result<(), sqlx::Error> {
    if conn.dialect() == Dialect::Sqlite {
        return Ok(());
    }
    // The greatest tick first: it is then less than any id that is given out later, unless the ids are those of another
    // server. `repos` has it too where the reflog is gone.
    let args = conn.args();
    let last = "SELECT GREATEST(\
                (SELECT COALESCE(MAX(t.tick), 0) FROM orgs AS o CROSS JOIN LATERAL \
                    (SELECT MAX(tick) AS tick FROM reflog WHERE org_id = o.id) AS t), \
                (SELECT COALESCE(MAX(start_tick), 0) FROM hooks), \
                (SELECT COALESCE(MAX(tick), 0) FROM hook_scans))";
    let last: i64 = conn
        .fetch_optional(last, args)
        .await?
        .ok_or(sqlx::Error::RowNotFound)?
        .get(0)?;
    let mut args = conn.args();
    args.push(last);
    let raise = "UPDATE event_clock SET base = $1 + 1 \
                 WHERE base + CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT) <= $1";
    conn.execute(raise, args).await?;
    Ok(())
}

fn read(row: &Row) -> Result<Event, sqlx::Error> {
    let kind: Option<String> = row.get(8)?;
    let kind = match kind {
        Some(kind) => EventKind::Other {
            kind,
            detail: row.get(9)?,
        },
        None => EventKind::Ref {
            name: row.get(4)?,
            old: row.get(5)?,
            new: row.get(6)?,
        },
    };
    Ok(Event {
        position: Position {
            tick: row.get(0)?,
            repo: RepoId(row.get(1)?),
            generation: row.get(2)?,
            ordinal: row.get(3)?,
        },
        kind,
        who: row.get(7)?,
        at_ms: row.get(10)?,
    })
}
