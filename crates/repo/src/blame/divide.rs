//! Lines under suspicion, divided between a version and its parent.

use crate::line_diff::LineHunk;

/// Lines of the final text, and where they stand in the version that is under suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The first of them in the final text.
    pub(super) line: usize,
    /// The first of them in the version.
    pub(super) at: usize,
    /// How many there are.
    pub(super) len: usize,
}

impl Entry {
    /// A part of it, by lines of the version.
    pub(super) fn part(&self, from: usize, to: usize) -> Entry {
        Entry {
            line: self.line + (from - self.at),
            at: from,
            len: to - from,
        }
    }
}

/// Divides `suspects`, which are in the order of their places: what stands in a hunk stays, the rest goes to the
/// parent, at its place there.
pub(super) fn divide(suspects: &[Entry], hunks: &[LineHunk]) -> (Vec<Entry>, Vec<Entry>) {
    let (mut kept, mut passed) = (Vec::new(), Vec::new());
    let mut first = 0;
    for entry in suspects {
        while hunks
            .get(first)
            .is_some_and(|hunk| hunk.after.end <= entry.at)
        {
            first += 1;
        }
        let (mut at, end) = (entry.at, entry.at + entry.len);
        let mut next = first;
        while at < end {
            let shift = next.checked_sub(1).map_or((0, 0), |last| {
                (hunks[last].before.end, hunks[last].after.end)
            });
            let mut pass = |from: usize, to: usize| {
                let part = entry.part(from, to);
                passed.push(Entry {
                    at: from - shift.1 + shift.0,
                    ..part
                });
            };
            let Some(hunk) = hunks.get(next).filter(|hunk| hunk.after.start < end) else {
                pass(at, end);
                break;
            };
            if at < hunk.after.start {
                pass(at, hunk.after.start);
                at = hunk.after.start;
            }
            let stop = hunk.after.end.min(end);
            if at < stop {
                kept.push(entry.part(at, stop));
                at = stop;
            }
            next += 1;
        }
    }
    // Lines that moved within the file may share a place; their parts come out of order.
    kept.sort_by_key(|entry| entry.at);
    passed.sort_by_key(|entry| entry.at);
    (kept, passed)
}

/// Two lists in the order of their places as one, those of `first` before equals.
pub(super) fn merge(first: Vec<Entry>, second: Vec<Entry>) -> Vec<Entry> {
    let mut merged = first;
    merged.extend(second);
    merged.sort_by_key(|entry| entry.at);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(line: usize, at: usize, len: usize) -> Entry {
        Entry { line, at, len }
    }

    #[test]
    fn lines_in_hunks_stay_and_the_rest_moves_by_what_changed_before() {
        // The parent: 3 lines fewer in front, one line more after line 10 of the child.
        let hunks = [
            LineHunk {
                before: 2..2,
                after: 2..5,
            },
            LineHunk {
                before: 7..8,
                after: 10..10,
            },
        ];
        let (kept, passed) = divide(&[entry(100, 0, 20)], &hunks);
        assert_eq!(kept, [entry(102, 2, 3)]);
        assert_eq!(
            passed,
            [entry(100, 0, 2), entry(105, 2, 5), entry(110, 8, 10)]
        );
        let (kept, passed) = divide(&[entry(0, 3, 1), entry(50, 4, 2), entry(7, 12, 1)], &hunks);
        assert_eq!(kept, [entry(0, 3, 1), entry(50, 4, 1)]);
        assert_eq!(passed, [entry(51, 2, 1), entry(7, 10, 1)]);
        let (kept, passed) = divide(&[entry(0, 0, 3)], &[]);
        assert_eq!((kept, passed), (vec![], vec![entry(0, 0, 3)]));
    }
}
