//! Hunks: where they say they belong, and their lines.

use bytes::Bytes;

use super::PatchError;
use super::text::{Line, Lines, PatchText};

/// Largest hunk, in bytes: it is held in memory while it is applied.
const MAX_HUNK_BYTES: u64 = 128 << 20;
/// Most lines of a hunk.
const MAX_HUNK_LINES: u64 = 8 << 20;
/// What is read of the line a hunk begins with: four numbers fit.
const MAX_RANGES_BYTES: u64 = 128;
/// The shortest way to say that a line has no newline at its end.
const MIN_NO_NEWLINE_BYTES: u64 = 12;

/// One hunk, as it stands in a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hunk {
    /// The line of the patch it begins at.
    pub line: u64,
    /// Where its lines begin, after the one with `@@`.
    at: u64,
    /// How many bytes they have.
    len: u64,
    /// The line of the old file it says it begins at.
    pub old_start: u64,
    /// The line of the new file it says it begins at.
    pub new_start: u64,
    /// Lines of the old file.
    pub old_lines: u64,
    /// Lines of the new file.
    pub new_lines: u64,
    /// Lines of context at its end.
    pub trailing: u64,
    /// It says nothing of where it belongs: its first line is `@@` alone.
    pub is_bare: bool,
}

/// Whether a hunk with line numbers may begin with `line`.
pub(super) fn begins(line: &Line) -> bool {
    &line.start == b"@@ -"
}

/// Whether `line` is `@@` and nothing else, with which hunks begin that people and programs write by hand.
pub(super) fn begins_bare(lines: &mut Lines<'_>, line: &Line) -> Result<bool, PatchError> {
    if !line.start.starts_with(b"@@") || line.len > MAX_RANGES_BYTES {
        return Ok(false);
    }
    let content = lines.content(line)?;
    Ok(content.trim_ascii_end() == b"@@")
}

/// The numbers behind `@@ -`: old start and count, new start and count. `None` if they are not written so.
pub(super) fn ranges(text: &[u8]) -> Option<[u64; 4]> {
    let rest = text.strip_prefix(b"@@ -")?;
    let (old_start, old_lines, rest) = range(rest)?;
    let (new_start, new_lines, rest) = range(rest.strip_prefix(b" +")?)?;
    rest.starts_with(b" @@")
        .then_some([old_start, old_lines, new_start, new_lines])
}

fn range(text: &[u8]) -> Option<(u64, u64, &[u8])> {
    let (start, rest) = number(text)?;
    match rest.strip_prefix(b",") {
        None => Some((start, 1, rest)),
        Some(rest) => {
            let (count, rest) = number(rest)?;
            Some((start, count, rest))
        }
    }
}

fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((number, &text[digits..]))
}

/// The first bytes of `line`.
pub(super) fn beginning(text: &PatchText, line: &Line) -> Result<Bytes, PatchError> {
    Ok(text.read(line.at, line.len.min(MAX_RANGES_BYTES))?)
}

impl Hunk {
    /// Reads the hunk that begins with the next line, of either kind.
    pub(super) fn next(text: &PatchText, lines: &mut Lines<'_>) -> Result<Hunk, PatchError> {
        if lines.peek()?.is_some_and(|line| begins(&line)) {
            Hunk::scan(text, lines)
        } else {
            Hunk::scan_bare(lines)
        }
    }

    /// Reads the hunk that begins with the next line, and goes on behind it.
    pub(super) fn scan(text: &PatchText, lines: &mut Lines<'_>) -> Result<Hunk, PatchError> {
        let number = lines.number;
        let corrupt = |number| PatchError::malformed(number, "the hunk is corrupt here");
        let first = lines.peek()?.ok_or_else(|| corrupt(number))?;
        let numbers = ranges(&beginning(text, &first)?).filter(|_| first.is_ended);
        let [old_start, old_lines, new_start, new_lines] =
            numbers.ok_or_else(|| corrupt(number))?;
        lines.pass(&first);
        let at = lines.at;
        let (mut old_left, mut new_left, mut trailing) = (old_lines, new_lines, 0);
        let mut changes = false;
        while old_left > 0 || new_left > 0 {
            let here = lines.number;
            let line = lines.peek()?.filter(|line| line.is_ended);
            let line = line.ok_or_else(|| corrupt(here))?;
            let (old, new) = match line.start[0] {
                b' ' | b'\n' => (1, 1),
                b'-' => (1, 0),
                b'+' => (0, 1),
                b'\\' if line.start[1] == b' ' && line.len >= MIN_NO_NEWLINE_BYTES => (0, 0),
                _ => return Err(corrupt(here)),
            };
            let less = |left: u64, by| left.checked_sub(by).ok_or_else(|| corrupt(here));
            (old_left, new_left) = (less(old_left, old)?, less(new_left, new)?);
            match (old, new) {
                (1, 1) => trailing += 1,
                (0, 0) => {}
                _ => (changes, trailing) = (true, 0),
            }
            lines.pass(&line);
        }
        if !changes {
            return Err(corrupt(number));
        }
        if let Some(line) = lines.peek()?
            && line.start.starts_with(b"\\ ")
            && text.len() - line.at > MIN_NO_NEWLINE_BYTES
        {
            lines.pass(&line);
        }
        let hunk = Hunk {
            line: number,
            at,
            len: lines.at - at,
            old_start,
            new_start,
            old_lines,
            new_lines,
            trailing,
            is_bare: false,
        };
        hunk.check_size()
    }

    /// Reads the hunk without line numbers that begins with the next line. It ends before the next `@@`, the next
    /// header, or anything that is no line of a hunk; empty lines at its end are not part of it.
    pub(super) fn scan_bare(lines: &mut Lines<'_>) -> Result<Hunk, PatchError> {
        let number = lines.number;
        if let Some(first) = lines.peek()? {
            lines.pass(&first);
        }
        let at = lines.at;
        let (mut old_lines, mut new_lines, mut changes) = (0, 0, false);
        let (mut end, mut pending) = (at, 0);
        while let Some(line) = lines.peek()? {
            match line.start[0] {
                b'\n' => {
                    pending += 1;
                    lines.pass(&line);
                    continue;
                }
                b'-' if is_header(lines, &line)? => break,
                b' ' | b'-' | b'+' => {}
                b'\\' if line.start[1] == b' ' => {}
                _ => break,
            }
            old_lines += pending;
            new_lines += pending;
            pending = 0;
            match line.start[0] {
                b' ' => (old_lines, new_lines) = (old_lines + 1, new_lines + 1),
                b'-' => (old_lines, changes) = (old_lines + 1, true),
                b'+' => (new_lines, changes) = (new_lines + 1, true),
                _ => {}
            }
            lines.pass(&line);
            end = line.end();
        }
        if !changes {
            return Err(PatchError::malformed(number, "the hunk changes nothing"));
        }
        let hunk = Hunk {
            line: number,
            at,
            len: end - at,
            old_start: 0,
            new_start: 0,
            old_lines,
            new_lines,
            trailing: 0,
            is_bare: true,
        };
        hunk.check_size()
    }

    fn check_size(self) -> Result<Hunk, PatchError> {
        let lines = self.old_lines.saturating_add(self.new_lines);
        if self.len > MAX_HUNK_BYTES || lines > MAX_HUNK_LINES {
            return Err(PatchError::TooLarge {
                line: self.line,
                what: format!(
                    "the hunk has more than {MAX_HUNK_BYTES} bytes or {MAX_HUNK_LINES} lines"
                ),
            });
        }
        Ok(self)
    }

    /// Its lines.
    pub(super) fn read(&self, text: &PatchText) -> Result<HunkLines, PatchError> {
        let bytes = text.read(self.at, self.len)?;
        if bytes.is_empty() || bytes.ends_with(b"\n") {
            return Ok(HunkLines::split(bytes));
        }
        // The last line of the patch itself: what it lacks says nothing of the file.
        Ok(HunkLines::split([&bytes[..], b"\n"].concat().into()))
    }
}

/// Whether a `---` line is not one that a hunk removes: it begins the header of the next diff.
fn is_header(lines: &mut Lines<'_>, line: &Line) -> Result<bool, PatchError> {
    if &line.start != b"--- " {
        return Ok(false);
    }
    let Some(second) = lines.line_at(line.end())? else {
        return Ok(false);
    };
    if &second.start != b"+++ " {
        return Ok(false);
    }
    let third = lines.line_at(second.end())?;
    Ok(third.is_some_and(|third| third.start.starts_with(b"@@")))
}

/// What a hunk takes for the old lines, and what it puts there.
#[derive(Debug)]
pub(super) struct HunkLines {
    bytes: Bytes,
    old: Vec<Span>,
    new: Vec<Span>,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    at: u32,
    len: u32,
}

impl HunkLines {
    fn split(bytes: Bytes) -> HunkLines {
        let (mut old, mut new) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < bytes.len() {
            let newline = bstr::ByteSlice::find_byte(&bytes[at..], b'\n');
            let end = newline.map_or(bytes.len(), |newline| at + newline + 1);
            // "\ No newline at end of file" is about the line before it.
            let is_cut = bytes.get(end) == Some(&b'\\');
            let first = bytes[at];
            let (from, to) = match first {
                b'\n' => (at, end),
                _ => (at + 1, end),
            };
            let to = if is_cut && newline.is_some() {
                to - 1
            } else {
                to
            };
            let span = Span {
                at: from as u32,
                len: to.saturating_sub(from) as u32,
            };
            match first {
                // Such a line without its newline is nothing.
                b'\n' if is_cut => {}
                b' ' | b'\n' => {
                    old.push(span);
                    new.push(span);
                }
                b'-' => old.push(span),
                b'+' => new.push(span),
                _ => {}
            }
            at = end;
        }
        HunkLines { bytes, old, new }
    }

    /// How many lines it takes away or has for context.
    pub(super) fn old_len(&self) -> usize {
        self.old.len()
    }

    /// How many lines it puts there.
    pub(super) fn new_len(&self) -> usize {
        self.new.len()
    }

    /// Such a line.
    pub(super) fn old(&self, at: usize) -> &[u8] {
        self.bytes(self.old[at])
    }

    /// The lines that it puts there.
    pub(super) fn new_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.new.iter().map(|span| self.bytes(*span))
    }

    fn bytes(&self, span: Span) -> &[u8] {
        &self.bytes[span.at as usize..][..span.len as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_git_reads_them() {
        for (text, numbers) in [
            ("@@ -1,2 +3,4 @@", [1, 2, 3, 4]),
            ("@@ -1 +3 @@ fn main() {", [1, 1, 3, 1]),
            ("@@ -0,0 +1 @@x", [0, 0, 1, 1]),
        ] {
            assert_eq!(ranges(text.as_bytes()), Some(numbers), "{text}");
        }
        for bad in [
            "@@ -1,2 +3,4",
            "@@ -a +1 @@",
            "@@ -1, +1 @@",
            "@@ -99999999999999999999 +1 @@",
            "@@",
        ] {
            assert_eq!(ranges(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn lines_are_taken_apart() {
        let text = Bytes::from_static(b" a\n-b\n+c\n\\ No newline at end of file\n\n");
        let lines = HunkLines::split(text);
        let old: Vec<_> = (0..lines.old_len()).map(|at| lines.old(at)).collect();
        assert_eq!(old, [b"a\n".as_slice(), b"b\n", b"\n"]);
        let new: Vec<_> = lines.new_lines().collect();
        assert_eq!(new, [b"a\n".as_slice(), b"c", b"\n"]);
    }
}
