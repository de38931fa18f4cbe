//! Searching the files of a tree, line by line.
//!
//! What always holds:
//! - the lines found are those `git grep -I` finds, in its order; links, submodules and binary files are passed over;
//! - time is bounded: matching is linear, and asks between pieces of bounded cost whether to go on;
//! - memory is bounded: whole files are held while they are searched, one per thread, and a page of lines.
//!
//! Files are searched in parallel, those that have to be read in the order of their pack. That only answers whether a
//! file has a match; the lines of those that have are gathered afterwards, in order, until the page is full.

mod candidates;
mod lines;
mod page;
mod pattern;
mod texts;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bstr::{BString, ByteSlice};
use packhouse_object::{Database, ObjectId, ReadError, on_processors};
use rayon::prelude::*;

pub use self::page::{GrepFile, GrepLine, GrepPlace, MAX_SHOWN_LINE_BYTES};
pub use self::pattern::{MAX_PATTERN_BYTES, Pattern, PatternError};
pub use self::texts::TextCache;

use self::candidates::Candidates;
use self::page::Filling;
use self::texts::Text;
use crate::files::FileEntry;
use crate::path_filter::PathFilter;

/// Files that are named as passed over, at most.
const MAX_PASSED_OVER: usize = 100;

/// What to search, and how much of what is found to show.
#[derive(Clone, Debug)]
pub struct GrepQuery {
    /// The root tree.
    pub tree: ObjectId,
    /// What to search for.
    pub pattern: Pattern,
    /// Which files.
    pub filter: PathFilter,
    /// Lines to show in front of each match.
    pub before: usize,
    /// Lines to show behind each match.
    pub after: usize,
    /// Matches of one file beyond which the rest of it is not looked at.
    pub max_matches_per_file: usize,
    /// Files of more bytes are passed over.
    pub max_file_bytes: u64,
    /// Go on behind this line.
    pub from: Option<GrepPlace>,
    /// Matching lines to show at most.
    pub max_matches: usize,
    /// Lines to show at most.
    pub max_lines: usize,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepPage {
    /// In Git's order of paths.
    pub files: Vec<GrepFile>,
    /// Where the next page goes on; `None` if there is nothing more.
    pub next: Option<GrepPlace>,
    /// Files that were not searched for their size, up to a hundred.
    pub passed_over: Vec<PassedOver>,
    /// Whether no object had to be read for it, except for trees.
    pub from_cache: bool,
}

/// A file that was not searched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Its path.
    pub path: BString,
    /// Why.
    pub reason: PassedOverReason,
}

/// Why a file was not searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassedOverReason {
    /// It has more bytes than are searched.
    FileTooLarge,
    /// It has a line that is too long for a pattern this large.
    LineTooLong,
}

/// Why a search has no result.
#[derive(Debug, thiserror::Error)]
pub enum GrepError {
    /// An object could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It took too long.
    #[error("the search did not end in time")]
    TooSlow,
    /// Nobody wants the result any more.
    #[error("cancelled")]
    Cancelled,
}

/// When a search ends early.
#[derive(Clone, Debug)]
pub struct Interrupt {
    deadline: Option<Instant>,
    cancelled: Arc<AtomicBool>,
}

impl Interrupt {
    /// At `deadline`, or as soon as `cancelled` is set.
    pub fn new(deadline: Instant, cancelled: Arc<AtomicBool>) -> Interrupt {
        Interrupt {
            deadline: Some(deadline),
            cancelled,
        }
    }

    /// Not at all.
    pub fn never() -> Interrupt {
        Interrupt {
            deadline: None,
            cancelled: Arc::default(),
        }
    }

    fn check(&self) -> Result<(), GrepError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(GrepError::Cancelled);
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(GrepError::TooSlow),
            _ => Ok(()),
        }
    }
}

/// Searches the files of a tree.
///
/// A search that runs out of time once it has found something answers with that, and says where to go on.
pub fn grep(
    database: &Database,
    texts: &TextCache,
    query: &GrepQuery,
    interrupt: &Interrupt,
) -> Result<GrepPage, GrepError> {
    let mut search = Search {
        database,
        texts,
        query,
        interrupt,
        filling: Filling::new(query),
        passed_over: Vec::new(),
        from_cache: true,
    };
    match search.run() {
        Ok(()) => {}
        Err(GrepError::TooSlow) if !search.filling.files.is_empty() => {
            search.filling.has_more = true;
        }
        Err(error) => return Err(error),
    }
    let next = search.filling.last().filter(|_| search.filling.has_more);
    Ok(GrepPage {
        files: search.filling.files,
        next,
        passed_over: search.passed_over,
        from_cache: search.from_cache,
    })
}

struct Search<'a> {
    database: &'a Database,
    texts: &'a TextCache,
    query: &'a GrepQuery,
    interrupt: &'a Interrupt,
    filling: Filling<'a>,
    passed_over: Vec<PassedOver>,
    from_cache: bool,
}

/// What looking through a file found out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Nothing,
    Match,
    PassOver(PassedOverReason),
}

impl Search<'_> {
    fn run(&mut self) -> Result<(), GrepError> {
        let Search {
            database, query, ..
        } = *self;
        let mut candidates = Candidates::new(database, query)?;
        while let Some(files) = candidates.next_batch(self.interrupt)? {
            for (file, verdict) in files.iter().zip(self.look_through(&files)?) {
                match verdict {
                    Verdict::Nothing => {}
                    Verdict::PassOver(reason) => self.pass_over(file, reason),
                    Verdict::Match => {
                        if self.show(file)?.is_break() {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Which of the files have a match.
    fn look_through(&mut self, files: &[FileEntry]) -> Result<Vec<Verdict>, GrepError> {
        let Search {
            database,
            texts,
            query,
            interrupt,
            ..
        } = *self;
        let known: Vec<Option<Text>> = files
            .iter()
            .map(|file| texts.get(database, file.id))
            .collect();
        self.from_cache &= known.iter().all(Option::is_some);
        let mut order: Vec<(Option<(usize, u64)>, usize)> = known
            .iter()
            .enumerate()
            .map(|(at, known)| match known {
                Some(_) => (None, at),
                None => (database.place_in_packs(&files[at].id), at),
            })
            .collect();
        order.sort_unstable();
        let look = |&(_, at): &(Option<(usize, u64)>, usize)| {
            interrupt.check()?;
            let text = match &known[at] {
                Some(text) => text.clone(),
                None => texts.read(database, files[at].id, query.max_file_bytes)?,
            };
            Ok((at, judge(&text, query, interrupt)?))
        };
        let judged = on_processors(|| {
            order
                .par_iter()
                .with_min_len(8)
                .map(look)
                .collect::<Result<Vec<_>, GrepError>>()
        })?;
        let mut verdicts = vec![Verdict::Nothing; files.len()];
        for (at, verdict) in judged {
            verdicts[at] = verdict;
        }
        Ok(verdicts)
    }

    fn show(&mut self, file: &FileEntry) -> Result<ControlFlow<()>, GrepError> {
        let text = self
            .texts
            .read(self.database, file.id, self.query.max_file_bytes)?;
        let Text::Lines(data) = text else {
            return Ok(ControlFlow::Continue(()));
        };
        let from = self.query.from.as_ref();
        let after = from
            .filter(|from| from.path == file.path)
            .map_or(0, |from| from.line);
        self.filling
            .add(file.path.as_bstr(), &data, after, self.interrupt)
    }

    fn pass_over(&mut self, file: &FileEntry, reason: PassedOverReason) {
        if self.passed_over.len() < MAX_PASSED_OVER {
            let path = file.path.clone();
            self.passed_over.push(PassedOver { path, reason });
        }
    }
}

fn judge(text: &Text, query: &GrepQuery, interrupt: &Interrupt) -> Result<Verdict, GrepError> {
    Ok(match text {
        Text::Binary => Verdict::Nothing,
        Text::TooLarge => Verdict::PassOver(PassedOverReason::FileTooLarge),
        Text::Lines(data) if lines::has_endless_line(data, &query.pattern) => {
            Verdict::PassOver(PassedOverReason::LineTooLong)
        }
        Text::Lines(data) => match lines::any_line(data, &query.pattern, interrupt)? {
            true => Verdict::Match,
            false => Verdict::Nothing,
        },
    })
}
