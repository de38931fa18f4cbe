//! What becomes of one path, whatever the three trees have there.

use std::collections::BTreeSet;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{Database, ObjectId, ReadError, RepoPath, find_path};

use super::blob::{Merged, Merger, same_type};
use super::options::MergeError;
use super::stages::{StageMap, inside};
use super::{Conflict, ConflictKind, Stages};

/// Names that are free to be given to files that have to make room.
pub(super) struct FreeNames<'a> {
    pub(super) database: &'a Database,
    pub(super) trees: Vec<ObjectId>,
    pub(super) changed: &'a StageMap,
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
        let changed = self.changed;
        Ok(self.given.contains(path)
            || changed.contains_key(path)
            || inside(changed, path.as_bstr()).next().is_some()
            || self.is_in_a_tree(path.as_bstr())?)
    }

    fn is_in_a_tree(&self, path: &BStr) -> Result<bool, ReadError> {
        // What cannot be parsed is refused when the tree is made.
        let Ok(path) = RepoPath::parse(path) else {
            return Ok(false);
        };
        for tree in &self.trees {
            if find_path(self.database, *tree, &path)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What becomes of a path: files at it or beside it, and conflicts.
#[derive(Default)]
pub(super) struct Resolved {
    pub(super) files: Vec<(BString, Stages, Merged)>,
}

impl Merger<'_> {
    /// Resolves a path.
    ///
    /// `folder_stays`: whether the merged tree has a folder at the path.
    pub(super) fn resolve(
        &mut self,
        path: &BStr,
        stages: Stages,
        folder_stays: bool,
        names: &mut FreeNames<'_>,
    ) -> Result<Resolved, MergeError> {
        let (ours, theirs) = (stages.ours, stages.theirs);
        if let Some(stage) = stages.settled() {
            let Some(stage) = stage.filter(|_| folder_stays) else {
                return Ok(Resolved::at(path, stages, stage, None));
            };
            let moved = names.give(path, self.label_of_file(&stages))?;
            let conflict = Some(ConflictKind::FileDirectory);
            return Ok(Resolved::at(moved.as_bstr(), stages, Some(stage), conflict));
        }
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if same_type(ours.0, theirs.0) => {
                let merged = self.merge_both(stages.base, ours, theirs)?;
                Ok(Resolved {
                    files: vec![(path.to_owned(), stages, merged)],
                })
            }
            (Some(_), Some(_)) => self.distinct_types(path, stages, names),
            _ => {
                let stage = if self.depth > 0 {
                    stages.base
                } else {
                    ours.or(theirs)
                };
                let conflict = Some(ConflictKind::ModifyDelete);
                if folder_stays {
                    let moved = names.give(path, self.label_of_file(&stages))?;
                    return Ok(Resolved::at(moved.as_bstr(), stages, stage, conflict));
                }
                Ok(Resolved::at(path, stages, stage, conflict))
            }
        }
    }

    fn label_of_file(&self, stages: &Stages) -> &[u8] {
        let [ours, theirs] = self.labels();
        if stages.ours.is_some() { ours } else { theirs }
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
        let is_file =
            |stage: Option<super::Stage>| stage.is_some_and(|(mode, _)| super::blob::is_file(mode));
        let our_file = is_file(stages.ours);
        let their_file = !our_file && is_file(stages.theirs);
        let neither = !our_file && !their_file;
        let [our_label, their_label] = self.labels();
        let mut resolved = Resolved::default();
        for (side, label, moves) in [
            (stages.ours, our_label, our_file || neither),
            (stages.theirs, their_label, their_file || neither),
        ] {
            let base = stages
                .base
                .filter(|(mode, _)| side.is_some_and(|side| same_type(*mode, side.0)));
            let of_side = match side == stages.ours {
                true => Stages {
                    base,
                    ours: side,
                    theirs: None,
                },
                false => Stages {
                    base,
                    ours: None,
                    theirs: side,
                },
            };
            let at = if moves {
                names.give(path, label)?
            } else {
                path.to_owned()
            };
            resolved.files.push((
                at,
                of_side,
                Merged {
                    stage: side,
                    conflict,
                },
            ));
        }
        Ok(resolved)
    }
}

impl Resolved {
    fn at(
        path: &BStr,
        stages: Stages,
        stage: Option<super::Stage>,
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
) -> Option<Conflict> {
    merged.conflict.map(|kind| Conflict {
        path: at.clone(),
        original_path: (at != original).then(|| original.to_owned()),
        kind,
        stages,
        merged: merged.stage,
    })
}
