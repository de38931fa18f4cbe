//! Matching one name, or one text, against a pattern as Python's `fnmatch` does, with case.
//!
//! `*` is any text, `?` any one character, `[…]` one of a set, `[!…]` one not in it; a `[` without end stands for
//! itself, and nothing is an escape. Text that is not UTF-8 counts each stray byte as a character. The time is
//! bounded by the product of both lengths.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Fnmatch {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Star,
    Any,
    One(u32),
    Set {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
}

impl Part {
    fn matches(&self, c: u32) -> bool {
        match self {
            Part::Star => false,
            Part::Any => true,
            Part::One(one) => *one == c,
            Part::Set { negated, ranges } => {
                ranges.iter().any(|&(low, high)| (low..=high).contains(&c)) != *negated
            }
        }
    }
}

impl Fnmatch {
    /// Compiles any bytes: every pattern means something.
    pub(crate) fn new(pattern: &[u8]) -> Fnmatch {
        let pattern = characters(pattern);
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(&c) = pattern.get(at) {
            at += 1;
            let part = match char::from_u32(c) {
                Some('*') if matches!(parts.last(), Some(Part::Star)) => continue,
                Some('*') => Part::Star,
                Some('?') => Part::Any,
                Some('[') => match set(&pattern[at..]) {
                    Some((part, len)) => {
                        at += len;
                        part
                    }
                    None => Part::One(c),
                },
                _ => Part::One(c),
            };
            parts.push(part);
        }
        Fnmatch { parts }
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let text = characters(text);
        let (mut part, mut at) = (0, 0);
        // Behind the last star, and where in the text its next try begins.
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let next = match (self.parts.get(part), text.get(at)) {
                (None, None) => return true,
                (Some(Part::Star), _) => {
                    retry = Some((part + 1, at));
                    part += 1;
                    continue;
                }
                (Some(wanted), Some(&c)) => wanted.matches(c),
                _ => false,
            };
            match retry {
                _ if next => {
                    part += 1;
                    at += 1;
                }
                // A longer star cannot help once the text has ended.
                Some((behind, tried)) if tried < text.len() => {
                    retry = Some((behind, tried + 1));
                    (part, at) = (behind, tried + 1);
                }
                _ => return false,
            }
        }
    }
}

/// The set that begins behind a `[`, and how many characters it takes; `None` if it has no end.
fn set(rest: &[u32]) -> Option<(Part, usize)> {
    let is = |at: usize, c: char| rest.get(at) == Some(&u32::from(c));
    let negated = is(0, '!');
    let start = usize::from(negated);
    // A `]` that comes first is a member.
    let from = start + usize::from(is(start, ']'));
    let end = from
        + rest
            .get(from..)?
            .iter()
            .position(|&c| c == u32::from(']'))?;
    let members = &rest[start..end];
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(&low) = members.get(at) {
        match (members.get(at + 1), members.get(at + 2)) {
            (Some(&dash), Some(&high)) if dash == u32::from('-') => {
                ranges.push((low, high));
                at += 3;
            }
            _ => {
                ranges.push((low, low));
                at += 1;
            }
        }
    }
    Some((Part::Set { negated, ranges }, end + 1))
}

/// Characters, and stray bytes as numbers beyond all characters.
fn characters(mut text: &[u8]) -> Vec<u32> {
    const STRAY: u32 = 0x11_0000;
    let mut all = Vec::with_capacity(text.len());
    while let Some(&first) = text.first() {
        let (c, len) = bstr::decode_utf8(text);
        match c {
            Some(c) => {
                all.push(u32::from(c));
                text = &text[len..];
            }
            None => {
                all.push(STRAY + u32::from(first));
                text = &text[1..];
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Fnmatch::new(pattern.as_bytes()).matches(text.as_bytes())
    }

    #[test]
    fn patterns_mean_what_python_takes_them_for() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "anything/at all"),
            ("a*b*c", "aXbYbZc"),
            ("a**c", "abc"),
            ("?", "é"),
            ("[abc]?", "bx"),
            ("[!abc]", "d"),
            ("[a-c]", "b"),
            ("[a-c-e]", "-"),
            ("[]a]", "]"),
            ("[!]a]", "b"),
            ("[-a]", "-"),
            ("[a-]", "-"),
            ("[", "["),
            ("[abc", "[abc"),
            ("[]", "[]"),
            ("a\\b", "a\\b"),
            ("[^a]", "^"),
            ("[é-í]", "ì"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("a*b", "ac"),
            ("A", "a"),
            ("[abc]", "d"),
            ("[!abc]", "a"),
            ("[c-a]", "b"),
            ("[]", ""),
            ("\\*", "*"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn stray_bytes_are_characters() {
        let any = Fnmatch::new(b"a?b");
        assert!(any.matches(b"a\xffb"));
        assert!(!any.matches(b"a\xff\xfeb"));
        assert!(Fnmatch::new(b"\xff*").matches(b"\xffx"));
        assert!(!Fnmatch::new(b"\xff").matches("ÿ".as_bytes()));
    }

    #[test]
    fn many_stars_take_little_time() {
        let pattern = "a*".repeat(200) + "b";
        assert!(!matches(&pattern, &"a".repeat(4000)));
    }
}
