//! Who did something and when, as commits and tags record it.

use bstr::{BStr, BString, ByteSlice};

/// A person, a time and an offset from UTC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// As tolerant as Git: the address ends at the last `>` before the time, what is around the
    /// angle brackets is trimmed, and a time that cannot be read is the epoch. `None` without
    /// angle brackets.
    pub fn parse(line: &[u8]) -> Option<Signature> {
        let open = line.find_byte(b'<')?;
        let close = open + line[open..].find_byte(b'>')?;
        let last_close = line.rfind_byte(b'>')?;
        let name = line[..open]
            .trim_end_with(is_space)
            .trim_start_with(is_space);
        let email = &line[open + 1..close];
        let (seconds, offset_minutes) = parse_time(&line[last_close + 1..]);
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

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
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

/// Seconds and minutes east of UTC after the address; zero for what cannot be read.
fn parse_time(text: &[u8]) -> (i64, i32) {
    let mut words = text.fields();
    let seconds = words.next().and_then(parse_digits);
    let offset_minutes = words.next().and_then(parse_offset);
    // Without an offset Git does not believe the time either.
    seconds.zip(offset_minutes).unwrap_or((0, 0))
}

/// A number without a sign.
fn parse_digits(digits: &[u8]) -> Option<i64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    digits.to_str().ok().filter(|_| is_number)?.parse().ok()
}

fn parse_offset(word: &[u8]) -> Option<i32> {
    let (sign, digits) = match word.split_first()? {
        (b'+', digits) => (1, digits),
        (b'-', digits) => (-1, digits),
        _ => return None,
    };
    let number = parse_digits(digits).and_then(|number| i32::try_from(number).ok())?;
    Some(sign * (number / 100 * 60 + number % 100))
}
