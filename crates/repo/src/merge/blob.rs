//! What becomes of a path that both sides changed: its mode and its content.

use bstr::{BStr, BString};
use bytes::Bytes;
use packhouse_object::{Database, EntryMode, IdMap, NewObject, ObjectId, ObjectKind, ReadError};

use super::ConflictKind;
use super::options::{MergeError, TreeMergeOptions};
use super::stages::Stage;
use super::text::{MergeFavor, TextMerge, is_binary, merge_text};

/// The length of the marks around a conflict, as in Git.
const MARKER_LEN: usize = 7;

/// One merge of trees: what it reads from, how, and what it has made so far.
pub(super) struct Merger<'a> {
    pub(super) database: &'a Database,
    pub(super) options: &'a TreeMergeOptions,
    /// 0: the merge that was asked for; more: one that makes a base for it, whose conflicts nobody sees.
    pub(super) depth: usize,
    pub(super) objects: Vec<NewObject>,
    /// Where in `objects` an object is.
    pub(super) made: IdMap<usize>,
    pub(super) bytes: u64,
}

/// The paths that the three files of a merge come from, where they are not the same.
pub(super) struct Names(Option<[BString; 3]>);

impl Names {
    /// All three have one name.
    pub(super) const SAME: Names = Names(None);

    pub(super) fn of(names: [&BStr; 3]) -> Names {
        if names[0] == names[1] && names[1] == names[2] {
            return Names::SAME;
        }
        Names(Some(names.map(BStr::to_owned)))
    }

    /// What conflict marks call a side.
    fn label(&self, side: usize, label: &[u8]) -> BString {
        let mut label = BString::from(label);
        if let Some(names) = &self.0 {
            label.push(b':');
            label.extend_from_slice(&names[side]);
        }
        label
    }
}

/// What a path becomes, and the conflict if it is one.
pub(super) struct Merged {
    pub(super) stage: Option<Stage>,
    pub(super) conflict: Option<ConflictKind>,
}

/// Which part of a path is in conflict.
struct Content {
    id: ObjectId,
    conflict: Option<ConflictKind>,
}

impl Merger<'_> {
    /// What the two sides are called.
    pub(super) fn labels(&self) -> [&[u8]; 2] {
        match self.depth {
            0 => [&self.options.our_label, &self.options.their_label],
            _ => [b"Temporary merge branch 1", b"Temporary merge branch 2"],
        }
    }

    /// Merges a file that a side renamed, before what else there is at its new name is looked at.
    pub(super) fn merge_renamed(
        &mut self,
        base: Option<Stage>,
        ours: Stage,
        theirs: Stage,
        names: &Names,
    ) -> Result<Merged, MergeError> {
        if !same_type(ours.0, theirs.0) {
            return Ok(Merged {
                stage: Some(ours),
                conflict: Some(ConflictKind::DistinctTypes),
            });
        }
        // One more than others, so that marks inside of marks can be told apart.
        self.merge_both(base, ours, theirs, names, 1)
    }

    /// Merges a path that both sides have, of one type, and changed. Conflict marks are `longer` than else.
    pub(super) fn merge_both(
        &mut self,
        base: Option<Stage>,
        ours: Stage,
        theirs: Stage,
        names: &Names,
        longer: usize,
    ) -> Result<Merged, MergeError> {
        let (mode, mode_conflict) = merge_modes(base, ours, theirs);
        let base_id = base.map(|(_, id)| id);
        let content = if ours.1 == theirs.1 || Some(ours.1) == base_id {
            Content::clean(theirs.1)
        } else if Some(theirs.1) == base_id {
            Content::clean(ours.1)
        } else {
            match ours.0 {
                EntryMode::Submodule => return Ok(self.merge_submodule(base, ours)),
                EntryMode::Symlink if self.depth > 0 => {
                    return Ok(Merged {
                        stage: base,
                        conflict: Some(ConflictKind::Content),
                    });
                }
                EntryMode::Symlink => self.merge_links(ours.1, theirs.1),
                _ => self.merge_files(base, ours.1, theirs.1, names, longer)?,
            }
        };
        let conflict = match (content.conflict, mode_conflict, base) {
            (None, false, _) => None,
            (_, _, None) => Some(ConflictKind::AddAdd),
            (Some(kind), _, _) => Some(kind),
            (None, true, _) => Some(ConflictKind::Mode),
        };
        Ok(Merged {
            stage: Some((mode, content.id)),
            conflict,
        })
    }

    /// Whether one commit of a submodule follows the other cannot be known here.
    fn merge_submodule(&self, base: Option<Stage>, ours: Stage) -> Merged {
        Merged {
            stage: if self.depth > 0 { base } else { Some(ours) },
            conflict: Some(ConflictKind::Submodule),
        }
    }

    fn merge_links(&self, ours: ObjectId, theirs: ObjectId) -> Content {
        match self.options.favor {
            MergeFavor::Ours => Content::clean(ours),
            MergeFavor::Theirs => Content::clean(theirs),
            MergeFavor::None | MergeFavor::Union => Content {
                id: ours,
                conflict: Some(ConflictKind::Content),
            },
        }
    }

    fn merge_files(
        &mut self,
        base: Option<Stage>,
        ours: ObjectId,
        theirs: ObjectId,
        names: &Names,
        longer: usize,
    ) -> Result<Content, MergeError> {
        self.options.check_wanted()?;
        // Only a file can be what files come from.
        let base = base.filter(|(mode, _)| is_file(*mode)).map(|(_, id)| id);
        let texts = [base, Some(ours), Some(theirs)].map(|id| self.text(id));
        let [Some(before), Some(ours_text), Some(theirs_text)] = collect(texts)? else {
            return self.merge_binaries(base, ours, theirs);
        };
        let [our_label, their_label] = self.labels();
        let our_label = names.label(1, our_label);
        let their_label = names.label(2, their_label);
        let base_label = names.label(0, &self.options.base_label);
        let merged = merge_text(
            &before,
            &ours_text,
            &theirs_text,
            &TextMerge {
                our_label: &our_label,
                base_label: &base_label,
                their_label: &their_label,
                marker_len: MARKER_LEN + longer + 2 * self.depth,
                style: self.options.style,
                favor: if self.depth > 0 {
                    MergeFavor::None
                } else {
                    self.options.favor
                },
            },
        );
        self.bytes += merged.text.len() as u64;
        if self.bytes > self.options.merged_bytes {
            let limit = self.options.merged_bytes;
            return Err(MergeError::TooLarge { limit });
        }
        let object = NewObject::new(ObjectKind::Blob, merged.text)?;
        let id = object.id;
        self.made.insert(id, self.objects.len());
        self.objects.push(object);
        Ok(Content {
            id,
            conflict: (merged.conflicts > 0).then_some(ConflictKind::Content),
        })
    }

    fn merge_binaries(
        &mut self,
        base: Option<ObjectId>,
        ours: ObjectId,
        theirs: ObjectId,
    ) -> Result<Content, MergeError> {
        let conflict = Some(ConflictKind::Binary);
        Ok(match (self.depth, self.options.favor) {
            // In a base it is what both came from, or an empty file.
            (1.., _) => match base {
                Some(base) => Content::clean(base),
                None => {
                    let empty = NewObject::new(ObjectKind::Blob, Bytes::new())?;
                    let id = empty.id;
                    self.objects.push(empty);
                    Content::clean(id)
                }
            },
            (_, MergeFavor::Ours) => Content::clean(ours),
            (_, MergeFavor::Theirs) => Content::clean(theirs),
            _ => Content { id: ours, conflict },
        })
    }

    /// A file's content if it is text; no file is an empty text.
    fn text(&self, id: Option<ObjectId>) -> Result<Option<Bytes>, ReadError> {
        let Some(id) = id else {
            return Ok(Some(Bytes::new()));
        };
        // A file that was renamed may have been merged already, and collide with another now.
        if let Some(made) = self.made.get(&id) {
            return Ok(Some(self.objects[*made].data.clone()).filter(|data| !is_binary(data)));
        }
        let header = self
            .database
            .header(&id)?
            .ok_or(ReadError::NotFound { id })?;
        if header.size > self.options.text_bytes.min(packhouse_object::MAX_IN_MEMORY) {
            return Ok(None);
        }
        let data = self.database.bytes_of(id, ObjectKind::Blob)?;
        Ok(Some(data).filter(|data| !is_binary(data)))
    }
}

fn collect<T, E, const N: usize>(results: [Result<Option<T>, E>; N]) -> Result<[Option<T>; N], E> {
    let mut failed = None;
    let values = results.map(|result| {
        result.unwrap_or_else(|error| {
            failed.get_or_insert(error);
            None
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(values),
    }
}

impl Content {
    fn clean(id: ObjectId) -> Content {
        Content { id, conflict: None }
    }
}

/// The mode that both sides agree on, and whether they do not.
fn merge_modes(base: Option<Stage>, ours: Stage, theirs: Stage) -> (EntryMode, bool) {
    let base = base.map(|(mode, _)| mode);
    if ours.0 == theirs.0 || Some(ours.0) == base {
        (theirs.0, false)
    } else {
        (ours.0, Some(theirs.0) != base)
    }
}

pub(super) fn is_file(mode: EntryMode) -> bool {
    matches!(mode, EntryMode::Blob | EntryMode::Executable)
}

/// Whether two entries are of one type: files of any mode, links, or submodules.
pub(super) fn same_type(a: EntryMode, b: EntryMode) -> bool {
    a == b || is_file(a) && is_file(b)
}
