//! A patch as diffs of files: found between whatever else the text holds, and checked to their ends.

use super::PatchError;
use super::binary::{self, BinaryHunk};
use super::header::{Body, FilePatch, git_header, suggests_no_strip, traditional_header};
use super::hunk::{Hunk, beginning, begins, begins_bare, ranges};
use super::text::{Line, Lines, PatchText};

/// Most diffs in one patch.
const MAX_DIFFS: usize = 400_000;
/// Most bytes that the names of all diffs have together.
const MAX_NAME_BYTES: usize = 64 << 20;

/// Most bytes that all binary diffs have when they are inflated, both ways.
const MAX_BINARY_BYTES: u64 = 2 << 30;

/// The shortest line that can begin a diff, in bytes.
const MIN_HEADER_BYTES: u64 = 6;

/// All diffs of a patch, in their order.
pub(super) fn parse(text: &PatchText) -> Result<Vec<FilePatch>, PatchError> {
    let mut parser = Parser {
        text,
        lines: Lines::new(text, 0, 1),
        strip: 1,
        strip_is_known: false,
        binary_left: MAX_BINARY_BYTES,
    };
    let mut patches = Vec::new();
    let mut name_bytes = 0;
    while let Some(patch) = parser.next()? {
        let len = |name: &Option<bstr::BString>| name.as_ref().map_or(0, |name| name.len());
        name_bytes += len(&patch.old) + len(&patch.new);
        if patches.len() == MAX_DIFFS || name_bytes > MAX_NAME_BYTES {
            return Err(PatchError::TooLarge {
                line: patch.line,
                what: format!(
                    "there are more than {MAX_DIFFS} diffs, or more than {MAX_NAME_BYTES} bytes of names"
                ),
            });
        }
        patches.push(patch);
    }
    if patches.is_empty() {
        return Err(PatchError::Empty);
    }
    Ok(patches)
}

struct Parser<'a> {
    text: &'a PatchText,
    lines: Lines<'a>,
    /// How many folders the names begin with that are no part of them.
    strip: usize,
    /// Whether a traditional diff has told that.
    strip_is_known: bool,
    /// How much binary data may still come, in bytes.
    binary_left: u64,
}

impl Parser<'_> {
    fn next(&mut self) -> Result<Option<FilePatch>, PatchError> {
        let Some(mut patch) = self.header()? else {
            return Ok(None);
        };
        patch.body = self.body(&mut patch)?;
        Ok(Some(patch))
    }

    /// Looks for the next header, past everything that is none.
    fn header(&mut self) -> Result<Option<FilePatch>, PatchError> {
        let mut empty: Option<FilePatch> = None;
        while let Some(line) = self.lines.peek()? {
            if line.len < MIN_HEADER_BYTES {
                self.lines.pass(&line);
                continue;
            }
            if begins(&line) && ranges(&beginning(self.text, &line)?).is_some() && line.is_ended {
                let reason = "a hunk without the header that names its file";
                return Err(PatchError::malformed(self.lines.number, reason));
            }
            if self.text.len() - line.end() < MIN_HEADER_BYTES {
                break;
            }
            if &line.start == b"diff" && self.is_git(&line)? {
                let (patch, is_header) = git_header(&mut self.lines, &line, self.strip)?;
                if !is_header {
                    empty = Some(patch);
                    continue;
                }
                match empty {
                    Some(empty) if !empty.may_stand_before(&patch) => {
                        let reason = "a header with nothing of a diff below it";
                        return Err(PatchError::malformed(empty.line, reason));
                    }
                    _ => return Ok(Some(patch)),
                }
            }
            if &line.start == b"--- "
                && let Some(patch) = self.traditional(&line)?
            {
                return Ok(Some(patch));
            }
            self.lines.pass(&line);
        }
        Ok(None)
    }

    fn is_git(&mut self, line: &Line) -> Result<bool, PatchError> {
        Ok(beginning(self.text, line)?.starts_with(b"diff --git "))
    }

    /// The header that a `---` line begins, if a `+++` line and a hunk follow.
    fn traditional(&mut self, first: &Line) -> Result<Option<FilePatch>, PatchError> {
        let Some(second) = self.lines.line_at(first.end())? else {
            return Ok(None);
        };
        if &second.start != b"+++ " {
            return Ok(None);
        }
        let third = self.lines.line_at(second.end())?;
        let has_hunk = match &third {
            None => false,
            Some(third) => begins(third) || begins_bare(&mut self.lines, third)?,
        };
        if !has_hunk {
            return Ok(None);
        }
        let number = self.lines.number;
        let first_name = self.lines.content(first)?.slice(4..);
        let second_name = self.lines.content(&second)?.slice(4..);
        if !self.strip_is_known {
            self.guess_strip(&first_name, &second_name);
        }
        let patch = traditional_header(&first_name, &second_name, number, self.strip)?;
        self.lines.pass(first);
        self.lines.pass(&second);
        Ok(Some(patch))
    }

    /// Names in no folder have no prefix to leave out. The first diff of which that is clear decides for the others.
    fn guess_strip(&mut self, first: &[u8], second: &[u8]) {
        let (first, second) = (suggests_no_strip(first), suggests_no_strip(second));
        let agree = first.is_none() || second == first;
        if agree && second == Some(true) {
            (self.strip, self.strip_is_known) = (0, true);
        }
    }

    fn body(&mut self, patch: &mut FilePatch) -> Result<Body, PatchError> {
        let (at, number) = (self.lines.at, self.lines.number);
        let hunks = self.hunks(patch)?;
        if hunks > 0 {
            return Ok(Body::Text {
                at,
                line: number,
                hunks,
            });
        }
        if let Some(line) = self.lines.peek()? {
            let start = beginning(self.text, &line)?;
            if start == binary::START {
                self.lines.pass(&line);
                return Ok(Body::Binary(Some(BinaryHunk::scan(
                    &mut self.lines,
                    &mut self.binary_left,
                )?)));
            }
            if self.says_binary(&line)? {
                self.lines.pass(&line);
                return Ok(Body::Binary(None));
            }
        }
        if patch.changes_metadata() {
            Ok(Body::Same)
        } else {
            let reason = "the diff of a file changes nothing, or is not one that can be read";
            Err(PatchError::malformed(number, reason))
        }
    }

    /// Whether `line` only says that a file is binary and differs.
    fn says_binary(&mut self, line: &Line) -> Result<bool, PatchError> {
        if !matches!(&line.start, b"Bina" | b"File") || line.len > super::text::MAX_HEADER_BYTES {
            return Ok(false);
        }
        let content = self.lines.content(line)?;
        let begins = content.starts_with(b"Binary files ") || content.starts_with(b"Files ");
        Ok(begins && content.ends_with(b" differ\n"))
    }

    /// Goes through the hunks of a diff. Returns how many there are.
    fn hunks(&mut self, patch: &mut FilePatch) -> Result<u64, PatchError> {
        let number = self.lines.number;
        let (mut hunks, mut old_lines, mut new_lines) = (0, 0u64, 0u64);
        while let Some(line) = self.lines.peek()? {
            let hunk = if begins(&line) && self.text.len() - line.at > 4 {
                Hunk::scan(self.text, &mut self.lines)?
            } else if begins_bare(&mut self.lines, &line)? {
                Hunk::scan_bare(&mut self.lines)?
            } else {
                break;
            };
            hunks += 1;
            old_lines = old_lines.saturating_add(hunk.old_lines);
            new_lines = new_lines.saturating_add(hunk.new_lines);
        }
        // A traditional diff may create or delete its file only if it has one hunk, and only one side of it.
        if hunks > 1 || old_lines > 0 {
            patch.creates.get_or_insert(false);
        }
        if hunks > 1 || new_lines > 0 {
            patch.deletes.get_or_insert(false);
        }
        if patch.creates == Some(true) && old_lines > 0 {
            let reason = "the file is new, and the hunk has lines of an old one";
            return Err(PatchError::malformed(number, reason));
        }
        if patch.deletes == Some(true) && new_lines > 0 {
            let reason = "the file is deleted, and the hunk leaves lines of it";
            return Err(PatchError::malformed(number, reason));
        }
        Ok(hunks)
    }
}
