//! Who did something and when, as commits and tags record it.

use bstr::{BStr, BString, ByteSlice};

/// A person, a time and an offset from UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Signature {
    /// The name; may be empty in old commits.
    pub name: BString,
    /// The address, which need not be one.
    pub email: BString,
    /// Seconds since the epoch.
    pub seconds: i64,
    /// Minutes east of UTC.
    pub offset_minutes: i32,
}

impl Signature {
    /// Reads the value of an `author`, `committer` or `tagger` line.
    ///
    /// As tolerant as Git: the address ends at the first `>`, the time comes after the last one, and what has no time with an
    /// offset after it was made at the epoch. `None` where Git shows nobody: without both angle brackets.
    pub fn parse(line: &[u8]) -> Option<Signature> {
        let open = line.find_byteset(b"<\0")?;
        if line[open] == 0 {
            return None;
        }
        let close = open + line[open..].find_byte(b'>')?;
        let last_close = line.rfind_byte(b'>')?;
        let name = line[..open].trim_end_with(is_space);
        let email = &line[open + 1..close];
        let (seconds, offset_minutes) = parse_time(&line[last_close + 1..]).unwrap_or_default();
        Some(Signature {
            name: name.into(),
            email: email.into(),
            seconds,
            offset_minutes,
        })
    }

    /// A name or an address as it is written, and so what is read again.
    pub fn kept(text: &str) -> String {
        let mut kept = Vec::with_capacity(text.len());
        push_without_crud(&mut kept, text.into());
        String::from_utf8(kept).expect("whole characters of a text were dropped")
    }

    /// The line's value as Git writes it: crud around name and address removed, `<`, `>`, NUL
    /// and line breaks within them too.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.name.len() + self.email.len() + 24);
        self.write_to(&mut out);
        out
    }

    pub(crate) fn write_to(&self, out: &mut Vec<u8>) {
        push_without_crud(out, self.name.as_bstr());
        out.extend_from_slice(b" <");
        push_without_crud(out, self.email.as_bstr());
        out.extend_from_slice(b"> ");
        out.extend_from_slice(self.seconds.max(0).to_string().as_bytes());
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        // Four digits; no place on earth is further from UTC than a day.
        let minutes = self.offset_minutes.unsigned_abs().min(99 * 60 + 59);
        out.extend_from_slice(format!(" {sign}{:02}{:02}", minutes / 60, minutes % 60).as_bytes());
    }
}

/// Git's own idea of white space.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Git's `crud` in ident.c: dropped at both ends of a name or address.
fn is_crud(byte: u8) -> bool {
    byte <= 32
        || matches!(
            byte,
            b'.' | b',' | b':' | b';' | b'<' | b'>' | b'"' | b'\\' | b'\''
        )
}

fn push_without_crud(out: &mut Vec<u8>, text: &BStr) {
    // Git works on C strings: a NUL ends the text.
    let text = text
        .split_once_str(b"\0")
        .map_or(text.as_bytes(), |(before, _)| before);
    let start = text
        .iter()
        .position(|&byte| !is_crud(byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|&byte| !is_crud(byte))
        .map_or(start, |last| last + 1);
    out.extend(
        text[start..end]
            .iter()
            .filter(|byte| !matches!(byte, b'\n' | b'<' | b'>')),
    );
}

/// Seconds and minutes east of UTC after the address. Without an offset Git does not believe the time either.
fn parse_time(text: &[u8]) -> Option<(i64, i32)> {
    let (seconds, rest) = leading_digits(text.trim_start_with(is_space))?;
    let (sign, rest) = match rest.trim_start_with(is_space).split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let (offset, _) = leading_digits(rest)?;
    let Some(seconds) = number(seconds) else {
        return Some((0, 0));
    };
    let offset = number(offset).and_then(|offset| i32::try_from(offset).ok());
    let minutes = offset.map_or(0, |offset| offset / 100 * 60 + offset % 100);
    Some((seconds, sign * minutes))
}

/// The digits a text begins with, at least one, and the rest.
fn leading_digits(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

/// `None` for more than fits.
fn number(digits: &[u8]) -> Option<i64> {
    digits.to_str().ok()?.parse().ok()
}
