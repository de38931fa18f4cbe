//! Ranges of lines, as `git blame -L` takes them.

use std::ops::Range;

use super::pattern::{self, LinePatternError};
use super::text::Text;
use crate::diff::function_name;

/// A range of lines that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// It is not written as a range is.
    #[error("`{spec}` is no range of lines; examples: 10,20 and 10,+5 and /regex/,+3 and :regex")]
    Malformed {
        /// As the caller wrote it.
        spec: String,
    },
    /// A line number below 1, or a count of 0.
    #[error("`{spec}`: lines are counted from 1, and a range has at least one")]
    NoLine {
        /// As the caller wrote it.
        spec: String,
    },
    /// It begins behind the last line.
    #[error("`{spec}`: the file has only {lines} lines")]
    TooFar {
        /// As the caller wrote it.
        spec: String,
        /// How many lines there are.
        lines: usize,
    },
    /// No line matches the pattern.
    #[error("`{spec}`: no line from {from} on matches `{pattern}`")]
    NoMatch {
        /// As the caller wrote it.
        spec: String,
        /// The pattern.
        pattern: String,
        /// The line that the search began at, counted from 1.
        from: usize,
    },
    /// The pattern is none.
    #[error("`{spec}`: {source}")]
    Pattern {
        /// As the caller wrote it.
        spec: String,
        /// What is wrong with it.
        #[source]
        source: LinePatternError,
    },
}

/// The lines that `specs` name, in order and without overlap; all lines if there are none.
pub(super) fn resolve(specs: &[String], text: &Text) -> Result<Vec<Range<usize>>, RangeError> {
    let lines = text.line_count();
    let mut ranges = Vec::with_capacity(specs.len());
    // A search begins behind the range before.
    let mut anchor = 1;
    for spec in specs {
        let (first, last) = Parser { spec, text }.range(anchor)?;
        if lines == 0 || first > lines {
            let spec = spec.clone();
            return Err(RangeError::TooFar { spec, lines });
        }
        let first = first.max(1);
        let last = if last < 1 || last > lines {
            lines
        } else {
            last
        };
        anchor = last + 1;
        ranges.push(first - 1..last);
    }
    if specs.is_empty() {
        ranges.push(0..lines);
    }
    Ok(merged(ranges))
}

fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

struct Parser<'a> {
    spec: &'a str,
    text: &'a Text,
}

impl Parser<'_> {
    /// First and last line, counted from 1; 0 where none is given. `anchor` is where searches begin.
    fn range(&self, anchor: usize) -> Result<(usize, usize), RangeError> {
        let anchor = anchor.clamp(1, self.text.line_count() + 1);
        if let Some(pattern) = self.spec.strip_prefix(':') {
            return self.function(pattern, anchor);
        }
        if let Some(pattern) = self.spec.strip_prefix("^:") {
            return self.function(pattern, 1);
        }
        let (mut first, mut rest) = self.place(self.spec, anchor, true)?;
        let mut last = 0;
        if let Some(behind) = rest.strip_prefix(',') {
            (last, rest) = self.place(behind, first.saturating_add(1), false)?;
        }
        if !rest.is_empty() {
            return Err(RangeError::Malformed {
                spec: self.spec.to_owned(),
            });
        }
        if first > 0 && last > 0 && last < first {
            std::mem::swap(&mut first, &mut last);
        }
        Ok((first, last))
    }

    /// One end of a range, and what follows it; 0 if there is none. `from` is the line behind the other end, which is
    /// where searches begin and what counts start from.
    fn place<'s>(
        &self,
        spec: &'s str,
        from: usize,
        is_first: bool,
    ) -> Result<(usize, &'s str), RangeError> {
        if !is_first && let Some(sign @ (b'+' | b'-')) = spec.bytes().next() {
            let Some((count, rest)) = number(&spec[1..]) else {
                return Ok((0, spec));
            };
            let count = count.ok_or_else(|| self.no_line())?;
            let place = match (sign, count) {
                (_, 0) => return Err(self.no_line()),
                // `from` is one more than the line that is counted from, which counts itself.
                (b'+', count) => from.saturating_add(count).saturating_sub(2),
                (_, count) => from.saturating_sub(count).max(1),
            };
            return Ok((place, rest));
        }
        if let Some((line, rest)) = number(spec) {
            return match line {
                Some(line) if line > 0 => Ok((line, rest)),
                _ => Err(self.no_line()),
            };
        }
        let (from, pattern) = match spec.strip_prefix('^') {
            Some(pattern) if is_first => (1, pattern),
            _ => (from, spec),
        };
        match delimited(pattern) {
            Some((pattern, rest)) => Ok((self.search(pattern, from)?, rest)),
            None => Ok((0, pattern)),
        }
    }

    /// The first line from `from` on in which a match of the pattern begins.
    fn search(&self, pattern: &str, from: usize) -> Result<usize, RangeError> {
        let spec = || self.spec.to_owned();
        let regex = pattern::compile(pattern).map_err(|source| RangeError::Pattern {
            spec: spec(),
            source,
        })?;
        let begin = from - 1;
        let start = self.text.start(begin);
        let data = &self.text.bytes()[start..];
        // Git reads the text as a C string.
        let end = data.iter().position(|byte| *byte == 0);
        let found = regex.find(&data[..end.unwrap_or(data.len())]);
        let at = found.ok_or_else(|| RangeError::NoMatch {
            spec: spec(),
            pattern: pattern.to_owned(),
            from,
        })?;
        let at = start + at.start();
        let lines = self.text.line_count();
        let line = (begin..lines).find(|line| at < self.text.start(line + 1));
        Ok(line.map_or(lines.max(begin) + 1, |line| line + 1))
    }

    /// The first function from `from` on in whose first line the pattern matches, up to the next function. What begins one
    /// is told as for files of no particular sort: as in diffs, `.gitattributes` is not looked at.
    fn function(&self, pattern: &str, from: usize) -> Result<(usize, usize), RangeError> {
        let spec = || self.spec.to_owned();
        // Git has a file's name behind a colon, in other commands.
        if pattern.is_empty() || until_colon(pattern).len() < pattern.len() {
            return Err(RangeError::Malformed { spec: spec() });
        }
        let regex = pattern::compile(pattern).map_err(|source| RangeError::Pattern {
            spec: spec(),
            source,
        })?;
        // Git reads the text as a C string.
        let bytes = self.text.bytes();
        let end = bytes.iter().position(|byte| *byte == 0);
        let end = end.unwrap_or(bytes.len());
        let line = |line: usize| {
            let line = self.text.lines(line..line + 1);
            line.strip_suffix(b"\n").unwrap_or(line)
        };
        let begins = |at: usize| function_name(line(at)).is_some();
        let is_found = |at: &usize| {
            let shown = end.saturating_sub(self.text.start(*at));
            let line = line(*at);
            begins(*at) && shown > 0 && regex.is_match(&line[..line.len().min(shown)])
        };
        let lines = self.text.line_count();
        let first = (from - 1..lines).find(is_found);
        let first = first.ok_or_else(|| RangeError::NoMatch {
            spec: spec(),
            pattern: pattern.to_owned(),
            from,
        })?;
        let next = (first + 1..lines).find(|at| begins(*at));
        Ok((first + 1, next.unwrap_or(lines)))
    }

    fn no_line(&self) -> RangeError {
        RangeError::NoLine {
            spec: self.spec.to_owned(),
        }
    }
}

/// The number a text begins with (`None` if it is negative), and what follows it: white space and a sign may stand in
/// front, and what is too large is the largest, as for C's `strtol`.
fn number(text: &str) -> Option<(Option<usize>, &str)> {
    let trimmed = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (is_negative, digits) = match trimmed.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let len = digits.bytes().take_while(u8::is_ascii_digit).count();
    if len == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(len);
    let value = digits.bytes().fold(0usize, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(usize::from(digit - b'0'))
    });
    let value = value.min(i64::MAX as usize);
    Some(((!is_negative || value == 0).then_some(value), rest))
}

/// The pattern between the slashes that a text begins with, and what follows them.
fn delimited(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('/')?;
    let mut is_escaped = false;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'/' => return Some((&inner[..at], &inner[at + 1..])),
            _ => {}
        }
    }
    None
}

/// What stands before the first colon that is not escaped.
fn until_colon(text: &str) -> &str {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b':' => return &text[..at],
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn lines(specs: &[&str]) -> Result<Vec<Range<usize>>, RangeError> {
        let text = Text::new(Bytes::from_static(b"one\ntwo\nthree\nfour\nfive\n"));
        let specs: Vec<String> = specs.iter().map(|spec| (*spec).to_owned()).collect();
        resolve(&specs, &text)
    }

    /// First line and end of each range.
    fn found(specs: &[&str]) -> Vec<(usize, usize)> {
        let ranges = lines(specs).unwrap();
        ranges
            .iter()
            .map(|range| (range.start, range.end))
            .collect()
    }

    #[test]
    fn ranges_are_numbers_counts_and_patterns() {
        assert_eq!(found(&[]), [(0, 5)]);
        assert_eq!(found(&[""]), [(0, 5)]);
        assert_eq!(found(&["2,3"]), [(1, 3)]);
        assert_eq!(found(&["2,+2", "4,9"]), [(1, 5)]);
        assert_eq!(found(&["4,-2", "1,1"]), [(0, 1), (2, 4)]);
        assert_eq!(found(&["/t/,+1", "/t/,+1"]), [(1, 3)]);
        assert_eq!(found(&["/f/,/f/"]), [(3, 5)]);
        assert_eq!(found(&["5", "^/o/,+1"]), [(0, 1), (4, 5)]);
        // Every line begins a function here.
        assert_eq!(found(&[":t", ":t", "^:o"]), [(0, 3)]);
    }

    #[test]
    fn what_is_no_range_is_told_apart() {
        let refused = |spec: &str| lines(&[spec]).unwrap_err();
        assert!(matches!(refused("6"), RangeError::TooFar { lines: 5, .. }));
        for spec in ["0", "-1", "1,+0", "1,0"] {
            assert!(matches!(refused(spec), RangeError::NoLine { .. }), "{spec}");
        }
        for spec in ["x", "1,x", "1,2,3", "1 2", "/open", "1,/open"] {
            assert!(
                matches!(refused(spec), RangeError::Malformed { .. }),
                "{spec}"
            );
        }
        assert!(matches!(
            refused("/zzz/"),
            RangeError::NoMatch { from: 1, .. }
        ));
        assert!(matches!(refused("/\\(/"), RangeError::Pattern { .. }));
        for spec in [":", "^:", ":one:", ":one:x"] {
            assert!(matches!(refused(spec), RangeError::Malformed { .. }));
        }
        for spec in [":main", "^:main"] {
            assert!(matches!(refused(spec), RangeError::NoMatch { from: 1, .. }));
        }
        assert!(matches!(
            resolve(&["1".to_owned()], &Text::new(Bytes::new())),
            Err(RangeError::TooFar { lines: 0, .. })
        ));
    }
}
