//! Git's wildcard language, as `wildmatch.c` defines it, in time bounded by the product of pattern and text.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Wildmatch {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Byte(u8),
    /// `?`
    Any,
    /// Bytes that match, one bit each.
    Set(Box<[u64; 4]>),
    /// Any text without a slash.
    Star,
    /// Any text.
    Everything,
    /// `**/`: nothing, or any text that ends in a slash.
    Folders,
    /// A part that is not complete, so that nothing matches.
    Never,
}

impl Wildmatch {
    /// Compiles a pattern for whole paths, where only `**` between slashes matches a slash.
    pub fn new(pattern: &[u8]) -> Wildmatch {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(&byte) = pattern.get(at) {
            at += 1;
            let part = match byte {
                b'?' => Part::Any,
                b'*' => stars(pattern, &mut at),
                b'[' => set(pattern, &mut at),
                b'\\' => {
                    let escaped = pattern.get(at).copied();
                    at += 1;
                    escaped.map_or(Part::Never, Part::Byte)
                }
                _ => Part::Byte(byte),
            };
            parts.push(part);
        }
        Wildmatch { parts }
    }

    /// Whether the pattern is well formed. Git takes one that is not, and it matches nothing.
    pub fn is_valid(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Never))
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &[u8]) -> bool {
        // Which parts may come next, for every start of the text at once.
        let mut now = vec![false; self.parts.len() + 1];
        let mut next = now.clone();
        self.reach(&mut now, 0);
        for &byte in text {
            next.fill(false);
            for at in (0..self.parts.len()).filter(|&at| now[at]) {
                match &self.parts[at] {
                    Part::Byte(wanted) if *wanted == byte => self.reach(&mut next, at + 1),
                    Part::Any if byte != b'/' => self.reach(&mut next, at + 1),
                    Part::Set(set) if byte != b'/' && has(set, byte) => {
                        self.reach(&mut next, at + 1)
                    }
                    Part::Star if byte != b'/' => self.reach(&mut next, at),
                    Part::Everything => self.reach(&mut next, at),
                    Part::Folders => {
                        next[at] = true;
                        if byte == b'/' {
                            self.reach(&mut next, at + 1);
                        }
                    }
                    _ => {}
                }
            }
            std::mem::swap(&mut now, &mut next);
        }
        now[self.parts.len()]
    }

    /// Marks a part, and those behind it as long as nothing need be matched between them.
    fn reach(&self, states: &mut [bool], mut at: usize) {
        loop {
            if std::mem::replace(&mut states[at], true) {
                return;
            }
            match self.parts.get(at) {
                Some(Part::Star | Part::Everything | Part::Folders) => at += 1,
                _ => return,
            }
        }
    }
}

/// A run of stars; `at` is behind the first.
fn stars(pattern: &[u8], at: &mut usize) -> Part {
    let first = *at - 1;
    while pattern.get(*at) == Some(&b'*') {
        *at += 1;
    }
    let alone_before = first == 0 || pattern[first - 1] == b'/';
    let rest = &pattern[*at..];
    match rest {
        _ if *at - first < 2 || !alone_before => Part::Star,
        [b'/', ..] => {
            *at += 1;
            Part::Folders
        }
        [] | [b'\\', b'/', ..] => Part::Everything,
        _ => Part::Star,
    }
}

/// A set; `at` is behind its `[`.
fn set(pattern: &[u8], at: &mut usize) -> Part {
    match read_set(&pattern[*at..]) {
        Some((set, len)) => {
            *at += len;
            Part::Set(Box::new(set))
        }
        None => {
            *at = pattern.len();
            Part::Never
        }
    }
}

/// The bytes in a set, and its length up to behind its `]`; `None` if it is not complete.
fn read_set(pattern: &[u8]) -> Option<([u64; 4], usize)> {
    let negated = matches!(pattern.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut set = [0u64; 4];
    // The byte a range may begin with.
    let mut low: Option<u8> = None;
    loop {
        let byte = *pattern.get(at)?;
        match byte {
            b'\\' => {
                at += 1;
                let byte = *pattern.get(at)?;
                add(&mut set, byte, byte);
                low = Some(byte);
            }
            b'-' if low.is_some() && pattern.get(at + 1).is_some_and(|&next| next != b']') => {
                at += 1;
                if pattern[at] == b'\\' {
                    at += 1;
                }
                add(&mut set, low?, *pattern.get(at)?);
                low = None;
            }
            b'[' if pattern.get(at + 1) == Some(&b':') => {
                let start = at + 2;
                let end = start + pattern[start..].iter().position(|&byte| byte == b']')?;
                if end > start && pattern[end - 1] == b':' {
                    let class = class(&pattern[start..end - 1])?;
                    (0..=255)
                        .filter(class)
                        .for_each(|byte| add(&mut set, byte, byte));
                    low = None;
                    at = end;
                } else {
                    // No `:]`: the bytes are members like any.
                    add(&mut set, b'[', b'[');
                    low = Some(b'[');
                }
            }
            _ => {
                add(&mut set, byte, byte);
                low = Some(byte);
            }
        }
        at += 1;
        if pattern.get(at)? == &b']' {
            break;
        }
    }
    if negated {
        set.iter_mut().for_each(|bits| *bits = !*bits);
    }
    Some((set, at + 1))
}

fn add(set: &mut [u64; 4], low: u8, high: u8) {
    for byte in low..=high {
        set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
}

fn has(set: &[u64; 4], byte: u8) -> bool {
    set[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
}

/// The test of a named class, with Git's idea of white space.
fn class(name: &[u8]) -> Option<fn(&u8) -> bool> {
    const fn is_space(byte: &u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
    }
    Some(match name {
        b"alnum" => u8::is_ascii_alphanumeric,
        b"alpha" => u8::is_ascii_alphabetic,
        b"blank" => |byte| matches!(byte, b' ' | b'\t'),
        b"cntrl" => u8::is_ascii_control,
        b"digit" => u8::is_ascii_digit,
        b"graph" => u8::is_ascii_graphic,
        b"lower" => u8::is_ascii_lowercase,
        b"print" => |byte| matches!(byte, b' '..=b'~'),
        b"punct" => u8::is_ascii_punctuation,
        b"space" => is_space,
        b"upper" => u8::is_ascii_uppercase,
        b"xdigit" => u8::is_ascii_hexdigit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Wildmatch::new(pattern.as_bytes()).matches(text.as_bytes())
    }

    #[test]
    fn patterns_match_as_in_git() {
        for (pattern, text) in [
            ("*.c", "x.c"),
            ("a?c", "abc"),
            ("**/foo", "foo"),
            ("**/foo", "a/b/foo"),
            ("foo/**", "foo/a/b"),
            ("a/**/b", "a/b"),
            ("a/**/b", "a/x/y/b"),
            ("a/*/b", "a/x/b"),
            ("[[:digit:][:upper:]]x", "7x"),
            ("[]-]x", "]x"),
            ("[!a-c]", "d"),
            ("[^a-c]", "d"),
            ("[a\\-z]", "-"),
            ("[\\\\-^]", "]"),
            ("\\*", "*"),
            ("[[:]", ":"),
            ("**", "a/b"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("*.c", "a/x.c"),
            ("a**b", "a/b"),
            ("foo/**", "foo"),
            ("a?c", "a/c"),
            ("[!a]x", "/x"),
            ("[a", "a"),
            ("[[:nope:]]", "n"),
            ("a\\", "a"),
            ("a\\", "a\\"),
            ("", "a"),
            ("a", ""),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn hostile_patterns_take_little_time() {
        let text = "a".repeat(4000);
        assert!(!matches(&("*a".repeat(300) + "b"), &text));
        assert!(!matches(&("**/".repeat(300) + "b"), &"a/".repeat(2000)));
    }
}
