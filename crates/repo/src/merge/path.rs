//! What becomes of one path, whatever the three trees have there.

use std::collections::BTreeSet;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Database, ObjectId, ReadError, RepoPath, find_path};

use super::blob::{Merged, Merger, Names, is_file, same_type};
use super::entry::{Entries, Entry, OURS, THEIRS};
use super::options::MergeError;
use super::stages::{Stage, inside};
use super::{Conflict, ConflictKind, Stages};

/// Names that are free to be given to files that have to make room.
pub(super) struct FreeNames<'a> {
    pub(super) database: &'a Database,
    pub(super) trees: Vec<ObjectId>,
    pub(super) entries: &'a Entries,
    pub(super) given: BTreeSet<BString>,
}

impl FreeNames<'_> {
    /// Gives away `path~label`, with a number behind it if that is taken.
    fn give(&mut self, path: &BStr, label: &[u8]) -> Result<BString, ReadError> {
        let mut name = path.to_owned();
        name.push(b'~');
        name.extend(
            label
                .iter()
                .map(|&byte| if byte == b'/' { b'_' } else { byte }),
        );
        let mut candidate = name.clone();
        for number in 0u64.. {
            if !self.is_taken(&candidate)? {
                break;
            }
            candidate = name.clone();
            candidate.extend_from_slice(format!("_{number}").as_bytes());
        }
        self.given.insert(candidate.clone());
        Ok(candidate)
    }

    fn is_taken(&self, path: &BString) -> Result<bool, ReadError> {
        let entries = self.entries;
        Ok(self.given.contains(path)
            || entries.get(path).is_some_and(|entry| !entry.is_gone)
            || inside(entries, path.as_bstr()).next().is_some()
            || find_in_trees(self.database, &self.trees, path.as_bstr())?.is_some())
    }
}

/// What the first of the trees that has something at a path has there, perhaps a folder.
pub(super) fn find_in_trees(
    database: &Database,
    trees: &[ObjectId],
    path: &BStr,
) -> Result<Option<Stage>, ReadError> {
    // What cannot be parsed is refused when the tree is made.
    let Ok(path) = RepoPath::parse(path) else {
        return Ok(None);
    };
    for tree in trees {
        if let Some(entry) = find_path(database, *tree, &path)? {
            return Ok(Some((entry.mode, entry.id)));
        }
    }
    Ok(None)
}

/// What becomes of a path: files at it or beside it, and conflicts.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) files: Vec<(BString, Stages, Merged)>,
}

/// A file that is being resolved.
struct Case<'a> {
    at: BString,
    entry: &'a Entry,
    files: [Option<Stage>; 3],
    same: u8,
    /// The side whose file made room for a folder.
    made_room: Option<usize>,
}

impl Merger<'_> {
    /// Resolves a path.
    ///
    /// `folder_stays`: whether the merged tree has a folder at the path.
    pub(super) fn resolve(
        &mut self,
        path: &BStr,
        entry: &Entry,
        folder_stays: bool,
        names: &mut FreeNames<'_>,
    ) -> Result<Resolved, MergeError> {
        if let Some(settled) = entry.settled {
            return Ok(Resolved::at(path, entry.stages(), settled, None));
        }
        let mut case = Case {
            at: path.to_owned(),
            entry,
            files: entry.files,
            same: entry.same & !entry.folders,
            made_room: None,
        };
        if folder_stays {
            if entry.mask() <= 1 {
                return Ok(Resolved::default());
            }
            let side = if entry.folders & 2 != 0 { THEIRS } else { OURS };
            case.at = names.give(path, self.labels()[side - 1])?;
            case.made_room = Some(side);
        }
        self.resolve_case(case, names)
    }

    fn resolve_case(
        &mut self,
        case: Case<'_>,
        names: &mut FreeNames<'_>,
    ) -> Result<Resolved, MergeError> {
        let [base, ours, theirs] = case.files;
        let unmerged = case.conflict_of_place();
        let at = case.at.as_bstr();
        let stages = case.stages();
        match (case.same, ours, theirs) {
            (6, ..) => Ok(Resolved::at(at, stages, ours, unmerged)),
            (3, ..) => Ok(Resolved::at(
                at,
                stages,
                theirs,
                unmerged.filter(|_| theirs.is_some()),
            )),
            (5, ..) => Ok(Resolved::at(
                at,
                stages,
                ours,
                unmerged.filter(|_| ours.is_some()),
            )),
            (_, Some(ours), Some(theirs)) if !same_type(ours.0, theirs.0) => {
                self.distinct_types(at, stages, names)
            }
            (_, Some(ours), Some(theirs)) => {
                let from = match &case.entry.names {
                    Some(names) => {
                        Names::of([&names[0], &names[1], &names[2]].map(|name| name.as_bstr()))
                    }
                    None => Names::SAME,
                };
                let mut merged = self.merge_both(base, ours, theirs, &from, 0)?;
                let mut stages = stages;
                if let (None, Some(side)) = (merged.conflict, case.made_room) {
                    // Only one side has a file here: the merged one.
                    stages = Stages::default();
                    match side {
                        OURS => stages.ours = merged.stage,
                        _ => stages.theirs = merged.stage,
                    }
                }
                merged.conflict = merged.conflict.or(unmerged);
                Ok(Resolved {
                    files: vec![(case.at, stages, merged)],
                })
            }
            (_, None, None) => Ok(Resolved::at(at, stages, None, unmerged)),
            _ if base.is_some() => {
                let kept = ours.or(theirs);
                let is_renamed = case.entry.path_conflict == Some(ConflictKind::RenameDelete)
                    && base.map(|base| base.1) == kept.map(|kept| kept.1);
                let conflict = match is_renamed {
                    true => ConflictKind::RenameDelete,
                    false => ConflictKind::ModifyDelete,
                };
                let stage = if self.depth > 0 { base } else { kept };
                Ok(Resolved::at(at, stages, stage, Some(conflict)))
            }
            _ => Ok(Resolved::at(at, stages, ours.or(theirs), unmerged)),
        }
    }

    /// A file and a link, say: the file makes room, or both do if neither is one.
    fn distinct_types(
        &mut self,
        path: &BStr,
        stages: Stages,
        names: &mut FreeNames<'_>,
    ) -> Result<Resolved, MergeError> {
        let conflict = Some(ConflictKind::DistinctTypes);
        if self.depth > 0 {
            return Ok(Resolved::at(path, stages, stages.base, conflict));
        }
        let is_file = |stage: Option<Stage>| stage.is_some_and(|(mode, _)| is_file(mode));
        let our_file = is_file(stages.ours);
        let their_file = !our_file && is_file(stages.theirs);
        let neither = !our_file && !their_file;
        let [our_label, their_label] = self.labels();
        let of_base = |side: Option<Stage>| {
            let base = stages.base;
            base.filter(|(mode, _)| side.is_some_and(|side| same_type(*mode, side.0)))
        };
        let ours = Stages {
            base: of_base(stages.ours),
            ours: stages.ours,
            theirs: None,
        };
        let theirs = Stages {
            base: of_base(stages.theirs),
            ours: None,
            theirs: stages.theirs,
        };
        let mut resolved = Resolved::default();
        for (of_side, stage, label, moves) in [
            (ours, stages.ours, our_label, our_file || neither),
            (theirs, stages.theirs, their_label, their_file || neither),
        ] {
            let at = if moves {
                names.give(path, label)?
            } else {
                path.to_owned()
            };
            resolved
                .files
                .push((at, of_side, Merged { stage, conflict }));
        }
        Ok(resolved)
    }
}

impl Case<'_> {
    fn stages(&self) -> Stages {
        let [base, ours, theirs] = self.files;
        Stages { base, ours, theirs }
    }

    /// The conflict that the path is in even if its content is in none.
    fn conflict_of_place(&self) -> Option<ConflictKind> {
        let made_room = self.made_room.map(|_| ConflictKind::FileDirectory);
        self.entry.path_conflict.or(made_room)
    }
}

impl Resolved {
    fn at(
        path: &BStr,
        stages: Stages,
        stage: Option<Stage>,
        conflict: Option<ConflictKind>,
    ) -> Resolved {
        Resolved {
            files: vec![(path.to_owned(), stages, Merged { stage, conflict })],
        }
    }
}

/// The conflict of a file, if it has one.
pub(super) fn conflict_of(
    original: &BStr,
    at: &BString,
    stages: Stages,
    merged: &Merged,
    entry: &Entry,
) -> Option<Conflict> {
    let kind = merged.conflict?;
    let moved_here = || {
        let names = entry.names.as_ref()?;
        let side = if entry.files[OURS].is_some() {
            OURS
        } else {
            THEIRS
        };
        let is_located = entry.path_conflict == Some(ConflictKind::FileLocation);
        is_located.then(|| names[side].clone())
    };
    let original_path = (at != original).then(|| original.to_owned());
    Some(Conflict {
        path: at.clone(),
        original_path: original_path.or_else(moved_here),
        kind,
        stages,
        merged: merged.stage,
    })
}
