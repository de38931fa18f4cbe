//! That nothing is missing: what the objects of a pack name is in the pack or in the repository.
//!
//! The ids named are gathered while objects are checked, and looked up when all objects of the
//! pack are known. There cannot be more of them than the pack and the repository have objects:
//! once there are many, those in the repository are crossed off, and more than the pack has
//! objects may not be left. So a pack cannot fill the memory by naming what is nowhere.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use super::special::SpecialFiles;
use super::{Context, ReceiveError};
use crate::pack::check::{self, Link};
use crate::{BuildIdHasher, HashKind, ObjectId, ObjectKind, oid};

/// A batch of this many is handed on.
const BATCH_LEN: usize = 8 << 10;
/// How many of the last ids are remembered, not to be named again and again: trees repeat most of
/// what the tree before them had.
const RECENT_LEN: usize = 8 << 10;
/// Beside what the pack may hold, this many ids are gathered before any is looked up.
const SLACK: u64 = 1 << 18;

/// An object that another names.
struct Named {
    link: Link,
    /// The position in the pack of the object that names it.
    by: u32,
}

/// What the objects of a pack name, gathered by one thread.
pub(super) struct NamedBatch {
    named: Vec<Named>,
    recent: Vec<Link>,
    /// Ids made to meet in one place only get named again.
    hash: BuildIdHasher,
}

impl NamedBatch {
    pub(super) fn new() -> NamedBatch {
        NamedBatch {
            named: Vec::new(),
            recent: Vec::new(),
            hash: BuildIdHasher::default(),
        }
    }

    /// As [`check_object`](Self::check_object) for a tree made of another that has passed without a fault, if it is like
    /// that but for ids. Those that are the same were gathered then.
    pub(super) fn check_changed_tree(
        &mut self,
        id: ObjectId,
        passed: &[u8],
        data: &[u8],
        position: u32,
    ) -> Option<Result<(), ReceiveError>> {
        let checked = check::check_changed_tree(passed, data, |link| self.push(link, position))?;
        let kind = ObjectKind::Tree;
        Some(checked.map_err(|reason| ReceiveError::BadObject { id, kind, reason }))
    }

    /// Checks the syntax of an object and gathers what it names, but for the parents of commits at which history is cut.
    pub(super) fn check_object(
        &mut self,
        id: ObjectId,
        kind: ObjectKind,
        data: &[u8],
        position: u32,
        context: Context<'_>,
    ) -> Result<(), ReceiveError> {
        if kind == ObjectKind::Blob {
            return Ok(());
        }
        let is_cut = kind == ObjectKind::Commit && context.cut_at.contains(&id);
        let gather = |link: Link| {
            if !(is_cut && link.kind == ObjectKind::Commit) {
                self.push(link, position);
            }
        };
        let mut judge = |fault: check::SyntaxError| match context.tolerates(id, &fault) {
            true => Ok(()),
            false => Err(fault),
        };
        let checked = check::judge_object(kind, data, &mut judge, gather);
        checked.map_err(|reason| ReceiveError::BadObject { id, kind, reason })
    }

    fn push(&mut self, link: Link, by: u32) {
        if self.recent.is_empty() {
            // Most workers on a small pack never come here.
            let nothing = Link::new(ObjectId::null(HashKind::Sha1), ObjectKind::Blob);
            self.recent = vec![nothing; RECENT_LEN];
        }
        let slot = self.hash.hash_one(link.id) as usize % RECENT_LEN;
        if self.recent[slot] != link {
            self.recent[slot] = link;
            self.named.push(Named { link, by });
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.named.len() >= BATCH_LEN
    }
}

/// What the objects of a pack name, each once.
#[derive(Default)]
pub(super) struct Links {
    /// Hashed with a key nobody knows over the whole id: strangers choose these ids freely, and
    /// need not even find objects that have them.
    open: HashMap<ObjectId, Expected>,
    special: SpecialFiles,
    pack_objects: u64,
    cross_off_at: u64,
}

#[derive(Clone, Copy)]
struct Expected {
    /// The kinds it is named as, by bit; more than one cannot be right.
    kinds: u8,
    by: u32,
}

impl Expected {
    fn kinds(self) -> impl Iterator<Item = ObjectKind> {
        ObjectKind::ALL
            .into_iter()
            .filter(move |kind| self.kinds & kind_bit(*kind) != 0)
    }
}

fn kind_bit(kind: ObjectKind) -> u8 {
    1 << kind as u8
}

impl Links {
    pub(super) fn new(pack_objects: u64) -> Links {
        Links {
            open: HashMap::new(),
            special: SpecialFiles::default(),
            pack_objects,
            cross_off_at: pack_objects + SLACK,
        }
    }

    /// Takes over a batch, leaving it empty.
    pub(super) fn add(
        &mut self,
        batch: &mut NamedBatch,
        context: Context<'_>,
    ) -> Result<(), ReceiveError> {
        for Named { link, by } in batch.named.drain(..) {
            let Link { id, kind, special } = link;
            if let Some(file) = special {
                let limit = self.pack_objects + SLACK;
                self.special.add(id, file, by, limit)?;
            }
            match self.open.entry(id) {
                Entry::Occupied(mut known) => known.get_mut().kinds |= kind_bit(kind),
                Entry::Vacant(new) => {
                    new.insert(Expected {
                        kinds: kind_bit(kind),
                        by,
                    });
                }
            }
        }
        if self.open.len() as u64 > self.cross_off_at {
            self.cross_off(context)?;
        }
        Ok(())
    }

    /// Forgets what the repository has; what is left must be in the pack.
    fn cross_off(&mut self, context: Context<'_>) -> Result<(), ReceiveError> {
        let mut failed = None;
        self.open.retain(|id, expected| {
            let here = failed.is_none()
                && match base_kind(context, id, *expected) {
                    // One of a wrong kind stays, to be reported when it is known by whom.
                    Ok(found) => found.is_some_and(|kind| expected.kinds == kind_bit(kind)),
                    Err(error) => {
                        failed = Some(error);
                        false
                    }
                };
            !here
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let left = self.open.len() as u64;
        if left > self.pack_objects {
            return Err(ReceiveError::MissingObjects {
                named: left,
                objects: self.pack_objects,
            });
        }
        self.cross_off_at = left + SLACK;
        Ok(())
    }

    /// Checks that every id that was named is an object of the pack, of which `in_pack` gives the
    /// kind, or of the repository. `id_at` gives the id of the object at a position in the pack. Returns which of
    /// them are files that Git reads.
    pub(super) fn check(
        self,
        context: Context<'_>,
        in_pack: impl Fn(&oid) -> Option<ObjectKind>,
        id_at: impl Fn(u32) -> ObjectId,
    ) -> Result<SpecialFiles, ReceiveError> {
        for (count, (id, expected)) in self.open.into_iter().enumerate() {
            if count % 1024 == 0 {
                context.check_cancelled()?;
            }
            let found = match in_pack(&id) {
                Some(kind) => Some(kind),
                None => base_kind(context, &id, expected)?,
            };
            let wrong = expected.kinds().find(|kind| found != Some(*kind));
            if let Some(kind) = wrong {
                let named_by = id_at(expected.by);
                return Err(match found {
                    Some(found) => ReceiveError::WrongKind {
                        id,
                        expected: kind,
                        found,
                        named_by,
                    },
                    None => ReceiveError::MissingObject { id, kind, named_by },
                });
            }
        }
        Ok(self.special)
    }
}

/// What the repository has under an id.
///
/// Files are taken to be what they are named as when they are there at all: a push names every
/// file beside the ones it touches, and to find out a kind costs reading in a pack.
fn base_kind(
    context: Context<'_>,
    id: &oid,
    expected: Expected,
) -> Result<Option<ObjectKind>, ReceiveError> {
    if expected.kinds == kind_bit(ObjectKind::Blob) {
        let here = context.base.contains(id).map_err(ReceiveError::Base)?;
        return Ok(here.then_some(ObjectKind::Blob));
    }
    let header = context.base.header(id).map_err(ReceiveError::Base)?;
    Ok(header.map(|header| header.kind))
}
