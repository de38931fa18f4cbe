//! Statements over many rows: a `VALUES` list between a head and a foot.
//!
//! The number of rows is padded to a power of two with rows of NULL, which every statement skips.
//! So a statement has few texts, and each is prepared once per connection.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::dialect::{Args, Bind, Conn, Dialect, Row, Sql};

/// Type of a column in the list; PostgreSQL wants to know it for a NULL too.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Kind {
    Int,
    Bytes,
    Text,
}

/// A statement over a list of rows.
#[derive(Debug)]
pub(crate) struct Bulk {
    /// Text before the list. Tells statements apart: no two have the same.
    pub(crate) head: &'static str,
    pub(crate) columns: &'static [Kind],
    /// Text after the list.
    pub(crate) foot: &'static str,
    /// Text after that on PostgreSQL alone: its row locks, which SQLite's one writer does without.
    pub(crate) lock: &'static str,
}

/// Rows of one statement. SQLite takes 32,766 values and PostgreSQL 65,535.
const MAX_ROWS: usize = 1024;

/// The list for a `Bulk`.
pub(crate) struct List {
    dialect: Dialect,
    bulk: &'static Bulk,
    /// Full chunks, and the one being filled at the end.
    chunks: Vec<(usize, Args)>,
}

impl List {
    pub(crate) fn new(dialect: Dialect, bulk: &'static Bulk) -> Self {
        Self {
            dialect,
            bulk,
            chunks: Vec::new(),
        }
    }

    /// Starts a row; `fill` binds one value per column.
    pub(crate) fn row(&mut self, fill: impl FnOnce(&mut RowArgs<'_>)) {
        if self.chunks.last().is_none_or(|(rows, _)| *rows == MAX_ROWS) {
            self.chunks.push((0, Args::new(self.dialect)));
        }
        let (rows, args) = self
            .chunks
            .last_mut()
            .expect("one was just made if there was none");
        *rows += 1;
        let mut row = RowArgs { args, bound: 0 };
        fill(&mut row);
        debug_assert_eq!(row.bound, self.bulk.columns.len(), "{}", self.bulk.head);
    }

    /// The statements: one per `MAX_ROWS` rows, so one for any ordinary group and none for no rows.
    fn statements(self, texts: &mut Texts) -> Vec<(Arc<str>, Args)> {
        let Self {
            dialect,
            bulk,
            chunks,
        } = self;
        chunks
            .into_iter()
            .map(|(rows, mut args)| {
                let padded = rows.next_power_of_two();
                for _ in rows..padded {
                    bulk.columns
                        .iter()
                        .for_each(|kind| kind.push_null(&mut args));
                }
                (texts.text(dialect, bulk, padded), args)
            })
            .collect()
    }

    /// Runs it; returns how many rows were changed.
    pub(crate) async fn execute(
        self,
        conn: &mut Conn<'_>,
        texts: &mut Texts,
    ) -> Result<u64, sqlx::Error> {
        let mut changed = 0;
        for (text, args) in self.statements(texts) {
            changed += conn.execute(Sql::Built(text), args).await?;
        }
        Ok(changed)
    }

    /// Runs it; returns the rows it selects or returns.
    pub(crate) async fn fetch(
        self,
        conn: &mut Conn<'_>,
        texts: &mut Texts,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let mut found = Vec::new();
        for (text, args) in self.statements(texts) {
            found.extend(conn.fetch_all(Sql::Built(text), args).await?);
        }
        Ok(found)
    }
}

/// The values of one row.
pub(crate) struct RowArgs<'a> {
    args: &'a mut Args,
    bound: usize,
}

impl RowArgs<'_> {
    pub(crate) fn push<'q>(&mut self, value: impl Bind<'q>) -> &mut Self {
        self.args.push(value);
        self.bound += 1;
        self
    }
}

impl Kind {
    fn push_null(self, args: &mut Args) {
        match self {
            Self::Int => args.push(None::<i64>),
            Self::Bytes => args.push(None::<&[u8]>),
            Self::Text => args.push(None::<&str>),
        }
    }
}

/// The texts a lane has put together so far; a handful of statements times eleven sizes.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    built: HashMap<(&'static str, usize), Arc<str>>,
}

impl Texts {
    fn text(&mut self, dialect: Dialect, bulk: &'static Bulk, rows: usize) -> Arc<str> {
        let text = self.built.entry((bulk.head, rows));
        text.or_insert_with(|| build(dialect, bulk, rows).into())
            .clone()
    }
}

pub(crate) fn build(dialect: Dialect, bulk: &Bulk, rows: usize) -> String {
    let mut text = String::from(bulk.head);
    let mut number = 0;
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..bulk.columns.len() {
            if column > 0 {
                text.push(',');
            }
            number += 1;
            match dialect {
                // Without a number: SQLite finds a numbered placeholder by a walk over all of them.
                Dialect::Sqlite => text.push('?'),
                Dialect::Postgres => write!(text, "${number}").expect("a string takes any text"),
            }
        }
        text.push(')');
    }
    text.push_str(bulk.foot);
    if dialect == Dialect::Postgres {
        text.push_str(bulk.lock);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Bulk = Bulk {
        head: "SELECT * FROM (VALUES ",
        columns: &[Kind::Int, Kind::Bytes],
        foot: ") AS v WHERE column1 IS NOT NULL",
        lock: " FOR UPDATE",
    };

    #[test]
    fn rows_are_padded_and_numbered() {
        assert_eq!(
            build(Dialect::Postgres, &SAMPLE, 2),
            "SELECT * FROM (VALUES ($1,$2),($3,$4)) AS v WHERE column1 IS NOT NULL FOR UPDATE"
        );
        assert_eq!(
            build(Dialect::Sqlite, &SAMPLE, 2),
            "SELECT * FROM (VALUES (?,?),(?,?)) AS v WHERE column1 IS NOT NULL"
        );
    }

    #[test]
    fn a_long_list_becomes_several_statements() {
        let mut list = List::new(Dialect::Sqlite, &SAMPLE);
        for number in 0..1025_i64 {
            list.row(|row| {
                row.push(number).push(None::<&[u8]>);
            });
        }
        let statements = list.statements(&mut Texts::default());
        let sizes: Vec<usize> = statements
            .iter()
            .map(|(text, _)| text.matches("(?,?)").count())
            .collect();
        assert_eq!(sizes, [1024, 1]);
    }
}
