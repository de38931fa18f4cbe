//! Applying the diffs of a patch to a tree, as `git apply --cached` does to the index.
//!
//! The diffs are applied in their order, each to what the ones before it made of its file; a rename or copy takes the
//! file as it was before the patch. First all that is removed is removed, then all that is written is written.

use std::collections::{BTreeMap, HashMap};

use bstr::BString;
use bytes::Bytes;
use packhouse_object::{
    Database, EntryMode, FinishedPack, NewObject, ObjectId, ObjectKind, PathEdit, ReadError,
    RepoPath, pack,
};

use super::blobs::Blobs;
use super::header::{Body, FilePatch, Ids};
use super::hunk::Hunk;
use super::image::{Budget, Image, MAX_FILE_BYTES, Misfit};
use super::lookup::{Entry, Lookup};
use super::text::{Lines, PatchText};
use super::{PatchConflict, PatchError};

/// The bits of a mode that tell a file from a link and a submodule.
const TYPE: u32 = 0o170000;
const REGULAR: u32 = 0o100644;
/// Most bytes of patched files that are kept because another diff changes them again.
const MAX_KEPT_BYTES: usize = 256 << 20;
/// What stands before the id where a submodule is shown as a file.
const SUBMODULE: &[u8] = b"Subproject commit ";

/// What a patch comes to on some tree.
#[derive(Debug)]
pub(super) struct Patched {
    /// The tree.
    pub root: Option<ObjectId>,
    /// What changes in it.
    pub edits: Vec<PathEdit>,
    /// What was found where. The patch comes to the same on any tree in which the same is there.
    pub found: BTreeMap<RepoPath, Option<Entry>>,
    /// Blobs that the edits name.
    pub blobs: Vec<NewObject>,
    /// More of them.
    pub packs: Vec<FinishedPack>,
    /// How many files are written.
    pub files: u64,
}

impl Patched {
    /// Whether the patch comes to the same on the tree `root`.
    pub(super) fn holds_on(
        &self,
        database: &Database,
        root: Option<ObjectId>,
    ) -> Result<bool, ReadError> {
        if root == self.root {
            return Ok(true);
        }
        let mut lookup = Lookup::new(database, root);
        for (path, found) in &self.found {
            if lookup.file(path)? != *found {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Applies `patches`, which were read from `text`, to the tree `root`. `Ok(None)`: `blobs` has no room for what comes
/// of them.
pub(super) fn apply(
    database: &Database,
    root: Option<ObjectId>,
    text: &PatchText,
    patches: &[FilePatch],
    blobs: Blobs,
) -> Result<Option<Patched>, PatchError> {
    let mut applier = Applier {
        database,
        text,
        patches,
        lookup: Lookup::new(database, root),
        found: BTreeMap::new(),
        fates: HashMap::new(),
        last_uses: HashMap::new(),
        done: Vec::with_capacity(patches.len()),
        kept_bytes: 0,
        budget: Budget::new(),
        blobs,
    };
    for (at, patch) in patches.iter().enumerate() {
        if let Some(old) = &patch.old {
            if patch.new.is_none() || patch.renames {
                applier.fates.insert(old, Fate::ToBeDeleted);
            }
            if !patch.renames && !patch.copies {
                applier.last_uses.insert(old, at);
            }
        }
    }
    for at in 0..patches.len() {
        if !applier.patch(at)? {
            return Ok(None);
        }
    }
    applier.finish(root)
}

/// What becomes of a name in the course of the patch.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// A diff that is still to come takes it away.
    ToBeDeleted,
    /// A diff took it away.
    Deleted,
    /// The diff of this number wrote it.
    Written(usize),
}

/// A diff that was applied.
#[derive(Debug)]
struct Done {
    /// As Git numbers modes.
    mode: u32,
    content: Content,
    removes: Option<RepoPath>,
    writes: Option<RepoPath>,
}

/// The content of a file before or after a diff.
#[derive(Clone, Debug)]
enum Content {
    Stored(ObjectId),
    Made(Bytes),
}

struct Applier<'a> {
    database: &'a Database,
    text: &'a PatchText,
    patches: &'a [FilePatch],
    lookup: Lookup<'a>,
    found: BTreeMap<RepoPath, Option<Entry>>,
    fates: HashMap<&'a BString, Fate>,
    /// By name: the last diff that changes the file under this name.
    last_uses: HashMap<&'a BString, usize>,
    done: Vec<Done>,
    kept_bytes: usize,
    budget: Budget,
    blobs: Blobs,
}

/// A file before a diff.
struct Before {
    mode: u32,
    content: Content,
}

impl<'a> Applier<'a> {
    /// Applies the diff of this number; false if there is no room for the result.
    fn patch(&mut self, at: usize) -> Result<bool, PatchError> {
        let patch = &self.patches[at];
        let conflict = |conflict| conflict_in(patch, patch.line, conflict);
        let (mut creates, mut deletes) = (patch.creates, patch.deletes);
        let before = match &patch.old {
            None => None,
            Some(old) => match self.before(patch, old)? {
                None if creates.is_none() => {
                    (creates, deletes) = (Some(true), Some(false));
                    None
                }
                None => return Err(conflict(PatchConflict::Missing)),
                before => {
                    creates = creates.or(Some(false));
                    before
                }
            },
        };
        let deletes = deletes == Some(true);
        let mode = self.mode(patch, before.as_ref(), creates == Some(true), deletes)?;
        let old = patch.old.as_ref().filter(|_| before.is_some());
        let removes = match old {
            Some(old) if deletes || !(creates == Some(true) || patch.copies) => {
                Some(self.path(old, patch.line)?)
            }
            _ => None,
        };
        let writes = match &patch.new {
            Some(new) if !deletes => Some(self.path(new, patch.line)?),
            _ => None,
        };
        let mut content = self.result(patch, before)?;
        if deletes && !self.is_empty(&content)? {
            return Err(conflict(PatchConflict::NotEmptied));
        }
        if let Some(new) = &patch.new {
            let is_used = self.last_uses.get(new).is_some_and(|&last| last > at);
            if let Content::Made(bytes) = &content
                && mode & TYPE != EntryMode::Submodule.bits()
                && !deletes
            {
                if is_used {
                    self.kept_bytes += bytes.len();
                    if self.kept_bytes > MAX_KEPT_BYTES {
                        let what = "too much of the patch changes files that it changes again";
                        return Err(too_large(patch.line, what));
                    }
                } else {
                    let Some(id) = self.blobs.add(self.database, bytes.clone())? else {
                        return Ok(false);
                    };
                    content = Content::Stored(id);
                }
            }
            self.fates.insert(new, Fate::Written(at));
        }
        if let Some(old) = old
            && (patch.new.is_none() || patch.renames)
        {
            self.fates.insert(old, Fate::Deleted);
        }
        self.done.push(Done {
            mode,
            content,
            removes,
            writes,
        });
        Ok(true)
    }

    /// The file that a diff is for; `None` if there is none.
    fn before(
        &mut self,
        patch: &FilePatch,
        name: &'a BString,
    ) -> Result<Option<Before>, PatchError> {
        // What a rename or copy says is about the files before the patch.
        let fate = match patch.renames || patch.copies {
            true => None,
            false => self.fates.get(name).copied(),
        };
        match fate {
            Some(Fate::Deleted) => Err(conflict_in(patch, patch.line, PatchConflict::Gone)),
            Some(Fate::Written(earlier)) => {
                let done = &self.done[earlier];
                Ok(Some(Before {
                    mode: done.mode,
                    content: done.content.clone(),
                }))
            }
            Some(Fate::ToBeDeleted) | None => {
                let found = self.entry(name, patch.line)?;
                Ok(found.map(|(mode, id)| Before {
                    mode: mode.bits(),
                    content: match mode {
                        EntryMode::Submodule => {
                            let text = [SUBMODULE, id.to_string().as_bytes(), b"\n"].concat();
                            Content::Made(text.into())
                        }
                        _ => Content::Stored(id),
                    },
                }))
            }
        }
    }

    /// The mode after a diff; the one before has to be what the diff says.
    fn mode(
        &mut self,
        patch: &'a FilePatch,
        before: Option<&Before>,
        creates: bool,
        deletes: bool,
    ) -> Result<u32, PatchError> {
        let (mut old_mode, mut new_mode) = (patch.old_mode, patch.new_mode);
        let conflict = |conflict| conflict_in(patch, patch.line, conflict);
        let wrong = |found: u32, expected: u32| {
            conflict(PatchConflict::WrongType {
                found: format!("{found:06o}"),
                expected: format!("{expected:06o}"),
            })
        };
        if let Some(before) = before {
            if old_mode == 0 {
                old_mode = before.mode;
            }
            if (before.mode ^ old_mode) & TYPE != 0 {
                return Err(wrong(before.mode, old_mode));
            }
            if new_mode == 0 && !deletes {
                new_mode = before.mode;
            }
        }
        let Some(new) = &patch.new else {
            return Ok(new_mode);
        };
        if creates || patch.renames || patch.copies {
            let goes_away = matches!(self.fates.get(new), Some(Fate::ToBeDeleted | Fate::Deleted));
            let exists = self.entry(new, patch.line)?.is_some();
            if exists && !goes_away {
                let path = new.clone();
                return Err(PatchError::Conflict {
                    path,
                    line: patch.line,
                    conflict: PatchConflict::Exists,
                });
            }
            if new_mode == 0 {
                new_mode = if creates { REGULAR } else { old_mode };
            }
        }
        if before.is_some() {
            if new_mode == 0 {
                new_mode = old_mode;
            }
            if (old_mode ^ new_mode) & TYPE != 0 {
                return Err(wrong(old_mode, new_mode));
            }
        }
        Ok(new_mode)
    }

    /// What the diff makes of the content.
    fn result(&mut self, patch: &FilePatch, before: Option<Before>) -> Result<Content, PatchError> {
        let content = before.map_or(Content::Made(Bytes::new()), |before| before.content);
        match &patch.body {
            Body::Same => Ok(content),
            Body::Text { at, line, hunks } => {
                let old = self.bytes(patch, &content)?;
                let mut image =
                    Image::new(&old).map_err(|misfit| misfit_in(patch, patch.line, misfit))?;
                drop(old);
                let mut lines = Lines::new(self.text, *at, *line);
                for _ in 0..*hunks {
                    let hunk = Hunk::next(self.text, &mut lines)?;
                    let read = hunk.read(self.text)?;
                    image
                        .apply(&hunk, &read, &mut self.budget)
                        .map_err(|misfit| misfit_in(patch, hunk.line, misfit))?;
                }
                Ok(Content::Made(image.into_bytes().into()))
            }
            Body::Binary(data) => self.binary(patch, content, data.as_ref()),
        }
    }

    fn binary(
        &mut self,
        patch: &FilePatch,
        content: Content,
        data: Option<&super::binary::BinaryHunk>,
    ) -> Result<Content, PatchError> {
        let ids = patch.ids.as_deref().and_then(full_ids);
        let (old, new) = ids.ok_or_else(|| {
            let reason = "a binary diff needs an `index` line with both ids in full (`git diff --full-index --binary`)";
            PatchError::malformed(patch.line, reason)
        })?;
        let conflict = |conflict| conflict_in(patch, patch.line, conflict);
        if patch.old.is_some() {
            let found = match &content {
                Content::Stored(id) => *id,
                Content::Made(bytes) => NewObject::new(ObjectKind::Blob, bytes.clone())?.id,
            };
            if found != old {
                return Err(conflict(PatchConflict::OtherPreimage {
                    found: found.to_string(),
                    expected: old.to_string(),
                }));
            }
        }
        if new.is_null() {
            return Ok(Content::Made(Bytes::new()));
        }
        let stored = self.database.header(&new)?;
        if stored.is_some_and(|header| header.kind == ObjectKind::Blob) {
            return Ok(Content::Stored(new));
        }
        let data = data.ok_or_else(|| conflict(PatchConflict::NoData))?;
        let read = data.read(self.text)?;
        let made = if data.is_delta {
            let base = self.bytes(patch, &content)?;
            pack::delta::apply(&base, &read, MAX_FILE_BYTES)
                .map_err(|_| conflict(PatchConflict::Delta))?
        } else {
            read
        };
        let made = NewObject::new(ObjectKind::Blob, made)?;
        if made.id != new {
            return Err(conflict(PatchConflict::OtherResult {
                found: made.id,
                expected: new,
            }));
        }
        Ok(Content::Made(made.data))
    }

    /// The bytes of a file, within the limits.
    fn bytes(&mut self, patch: &FilePatch, content: &Content) -> Result<Bytes, PatchError> {
        let bytes = match content {
            Content::Made(bytes) => bytes.clone(),
            Content::Stored(id) => {
                let header = self.database.header(id)?;
                if header.is_some_and(|header| header.size > MAX_FILE_BYTES) {
                    let what = format!(
                        "`{}` has more than {MAX_FILE_BYTES} bytes; commit it whole instead",
                        patch.name()
                    );
                    return Err(too_large(patch.line, what));
                }
                self.database.bytes_of(id, ObjectKind::Blob)?
            }
        };
        self.budget
            .read(bytes.len())
            .map_err(|misfit| misfit_in(patch, patch.line, misfit))?;
        Ok(bytes)
    }

    fn is_empty(&self, content: &Content) -> Result<bool, PatchError> {
        Ok(match content {
            Content::Made(bytes) => bytes.is_empty(),
            Content::Stored(id) => {
                let header = self.database.header(id)?;
                header.is_some_and(|header| header.size == 0)
            }
        })
    }

    fn path(&self, name: &BString, line: u64) -> Result<RepoPath, PatchError> {
        RepoPath::parse(name).map_err(|source| PatchError::Path {
            line,
            path: name.clone(),
            source,
        })
    }

    fn entry(&mut self, name: &BString, line: u64) -> Result<Option<Entry>, PatchError> {
        let path = self.path(name, line)?;
        if let Some(found) = self.found.get(&path) {
            return Ok(*found);
        }
        let found = self.lookup.file(&path)?;
        self.found.insert(path, found);
        Ok(found)
    }

    /// The edits that all diffs together come to.
    fn finish(mut self, root: Option<ObjectId>) -> Result<Option<Patched>, PatchError> {
        let done = std::mem::take(&mut self.done);
        // By path: the last diff that writes it, or none.
        let mut outcome: BTreeMap<&RepoPath, Option<usize>> = BTreeMap::new();
        for done in &done {
            outcome.extend(done.removes.as_ref().map(|path| (path, None)));
        }
        for (at, done) in done.iter().enumerate() {
            outcome.extend(done.writes.as_ref().map(|path| (path, Some(at))));
        }
        let (mut edits, mut files) = (Vec::with_capacity(outcome.len()), 0);
        for (path, written) in outcome {
            let Some(at) = written else {
                // A file that the patch itself had written is not there to be deleted.
                if self.lookup.file(path)?.is_some() {
                    edits.push(PathEdit::Delete { path: path.clone() });
                }
                continue;
            };
            let patch = &self.patches[at];
            let mode = entry_mode(done[at].mode).ok_or_else(|| {
                PatchError::malformed(patch.line, "the diff gives the file the mode of a folder")
            })?;
            let id = match (&done[at].content, mode) {
                (Content::Made(text), EntryMode::Submodule) => {
                    submodule(text).ok_or_else(|| {
                        let reason = format!(
                            "the submodule `{path}` is not shown as `Subproject commit <id>`"
                        );
                        PatchError::malformed(patch.line, reason)
                    })?
                }
                (Content::Stored(_), EntryMode::Submodule) => {
                    let reason = format!("the submodule `{path}` has the content of a file");
                    return Err(PatchError::malformed(patch.line, reason));
                }
                (Content::Stored(id), _) => *id,
                (Content::Made(bytes), _) => match self.blobs.add(self.database, bytes.clone())? {
                    Some(id) => id,
                    None => return Ok(None),
                },
            };
            files += 1;
            let path = path.clone();
            edits.push(PathEdit::Upsert { path, mode, id });
        }
        let new = self.blobs.finish()?;
        Ok(Some(Patched {
            root,
            edits,
            found: self.found,
            blobs: new.blobs,
            packs: new.packs,
            files,
        }))
    }
}

fn full_ids(ids: &Ids) -> Option<(ObjectId, ObjectId)> {
    let old = ObjectId::from_hex(&ids.old).ok()?;
    Some((old, ObjectId::from_hex(&ids.new).ok()?))
}

/// The id in the text that a submodule is shown as.
fn submodule(text: &[u8]) -> Option<ObjectId> {
    const HEX_LEN: usize = 40;
    let hex = text.strip_prefix(SUBMODULE)?.get(..HEX_LEN)?;
    ObjectId::from_hex(hex).ok().filter(|id| !id.is_null())
}

/// The mode that Git makes of a number.
fn entry_mode(mode: u32) -> Option<EntryMode> {
    const FOLDER: u32 = 0o040000;
    match mode & TYPE {
        FOLDER => None,
        0o120000 => Some(EntryMode::Symlink),
        0o160000 => Some(EntryMode::Submodule),
        _ if mode & 0o100 != 0 => Some(EntryMode::Executable),
        _ => Some(EntryMode::Blob),
    }
}

fn conflict_in(patch: &FilePatch, line: u64, conflict: PatchConflict) -> PatchError {
    PatchError::Conflict {
        path: patch.name().clone(),
        line,
        conflict,
    }
}

fn misfit_in(patch: &FilePatch, line: u64, misfit: Misfit) -> PatchError {
    match misfit {
        Misfit::Conflict(conflict) => conflict_in(patch, line, conflict),
        Misfit::TooLarge(what) => too_large(line, format!("`{}`: {what}", patch.name())),
    }
}

fn too_large(line: u64, what: impl Into<String>) -> PatchError {
    PatchError::TooLarge {
        line,
        what: what.into(),
    }
}
