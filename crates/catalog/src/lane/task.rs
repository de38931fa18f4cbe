//! A lane's task: its connection, its loop, and what it does when a transaction fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::CatalogError;
use crate::bulk::Texts;
use crate::changes::{Change, Teller};
use crate::dialect::{Owned, Tx, is_busy};
use crate::ids::IdSource;
use crate::open::Place;
use crate::storage_full::SQLITE_FULL;

use super::checkpoint::Checkpoint;
use super::group::Groups;
use super::{Done, Message, Op, Work, audit, plan, state, write};

/// How long a lane waits for another process to give up SQLite's write lock.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How often it asks. SQLite's own waiting sleeps up to a tenth of a second at a time, which loses
/// against a process that writes without pause.
const LOCK_POLL: Duration = Duration::from_millis(1);

/// Tries of an operation alone whose transaction was rolled back for a passing reason.
const TRIES: u32 = 3;

/// Between those tries, times their number.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// How a transaction ended that did not commit.
enum Failure {
    /// It never began: nothing can be written at the moment.
    NotBegun(sqlx::Error),
    /// It failed before its COMMIT, so nothing of it is there.
    RolledBack(sqlx::Error),
    /// Its COMMIT failed, or the answer to it was lost.
    Unconfirmed(sqlx::Error),
}

pub(super) struct Task {
    place: Place,
    ids: Arc<IdSource>,
    teller: Teller,
    groups: Groups,
    conn: Option<Owned>,
    texts: Texts,
    checkpoint: Option<Checkpoint>,
}

impl Task {
    pub(super) fn new(
        place: Place,
        ids: Arc<IdSource>,
        teller: Teller,
        waiting: mpsc::Receiver<Message>,
    ) -> Self {
        let checkpoint = place.is_sqlite().then(|| Checkpoint::start(place.clone()));
        let groups = Groups::new(waiting);
        Self {
            place,
            ids,
            teller,
            groups,
            conn: None,
            texts: Texts::default(),
            checkpoint,
        }
    }

    /// Works until the lane is closed.
    pub(super) async fn run(mut self) {
        while let Some(group) = self.groups.next().await {
            if !group.is_empty() {
                self.run_group(group).await;
            }
        }
        if let Some(checkpoint) = self.checkpoint {
            checkpoint.close().await;
        }
        if let Some(conn) = self.conn
            && let Err(error) = conn.close().await
        {
            tracing::warn!(%error, "could not close a catalog connection");
        }
    }

    async fn run_group(&mut self, group: Vec<Op>) {
        let ops: Vec<&Op> = group.iter().collect();
        match self.transact(&ops).await {
            Ok(answers) => {
                for (op, answer) in group.into_iter().zip(answers) {
                    op.answer(Ok(answer));
                }
                // After the answers, which need not wait for it.
                if let (Some(checkpoint), Some(conn)) = (&self.checkpoint, &mut self.conn) {
                    checkpoint.after_commit(&mut conn.conn()).await;
                }
            }
            Err(Failure::RolledBack(error)) => {
                tracing::warn!(%error, operations = group.len(), "running a group one by one");
                self.run_each_alone(group).await;
            }
            Err(Failure::NotBegun(error)) => answer_all(group, CatalogError::from(error)),
            Err(Failure::Unconfirmed(error)) => answer_all(group, unconfirmed(error)),
        }
    }

    async fn run_each_alone(&mut self, group: Vec<Op>) {
        let mut group = group.into_iter();
        while let Some(op) = group.next() {
            match self.run_alone(&op).await {
                Ok(answer) => op.answer(Ok(answer)),
                Err(Failure::RolledBack(error)) => op.answer(Err(error.into())),
                Err(Failure::Unconfirmed(error)) => op.answer(Err(unconfirmed(error))),
                Err(Failure::NotBegun(error)) => {
                    let error = CatalogError::from(error);
                    op.answer(Err(error.clone()));
                    return answer_all(group, error);
                }
            }
        }
    }

    async fn run_alone(&mut self, op: &Op) -> Result<Done, Failure> {
        let mut tries = 1;
        loop {
            match self.transact(&[op]).await {
                Ok(answers) => {
                    return Ok(answers.into_iter().next().expect("one work has one answer"));
                }
                Err(Failure::RolledBack(error)) if tries < TRIES && may_pass(&error) => {
                    tokio::time::sleep(RETRY_PAUSE * tries).await;
                    tries += 1;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Does what is asked in one transaction. Whatever the failure, the next call starts clean.
    async fn transact(&mut self, ops: &[&Op]) -> Result<Vec<Done>, Failure> {
        // Taken out of the task and put back after a clean end only: a connection in doubt is dropped.
        let mut conn = match self.conn.take() {
            Some(conn) => conn,
            None => self.place.connect_lane().await.map_err(Failure::NotBegun)?,
        };
        let mut patience = Patience::new();
        let mut tx = loop {
            let error = match conn.begin_write().await {
                Ok(tx) => break tx,
                Err(error) => error,
            };
            let new = patience
                .after(error, &self.place)
                .await
                .map_err(Failure::NotBegun)?;
            conn = new.unwrap_or(conn);
        };
        match fill(&mut tx, &mut self.texts, &self.ids, ops).await {
            Ok((answers, changes)) => {
                tx.commit().await.map_err(commit_failed)?;
                self.conn = Some(conn);
                if self.teller.has_listeners() {
                    self.teller.tell(changes);
                }
                Ok(answers)
            }
            Err(error) => {
                if tx.rollback().await.is_ok() {
                    self.conn = Some(conn);
                }
                Err(Failure::RolledBack(error))
            }
        }
    }
}

/// What is left of a lane's patience with a transaction that does not begin.
struct Patience {
    started: Instant,
    reconnected: bool,
}

impl Patience {
    fn new() -> Self {
        Self {
            started: Instant::now(),
            reconnected: false,
        }
    }

    /// Waits before the next try, which may be on the new connection this returns; or gives up.
    async fn after(
        &mut self,
        error: sqlx::Error,
        place: &Place,
    ) -> Result<Option<Owned>, sqlx::Error> {
        if is_busy(&error) && self.started.elapsed() < LOCK_WAIT {
            tokio::time::sleep(LOCK_POLL).await;
            return Ok(None);
        }
        // It may have been closed at the other end while it lay idle.
        if !self.reconnected {
            self.reconnected = true;
            return place.connect_lane().await.map(Some);
        }
        Err(error)
    }
}

async fn fill(
    tx: &mut Tx<'_>,
    texts: &mut Texts,
    ids: &IdSource,
    ops: &[&Op],
) -> Result<(Vec<Done>, Vec<Change>), sqlx::Error> {
    let mut conn = tx.conn();
    let works: Vec<&Work> = ops.iter().map(|op| &op.work).collect();
    let state = state::read(&mut conn, texts, &works).await?;
    let (writes, mut answers) = plan::plan(&state, works.iter().copied(), ids);
    let changes = writes.changes();
    write::write(&mut conn, texts, writes, &mut answers).await?;
    let asked = ops.iter().copied().zip(&answers);
    audit::write(&mut conn, texts, ids, asked).await?;
    Ok((answers, changes))
}

impl Op {
    fn answer(self, answer: Result<Done, CatalogError>) {
        // A caller that no longer waits is not told; what was committed stays.
        let _ = self.reply.send(answer);
    }
}

fn answer_all(group: impl IntoIterator<Item = Op>, error: CatalogError) {
    tracing::error!(
        error = &error as &dyn std::error::Error,
        "a catalog group failed"
    );
    for op in group {
        op.answer(Err(error.clone()));
    }
}

/// A COMMIT that failed leaves it open whether it happened, but for one that had no room to be written.
fn commit_failed(error: sqlx::Error) -> Failure {
    let code = error.as_database_error().and_then(|error| error.code());
    match code.as_deref() {
        Some(SQLITE_FULL) => Failure::RolledBack(error),
        _ => Failure::Unconfirmed(error),
    }
}

fn unconfirmed(source: sqlx::Error) -> CatalogError {
    CatalogError::Unconfirmed {
        source: Arc::new(source),
    }
}

/// Whether the same transaction may succeed when tried again: the connection was lost, nodes got in
/// each other's way, or two of them made the same id.
fn may_pass(error: &sqlx::Error) -> bool {
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK: &str = "40P01";
    let Some(database) = error.as_database_error() else {
        return true;
    };
    database.is_unique_violation()
        || is_busy(error)
        || matches!(
            database.code().as_deref(),
            Some(SERIALIZATION_FAILURE | DEADLOCK)
        )
}
