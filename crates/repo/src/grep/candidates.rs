//! The files to search, in Git's order, a batch at a time.

use std::collections::VecDeque;

use bstr::BString;
use packhouse_object::{Database, EntryMode, ReadError, RepoPath, find_path};

use super::{GrepError, GrepQuery, Interrupt};
use crate::files::{FileEntry, FileList, ListFiles, list_files};

/// Files of the first batch; each one behind it has twice as many, so that a search which finds much soon ends soon.
const FIRST_BATCH: usize = 64;
const LARGEST_BATCH: usize = 4096;

pub(super) struct Candidates<'a> {
    database: &'a Database,
    query: &'a GrepQuery,
    /// Where to look, the next first; `None` is everything.
    roots: VecDeque<Option<RepoPath>>,
    after: Option<BString>,
    /// The file that the page before ended in.
    unfinished: Option<FileEntry>,
    batch: usize,
}

impl<'a> Candidates<'a> {
    pub(super) fn new(
        database: &'a Database,
        query: &'a GrepQuery,
    ) -> Result<Candidates<'a>, ReadError> {
        let unfinished = match &query.from {
            Some(from) => entry_at(database, query, &from.path)?,
            None => None,
        };
        Ok(Candidates {
            database,
            query,
            roots: roots(database, query)?,
            after: query.from.as_ref().map(|from| from.path.clone()),
            unfinished,
            batch: FIRST_BATCH,
        })
    }

    /// The next files; not empty.
    pub(super) fn next_batch(
        &mut self,
        interrupt: &Interrupt,
    ) -> Result<Option<Vec<FileEntry>>, GrepError> {
        if let Some(file) = self.unfinished.take() {
            return Ok(Some(vec![file]));
        }
        let mut files = Vec::new();
        while files.len() < self.batch / 2 {
            interrupt.check()?;
            let Some(root) = self.roots.front() else {
                break;
            };
            let asked = ListFiles {
                tree: self.query.tree,
                path: root.clone(),
                recursive: true,
                after: self.after.clone(),
                limit: self.batch,
                path_bytes: usize::MAX,
            };
            let listed = list_files(self.database, &asked)?;
            let FileList { entries, has_more } = listed.unwrap_or(FileList {
                entries: Vec::new(),
                has_more: false,
            });
            match entries.last() {
                Some(last) if has_more => self.after = Some(last.path.clone()),
                _ => drop(self.roots.pop_front()),
            }
            files.extend(
                entries
                    .into_iter()
                    .filter(|entry| is_file(entry.mode) && self.query.filter.takes(&entry.path)),
            );
        }
        self.batch = (self.batch * 2).min(LARGEST_BATCH);
        Ok((!files.is_empty()).then_some(files))
    }
}

fn is_file(mode: EntryMode) -> bool {
    matches!(mode, EntryMode::Blob | EntryMode::Executable)
}

fn entry_at(
    database: &Database,
    query: &GrepQuery,
    path: &BString,
) -> Result<Option<FileEntry>, ReadError> {
    let Ok(parsed) = RepoPath::parse(path) else {
        return Ok(None);
    };
    let entry = find_path(database, query.tree, &parsed)?
        .filter(|entry| is_file(entry.mode) && query.filter.takes(path));
    Ok(entry.map(|entry| FileEntry {
        path: path.clone(),
        mode: entry.mode,
        id: entry.id,
    }))
}

/// Where the filter's paths are, in the order of their files.
fn roots(database: &Database, query: &GrepQuery) -> Result<VecDeque<Option<RepoPath>>, ReadError> {
    let Some(paths) = query.filter.roots() else {
        return Ok(VecDeque::from([None]));
    };
    let mut keyed = Vec::new();
    for path in paths {
        let Some(entry) = find_path(database, query.tree, path)? else {
            continue;
        };
        let mut key = path.as_bytes().to_vec();
        if entry.mode.is_tree() {
            key.push(b'/');
        }
        keyed.push((key, path.clone()));
    }
    keyed.sort();
    // What is below another one is listed with it.
    keyed.dedup_by(|(key, _), (outer, _)| {
        key == outer || (outer.ends_with(b"/") && key.starts_with(outer))
    });
    Ok(keyed.into_iter().map(|(_, path)| Some(path)).collect())
}
