//! One page of what a search finds: matching lines with what stands around them, up to any of its limits.

use std::ops::{ControlFlow, Range};

use bstr::{BStr, BString};

use super::lines::{Found, line_end, matching_lines};
use super::{GrepError, GrepQuery, Interrupt};

/// Bytes of one line that are shown.
pub const MAX_SHOWN_LINE_BYTES: usize = 64 << 10;

/// Bytes of all lines of a page, past which no line is added.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepLine {
    /// From 1.
    pub number: u64,
    /// Its bytes without the line break, at most [`MAX_SHOWN_LINE_BYTES`].
    pub text: BString,
    /// Whether it matches, or only stands near one that does.
    pub is_match: bool,
    /// Whether the text is not all of it.
    pub is_cut: bool,
}

/// A file with lines that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepFile {
    /// Its path.
    pub path: BString,
    /// In their order.
    pub lines: Vec<GrepLine>,
}

/// A line of a file: where a page ended, and the next one goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrepPlace {
    /// The file.
    pub path: BString,
    /// The last line that was shown.
    pub line: u64,
}

/// A page being filled.
pub(super) struct Filling<'a> {
    query: &'a GrepQuery,
    pub(super) files: Vec<GrepFile>,
    matches: usize,
    lines: usize,
    bytes: usize,
    /// There is a line that has no place here.
    pub(super) has_more: bool,
}

struct Line {
    number: u64,
    range: Range<usize>,
    is_match: bool,
}

impl<'a> Filling<'a> {
    pub(super) fn new(query: &'a GrepQuery) -> Filling<'a> {
        Filling {
            query,
            files: Vec::new(),
            matches: 0,
            lines: 0,
            bytes: 0,
            has_more: false,
        }
    }

    /// The last line that has a place here.
    pub(super) fn last(&self) -> Option<GrepPlace> {
        let file = self.files.last()?;
        let line = file.lines.last()?.number;
        let path = file.path.clone();
        Some(GrepPlace { path, line })
    }

    /// Adds the lines of a file behind line `after`, and breaks at the first that has no place here.
    pub(super) fn add(
        &mut self,
        path: &BStr,
        text: &[u8],
        after: u64,
        interrupt: &Interrupt,
    ) -> Result<ControlFlow<()>, GrepError> {
        let mut shown = Vec::new();
        let mut last_match = None;
        for line in self.lines_of(text, interrupt)? {
            if line.number > after {
                if self.is_full_for(&line, last_match) {
                    self.has_more = true;
                    break;
                }
                shown.push(self.take(text, &line));
            }
            if line.is_match {
                last_match = Some(line.number);
            }
        }
        if !shown.is_empty() {
            self.files.push(GrepFile {
                path: path.into(),
                lines: shown,
            });
        }
        Ok(match self.has_more {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    /// What follows a match belongs to it, and is still shown when there are matches enough.
    fn is_full_for(&self, line: &Line, last_match: Option<u64>) -> bool {
        let follows = !line.is_match
            && last_match.is_some_and(|number| line.number <= number + self.query.after as u64);
        let enough = self.matches >= self.query.max_matches && !follows;
        enough || self.lines >= self.query.max_lines || self.bytes >= MAX_PAGE_BYTES
    }

    fn take(&mut self, text: &[u8], line: &Line) -> GrepLine {
        let mut range = line.range.clone();
        let is_cut = range.len() > MAX_SHOWN_LINE_BYTES;
        if is_cut {
            range.end = range.start + MAX_SHOWN_LINE_BYTES;
            // Not within a character.
            while range.end > range.start && text[range.end] & 0xc0 == 0x80 {
                range.end -= 1;
            }
        }
        self.matches += usize::from(line.is_match);
        self.lines += 1;
        self.bytes += range.len();
        GrepLine {
            number: line.number,
            text: text[range].into(),
            is_match: line.is_match,
            is_cut,
        }
    }

    /// The lines of a file that match, with those around them, each once.
    fn lines_of(&self, text: &[u8], interrupt: &Interrupt) -> Result<Vec<Line>, GrepError> {
        let (mut found, most) = (Vec::new(), self.query.max_matches_per_file);
        matching_lines(text, &self.query.pattern, interrupt, &mut |line| {
            found.push(line);
            match found.len() < most {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        let mut lines: Vec<Line> = Vec::with_capacity(found.len());
        let mut rest = found.into_iter().peekable();
        while let Some(line) = rest.next() {
            let shown_through = lines.last().map_or(0, |line| line.number);
            lines.extend(before(text, &line, shown_through, self.query.before));
            let next = rest.peek().map(|next| next.number);
            let following = after(text, &line, next, self.query.after);
            lines.push(Line {
                number: line.number,
                range: line.range,
                is_match: true,
            });
            lines.extend(following);
        }
        Ok(lines)
    }
}

/// At most `count` lines in front of `line`, and behind line `shown_through`.
fn before(text: &[u8], line: &Found, shown_through: u64, count: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut start, mut number) = (line.range.start, line.number);
    while lines.len() < count && number > shown_through + 1 {
        let end = start - 1;
        start = memchr::memrchr(b'\n', &text[..end]).map_or(0, |newline| newline + 1);
        number -= 1;
        lines.push(Line {
            number,
            range: start..end,
            is_match: false,
        });
    }
    lines.reverse();
    lines
}

/// At most `count` lines behind `line`, and in front of line `next`.
fn after(text: &[u8], line: &Found, next: Option<u64>, count: usize) -> Vec<Line> {
    let mut lines = Vec::new();
    let (mut start, mut number) = (line.range.end + 1, line.number + 1);
    while lines.len() < count && start < text.len() && next != Some(number) {
        let end = line_end(text, start);
        lines.push(Line {
            number,
            range: start..end,
            is_match: false,
        });
        (start, number) = (end + 1, number + 1);
    }
    lines
}
