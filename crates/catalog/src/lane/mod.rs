//! Lanes: the only writers. A lane has a queue, a task and a connection of its own; it takes what
//! waits in its queue, does that as one transaction, and answers after the COMMIT.
//!
//! What always holds:
//!
//! - An operation is answered with success only after a COMMIT that returned success.
//! - A group has at most one operation per repository, so none depends on another.
//! - An operation that is refused (a ref moved, a name is taken) leaves its neighbours alone. One
//!   that makes the whole transaction fail is found by running each alone.
//! - The queue is bounded in operations and in bytes; who comes later waits.
//!
//! `group` forms groups, `state` reads what they need, `plan` decides without I/O, `write` writes;
//! `task` runs it all, and `checkpoint` keeps SQLite's log short.

mod audit;
mod audit_expiry;
mod checkpoint;
mod group;
mod hooks;
mod jobs;
mod plan;
mod push_through;
mod repack;
mod ssh_keys;
mod state;
mod sweep;
mod task;
mod upstreams;
mod write;
mod write_fork;

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::CatalogError;
use crate::audit::NewAuditEntry;
use crate::changes::Teller;
use crate::fold::Fold;
use crate::fork::Fork;
use crate::hook_queues::HeldQueue;
use crate::hooks::Hook;
use crate::ids::{IdSource, OrgId, RepoId};
use crate::jobs::JobRow;
use crate::keys::NewKey;
use crate::open::Place;
use crate::orgs::Org;
use crate::publish::Publish;
use crate::repack::Repack;
use crate::repos::RepoRow;
use crate::sweep::SweptRows;
pub(crate) use hooks::HookWork;
use task::Task;

pub(crate) use jobs::JobWork;
pub(crate) use push_through::PushWork;
pub(crate) use ssh_keys::SshKeyWork;
pub(crate) use sweep::SweepWork;
pub(crate) use upstreams::{Creation, UpstreamWork};

/// What a lane can do.
#[derive(Debug)]
pub(crate) enum Work {
    Publish(Publish),
    Fold(Fold),
    Repack(Repack),
    Fork(Fork),
    Lease {
        repo: RepoId,
        holder: String,
        for_ms: i64,
        now_ms: i64,
    },
    CreateRepo {
        org: OrgId,
        name: String,
        default_branch: String,
        at_ms: i64,
    },
    DeleteRepo {
        repo: RepoId,
        at_ms: i64,
    },
    /// An event that moves no ref.
    AppendEvent {
        repo: RepoId,
        kind: String,
        detail: Option<String>,
        who: String,
        at_ms: i64,
    },
    DropOldEvents {
        before_ms: i64,
        limit: u32,
    },
    Hook(HookWork),
    CreateOrg {
        name: String,
        at_ms: i64,
    },
    AddKey {
        org: OrgId,
        key: NewKey,
        at_ms: i64,
    },
    RevokeKey {
        org: OrgId,
        fingerprint: String,
        at_ms: i64,
    },
    SshKey(Box<SshKeyWork>),
    Jobs(Box<JobWork>),
    Upstream(Box<UpstreamWork>),
    Sweep(Box<SweepWork>),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Done {
    Generation(i64),
    RepoCreated(RepoRow),
    OrgCreated(Org),
    HookCreated(Hook),
    /// The queue that was taken, if it could be.
    Held(Option<HeldQueue>),
    /// How many were changed.
    Count(u64),
    /// Whether there was anything to change.
    Changed(bool),
    Moved(Moved),
    /// The repository has another generation than it must have, or has dropped objects; nothing was written.
    Stale,
    /// The repository to fork is not there; nothing was written.
    SourceGone,
    /// Packs that are condemned: those that were to be deleted, or those that were to be listed and were not.
    Condemned(Vec<[u8; 32]>),
    /// Rows of a deleted repository that were removed.
    Swept(SweptRows),
    /// Jobs as they are now.
    Jobs(Vec<JobRow>),
    /// The repository, the name or the fold's rows are not there to be had; nothing was written.
    Refused,
}

/// A ref that is not where an edit expects it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moved {
    pub(crate) name: Vec<u8>,
    pub(crate) expected: Option<Vec<u8>>,
    pub(crate) found: Option<Vec<u8>>,
}

impl Work {
    /// The repository it needs for itself within a group.
    fn repo(&self) -> Option<RepoId> {
        match self {
            Self::Publish(publish) => Some(publish.repo),
            Self::Fold(fold) => Some(fold.repo),
            Self::Repack(repack) => Some(repack.repo),
            Self::Fork(fork) => Some(fork.source),
            Self::Upstream(work) => Some(work.repo()),
            Self::Sweep(work) => work.repo(),
            Self::Lease { repo, .. }
            | Self::DeleteRepo { repo, .. }
            | Self::AppendEvent { repo, .. } => Some(*repo),
            Self::CreateRepo { .. }
            | Self::DropOldEvents { .. }
            | Self::Hook(_)
            | Self::CreateOrg { .. }
            | Self::AddKey { .. }
            | Self::RevokeKey { .. }
            | Self::SshKey(_)
            | Self::Jobs(_) => None,
        }
    }

    /// About how much memory it holds.
    fn bytes(&self) -> usize {
        const FIXED: usize = 512;
        match self {
            Self::Publish(publish) => {
                let edits = publish.edits.iter().map(|edit| {
                    let who = edit.who.as_ref().map_or(0, String::len);
                    256 + edit.name.len() + edit.message.len() + who
                });
                FIXED
                    + publish.tail.as_ref().map_or(0, bytes::Bytes::len)
                    + publish.packs.len() * 128
                    + edits.sum::<usize>()
            }
            Self::Fork(fork) => {
                let refs = fork.refs.iter();
                let refs = refs.map(|new| 256 + new.name.len() + fork.message.len());
                FIXED + fork.tail.as_ref().map_or(0, bytes::Bytes::len) + refs.sum::<usize>()
            }
            Self::SshKey(work) => FIXED + work.bytes(),
            Self::Repack(repack) => FIXED + (repack.replaced.len() + repack.packs.len()) * 128,
            Self::Jobs(work) => FIXED + work.bytes(),
            Self::Upstream(work) => FIXED + work.bytes(),
            Self::Sweep(work) => FIXED + work.bytes(),
            Self::AppendEvent { detail, .. } => FIXED + detail.as_ref().map_or(0, String::len),
            Self::Hook(hook) => FIXED + hook.bytes(),
            _ => FIXED,
        }
    }
}

impl From<SweepWork> for Work {
    fn from(work: SweepWork) -> Self {
        Self::Sweep(Box::new(work))
    }
}

/// Work with somebody waiting for it.
#[derive(Debug)]
struct Op {
    work: Work,
    /// What the audit log says of it if it is done.
    audit: Option<Arc<NewAuditEntry>>,
    bytes: usize,
    reply: oneshot::Sender<Result<Done, CatalogError>>,
    /// Its share of `QUEUE_BYTES`, given back when it is answered.
    _room: OwnedSemaphorePermit,
}

/// What goes through a queue.
#[derive(Debug)]
enum Message {
    Op(Box<Op>),
    /// Nothing comes after this.
    Close,
}

/// Operations that may wait in a queue.
const QUEUE_OPS: usize = 1024;

/// Bytes that may wait in a lane, or be in its hands; an operation with more has the lane alone.
const QUEUE_BYTES: usize = 64 << 20;

/// The handle of a lane.
#[derive(Debug)]
pub(crate) struct Lane {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Lane {
    /// Starts a lane; it connects when it first has work.
    pub(crate) fn start(place: Place, ids: Arc<IdSource>, teller: Teller) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_OPS);
        let task = tokio::spawn(Task::new(place, ids, teller, waiting).run());
        Self {
            queue,
            room: Arc::new(Semaphore::new(QUEUE_BYTES)),
            task: Mutex::new(Some(task)),
        }
    }

    /// Waits for room in the queue, and then for the answer.
    pub(crate) async fn submit(
        &self,
        work: Work,
        audit: Option<Arc<NewAuditEntry>>,
    ) -> Result<Done, CatalogError> {
        let closed = |_| CatalogError::Closed;
        let detail = audit.as_ref().and_then(|entry| entry.detail.as_ref());
        let bytes = work.bytes() + detail.map_or(0, String::len);
        let share = u32::try_from(bytes.min(QUEUE_BYTES)).expect("64 MiB fits in 32 bits");
        let room = self
            .room
            .clone()
            .acquire_many_owned(share)
            .await
            .map_err(closed)?;
        let (reply, answer) = oneshot::channel();
        let op = Box::new(Op {
            work,
            audit,
            bytes,
            reply,
            _room: room,
        });
        self.queue
            .send(Message::Op(op))
            .await
            .map_err(|_| CatalogError::Closed)?;
        answer.await.unwrap_or(Err(CatalogError::Closed))
    }

    /// Lets the lane finish what waits, and joins it.
    pub(crate) async fn close(&self) {
        self.room.close();
        let mut task = self.task.lock().await;
        if let Some(running) = task.take() {
            // An error means that the lane has ended already.
            let _ = self.queue.send(Message::Close).await;
            if let Err(error) = running.await {
                tracing::error!(%error, "a catalog lane ended badly");
            }
        }
    }
}
