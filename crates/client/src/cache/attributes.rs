//! The `.gitattributes` of a tree: what they say of its files, as Git reads them.

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::PathPatterns;
use packhouse_repo::patch::unquote;

/// Longer lines do not count, as in Git.
const LINE_BYTES: usize = 2047;
const BLANK: &[u8] = b" \t\r\n";

/// What is said of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Set,
    Unset,
    /// As if nothing was said.
    Unspecified,
    Value(BString),
}

/// What the lines of all files say.
#[derive(Debug)]
pub(super) struct Attributes {
    /// The lines of each folder's file.
    lists: HashMap<BString, Vec<Line>>,
    /// What an attribute stands for when it is set.
    macros: HashMap<BString, Vec<(BString, State)>>,
}

#[derive(Debug)]
struct Line {
    pattern: PathPatterns,
    said: Vec<(BString, State)>,
}

/// What is said of one file.
pub(super) struct Said<'a>(HashMap<&'a BStr, &'a State>);

impl Said<'_> {
    pub(super) fn of(&self, name: &str) -> &State {
        self.0
            .get(BStr::new(name))
            .copied()
            .unwrap_or(&State::Unspecified)
    }
}

impl Attributes {
    pub(super) fn new() -> Attributes {
        let binary = ["diff", "merge", "text"].map(|name| (BString::from(name), State::Unset));
        Attributes {
            lists: HashMap::new(),
            macros: HashMap::from([(BString::from("binary"), Vec::from(binary))]),
        }
    }

    /// Adds the file of a folder; that of the top is the empty path.
    pub(super) fn add(&mut self, folder: &BStr, text: &[u8]) {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut lines = Vec::new();
        for line in text.lines().filter(|line| line.len() <= LINE_BYTES) {
            let line = line.trim_start_with(|c| matches!(c, ' ' | '\t' | '\r'));
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (name, rest) = unquote(line).unwrap_or_else(|| {
                let (name, rest) = line.split_at(word(line));
                (name.into(), rest)
            });
            if let Some(name) = line.strip_prefix(b"[attr]") {
                let name = name.trim_start();
                let (name, rest) = name.split_at(word(name));
                if folder.is_empty() {
                    self.macros.insert(name.into(), states(rest));
                }
            } else if !name.starts_with(b"!") {
                let mut pattern = PathPatterns::default();
                pattern.push(&name);
                let said = states(rest);
                lines.push(Line { pattern, said });
            }
        }
        self.lists.insert(folder.into(), lines);
    }

    /// What is said of the file at a path: the deepest folder's file says it, and of that the last line.
    pub(super) fn of<'a>(&'a self, path: &[u8]) -> Said<'a> {
        let mut said = Said(HashMap::new());
        let folders = path.rfind_iter(b"/").map(|end| (end, end + 1));
        for (end, begin) in folders.chain([(0, 0)]) {
            let lines = self.lists.get(path[..end].as_bstr());
            for line in lines.into_iter().flatten().rev() {
                if line.pattern.verdict(&path[begin..], false) == Some(true) {
                    self.fill(&line.said, &mut said);
                }
            }
        }
        said
    }

    fn fill<'a>(&'a self, states: &'a [(BString, State)], said: &mut Said<'a>) {
        for (name, state) in states.iter().rev() {
            if said.0.contains_key(name.as_bstr()) {
                continue;
            }
            said.0.insert(name.as_bstr(), state);
            if let (State::Set, Some(stands_for)) = (state, self.macros.get(name)) {
                self.fill(stands_for, said);
            }
        }
    }
}

fn word(text: &[u8]) -> usize {
    text.find_byteset(BLANK).unwrap_or(text.len())
}

fn states(text: &[u8]) -> Vec<(BString, State)> {
    let words = text.split(|byte| BLANK.contains(byte));
    let state = |word: &[u8]| match (word.first()?, word.find_byte(b'=')) {
        (b'-', _) => Some((word[1..].into(), State::Unset)),
        (b'!', _) => Some((word[1..].into(), State::Unspecified)),
        (_, Some(at)) => Some((word[..at].into(), State::Value(word[at + 1..].into()))),
        _ => Some((word.into(), State::Set)),
    };
    words.filter_map(state).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_line_counts_and_macros_stand_for_others() {
        let mut attributes = Attributes::new();
        let top = b"[attr]mine eol=crlf text\n* text=auto\n*.bin binary\n\"a b\" mine\n# c\n!x text\n/d/*.x -text\nd/\ttext\n";
        attributes.add(BStr::new(""), top);
        attributes.add(BStr::new("d"), b"*.x !text eol=lf\n[attr]not set\n");
        let value = |text: &str| State::Value(text.into());
        let of = |path: &str, name: &str| attributes.of(path.as_bytes()).of(name).clone();
        assert_eq!(of("e/f", "text"), value("auto"));
        assert_eq!(of("e/f.bin", "text"), State::Unset);
        assert_eq!(of("e/f.bin", "binary"), State::Set);
        assert_eq!(of("a b", "eol"), value("crlf"));
        assert_eq!(of("a b", "text"), State::Set);
        assert_eq!(of("d/f.x", "text"), State::Unspecified);
        assert_eq!(of("d/f.x", "eol"), value("lf"));
        assert_eq!(of("d/f", "text"), value("auto"));
        assert_eq!(of("d/f", "eol"), State::Unspecified);
    }
}
