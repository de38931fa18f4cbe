//! The log of deliveries: what became of each event at each hook.

use crate::dialect::Row;
use crate::ids::{HookId, RepoId};
use crate::lane::{Done, HookWork};
use crate::{Catalog, CatalogError, text};

/// Longest response or error text that is kept.
const MAX_TEXT_BYTES: usize = 2048;

/// How a delivery stands. Stored by number: numbers are never reused.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum DeliveryState {
    /// The receiver took it.
    Delivered = 1,
    /// It failed, and will be tried again.
    Retrying = 2,
    /// It failed for so long that it was given up.
    Failed = 3,
}

impl DeliveryState {
    pub(crate) fn number(self) -> i64 {
        self as i64
    }

    fn from_number(number: i64) -> Result<Self, CatalogError> {
        [Self::Delivered, Self::Retrying, Self::Failed]
            .into_iter()
            .find(|state| state.number() == number)
            .ok_or_else(|| CatalogError::Unknown {
                what: format!("delivery state {number}"),
            })
    }
}

/// Attempts to deliver an event; the last of them, where there is more than one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// Generation of the event.
    pub generation: i64,
    /// Its place in that generation.
    pub ordinal: i64,
    /// How it stands after this.
    pub state: DeliveryState,
    /// How many attempts this is.
    pub attempts: i64,
    /// When it was tried last.
    pub at_ms: i64,
    /// How long that took.
    pub took_ms: i64,
    /// HTTP status of the answer.
    pub status: Option<u16>,
    /// Beginning of the answer's body.
    pub response: Option<String>,
    /// Why there was no answer.
    pub error: Option<String>,
}

/// A row of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeliveryRow {
    /// The repository.
    pub repo: RepoId,
    /// The last attempt, and how many there were.
    pub last: Delivery,
}

impl Delivery {
    pub(crate) fn make_storable(&mut self) {
        for text in [&mut self.response, &mut self.error] {
            *text = text.take().map(|text| {
                let mut text = text::storable(text);
                text.truncate(text.floor_char_boundary(MAX_TEXT_BYTES));
                text
            });
        }
    }
}

/// The columns that `read` expects.
macro_rules! columns {
    () => {
        "SELECT repo_id, generation, ordinal, state, attempts, at_ms, took_ms, status, response, \
         error FROM deliveries "
    };
}

impl Catalog {
    /// Deliveries of a hook before `(at_ms, repo, generation, ordinal)`, newest attempt first, at most `limit`.
    pub async fn deliveries(
        &self,
        hook: HookId,
        before: (i64, RepoId, i64, i64),
        limit: u32,
    ) -> Result<Vec<DeliveryRow>, CatalogError> {
        let (at_ms, repo, generation, ordinal) = before;
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(hook.0);
        args.push(at_ms);
        args.push(repo.0);
        args.push(generation);
        args.push(ordinal);
        args.push(i64::from(limit));
        let sql = concat!(
            columns!(),
            "WHERE hook_id = $1 AND (at_ms, repo_id, generation, ordinal) < ($2, $3, $4, $5) \
             ORDER BY at_ms DESC, repo_id DESC, generation DESC, ordinal DESC LIMIT $6"
        );
        let rows = conn.fetch_all(sql, args).await?;
        rows.iter().map(read).collect()
    }

    /// The delivery of one event to a hook.
    pub async fn delivery(
        &self,
        hook: HookId,
        repo: RepoId,
        generation: i64,
        ordinal: i64,
    ) -> Result<Option<DeliveryRow>, CatalogError> {
        let mut pooled = self.pool().acquire().await?;
        let mut conn = pooled.conn();
        let mut args = conn.args();
        args.push(hook.0);
        args.push(repo.0);
        args.push(generation);
        args.push(ordinal);
        let sql = concat!(
            columns!(),
            "WHERE hook_id = $1 AND repo_id = $2 AND generation = $3 AND ordinal = $4"
        );
        let row = conn.fetch_optional(sql, args).await?;
        row.as_ref().map(read).transpose()
    }

    /// Records an attempt that was made beside the queue, as a person asked for it.
    pub async fn record_delivery(
        &self,
        hook: HookId,
        repo: RepoId,
        mut delivery: Delivery,
    ) -> Result<(), CatalogError> {
        delivery.make_storable();
        let work = HookWork::Log {
            hook,
            repo,
            delivery,
        };
        self.submit_hook(work).await?;
        Ok(())
    }

    /// Drops rows of the log whose last attempt was before `before_ms`, and what deleted hooks left, at most about
    /// `limit`; says how many.
    pub async fn drop_old_deliveries(
        &self,
        before_ms: i64,
        limit: u32,
    ) -> Result<u64, CatalogError> {
        let work = HookWork::DropOld { before_ms, limit };
        match self.submit_hook(work).await? {
            Done::Count(count) => Ok(count),
            _ => Ok(0),
        }
    }
}

fn read(row: &Row) -> Result<DeliveryRow, CatalogError> {
    let status: Option<i64> = row.get(7)?;
    Ok(DeliveryRow {
        repo: RepoId(row.get(0)?),
        last: Delivery {
            attempts: row.get(4)?,
            generation: row.get(1)?,
            ordinal: row.get(2)?,
            state: DeliveryState::from_number(row.get(3)?)?,
            at_ms: row.get(5)?,
            took_ms: row.get(6)?,
            status: status.and_then(|status| u16::try_from(status).ok()),
            response: row.get(8)?,
            error: row.get(9)?,
        },
    })
}
