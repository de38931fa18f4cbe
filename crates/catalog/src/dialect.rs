//! The one place that knows there are two databases: connections, bound values and rows, so that
//! every query of the crate is written once.
//!
//! What makes one text serve both: `$1` placeholders (SQLite resolves them by number), `ON CONFLICT`,
//! `UPDATE … FROM (VALUES …)` with the columns named `column1`…, and CAST where PostgreSQL would
//! choose another integer type.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Connection, Decode, Encode, PgPool, Postgres, Row as _};
use sqlx::{Sqlite, SqlitePool, Transaction, Type};

/// Which database a statement is for.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// A value both databases can be given.
pub(crate) trait Bind<'q>:
    Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres> + 'q
{
}

impl<'q, T> Bind<'q> for T where
    T: Encode<'q, Sqlite> + Type<Sqlite> + Encode<'q, Postgres> + Type<Postgres> + 'q
{
}

/// A value both databases can give.
pub(crate) trait Column<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Column<'r> for T where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

/// The bound values of one statement, in order.
pub(crate) struct Args {
    values: Values,
    error: Option<sqlx::Error>,
}

enum Values {
    Sqlite(SqliteArguments),
    Postgres(PgArguments),
}

impl Args {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let values = match dialect {
            Dialect::Sqlite => Values::Sqlite(SqliteArguments::default()),
            Dialect::Postgres => Values::Postgres(PgArguments::default()),
        };
        Self {
            values,
            error: None,
        }
    }

    /// Binds the next value. A value that cannot be encoded fails the statement, not this call.
    pub(crate) fn push<'q>(&mut self, value: impl Bind<'q>) {
        let added = match &mut self.values {
            Values::Sqlite(values) => Arguments::add(values, value),
            Values::Postgres(values) => Arguments::add(values, value),
        };
        if let Err(error) = added {
            self.error.get_or_insert(sqlx::Error::Encode(error));
        }
    }

    fn check(&mut self) -> Result<(), sqlx::Error> {
        self.error.take().map_or(Ok(()), Err)
    }
}

/// A row of a result.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column, by its place in the SELECT list.
    pub(crate) fn get<'r, T: Column<'r>>(&'r self, index: usize) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => row.try_get(index),
            Self::Postgres(row) => row.try_get(index),
        }
    }
}

/// The text of a statement: a literal, or one that was put together and is kept.
pub(crate) enum Sql {
    Literal(&'static str),
    Built(Arc<str>),
}

impl From<&'static str> for Sql {
    fn from(text: &'static str) -> Self {
        Self::Literal(text)
    }
}

/// A borrowed connection of either kind.
pub(crate) enum Conn<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// Runs the same body with `$query` bound to the statement and `$conn` to the connection.
macro_rules! on_either {
    ($self:ident, $sql:ident, $args:ident, |$query:ident, $conn:ident| $body:expr) => {{
        $args.check()?;
        // The texts are literals of this crate plus placeholders; values are always bound.
        let text = match $sql {
            Sql::Literal(text) => sqlx::SqlSafeStr::into_sql_str(text),
            Sql::Built(text) => sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(text)),
        };
        match ($self, $args.values) {
            (Conn::Sqlite($conn), Values::Sqlite(values)) => {
                let $query = sqlx::query_with::<Sqlite, _>(text, values);
                $body
            }
            (Conn::Postgres($conn), Values::Postgres(values)) => {
                let $query = sqlx::query_with::<Postgres, _>(text, values);
                $body
            }
            _ => unreachable!("values are bound for the connection they run on"),
        }
    }};
}

impl Conn<'_> {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// An empty list of values for this connection.
    pub(crate) fn args(&self) -> Args {
        Args::new(self.dialect())
    }

    /// Runs a statement; returns how many rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: impl Into<Sql>,
        mut args: Args,
    ) -> Result<u64, sqlx::Error> {
        let sql = sql.into();
        on_either!(self, sql, args, |query, conn| Ok(query
            .execute(&mut **conn)
            .await?
            .rows_affected()))
    }

    /// Runs a query; returns all its rows.
    pub(crate) async fn fetch_all(
        &mut self,
        sql: impl Into<Sql>,
        mut args: Args,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let sql = sql.into();
        on_either!(self, sql, args, |query, conn| Ok(query
            .fetch_all(&mut **conn)
            .await?
            .into_iter()
            .map(Row::from)
            .collect()))
    }

    /// Runs a query; returns its first row.
    pub(crate) async fn fetch_optional(
        &mut self,
        sql: impl Into<Sql>,
        mut args: Args,
    ) -> Result<Option<Row>, sqlx::Error> {
        let sql = sql.into();
        on_either!(self, sql, args, |query, conn| Ok(query
            .fetch_optional(&mut **conn)
            .await?
            .map(Row::from)))
    }
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self::Sqlite(row)
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self::Postgres(row)
    }
}

/// A transaction; dropped without a commit, it is rolled back.
pub(crate) enum Tx<'c> {
    Sqlite(Transaction<'c, Sqlite>),
    Postgres(Transaction<'c, Postgres>),
}

impl Tx<'_> {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(tx) => Conn::Sqlite(tx),
            Self::Postgres(tx) => Conn::Postgres(tx),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await,
            Self::Postgres(tx) => tx.rollback().await,
        }
    }
}

/// The connections reads are made on.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A connection lent by the pool.
pub(crate) enum Pooled {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl Pooled {
    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }
}

impl Pool {
    pub(crate) async fn acquire(&self) -> Result<Pooled, sqlx::Error> {
        Ok(match self {
            Self::Sqlite(pool) => Pooled::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Pooled::Postgres(pool.acquire().await?),
        })
    }

    /// A transaction in which every read sees the same moment.
    pub(crate) async fn begin_snapshot(&self) -> Result<Tx<'static>, sqlx::Error> {
        Ok(match self {
            // Deferred: the first read takes the snapshot, and no lock stops a writer.
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Tx::Postgres(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?,
            ),
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A lane's own connection.
pub(crate) enum Owned {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Owned {
    /// Starts a transaction that writes.
    pub(crate) async fn begin_write(&mut self) -> Result<Tx<'_>, sqlx::Error> {
        Ok(match self {
            // The write lock now: a deferred transaction that starts with a read cannot wait for it.
            Self::Sqlite(conn) => Tx::Sqlite(conn.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(conn) => Tx::Postgres(conn.begin().await?),
        })
    }

    pub(crate) fn conn(&mut self) -> Conn<'_> {
        match self {
            Self::Sqlite(conn) => Conn::Sqlite(conn),
            Self::Postgres(conn) => Conn::Postgres(conn),
        }
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(conn) => conn.close().await,
            Self::Postgres(conn) => conn.close().await,
        }
    }
}

/// Whether another process holds SQLite's write lock.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    const SQLITE_BUSY: u32 = 5;
    let Some(error) = error.as_database_error() else {
        return false;
    };
    // Extended result codes keep the plain one in their low byte. PostgreSQL's have five characters
    // and at least one letter or a higher number.
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    error
        .try_downcast_ref::<sqlx::sqlite::SqliteError>()
        .is_some()
        && code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
}
