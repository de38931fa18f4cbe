//! The second pass: deltas become objects, bases first.
//!
//! Every whole object that deltas are built on is the root of a tree of deltas, and the roots are
//! shared out among threads. Then come the roots that are not in the pack but in the repository,
//! which make a pack thin.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::budget::Budget;
use super::family::Family;
use super::kept::Kept;
use super::links::Links;
use super::quarantine::Quarantine;
use super::scan::Scanned;
use super::table::{Content, Table};
use super::worker::{Root, Worker};
use super::{Context, ReceiveError};
use crate::pack::MAX_IN_MEMORY;
use crate::{NewObject, ObjectId, ObjectKind, on_processors};

/// Fewer deltas are not worth waking other threads for.
const PARALLEL_FROM: usize = 256;
/// A thread is not worth having if all objects but the smallest went through files for it.
const LEAST_SHARE_BYTES: u64 = 32 << 20;

/// What all workers share.
pub(super) struct Shared<'a> {
    pub(super) context: Context<'a>,
    pub(super) pack: &'a Quarantine,
    pub(super) table: &'a Table,
    pub(super) family: &'a Family,
    pub(super) kept: &'a Kept,
    pub(super) budget: &'a Budget,
    pub(super) links: Mutex<&'a mut Links>,
    /// Whether the objects are wanted, not only their ids.
    pub(super) collect: bool,
    /// Larger objects are held in files.
    pub(super) in_memory: u64,
    /// How many bytes of waiting bases a worker holds before it moves some to files.
    pub(super) waiting_bytes: u64,
    pub(super) total: u64,
    pub(super) done: AtomicU64,
    stop: AtomicBool,
    resolved: Mutex<Vec<Resolved>>,
    objects: Mutex<Vec<(u32, NewObject)>>,
    failed: Mutex<Option<ReceiveError>>,
}

/// A delta that became an object.
pub(super) struct Resolved {
    pub(super) position: u32,
    pub(super) id: ObjectId,
    pub(super) kind: ObjectKind,
}

/// What resolving found, besides filling in the table.
#[derive(Default)]
pub(super) struct Outcome {
    /// The objects made of deltas, with their positions, if they were to be collected.
    pub(super) objects: Vec<(u32, NewObject)>,
    /// The objects of the repository that deltas are built on, sorted.
    pub(super) outside_bases: Vec<ObjectId>,
}

/// Resolves all deltas and fills in their ids and kinds.
pub(super) fn resolve(
    scanned: &mut Scanned,
    context: Context<'_>,
    collect: bool,
) -> Result<Outcome, ReceiveError> {
    let total = scanned.table.delta_count();
    if total == 0 {
        return Ok(Outcome::default());
    }
    let family = Family::new(&mut scanned.table);
    let threads = if total < PARALLEL_FROM {
        1
    } else {
        let fed = context.limits.memory_bytes / LEAST_SHARE_BYTES;
        (fed.max(1) as usize).min(on_processors(rayon::current_num_threads))
    };
    let share = context.limits.memory_bytes / threads as u64;
    let shared = Shared {
        context,
        pack: &scanned.arrived.quarantine,
        table: &scanned.table,
        family: &family,
        kept: &scanned.kept,
        budget: &scanned.budget,
        links: Mutex::new(&mut scanned.links),
        collect,
        // Base, delta and result of this size, and half the share for what waits: bases, and the deltas that are kept.
        in_memory: (share / 8).min(MAX_IN_MEMORY),
        waiting_bytes: (share / 2).saturating_sub(scanned.kept.bytes() / threads as u64),
        total: total as u64,
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        resolved: Mutex::new(Vec::new()),
        objects: Mutex::new(Vec::new()),
        failed: Mutex::new(None),
    };
    shared.run(threads, &inside_roots(shared.table, &family))?;
    let outside = shared.run_outside(threads)?;
    if let Some((id, position)) = family.unclaimed().next() {
        let offset = shared.table.entry(position).offset;
        return Err(ReceiveError::MissingBase { id, offset });
    }
    context.progress.resolving(shared.total, shared.total);
    let (resolved, objects) = (shared.resolved.into_inner(), shared.objects.into_inner());
    for Resolved { position, id, kind } in resolved {
        let entry = &mut scanned.table.entries[position as usize];
        (entry.id, entry.content) = (id, Content::Object(kind));
    }
    Ok(Outcome {
        objects,
        outside_bases: outside,
    })
}

fn inside_roots(table: &Table, family: &Family) -> Vec<Root> {
    let entries = (0u32..).zip(&table.entries);
    entries
        .filter(|(position, entry)| {
            matches!(entry.content, Content::Object(_))
                && !family.children(Some(*position), &entry.id).is_empty()
        })
        .map(|(position, _)| Root::Inside { position })
        .collect()
}

impl Shared<'_> {
    /// Resolves what is built on objects of the repository, and returns which those are.
    fn run_outside(&self, threads: usize) -> Result<Vec<ObjectId>, ReceiveError> {
        let mut ids: Vec<ObjectId> = self.family.unclaimed().map(|(id, _)| id).collect();
        ids.dedup();
        let mut outside = Vec::new();
        for id in ids {
            let header = self.context.base.header(&id).map_err(ReceiveError::Base)?;
            if let Some(header) = header {
                outside.push((id, header));
            }
        }
        let roots: Vec<Root> = outside
            .iter()
            .map(|(id, header)| Root::Outside {
                id: *id,
                header: *header,
            })
            .collect();
        self.run(threads, &roots)?;
        Ok(outside.into_iter().map(|(id, _)| id).collect())
    }

    /// Resolves everything built on `roots`.
    fn run(&self, threads: usize, roots: &[Root]) -> Result<(), ReceiveError> {
        let next = AtomicUsize::new(0);
        let work = || {
            let mut worker = Worker::new(self);
            let done = self
                .work(&mut worker, &next, roots)
                .and_then(|()| worker.flush());
            if let Err(error) = done {
                self.stop.store(true, Ordering::Relaxed);
                self.failed.lock().get_or_insert(error);
            }
        };
        match threads.min(roots.len()) {
            0 => {}
            1 => work(),
            threads => on_processors(|| {
                rayon::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|_| work());
                    }
                });
            }),
        }
        self.failed.lock().take().map_or(Ok(()), Err)
    }

    fn work(
        &self,
        worker: &mut Worker<'_, '_>,
        next: &AtomicUsize,
        roots: &[Root],
    ) -> Result<(), ReceiveError> {
        while let Some(root) = roots.get(next.fetch_add(1, Ordering::Relaxed)) {
            worker.resolve_root(root)?;
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    /// Takes over what a worker has done, and tells it whether to go on.
    pub(super) fn take(
        &self,
        resolved: &mut Vec<Resolved>,
        objects: &mut Vec<(u32, NewObject)>,
    ) -> Result<(), ReceiveError> {
        let done = self
            .done
            .fetch_add(resolved.len() as u64, Ordering::Relaxed);
        self.context
            .progress
            .resolving(done + resolved.len() as u64, self.total);
        self.resolved.lock().append(resolved);
        self.objects.lock().append(objects);
        self.context.check_cancelled()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
