//! Forming groups: all that waits, up to a limit, but only one operation per repository.

use std::collections::{HashSet, VecDeque};

use tokio::sync::mpsc;

use super::{Message, Op};

/// Operations of one transaction.
const GROUP_OPS: usize = 256;

/// Bytes of one transaction; a larger operation goes alone.
const GROUP_BYTES: usize = 16 << 20;

/// Operations put off before no more are taken from the queue.
const PUT_OFF: usize = 1024;

/// A lane's queue with the operations that were put off, in the order they came.
pub(super) struct Groups {
    waiting: mpsc::Receiver<Message>,
    put_off: VecDeque<Op>,
    closed: bool,
}

/// A group being formed.
#[derive(Default)]
struct Forming {
    ops: Vec<Op>,
    bytes: usize,
    repos: HashSet<crate::RepoId>,
    full: bool,
}

impl Groups {
    pub(super) fn new(waiting: mpsc::Receiver<Message>) -> Self {
        Self {
            waiting,
            put_off: VecDeque::new(),
            closed: false,
        }
    }

    /// The next group: waits for its first operation, takes the others that are there. `None` when
    /// the lane is closed and everything is done.
    pub(super) async fn next(&mut self) -> Option<Vec<Op>> {
        let mut group = Forming::default();
        for op in std::mem::take(&mut self.put_off) {
            self.put_off.extend(group.take(op));
        }
        if group.ops.is_empty() && !self.closed {
            match self.waiting.recv().await {
                Some(Message::Op(op)) => self.put_off.extend(group.take(*op)),
                Some(Message::Close) | None => self.close(),
            }
        }
        while !group.full && self.put_off.len() < PUT_OFF {
            match self.waiting.try_recv() {
                Ok(Message::Op(op)) => self.put_off.extend(group.take(*op)),
                Ok(Message::Close) => self.close(),
                Err(_) => break,
            }
        }
        if group.ops.is_empty() && self.closed {
            None
        } else {
            Some(group.ops)
        }
    }

    fn close(&mut self) {
        self.closed = true;
        // Senders that are past the closed semaphore still get in, or an error.
        self.waiting.close();
    }
}

impl Forming {
    /// Takes an operation in, or gives it back for a later group.
    fn take(&mut self, op: Op) -> Option<Op> {
        // Nobody waits for the answer, and nothing was begun.
        if op.reply.is_closed() {
            return None;
        }
        let repo = op.work.repo();
        if repo.is_some_and(|repo| !self.repos.insert(repo)) {
            return Some(op);
        }
        let fits = self.ops.is_empty()
            || (self.ops.len() < GROUP_OPS && self.bytes + op.bytes <= GROUP_BYTES);
        if self.full || !fits {
            // Its repository stays marked: a later operation must not overtake it.
            self.full = true;
            return Some(op);
        }
        self.bytes += op.bytes;
        self.ops.push(op);
        None
    }
}
