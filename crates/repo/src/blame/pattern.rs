//! Patterns as `git blame -L` takes them: POSIX basic regular expressions, with what the GNU library adds.
//!
//! They are translated for an engine whose time is bounded by the text's length, whatever the pattern. Only
//! back-references have no such translation.

use std::iter::Peekable;
use std::str::Chars;

use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 1024;

/// The most memory that a compiled pattern may take, in bytes.
const MAX_COMPILED_BYTES: usize = 4 << 20;

/// The most repetitions that a pattern may ask for.
const MAX_REPEAT: u32 = 1000;

/// A pattern that is none, or one that is not taken.
#[derive(Debug, thiserror::Error)]
pub enum LinePatternError {
    /// It is too long.
    #[error("a pattern has at most {MAX_BYTES} bytes")]
    TooLong,
    /// A group, a set or a repetition does not end.
    #[error("the pattern ends in the middle of {0}")]
    Unfinished(&'static str),
    /// A group ends that never began.
    #[error("the pattern has `\\)` without `\\(`")]
    UnexpectedEnd,
    /// It refers to what a group matched.
    #[error("back-references such as `\\1` are not supported")]
    BackReference,
    /// A repetition is no number, or too large.
    #[error("`\\{{{0}\\}}` is no number of repetitions up to {MAX_REPEAT}")]
    Repetition(String),
    /// A set has something that is not known.
    #[error("`{0}` is not known in a set of characters")]
    Set(String),
    /// The engine does not take it.
    #[error("the pattern cannot be used: {0}")]
    Engine(Box<BuildError>),
}

/// Makes a pattern ready for use. `^` and `$` match at every line, and nothing matches the end of a line.
pub(super) fn compile(pattern: &str) -> Result<Regex, LinePatternError> {
    if pattern.len() > MAX_BYTES {
        return Err(LinePatternError::TooLong);
    }
    let translated = Translation::of(pattern)?;
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(MAX_COMPILED_BYTES));
    let syntax = syntax::Config::new().multi_line(true).utf8(false);
    Regex::builder()
        .configure(config)
        .syntax(syntax)
        .build(&translated)
        .map_err(|error| LinePatternError::Engine(Box::new(error)))
}

struct Translation<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    depth: usize,
    /// Whether a new pattern or branch begins here, where `*` is a character like others and `^` is an anchor.
    at_start: bool,
}

impl Translation<'_> {
    fn of(pattern: &str) -> Result<String, LinePatternError> {
        let mut translation = Translation {
            rest: pattern.chars().peekable(),
            out: String::with_capacity(2 * pattern.len()),
            depth: 0,
            at_start: true,
        };
        while let Some(next) = translation.rest.next() {
            translation.step(next)?;
        }
        match translation.depth {
            0 => Ok(translation.out),
            _ => Err(LinePatternError::Unfinished("a group")),
        }
    }

    fn step(&mut self, next: char) -> Result<(), LinePatternError> {
        let at_start = std::mem::take(&mut self.at_start);
        match next {
            '\\' => return self.escaped(at_start),
            '[' => return self.set(),
            '.' => self.out.push('.'),
            '*' if !at_start => self.out.push('*'),
            '^' if at_start => {
                self.out.push('^');
                self.at_start = true;
            }
            '$' if self.is_at_end() => self.out.push('$'),
            other => self.literal(other),
        }
        Ok(())
    }

    fn escaped(&mut self, at_start: bool) -> Result<(), LinePatternError> {
        let next = self.rest.next();
        match next.ok_or(LinePatternError::Unfinished("an escape"))? {
            '(' => {
                self.out.push_str("(?:");
                self.depth += 1;
                self.at_start = true;
            }
            ')' => {
                let depth = self.depth.checked_sub(1);
                self.depth = depth.ok_or(LinePatternError::UnexpectedEnd)?;
                self.out.push(')');
            }
            '|' => {
                self.out.push('|');
                self.at_start = true;
            }
            '{' if at_start => self.literal('{'),
            '{' => self.repetition()?,
            sign @ ('+' | '?') if at_start => self.literal(sign),
            sign @ ('+' | '?') => self.out.push(sign),
            class @ ('w' | 'W' | 's' | 'S' | 'b' | 'B') => {
                self.out.push('\\');
                self.out.push(class);
            }
            '<' => self.out.push_str("\\b{start}"),
            '>' => self.out.push_str("\\b{end}"),
            '`' => self.out.push_str("\\A"),
            '\'' => self.out.push_str("\\z"),
            '1'..='9' => return Err(LinePatternError::BackReference),
            other => self.literal(other),
        }
        Ok(())
    }

    /// Whether `$` here is an anchor.
    fn is_at_end(&mut self) -> bool {
        let mut ahead = self.rest.clone();
        match ahead.next() {
            None => true,
            Some('\\') => matches!(ahead.next(), Some(')' | '|')),
            Some(_) => false,
        }
    }

    fn literal(&mut self, character: char) {
        if "\\.+*?()|[]{}^$".contains(character) {
            self.out.push('\\');
        }
        self.out.push(character);
    }

    fn repetition(&mut self) -> Result<(), LinePatternError> {
        let mut inside = String::new();
        loop {
            match self.rest.next() {
                Some('\\') if self.rest.next_if_eq(&'}').is_some() => break,
                Some(other) => inside.push(other),
                None => return Err(LinePatternError::Unfinished("a repetition")),
            }
        }
        let (least, most) = inside.split_once(',').unwrap_or((&inside, &inside));
        let bound = |text: &str| text.parse().ok().filter(|count| *count <= MAX_REPEAT);
        let bad = || LinePatternError::Repetition(inside.clone());
        let from: u32 = match least {
            "" if inside.starts_with(',') => 0,
            least => bound(least).ok_or_else(bad)?,
        };
        let repeat = match most {
            "" => format!("{{{from},}}"),
            most => {
                let to = bound(most).filter(|to| *to >= from).ok_or_else(bad)?;
                format!("{{{from},{to}}}")
            }
        };
        self.out.push_str(&repeat);
        Ok(())
    }

    fn set(&mut self) -> Result<(), LinePatternError> {
        let unfinished = || LinePatternError::Unfinished("a set of characters");
        self.out.push('[');
        if self.rest.next_if_eq(&'^').is_some() {
            self.out.push_str("^\\n");
        }
        let mut is_first = true;
        loop {
            let next = self.rest.next().ok_or_else(unfinished)?;
            match next {
                ']' if !is_first => break,
                '[' if matches!(self.rest.peek(), Some(':' | '=' | '.')) => self.named()?,
                // A range, unless it stands at an end of the set.
                '-' if !is_first && self.rest.peek().is_some_and(|next| *next != ']') => {
                    self.out.push('-');
                }
                other => self.in_set(other),
            }
            is_first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// `[:class:]`, `[=c=]` or `[.c.]` within a set.
    fn named(&mut self) -> Result<(), LinePatternError> {
        let kind = self.rest.next().unwrap_or_default();
        let mut name = String::new();
        loop {
            match self.rest.next() {
                Some(end) if end == kind && self.rest.next_if_eq(&']').is_some() => break,
                Some(other) => name.push(other),
                None => return Err(LinePatternError::Unfinished("a set of characters")),
            }
        }
        const CLASSES: [&str; 12] = [
            "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "xdigit",
        ];
        let mut characters = name.chars();
        match (kind, characters.next(), characters.next()) {
            (':', ..) if CLASSES.contains(&name.as_str()) => {
                self.out.push_str(&format!("[:{name}:]"));
            }
            ('=' | '.', Some(only), None) => self.in_set(only),
            _ => return Err(LinePatternError::Set(format!("[{kind}{name}{kind}]"))),
        }
        Ok(())
    }

    fn in_set(&mut self, character: char) {
        if "\\[]^-&~".contains(character) {
            self.out.push('\\');
        }
        self.out.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pattern: &str, text: &str) -> Option<usize> {
        let found = compile(pattern).unwrap().find(text.as_bytes());
        found.map(|found| found.start())
    }

    #[test]
    fn patterns_mean_what_they_mean_to_grep() {
        for (pattern, text, expected) in [
            ("b*c", "abbc", Some(1)),
            ("*c", "a*c", Some(1)),
            ("\\(*a\\)", "x*a", Some(1)),
            ("a+b", "aab a+b", Some(4)),
            ("xa\\+b", "b xaab", Some(2)),
            ("a\\{2,3\\}b", "ab aab", Some(3)),
            ("a{2}", "aa a{2}", Some(3)),
            ("^b", "a\nb", Some(2)),
            ("a^b$c", "a^b$c", Some(0)),
            ("b$", "bb\n", Some(1)),
            ("x\\|^b", "a\nb", Some(2)),
            ("[]x]", "a]", Some(1)),
            ("[^a]", "a\nb", Some(2)),
            ("[[:digit:]-]", "a-1", Some(1)),
            ("[a\\]", "x\\", Some(1)),
            ("[x-]", "a-", Some(1)),
            ("a.c", "a\nc", None),
            ("\\<b", "ab b", Some(3)),
            ("(x)|y", "(x)|y", Some(0)),
            ("a<b", "xa<b", Some(1)),
            ("[<&~^]", "a~", Some(1)),
            ("ü", "aü", Some(1)),
        ] {
            assert_eq!(at(pattern, text), expected, "{pattern} in {text:?}");
        }
        for bad in [
            "\\(",
            "\\)",
            "[a",
            "a\\{x\\}",
            "a\\{2",
            "a\\{3,2\\}",
            "\\1",
            "\\",
            "[[:no:]]",
            "[[.ab.]]",
            "a\\{9999\\}",
            &"x".repeat(2000),
        ] {
            assert!(compile(bad).is_err(), "{bad}");
        }
    }
}
