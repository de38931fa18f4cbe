//! Merging two changes of one text.

use std::ops::Range;

use super::lines::Lines;
use super::regions::{Region, Taken, merge_regions};

/// Bytes at the start of a file in which a NUL makes it binary, as in Git.
const BINARY_LOOK_BYTES: usize = 8000;

/// What becomes of a region that both sides changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MergeFavor {
    /// It is a conflict.
    #[default]
    None,
    /// Our lines are taken.
    Ours,
    /// Their lines are taken.
    Theirs,
    /// Our lines are taken, and theirs behind them.
    Union,
}

/// How conflicts are written into a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictStyle {
    /// Both sides.
    #[default]
    Merge,
    /// Both sides, and what it was before between them.
    Diff3,
}

/// How texts are merged, and what stands in the lines that mark a conflict.
#[derive(Clone, Debug)]
pub struct TextMerge<'a> {
    /// Behind `<<<<<<<`.
    pub our_label: &'a [u8],
    /// Behind `|||||||`.
    pub base_label: &'a [u8],
    /// Behind `>>>>>>>`.
    pub their_label: &'a [u8],
    /// How many of these signs there are; Git's number is 7.
    pub marker_len: usize,
    /// What is shown of a conflict.
    pub style: ConflictStyle,
    /// Whether a side wins.
    pub favor: MergeFavor,
}

/// A merged text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergedText {
    /// The text, conflicts marked.
    pub text: Vec<u8>,
    /// How many conflicts there are.
    pub conflicts: usize,
}

/// Whether Git takes the content for binary.
pub fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(BINARY_LOOK_BYTES)].contains(&0)
}

/// Merges two texts that come from one, line by line, as `git merge-file` does with Git's histogram diff.
///
/// Takes memory in proportion to the texts, about 50 bytes for each line beside them.
///
/// ```
/// use packhouse_repo::merge::{ConflictStyle, MergeFavor, TextMerge, merge_text};
///
/// let options = TextMerge {
///     our_label: b"ours",
///     base_label: b"base",
///     their_label: b"theirs",
///     marker_len: 7,
///     style: ConflictStyle::Merge,
///     favor: MergeFavor::None,
/// };
/// let merged = merge_text(b"1\n2\n3\n", b"one\n2\n3\n", b"1\n2\nthree\n", &options);
/// assert_eq!((merged.text.as_slice(), merged.conflicts), (&b"one\n2\nthree\n"[..], 0));
/// ```
pub fn merge_text(base: &[u8], ours: &[u8], theirs: &[u8], options: &TextMerge<'_>) -> MergedText {
    let [base, ours, theirs] = Lines::of([base, ours, theirs]);
    let regions = merge_regions(&base, &ours, &theirs, options.style == ConflictStyle::Merge);
    let mut writer = Writer {
        base: &base,
        ours: &ours,
        theirs: &theirs,
        options,
        out: Vec::new(),
    };
    let mut conflicts = 0;
    let mut at = 0;
    for region in &regions {
        writer.copy(&ours, at..region.ours.start);
        at = region.ours.end;
        match (region.taken, options.favor) {
            (Taken::Ours, _) | (Taken::Conflict, MergeFavor::Ours) => {
                writer.copy(&ours, region.ours.clone());
            }
            (Taken::Theirs, _) | (Taken::Conflict, MergeFavor::Theirs) => {
                writer.copy(&theirs, region.theirs.clone());
            }
            (Taken::Conflict, MergeFavor::Union) => {
                let crlf = writer.marks_end_in_crlf(region);
                writer.copy_whole_lines(&ours, region.ours.clone(), crlf);
                writer.copy(&theirs, region.theirs.clone());
            }
            (Taken::Conflict, MergeFavor::None) => {
                conflicts += 1;
                writer.conflict(region);
            }
        }
    }
    writer.copy(&ours, at..ours.len());
    MergedText {
        text: writer.out,
        conflicts,
    }
}

struct Writer<'a> {
    base: &'a Lines<'a>,
    ours: &'a Lines<'a>,
    theirs: &'a Lines<'a>,
    options: &'a TextMerge<'a>,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn copy(&mut self, from: &Lines<'_>, range: Range<usize>) {
        for line in &from.lines[range] {
            self.out.extend_from_slice(line);
        }
    }

    /// Copies lines, the last with a line break even if it has none.
    fn copy_whole_lines(&mut self, from: &Lines<'_>, range: Range<usize>, crlf: bool) {
        let is_cut = from.lines[range.clone()]
            .last()
            .is_some_and(|line| !line.ends_with(b"\n"));
        self.copy(from, range);
        if is_cut {
            self.break_line(crlf);
        }
    }

    fn break_line(&mut self, crlf: bool) {
        let line_break: &[u8] = if crlf { b"\r\n" } else { b"\n" };
        self.out.extend_from_slice(line_break);
    }

    fn mark(&mut self, sign: u8, label: &[u8], crlf: bool) {
        self.out
            .extend(std::iter::repeat_n(sign, self.options.marker_len));
        if !label.is_empty() {
            self.out.push(b' ');
            self.out.extend_from_slice(label);
        }
        self.break_line(crlf);
    }

    fn conflict(&mut self, region: &Region) {
        let crlf = self.marks_end_in_crlf(region);
        self.mark(b'<', self.options.our_label, crlf);
        self.copy_whole_lines(self.ours, region.ours.clone(), crlf);
        if self.options.style == ConflictStyle::Diff3 {
            self.mark(b'|', self.options.base_label, crlf);
            self.copy_whole_lines(self.base, region.base.clone(), crlf);
        }
        self.mark(b'=', b"", crlf);
        self.copy_whole_lines(self.theirs, region.theirs.clone(), crlf);
        self.mark(b'>', self.options.their_label, crlf);
    }

    /// Whether the lines around a region end in CRLF: where no side says otherwise, the base decides.
    fn marks_end_in_crlf(&self, region: &Region) -> bool {
        let ours = ends_in_crlf(self.ours, region.ours.start.saturating_sub(1));
        let theirs = ends_in_crlf(self.theirs, region.theirs.start.saturating_sub(1));
        let is_lf = ours == Some(false) || theirs == Some(false);
        !is_lf && ends_in_crlf(self.base, 0) == Some(true)
    }
}

/// Whether a line ends in CRLF, or the one before if it has no line break; `None` if there is none to look at.
fn ends_in_crlf(text: &Lines<'_>, at: usize) -> Option<bool> {
    let line = text.lines.get(at)?;
    let broken = match line.ends_with(b"\n") {
        true => line,
        false => text.lines[..at].last()?,
    };
    Some(broken.ends_with(b"\r\n"))
}
