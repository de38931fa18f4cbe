//! A list of patterns of paths: a `.gitignore`, a file of sparse checkouts, or those given with a call.

mod wildmatch;

use bstr::ByteSlice;

pub use self::wildmatch::Wildmatch;

/// Patterns in the order they were written; the last that matches decides.
#[derive(Clone, Debug, Default)]
pub struct PathPatterns {
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    negated: bool,
    folders_only: bool,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// The name is this.
    Name(Vec<u8>),
    /// The name ends so.
    NameEnd(Vec<u8>),
    /// The name matches.
    NameMatch(Wildmatch),
    /// The path is this, from the folder of the list on.
    Path(Vec<u8>),
    /// The path begins so, and what follows matches.
    PathMatch(Vec<u8>, Wildmatch),
}

impl PathPatterns {
    /// The patterns of a file.
    pub fn parse(file: &[u8]) -> PathPatterns {
        let mut list = PathPatterns::default();
        list.push_file(file);
        list
    }

    /// Adds the patterns of a file.
    pub fn push_file(&mut self, file: &[u8]) {
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        for line in file.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // To Git a line is a C string.
            let line = line.split(|&byte| byte == 0).next().unwrap_or(line);
            if !line.starts_with(b"#") {
                self.push(without_trailing_spaces(line));
            }
        }
    }

    /// Adds one pattern; one that can match nothing is dropped.
    pub fn push(&mut self, pattern: &[u8]) {
        let (negated, pattern) = match pattern.strip_prefix(b"!") {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let (folders_only, pattern) = match pattern.strip_suffix(b"/") {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        if pattern.is_empty() {
            return;
        }
        self.patterns.push(Pattern {
            negated,
            folders_only,
            test: Test::new(pattern),
        });
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// What the last matching pattern says of a path below the list's folder: that it is meant, or expressly not. Of the folder
    /// itself, the empty path, only patterns of names speak.
    pub fn verdict(&self, path: &[u8], is_folder: bool) -> Option<bool> {
        let name = match path.rfind_byte(b'/') {
            Some(slash) => &path[slash + 1..],
            None => path,
        };
        let decisive = self.patterns.iter().rev().find(|pattern| {
            (is_folder || !pattern.folders_only) && pattern.test.matches(path, name)
        });
        decisive.map(|pattern| !pattern.negated)
    }
}

impl Test {
    fn new(pattern: &[u8]) -> Test {
        let literal = pattern
            .iter()
            .position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
            .unwrap_or(pattern.len());
        if !pattern.contains(&b'/') {
            return match pattern {
                _ if literal == pattern.len() => Test::Name(pattern.into()),
                [b'*', end @ ..] if !end.iter().any(|byte| b"*?[\\".contains(byte)) => {
                    Test::NameEnd(end.into())
                }
                _ => Test::NameMatch(Wildmatch::new(pattern)),
            };
        }
        let (literal, pattern) = match pattern.strip_prefix(b"/") {
            Some(rest) => (literal - 1, rest),
            None => (literal, pattern),
        };
        // Git compares the part without wildcards first, and takes the rest for a pattern of its own.
        let (start, rest) = pattern.split_at(literal);
        match rest.is_empty() {
            true => Test::Path(start.into()),
            false => Test::PathMatch(start.into(), Wildmatch::new(rest)),
        }
    }

    fn matches(&self, path: &[u8], name: &[u8]) -> bool {
        match self {
            Test::Name(wanted) => name == wanted,
            Test::NameEnd(end) => name.ends_with(end),
            Test::NameMatch(pattern) => pattern.matches(name),
            _ if path.is_empty() => false,
            Test::Path(wanted) => path == wanted,
            Test::PathMatch(start, pattern) => path
                .strip_prefix(start.as_slice())
                .is_some_and(|rest| pattern.matches(rest)),
        }
    }
}

/// Git drops spaces at the end, unless a backslash stands before them.
fn without_trailing_spaces(line: &[u8]) -> &[u8] {
    let mut kept = 0;
    let mut at = 0;
    while at < line.len() {
        match line[at] {
            b' ' => at += 1,
            // A backslash alone at the end keeps everything.
            b'\\' if at + 1 == line.len() => return line,
            b'\\' => {
                at += 2;
                kept = at;
            }
            _ => {
                at += 1;
                kept = at;
            }
        }
    }
    &line[..kept]
}
