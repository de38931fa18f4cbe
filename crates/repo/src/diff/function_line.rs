//! The line of a text that tells what a hunk is in: behind the second `@@`.

/// Bytes of it that are shown.
const SHOWN_BYTES: usize = 80;

/// What is shown of a line that begins a function or a section, by Git's rule for files of no
/// particular sort: a letter, `_` or `$` in the first column.
pub(crate) fn function_name(line: &[u8]) -> Option<&[u8]> {
    let first = *line.first()?;
    if !first.is_ascii_alphabetic() && first != b'_' && first != b'$' {
        return None;
    }
    let shown = &line[..line.len().min(SHOWN_BYTES)];
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let end = shown.iter().rposition(|byte| !is_space(byte))?;
    Some(&shown[..end + 1])
}

/// The start of a text, up to the first bytes that Git does not take for UTF-8.
pub(super) fn valid_start(text: &[u8]) -> &[u8] {
    let valid = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or_default(),
    };
    let end = valid.find(['\u{fffe}', '\u{ffff}']).unwrap_or(valid.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_begins_with_a_letter_and_ends_without_space() {
        assert_eq!(
            function_name(b"fn main() { \r\n"),
            Some(&b"fn main() {"[..])
        );
        assert_eq!(function_name(b"  fn inner()\n"), None);
        assert_eq!(function_name(b""), None);
        assert_eq!(function_name(&[b'x'; 100]), Some(&[b'x'; 80][..]));
    }

    #[test]
    fn text_is_cut_where_it_is_not_utf8() {
        assert_eq!(valid_start(b"caf\xc3\xa9 \xff x"), b"caf\xc3\xa9 ");
        assert_eq!(valid_start("a\u{ffff}".as_bytes()), b"a");
    }
}
