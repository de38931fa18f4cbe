//! A file while hunks are applied to it: its lines, with a gap where the last hunk was.
//!
//! Hunks mostly come in order, so the gap moves through the file once. Every step of looking for a place and of moving
//! the gap is paid for, because a patch from a stranger could make each of a million hunks walk through the whole file.

use super::PatchConflict;
use super::hunk::{Hunk, HunkLines};
use super::names::is_space;

/// Largest file that a diff is applied to, and largest result, in bytes: it is held in memory.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most lines of such a file.
const MAX_FILE_LINES: usize = 8 << 20;

/// Why a hunk was not applied.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Conflict(PatchConflict),
    TooLarge(String),
}

/// What looking for places may still cost, in lines compared or moved.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Budget {
    /// Enough for a patch that changes every line of a large file, and spent in seconds.
    pub(super) fn new() -> Budget {
        Budget(500_000_000)
    }

    #[cfg(test)]
    pub(super) fn of(steps: u64) -> Budget {
        Budget(steps)
    }

    /// Pays for a file that is read.
    pub(super) fn read(&mut self, len: usize) -> Result<(), Misfit> {
        self.spend(len as u64 / 16)
    }

    fn spend(&mut self, steps: u64) -> Result<(), Misfit> {
        self.0 = self.0.checked_sub(steps).ok_or_else(|| {
            let what = "the patch takes too long to apply: its files are too large, or its line numbers far off";
            Misfit::TooLarge(what.to_owned())
        })?;
        Ok(())
    }
}

/// A line: where its bytes are.
#[derive(Clone, Copy, Debug)]
struct ImageLine {
    at: u32,
    /// With [`PATCHED`].
    len: u32,
}

/// Marks a line that a hunk put there or had for context: no other hunk may have it.
const PATCHED: u32 = 1 << 31;

impl ImageLine {
    fn is_patched(self) -> bool {
        self.len & PATCHED != 0
    }
}

/// A file under way.
#[derive(Debug)]
pub(super) struct Image {
    /// The old content, then the lines that were added.
    bytes: Vec<u8>,
    before: Vec<ImageLine>,
    /// In reverse.
    after: Vec<ImageLine>,
    /// How many bytes all lines have.
    len: u64,
}

impl Image {
    /// The file with this content.
    pub(super) fn new(content: &[u8]) -> Result<Image, Misfit> {
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(too_large());
        }
        let mut after: Vec<ImageLine> = Vec::new();
        let mut at = 0;
        for line in bstr::ByteSlice::lines_with_terminator(content) {
            if after.len() == MAX_FILE_LINES {
                return Err(too_large());
            }
            let len = line.len() as u32;
            after.push(ImageLine { at, len });
            at += len;
        }
        after.reverse();
        Ok(Image {
            bytes: content.to_vec(),
            before: Vec::new(),
            after,
            len: content.len() as u64,
        })
    }

    /// Applies a hunk where it fits.
    pub(super) fn apply(
        &mut self,
        hunk: &Hunk,
        lines: &HunkLines,
        budget: &mut Budget,
    ) -> Result<(), Misfit> {
        let at = if hunk.is_bare {
            self.find_bare(lines, budget)?
        } else {
            self.find(hunk, lines, budget)?
        };
        self.replace(at, lines, budget)
    }

    /// The content as it is now.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len as usize);
        for line in self.before.iter().chain(self.after.iter().rev()) {
            out.extend_from_slice(self.bytes_of(*line));
        }
        out
    }

    fn line_count(&self) -> usize {
        self.before.len() + self.after.len()
    }

    fn line(&self, at: usize) -> ImageLine {
        match self.before.get(at) {
            Some(line) => *line,
            None => self.after[self.after.len() - 1 - (at - self.before.len())],
        }
    }

    fn bytes_of(&self, line: ImageLine) -> &[u8] {
        &self.bytes[line.at as usize..][..(line.len & !PATCHED) as usize]
    }

    /// Where the old lines of the hunk are: at the line it says, or else as near to it as can be, later ones first.
    fn find(&self, hunk: &Hunk, lines: &HunkLines, budget: &mut Budget) -> Result<usize, Misfit> {
        let count = self.line_count();
        let last = count.checked_sub(lines.old_len());
        let last = last.ok_or(Misfit::Conflict(PatchConflict::Hunk))?;
        // A hunk for the first line changes the beginning; one that ends without context, the end.
        let at_start = hunk.old_start <= 1;
        let at_end = hunk.trailing == 0;
        if at_start || at_end {
            let at = if at_start { 0 } else { last };
            let fits = (!at_end || at == last) && self.fits(at, lines, at_end, budget)?;
            return if fits {
                Ok(at)
            } else {
                Err(Misfit::Conflict(PatchConflict::Hunk))
            };
        }
        let wanted = usize::try_from(hunk.new_start.saturating_sub(1)).unwrap_or(count);
        let wanted = wanted.min(count);
        for distance in 0..=count {
            budget.spend(2)?;
            let later = wanted + distance;
            if later <= last && self.fits(later, lines, false, budget)? {
                return Ok(later);
            }
            if distance > 0
                && let Some(earlier) = wanted.checked_sub(distance)
                && earlier <= last
                && self.fits(earlier, lines, false, budget)?
            {
                return Ok(earlier);
            }
        }
        Err(Misfit::Conflict(PatchConflict::Hunk))
    }

    /// The one place where the old lines of a hunk without line numbers are.
    fn find_bare(&self, lines: &HunkLines, budget: &mut Budget) -> Result<usize, Misfit> {
        if lines.old_len() == 0 {
            return match self.line_count() {
                0 => Ok(0),
                _ => Err(Misfit::Conflict(PatchConflict::Nowhere)),
            };
        }
        let last = self.line_count().checked_sub(lines.old_len());
        let last = last.ok_or(Misfit::Conflict(PatchConflict::Hunk))?;
        let mut found = None;
        for at in 0..=last {
            budget.spend(1)?;
            if self.fits(at, lines, true, budget)? {
                if let Some(first) = found {
                    let conflict = PatchConflict::Ambiguous {
                        first: first + 1,
                        second: at + 1,
                    };
                    return Err(Misfit::Conflict(conflict));
                }
                found = Some(at);
            }
        }
        found.ok_or(Misfit::Conflict(PatchConflict::Hunk))
    }

    /// Whether the old lines are at `at`.
    fn fits(
        &self,
        at: usize,
        lines: &HunkLines,
        is_exact: bool,
        budget: &mut Budget,
    ) -> Result<bool, Misfit> {
        let count = lines.old_len();
        for number in 0..count {
            let here = self.line(at + number);
            let (here_bytes, wanted) = (self.bytes_of(here), lines.old(number));
            if here.is_patched() {
                return Ok(false);
            }
            if here_bytes.len() == wanted.len() {
                budget.spend(1 + wanted.len() as u64 / 256)?;
                if here_bytes == wanted {
                    continue;
                }
                return Ok(false);
            }
            // Git takes a last line of context without a newline for the same line with one.
            let is_last = number + 1 == count && !is_exact && !wanted.ends_with(b"\n");
            let rest = here_bytes.strip_prefix(wanted).filter(|_| is_last);
            return Ok(rest.is_some_and(|rest| rest.iter().all(|&byte| is_space(byte))));
        }
        Ok(true)
    }

    /// Puts the new lines where the old ones are.
    fn replace(&mut self, at: usize, lines: &HunkLines, budget: &mut Budget) -> Result<(), Misfit> {
        let far = self.before.len().abs_diff(at);
        budget.spend(far as u64 / 8)?;
        while self.before.len() > at {
            self.after.extend(self.before.pop());
        }
        while self.before.len() < at {
            self.before.extend(self.after.pop());
        }
        let left = self.after.len() - lines.old_len();
        let removed: u64 = self.after[left..]
            .iter()
            .map(|line| u64::from(line.len & !PATCHED))
            .sum();
        self.len -= removed;
        self.after.truncate(left);
        let lines_after = self.line_count() + lines.new_len();
        for line in lines.new_lines() {
            let (at, len) = (self.bytes.len() as u32, line.len() as u32);
            self.len += u64::from(len);
            if self.len > MAX_FILE_BYTES || lines_after > MAX_FILE_LINES {
                return Err(too_large());
            }
            self.bytes.extend_from_slice(line);
            self.before.push(ImageLine {
                at,
                len: len | PATCHED,
            });
        }
        Ok(())
    }
}

fn too_large() -> Misfit {
    Misfit::TooLarge(format!(
        "the file has more than {MAX_FILE_BYTES} bytes or {MAX_FILE_LINES} lines; commit it whole instead"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::text::{Lines, PatchText};
    use super::*;

    fn apply(file: &str, hunks: &str, budget: &mut Budget) -> Result<String, Misfit> {
        let text = PatchText::memory(bytes::Bytes::copy_from_slice(hunks.as_bytes()));
        let mut lines = Lines::new(&text, 0, 1);
        let mut image = Image::new(file.as_bytes())?;
        while lines.peek().unwrap().is_some() {
            let hunk = match hunks.starts_with("@@ ") {
                true => Hunk::scan(&text, &mut lines).unwrap(),
                false => Hunk::scan_bare(&mut lines).unwrap(),
            };
            image.apply(&hunk, &hunk.read(&text).unwrap(), budget)?;
        }
        Ok(String::from_utf8(image.into_bytes()).unwrap())
    }

    fn applied(file: &str, hunks: &str) -> Result<String, Misfit> {
        apply(file, hunks, &mut Budget::new())
    }

    const CONFLICT: Result<String, Misfit> = Err(Misfit::Conflict(PatchConflict::Hunk));

    #[test]
    fn hunks_are_found_where_they_went() {
        let file = "1\n2\n3\na\nb\nc\n7\n8\n";
        let hunk = "@@ -2,3 +2,3 @@\n a\n-b\n+B\n c\n";
        assert_eq!(applied(file, hunk).unwrap(), "1\n2\n3\na\nB\nc\n7\n8\n");
        assert_eq!(applied("x\n", hunk), CONFLICT);
        let twice = "a\nb\nc\n.\na\nb\nc\n.\n";
        let near = |start: usize| {
            applied(
                twice,
                &format!("@@ -{start},3 +{start},3 @@\n a\n-b\n+B\n c\n"),
            )
        };
        assert_eq!(near(2).unwrap(), "a\nB\nc\n.\na\nb\nc\n.\n");
        assert_eq!(near(3).unwrap(), "a\nb\nc\n.\na\nB\nc\n.\n");
        assert_eq!(near(900).unwrap(), "a\nb\nc\n.\na\nB\nc\n.\n");
    }

    #[test]
    fn hunks_at_the_ends_stay_there() {
        assert_eq!(
            applied("x\na\nb\n", "@@ -1,2 +1,2 @@\n a\n-b\n+B\n"),
            CONFLICT
        );
        assert_eq!(
            applied("a\nb\nc\n", "@@ -1,2 +1,2 @@\n a\n-b\n+B\n"),
            CONFLICT
        );
        assert_eq!(
            applied("z\na\nb\n", "@@ -7,2 +7,2 @@\n a\n-b\n+B\n").unwrap(),
            "z\na\nB\n"
        );
        assert_eq!(applied("", "@@ -0,0 +1 @@\n+x\n").unwrap(), "x\n");
    }

    #[test]
    fn no_hunk_has_the_lines_of_another() {
        let two = "@@ -2 +2 @@\n-b\n+b\n c\n@@ -2,2 +2,2 @@\n-b\n+B\n c\n";
        let two = two.replace("-2 +2", "-2,2 +2,2");
        assert_eq!(applied("a\nb\nc\nd\n", &two), CONFLICT);
    }

    #[test]
    fn a_bare_hunk_has_to_fit_once() {
        assert_eq!(
            applied("a\nOld\nb\n", "@@\n-Old\n+New\n").unwrap(),
            "a\nNew\nb\n"
        );
        assert_eq!(applied("", "@@\n+New\n").unwrap(), "New\n");
        assert_eq!(applied("a\n", "@@\n-Old\n+New\n"), CONFLICT);
        let ambiguous = PatchConflict::Ambiguous {
            first: 1,
            second: 3,
        };
        assert_eq!(
            applied("a\nb\na\n", "@@\n-a\n+A\n"),
            Err(Misfit::Conflict(ambiguous))
        );
        assert_eq!(
            applied("a\n", "@@\n+A\n"),
            Err(Misfit::Conflict(PatchConflict::Nowhere))
        );
    }

    #[test]
    fn searching_ends_when_it_was_enough() {
        let file = "x\n".repeat(1000);
        let hunk = "@@ -500,2 +500,2 @@\n-y\n+z\n x\n";
        assert_eq!(applied(&file, hunk), CONFLICT);
        let spent = apply(&file, hunk, &mut Budget::of(1000));
        assert!(matches!(spent, Err(Misfit::TooLarge(_))));
    }
}
