//! File names in the headers of diffs.

use bstr::{BString, ByteSlice};

use super::quoted::unquote;
use super::timestamp::timestamp_len;

/// White space as Git counts it.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether a name is the one of no file.
pub(super) fn is_dev_null(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b"/dev/null");
    rest.is_some_and(|rest| rest.first().is_none_or(|&byte| is_space(byte)))
}

/// The name of a `---`, `+++`, `rename` or `copy` line of a Git diff, without its first `strip` folders. A name may end
/// in white space only where `ends_at_tab` is not set; then it goes on to the end of the line.
pub(super) fn header_name(text: &[u8], strip: usize, ends_at_tab: bool) -> Option<BString> {
    if let Some(name) = quoted_name(text, strip) {
        return Some(name);
    }
    let ends = |byte: u8| matches!(byte, b'\n' | b'\r') || (ends_at_tab && byte == b'\t');
    let end = text
        .iter()
        .position(|&byte| ends(byte))
        .unwrap_or(text.len());
    stripped(&text[..end], strip)
}

/// The name of a `---` or `+++` line of a traditional diff. `shorter` is the one of the line before: where this one is
/// the same with something behind it (`file.orig`), it is preferred.
pub(super) fn traditional_name(
    text: &[u8],
    strip: usize,
    shorter: Option<&BString>,
) -> Option<BString> {
    if let Some(name) = quoted_name(text, strip) {
        return Some(name);
    }
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let found = match timestamp_len(line) {
        0 => header_name(text, strip, true),
        len => stripped(&line[..line.len() - len], strip),
    };
    match (found, shorter) {
        (None, shorter) => shorter.cloned(),
        (Some(found), Some(shorter))
            if found.len() > shorter.len() && found.starts_with(shorter) =>
        {
            Some(shorter.clone())
        }
        (found, _) => found,
    }
}

/// The name that both halves of a `diff --git` line agree on; `None` if they do not, as with a rename. `text` is what
/// follows those words, without the newline.
pub(super) fn default_name(text: &[u8], strip: usize) -> Option<BString> {
    if text.starts_with(b"\"") {
        let (first, rest) = unquote(text)?;
        let first = without_folders(&first, strip)?.to_owned();
        let second = rest.trim_start_with(|c| matches!(c, ' ' | '\t' | '\r'));
        if second.is_empty() {
            return None;
        }
        let second = match second.starts_with(b"\"") {
            true => unquote(second)?.0,
            false => second.into(),
        };
        return (without_folders(&second, strip)? == first).then(|| first.into());
    }
    let name = without_folders(text, strip)?;
    if let Some(quote) = name.find_byte(b'"') {
        // The first name is not quoted, so a quote can only begin the second.
        let (second, _) = unquote(&name[quote..])?;
        let second = without_folders(&second, strip)?;
        let separates = name.get(second.len()).is_some_and(|&byte| is_space(byte));
        let same = second.len() < quote && name.starts_with(second) && separates;
        return same.then(|| second.into());
    }
    for (len, _) in name
        .iter()
        .enumerate()
        .filter(|(_, byte)| matches!(byte, b' ' | b'\t'))
    {
        let behind = &name[len + 1..];
        if behind.is_empty() {
            return None;
        }
        // A folder whose name ends in a space looks like the end of the first name.
        if let Some(second) = without_folders(behind, strip)
            && second == &name[..len]
        {
            return Some(second.into());
        }
    }
    None
}

/// `name` without its first `strip` folders; `None` if it has fewer, or is absolute.
fn without_folders(name: &[u8], strip: usize) -> Option<&[u8]> {
    if strip == 0 {
        return (!name.starts_with(b"/")).then_some(name);
    }
    let mut slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let (at, _) = slashes.nth(strip - 1)?;
    (at > 0).then(|| &name[at + 1..])
}

fn quoted_name(text: &[u8], strip: usize) -> Option<BString> {
    let (name, _) = unquote(text)?;
    let mut rest: &[u8] = &name;
    for _ in 0..strip {
        rest = &rest[rest.find_byte(b'/')? + 1..];
    }
    Some(without_double_slashes(rest))
}

fn stripped(name: &[u8], strip: usize) -> Option<BString> {
    let mut rest = name;
    for _ in 0..strip {
        rest = &rest[rest.find_byte(b'/')? + 1..];
    }
    (!rest.is_empty()).then(|| without_double_slashes(rest))
}

fn without_double_slashes(name: &[u8]) -> BString {
    let mut out = name.to_vec();
    out.dedup_by(|next, before| *next == b'/' && *before == b'/');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default(text: &str) -> Option<BString> {
        default_name(text.as_bytes(), 1)
    }

    #[test]
    fn both_halves_of_a_git_line_have_to_agree() {
        for (text, name) in [
            ("a/x b/x", "x"),
            ("a/x y b/x y", "x y"),
            ("a/d/x b/d/x", "d/x"),
            ("i/x w/x", "x"),
            (r#""a/\303\244" "b/\303\244""#, "ä"),
            (r#"a/x "b/x""#, "x"),
            (r#""a/x" b/x"#, "x"),
            ("a/a b/a b/a b/a", "a b/a"),
        ] {
            assert_eq!(default(text).unwrap(), name, "{text}");
        }
        for text in [
            "a/x b/y",
            "x x",
            "/a/x /a/x",
            "a/x",
            "a/x ",
            "",
            r#""a/x" "b/y""#,
            r#""a/x""#,
        ] {
            assert_eq!(default(text), None, "{text}");
        }
    }

    #[test]
    fn names_end_where_git_ends_them() {
        let name = |text: &str| header_name(text.as_bytes(), 1, true);
        assert_eq!(name("a/x y\t\n").unwrap(), "x y");
        assert_eq!(name("a/x\r\n").unwrap(), "x");
        assert_eq!(name("a//d///x\n").unwrap(), "/d/x");
        assert_eq!(name("\"a/\\tx\"\n").unwrap(), "\tx");
        assert_eq!(name("x\n"), None);
        assert_eq!(name("a/\n"), None);
        assert_eq!(header_name(b"x\ty\n", 0, false).unwrap(), "x\ty");
    }

    #[test]
    fn the_shorter_of_two_names_is_meant() {
        let second = |text: &str| traditional_name(text.as_bytes(), 1, Some(&"f".into()));
        assert_eq!(
            second("b/f.orig\t2010-07-05 19:41:17 +0000\n").unwrap(),
            "f"
        );
        assert_eq!(second("b/g\n").unwrap(), "g");
        assert_eq!(second("b\n").unwrap(), "f");
    }
}
