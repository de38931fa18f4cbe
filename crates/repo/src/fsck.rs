//! Checking a whole repository: every object, and the history of every ref.
//!
//! What is wrong is reported, not returned as an error, so that one damaged object does not hide the
//! next. Memory grows with the number of objects (some 30 bytes each), not with their sizes.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::ops::ControlFlow;

use packhouse_object::check::check_object;
use packhouse_object::{
    CopyError, Database, EntryMode, IdSet, ObjectCache, ObjectHasher, ObjectId, ObjectKind, Pack,
    Progress, ReadError, RefName, SpecialFile, TreeIter, commit_links, hash_object, oid,
    tag_target,
};

use crate::view::View;

/// More problems than this are counted, not kept.
const PROBLEMS_MAX: usize = 10_000;

/// Delta bases kept while the packs are read.
const CACHE_BYTES: u64 = 64 << 20;

const PIECE_BYTES: usize = 64 << 10;

/// What a check found.
#[derive(Debug, Default)]
pub struct FsckReport {
    /// Objects read, each copy of one in several packs.
    pub objects: u64,
    /// Objects that refs reach.
    pub reachable: u64,
    /// Refs followed.
    pub refs: u64,
    /// What is wrong, the first ten thousand.
    pub problems: Vec<FsckProblem>,
    /// How many more problems there are.
    pub more_problems: u64,
}

/// The blobs that some tree names as a file Git itself reads; they are judged when all trees are known.
type SpecialFiles = BTreeSet<(ObjectId, SpecialFile)>;

impl FsckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    fn problem_count(&self) -> u64 {
        self.problems.len() as u64 + self.more_problems
    }

    fn add(&mut self, problem: FsckProblem) {
        match self.problems.len() < PROBLEMS_MAX {
            true => self.problems.push(problem),
            false => self.more_problems += 1,
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FsckProblem {
    /// An object is stored and cannot be read.
    #[error("object {id} cannot be read: {reason}")]
    Unreadable {
        /// The object.
        id: ObjectId,
        /// Why.
        reason: String,
    },
    /// An object's content belongs to another id.
    #[error("object {id} has the content of {found}")]
    WrongContent {
        /// The id it is stored under.
        id: ObjectId,
        /// The id of its content.
        found: ObjectId,
    },
    /// An object's bytes do not follow Git's rules.
    #[error("{kind} {id} is malformed: {reason}")]
    Malformed {
        /// The object.
        id: ObjectId,
        /// What it is.
        kind: ObjectKind,
        /// Which rule it breaks.
        reason: String,
    },
    /// An object that a ref reaches is not there.
    #[error("object {id} is missing: {} (ref `{reference}`)", named(named_by))]
    Missing {
        /// The object.
        id: ObjectId,
        /// The object that names it; `None`: the ref does.
        named_by: Option<ObjectId>,
        /// The first ref that reaches it.
        reference: RefName,
    },
    /// An object is of another kind than the object that names it says.
    #[error(
        "object {id} is a {found}, not a {expected}: {} (ref `{reference}`)",
        named(named_by)
    )]
    WrongKind {
        /// The object.
        id: ObjectId,
        /// What it is.
        found: ObjectKind,
        /// What it should be.
        expected: ObjectKind,
        /// The object that names it; `None`: the ref does, and it is a branch.
        named_by: Option<ObjectId>,
        /// The first ref that reaches it.
        reference: RefName,
    },
}

fn named(by: &Option<ObjectId>) -> String {
    by.map_or_else(
        || "the ref names it".to_owned(),
        |by| format!("{by} names it"),
    )
}

/// Checks that every stored object can be read, is what its id says and follows Git's rules, and that
/// everything the refs reach is there. Fails only if the store cannot be listed or the work is cancelled.
pub fn fsck(view: &View, progress: &dyn Progress) -> Result<FsckReport, ReadError> {
    let mut report = FsckReport::default();
    let special = check_content(view.database(), &mut report, progress)?;
    check_special(view.database(), special, &mut report, progress)?;
    let mut walk = Walk {
        database: view.database(),
        reached: IdSet::default(),
        missing: IdSet::default(),
        progress,
        read: report.objects,
    };
    for (name, value) in view.refs().iter() {
        report.refs += 1;
        let expected = name.branch_short().map(|_| ObjectKind::Commit);
        walk.follow(name, value.target, expected, &mut report)?;
    }
    report.reachable = walk.reached.len() as u64;
    Ok(report)
}

/// Checks every object by itself.
fn check_content(
    database: &Database,
    report: &mut FsckReport,
    progress: &dyn Progress,
) -> Result<SpecialFiles, ReadError> {
    let mut special = SpecialFiles::new();
    let cache = ObjectCache::new(CACHE_BYTES);
    for pack in database.packs() {
        // In the order of the file: deltas are near their bases.
        for (id, offset) in pack.iter_by_offset() {
            counted(report, progress)?;
            let known = report.problem_count();
            let limit = database.in_one_piece();
            check_packed(pack, id, offset, limit, &cache, &mut special, report);
            if report.problem_count() == known {
                check_bytes(pack, id, offset, report);
            }
        }
    }
    let mut others = Ok(());
    let mut seen = IdSet::default();
    database.object_ids(&mut |id| {
        if !database
            .packs()
            .iter()
            .any(|pack| pack.lookup(&id).is_some())
            && seen.insert(id)
        {
            others = counted(report, progress);
            let limit = database.in_one_piece();
            check_stream(id, database.stream(&id), limit, &mut special, report);
        }
        if others.is_ok() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    others.map(|()| special)
}

/// Judges the files that Git itself reads. One that is missing or of another kind is found on the way from the refs.
fn check_special(
    database: &Database,
    special: SpecialFiles,
    report: &mut FsckReport,
    progress: &dyn Progress,
) -> Result<(), ReadError> {
    for (id, file) in special {
        if progress.cancelled() {
            return Err(ReadError::Cancelled);
        }
        // What cannot be read was reported when the content was checked.
        if let Ok(Err(error)) = file.check_blob(database, id) {
            report.add(FsckProblem::Malformed {
                id,
                kind: ObjectKind::Blob,
                reason: format!("as `{file}`, {error}"),
            });
        }
    }
    Ok(())
}

fn counted(report: &mut FsckReport, progress: &dyn Progress) -> Result<(), ReadError> {
    report.objects += 1;
    progress.counting(report.objects);
    if progress.cancelled() {
        Err(ReadError::Cancelled)
    } else {
        Ok(())
    }
}

fn check_packed(
    pack: &std::sync::Arc<Pack>,
    id: ObjectId,
    offset: u64,
    limit: u64,
    cache: &ObjectCache,
    special: &mut SpecialFiles,
    report: &mut FsckReport,
) {
    match pack.header(offset) {
        Ok(header)
            if header.size <= PIECE_BYTES as u64
                || header.kind != ObjectKind::Blob && header.size <= limit =>
        {
            match pack.read_up_to(offset, cache, limit) {
                Ok(object) => check_whole(id, object.kind, &object.data, special, report),
                Err(error) => report.add(FsckProblem::Unreadable {
                    id,
                    reason: chain(&error),
                }),
            }
        }
        Ok(_) => match pack.stream(offset, cache) {
            Ok(mut stream) => check_pieces(id, stream.kind, stream.size, &mut stream, report),
            Err(error) => report.add(FsckProblem::Unreadable {
                id,
                reason: chain(&error),
            }),
        },
        Err(error) => report.add(FsckProblem::Unreadable {
            id,
            reason: chain(&error),
        }),
    }
}

/// Holds an entry against its CRC-32: one that is not as it was written may give the right object all the same, such as a
/// delta that names another copy of its base.
fn check_bytes(pack: &Pack, id: ObjectId, offset: u64, report: &mut FsckReport) {
    let entry = pack.raw_entry(offset).map_err(CopyError::from);
    if let Err(error) = entry.and_then(|entry| pack.copy_raw(&entry, &mut io::sink())) {
        report.add(FsckProblem::Unreadable {
            id,
            reason: chain(&error),
        });
    }
}

fn check_stream(
    id: ObjectId,
    stream: Result<Option<packhouse_object::ObjectStream>, ReadError>,
    limit: u64,
    special: &mut SpecialFiles,
    report: &mut FsckReport,
) {
    let mut stream = match stream {
        Ok(Some(stream)) => stream,
        // Another process removed it after it was listed.
        Ok(None) => return,
        Err(error) => {
            return report.add(FsckProblem::Unreadable {
                id,
                reason: chain(&error),
            });
        }
    };
    if stream.kind == ObjectKind::Blob || stream.size > limit {
        return check_pieces(id, stream.kind, stream.size, &mut stream, report);
    }
    let mut data = Vec::new();
    match stream.read_to_end(&mut data) {
        Ok(_) => check_whole(id, stream.kind, &data, special, report),
        Err(error) => report.add(FsckProblem::Unreadable {
            id,
            reason: chain(&error),
        }),
    }
}

fn check_whole(
    id: ObjectId,
    kind: ObjectKind,
    data: &[u8],
    special: &mut SpecialFiles,
    report: &mut FsckReport,
) {
    match hash_object(kind, data) {
        Ok(found) if found == id => {}
        Ok(found) => return report.add(FsckProblem::WrongContent { id, found }),
        Err(error) => {
            return report.add(FsckProblem::Malformed {
                id,
                kind,
                reason: error.to_string(),
            });
        }
    }
    let checked = check_object(kind, data, |link| {
        if let Some(file) = link.special {
            special.insert((link.id, file));
        }
    });
    if let Err(error) = checked {
        report.add(FsckProblem::Malformed {
            id,
            kind,
            reason: error.to_string(),
        });
    }
}

fn check_pieces(
    id: ObjectId,
    kind: ObjectKind,
    size: u64,
    stream: &mut dyn Read,
    report: &mut FsckReport,
) {
    if kind != ObjectKind::Blob {
        report.add(FsckProblem::Malformed {
            id,
            kind,
            reason: format!("its {size} bytes are too many"),
        });
    }
    let mut hasher = ObjectHasher::new(kind, size);
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = size;
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) if n as u64 <= left => {
                left -= n as u64;
                hasher.update(&piece[..n]);
            }
            Ok(_) => {
                return report.add(FsckProblem::Unreadable {
                    id,
                    reason: "it is longer than it says".to_owned(),
                });
            }
            Err(error) => {
                return report.add(FsckProblem::Unreadable {
                    id,
                    reason: chain(&error),
                });
            }
        }
    }
    if left > 0 {
        return report.add(FsckProblem::Unreadable {
            id,
            reason: "it is shorter than it says".to_owned(),
        });
    }
    match hasher.finish() {
        Ok(found) if found == id => {}
        Ok(found) => report.add(FsckProblem::WrongContent { id, found }),
        Err(error) => report.add(FsckProblem::Malformed {
            id,
            kind,
            reason: error.to_string(),
        }),
    }
}

/// A walk over all that refs reach.
struct Walk<'a> {
    database: &'a Database,
    reached: IdSet,
    /// Reported once, however many name it.
    missing: IdSet,
    progress: &'a dyn Progress,
    /// Objects read before, so that progress goes on from there.
    read: u64,
}

/// An object to visit.
struct Step {
    id: ObjectId,
    expected: Option<ObjectKind>,
    named_by: Option<ObjectId>,
}

impl Walk<'_> {
    fn follow(
        &mut self,
        reference: &RefName,
        target: ObjectId,
        expected: Option<ObjectKind>,
        report: &mut FsckReport,
    ) -> Result<(), ReadError> {
        let mut steps = vec![Step {
            id: target,
            expected,
            named_by: None,
        }];
        while let Some(step) = steps.pop() {
            if self.progress.cancelled() {
                return Err(ReadError::Cancelled);
            }
            // The kind is compared at the first visit only, but for what the refs name themselves.
            if self.reached.contains(&step.id) && step.named_by.is_some() {
                continue;
            }
            let Some(kind) = self.visit(&step, reference, report) else {
                continue;
            };
            if self.reached.insert(step.id) {
                self.progress
                    .counting(self.read + self.reached.len() as u64);
                self.links(step.id, kind, &mut steps);
            }
        }
        Ok(())
    }

    /// The kind of the object, if it is there.
    fn visit(
        &mut self,
        step: &Step,
        reference: &RefName,
        report: &mut FsckReport,
    ) -> Option<ObjectKind> {
        let Step {
            id,
            expected,
            named_by,
        } = *step;
        let reference = reference.clone();
        if id.is_empty_tree() {
            return Some(ObjectKind::Tree);
        }
        let found = match self.database.header(&id) {
            Ok(Some(header)) => header.kind,
            Ok(None) => {
                if self.missing.insert(id) || named_by.is_none() {
                    report.add(FsckProblem::Missing {
                        id,
                        named_by,
                        reference,
                    });
                }
                return None;
            }
            // Reported when the content was checked.
            Err(_) => return None,
        };
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            report.add(FsckProblem::WrongKind {
                id,
                found,
                expected,
                named_by,
                reference,
            });
        }
        Some(found)
    }

    /// Adds what an object names, as far as it can be understood: the rest was reported already.
    fn links(&self, id: ObjectId, kind: ObjectKind, steps: &mut Vec<Step>) {
        if kind == ObjectKind::Blob || id.is_empty_tree() {
            return;
        }
        let Ok(Some(object)) = self.database.read(&id) else {
            return;
        };
        let mut add = |id: ObjectId, expected: ObjectKind, by: &oid| {
            if !self.reached.contains(&id) {
                steps.push(Step {
                    id,
                    expected: Some(expected),
                    named_by: Some(by.to_owned()),
                });
            }
        };
        match kind {
            ObjectKind::Commit => {
                if let Ok((tree, parents, _)) = commit_links(&object.data) {
                    parents
                        .into_iter()
                        .for_each(|parent| add(parent, ObjectKind::Commit, &id));
                    // Last, so that it is visited first, and few trees wait at a time.
                    add(tree, ObjectKind::Tree, &id);
                }
            }
            ObjectKind::Tree => {
                for entry in TreeIter::new(&object.data).map_while(Result::ok) {
                    match entry.mode {
                        EntryMode::Submodule => {}
                        EntryMode::Tree => add(entry.id, ObjectKind::Tree, &id),
                        _ => add(entry.id, ObjectKind::Blob, &id),
                    }
                }
            }
            ObjectKind::Tag => {
                if let Ok((target, kind)) = tag_target(&object.data) {
                    add(target, kind, &id);
                }
            }
            ObjectKind::Blob => {}
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
