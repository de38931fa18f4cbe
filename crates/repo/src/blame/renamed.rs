//! The name that one file had before it was renamed, as Git finds it when it looks for that file alone.

use std::ops::ControlFlow;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{
    Database, EntryMode, ObjectId, ObjectKind, ReadError, TreeChange, diff_trees,
};

use super::MAX_BLAME_BYTES;
use super::versions::Version;
use crate::renames::{self, SpanCounter, Spans};

/// The score of two equal files.
const MAX_SCORE: u64 = renames::MAX_SCORE as u64;

/// Files less similar than this are different files.
const MIN_SCORE: u64 = MAX_SCORE / 2;

/// A file of the same name elsewhere that is this similar is the one, whatever else there is.
const MIN_SCORE_SAME_NAME: u64 = MIN_SCORE + (MAX_SCORE - MIN_SCORE) / 2;

/// How many of the best candidates Git keeps before it chooses among them.
const KEPT: usize = 4;

/// The most files that Git compares for this.
const MAX_CANDIDATES: usize = 1_000_000;

/// A file that the commit deleted.
pub(super) struct Deleted {
    path: BString,
    mode: EntryMode,
    blob: ObjectId,
}

/// What may be a rename's other end.
type Source = (BString, EntryMode, ObjectId);

/// The file of the tree `before` that became `version` in the tree `after`, where it is new. `stop` ends the search.
pub(super) fn renamed_from(
    database: &Database,
    before: ObjectId,
    after: ObjectId,
    version: &Version,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Source>, ReadError> {
    let mut deleted = Vec::new();
    diff_trees(database, Some(before), Some(after), &mut |change| {
        if let TreeChange {
            path,
            old: Some((mode, blob)),
            new: None,
        } = change
        {
            deleted.push(Deleted { path, mode, blob });
        }
        match deleted.len() % 1024 == 1023 && stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    let chosen = match identical(&deleted, version) {
        Some(found) => Some(found),
        None => similar(database, &deleted, version, stop)?,
    };
    Ok(chosen.map(|index| {
        let Deleted { path, mode, blob } = deleted.swap_remove(index);
        (path, mode, blob)
    }))
}

fn identical(deleted: &[Deleted], version: &Version) -> Option<usize> {
    let mut same = deleted.iter().enumerate().filter(|(_, file)| {
        let fits = is_regular(file.mode) && is_regular(version.mode) || file.mode == version.mode;
        file.blob == version.blob && fits
    });
    let first = same.clone().next()?.0;
    let named = same.find(|(_, file)| same_name(&file.path, &version.path));
    Some(named.map_or(first, |(index, _)| index))
}

fn similar(
    database: &Database,
    deleted: &[Deleted],
    version: &Version,
    stop: &dyn Fn() -> bool,
) -> Result<Option<usize>, ReadError> {
    if !is_regular(version.mode) || deleted.is_empty() {
        return Ok(None);
    }
    let mut target = Target::read(database, version)?;
    let named = |index: &usize| same_name(&deleted[*index].path, &version.path);
    let mut of_the_name = (0..deleted.len()).filter(named);
    if let (Some(only), None) = (of_the_name.next(), of_the_name.next())
        && target.score(database, &deleted[only])? >= MIN_SCORE_SAME_NAME
    {
        return Ok(Some(only));
    }
    if deleted.len() > MAX_CANDIDATES {
        return Ok(None);
    }
    let mut best: Vec<(u64, bool, usize)> = Vec::with_capacity(KEPT);
    for (index, file) in deleted.iter().enumerate() {
        if stop() {
            return Ok(None);
        }
        let score = target.score(database, file)?;
        let found = (score, named(&index), index);
        if best.len() < KEPT {
            best.push(found);
            continue;
        }
        // The first of the worst is replaced, but by a better one only: this decides between equals in the end.
        let worst = best.iter_mut().min_by_key(|kept| (kept.0, kept.1));
        if let Some(worst) = worst
            && (found.0, found.1) > (worst.0, worst.1)
        {
            *worst = found;
        }
    }
    // Stable: of equals the first stays first.
    best.sort_by_key(|(score, named, _)| std::cmp::Reverse((*score, *named)));
    let chosen = best.first().filter(|(score, ..)| *score >= MIN_SCORE);
    Ok(chosen.map(|(.., index)| *index))
}

/// The file whose former name is looked for.
struct Target {
    size: u64,
    /// `None`: it is too large to be compared.
    spans: Option<Spans>,
    counter: SpanCounter,
}

impl Target {
    fn read(database: &Database, version: &Version) -> Result<Target, ReadError> {
        let size = size(database, version.blob)?;
        let mut counter = SpanCounter::new();
        let spans = match size <= MAX_BLAME_BYTES as u64 {
            true => Some(counter.count(&database.bytes_of(version.blob, ObjectKind::Blob)?)),
            false => None,
        };
        Ok(Target {
            size,
            spans,
            counter,
        })
    }

    /// How much of the larger of both files is the same, of [`MAX_SCORE`].
    fn score(&mut self, database: &Database, other: &Deleted) -> Result<u64, ReadError> {
        if !is_regular(other.mode) {
            return Ok(0);
        }
        let size = size(database, other.blob)?;
        let (most, least) = (self.size.max(size), self.size.min(size));
        let Some(spans) = self.spans.as_ref().filter(|_| self.size > 0) else {
            return Ok(0);
        };
        // Files whose sizes alone are that different need not be read.
        if most * (MAX_SCORE - MIN_SCORE) < (most - least) * MAX_SCORE {
            return Ok(0);
        }
        let data = database.bytes_of(other.blob, ObjectKind::Blob)?;
        Ok(self.counter.count(&data).common(spans) * MAX_SCORE / most)
    }
}

fn size(database: &Database, blob: ObjectId) -> Result<u64, ReadError> {
    Ok(database.header(&blob)?.map_or(0, |header| header.size))
}

fn is_regular(mode: EntryMode) -> bool {
    matches!(mode, EntryMode::Blob | EntryMode::Executable)
}

fn same_name(a: &BString, b: &BString) -> bool {
    fn name(path: &BString) -> &BStr {
        let start = path.rfind_byte(b'/').map_or(0, |slash| slash + 1);
        path[start..].as_bstr()
    }
    name(a) == name(b)
}
