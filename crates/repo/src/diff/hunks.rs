//! Changed lines with lines around them, as a unified diff shows them.

use std::ops::Range;

use super::function_line::{function_name, valid_start};
use crate::line_diff::LineHunk;

/// Two texts as lines, and where they differ.
pub(super) struct Lines<'a> {
    pub(super) old: Vec<&'a [u8]>,
    pub(super) new: Vec<&'a [u8]>,
    pub(super) hunks: &'a [LineHunk],
}

impl Lines<'_> {
    /// Writes the hunks, each with up to `context` lines around it; those closer together are one.
    pub(super) fn write(&self, context: usize, out: &mut Vec<u8>) {
        let mut function: &[u8] = b"";
        let mut looked_at = 0;
        for hunks in self
            .hunks
            .chunk_by(|a, b| b.before.start - a.before.end <= 2 * context)
        {
            let (old, new) = self.around(hunks, context);
            // The line in front of the hunk that begins a function; else the one of the hunk before.
            let above = &self.old[looked_at.min(old.start)..old.start];
            let found = above.iter().rev().find_map(|line| function_name(line));
            function = found.unwrap_or(function);
            looked_at = old.start;
            write_head(&old, &new, function, out);
            self.write_lines(hunks, &new, out);
        }
    }

    /// The lines of hunks and around them.
    fn around(&self, hunks: &[LineHunk], context: usize) -> (Range<usize>, Range<usize>) {
        let (first, last) = (&hunks[0], &hunks[hunks.len() - 1]);
        let behind = context
            .min(self.old.len() - last.before.end)
            .min(self.new.len() - last.after.end);
        (
            first.before.start.saturating_sub(context)..last.before.end + behind,
            first.after.start.saturating_sub(context)..last.after.end + behind,
        )
    }

    fn write_lines(&self, hunks: &[LineHunk], new: &Range<usize>, out: &mut Vec<u8>) {
        let mut at = new.start;
        for hunk in hunks {
            write_all(b' ', &self.new[at..hunk.after.start], out);
            write_all(b'-', &self.old[hunk.before.clone()], out);
            write_all(b'+', &self.new[hunk.after.clone()], out);
            at = hunk.after.end;
        }
        write_all(b' ', &self.new[at..new.end], out);
    }
}

fn write_all(sign: u8, lines: &[&[u8]], out: &mut Vec<u8>) {
    for line in lines {
        out.push(sign);
        out.extend_from_slice(line);
        if !line.ends_with(b"\n") {
            out.extend_from_slice(b"\n\\ No newline at end of file\n");
        }
    }
}

fn write_head(old: &Range<usize>, new: &Range<usize>, function: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"@@ -");
    write_range(old, out);
    out.extend_from_slice(b" +");
    write_range(new, out);
    out.extend_from_slice(b" @@");
    if !function.is_empty() {
        out.push(b' ');
        out.extend_from_slice(valid_start(function));
    }
    out.push(b'\n');
}

fn write_range(lines: &Range<usize>, out: &mut Vec<u8>) {
    let first = lines.start + usize::from(!lines.is_empty());
    out.extend(first.to_string().bytes());
    if lines.len() != 1 {
        out.extend(format!(",{}", lines.len()).bytes());
    }
}
