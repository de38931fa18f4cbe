//! Moving SQLite's log into the database file, beside the lane and not in it.
//!
//! SQLite does that within the COMMIT that makes the log too long, and everybody waits meanwhile. Here
//! a connection of its own does it while the lane goes on writing. The log starts over only when all
//! of it has been moved, which a writer without pause never lets happen: so the lane moves the little
//! that came in the meantime, between two groups.
//!
//! Nothing depends on this: without it the log is longer, and `open` leaves SQLite a limit of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::dialect::{Conn, Owned};
use crate::open::Place;

/// Pages of 4 KiB in the log before they are moved. A page that was written many times is moved once,
/// so a longer log is less work; but a crash is followed by reading it, and every read looks into it.
const LOG_PAGES: i64 = 4096;

/// What is left to the lane: a few milliseconds.
const REST_PAGES: i64 = 256;

/// Tries to get there.
const PASSES: u32 = 4;

/// Between two looks at the log.
const PAUSE: Duration = Duration::from_millis(50);

/// The lane's end.
#[derive(Debug)]
pub(super) struct Checkpoint {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The lane has written.
    written: Notify,
    /// Most of the log has been moved; the lane moves the rest.
    rest: AtomicBool,
    closed: AtomicBool,
}

impl Checkpoint {
    pub(super) fn start(place: Place) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(run(place, shared.clone()));
        Self { shared, task }
    }

    /// To be called after a COMMIT, outside of a transaction.
    pub(super) async fn after_commit(&self, conn: &mut Conn<'_>) {
        if self.shared.rest.swap(false, Ordering::Acquire)
            && let Err(error) = log(conn, MOVE).await
        {
            tracing::warn!(%error, "could not finish a checkpoint of the catalog");
        }
        self.shared.written.notify_one();
    }

    pub(super) async fn close(self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.written.notify_one();
        // One that was cancelled ended with the runtime, as everything does then.
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            tracing::error!(%error, "the catalog's checkpoints ended badly");
        }
    }
}

async fn run(place: Place, shared: Arc<Shared>) {
    let mut conn = None;
    loop {
        shared.written.notified().await;
        if shared.closed.load(Ordering::Acquire) {
            break;
        }
        match shorten(&place, &mut conn).await {
            Ok(true) => shared.rest.store(true, Ordering::Release),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "could not checkpoint the catalog");
                conn = None;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    if let Some(conn) = conn
        && let Err(error) = Owned::close(conn).await
    {
        tracing::warn!(%error, "could not close a catalog connection");
    }
}

/// Moves the log if it is long; says whether it was.
async fn shorten(place: &Place, slot: &mut Option<Owned>) -> Result<bool, sqlx::Error> {
    let conn = match slot {
        Some(conn) => conn,
        None => slot.insert(place.connect_lane().await?),
    };
    let mut conn = conn.conn();
    if log(&mut conn, LOOK).await?.pages < LOG_PAGES {
        return Ok(false);
    }
    // Each time less is added meanwhile, until it is little enough for the lane.
    for _ in 0..PASSES {
        log(&mut conn, MOVE).await?;
        let log = log(&mut conn, LOOK).await?;
        if log.pages - log.moved < REST_PAGES {
            break;
        }
    }
    Ok(true)
}

const LOOK: &str = "PRAGMA wal_checkpoint(NOOP)";

/// Moves what no reader needs in the log, without stopping anybody.
const MOVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// State of the log.
struct Log {
    pages: i64,
    /// Pages of it that are in the database file already.
    moved: i64,
}

async fn log(conn: &mut Conn<'_>, pragma: &'static str) -> Result<Log, sqlx::Error> {
    let args = conn.args();
    let row = conn
        .fetch_optional(pragma, args)
        .await?
        .ok_or(sqlx::Error::RowNotFound)?;
    // The first column says whether somebody was in the way.
    Ok(Log {
        pages: row.get(1)?,
        moved: row.get(2)?,
    })
}
