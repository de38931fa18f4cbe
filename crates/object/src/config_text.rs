//! The text of Git's config files, `.gitmodules` among them, read exactly as Git reads it.
//!
//! Memory follows the longest name and value, time the length of the text; no text makes it panic.

/// What a config file says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigItem<'a> {
    /// A header: the section in lower case, and behind a dot the subsection if there is one.
    Section(&'a [u8]),
    /// A setting in the section before it.
    Setting {
        /// In lower case.
        key: &'a [u8],
        /// `None` without `=`, which means true.
        value: Option<&'a [u8]>,
    },
}

/// A line that does not follow the format. What stands before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadConfigLine {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// How the bytes of the text are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigReading {
    /// As they stand in a file.
    File,
    /// As Git takes a text in memory where C's `char` has a sign: there the byte 255 is the end of
    /// the file, and yet the rest of the line is read.
    SignedMemory,
}

/// Calls `visit` with each item and the line it begins in. What `visit` finds wrong is an error of that line.
pub fn read_config(
    text: &[u8],
    reading: ConfigReading,
    visit: &mut dyn FnMut(usize, ConfigItem<'_>) -> Result<(), &'static str>,
) -> Result<(), BadConfigLine> {
    let mut reader = Reader {
        rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
        reading,
        ended: false,
        line: 1,
        last_line: 1,
        name: Vec::new(),
        value: Vec::new(),
    };
    loop {
        let line = reader.line;
        match reader.next() {
            b'\n' if reader.ended => return Ok(()),
            byte if is_space(byte) => {}
            b'#' | b';' => {
                if reader.skip_comment() {
                    return Ok(());
                }
            }
            b'[' => {
                reader.header()?;
                visit(line, ConfigItem::Section(&reader.name))
                    .map_err(|reason| BadConfigLine { line, reason })?;
            }
            byte if byte.is_ascii_alphabetic() => {
                let mut key = vec![byte.to_ascii_lowercase()];
                let has_value = reader.setting(&mut key)?;
                let value = has_value.then_some(&reader.value[..]);
                visit(line, ConfigItem::Setting { key: &key, value })
                    .map_err(|reason| BadConfigLine { line, reason })?;
            }
            _ => return Err(reader.bad("neither a section nor a setting")),
        }
    }
}

/// What Git takes for white space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

struct Reader<'a> {
    rest: &'a [u8],
    reading: ConfigReading,
    /// Whether the end was met; it reads as a line break.
    ended: bool,
    line: usize,
    /// The line of the byte last read.
    last_line: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

const OPEN_HEADER: &str = "a section header that does not end";
const OPEN_QUOTE: &str = "a quote that does not end";

impl Reader<'_> {
    /// The next byte; a carriage return and a line break are one.
    fn next(&mut self) -> u8 {
        self.last_line = self.line;
        let signed = self.reading == ConfigReading::SignedMemory;
        let Some((&byte, rest)) = self.rest.split_first() else {
            self.ended = true;
            return b'\n';
        };
        self.rest = rest;
        match (byte, rest.first()) {
            (0xff, _) if signed => {
                self.ended = true;
                return b'\n';
            }
            (b'\r', Some(b'\n')) => {
                self.rest = &rest[1..];
                self.line += 1;
                return b'\n';
            }
            (b'\r', Some(0xff)) if signed => self.rest = &rest[1..],
            (b'\n', _) => self.line += 1,
            _ => {}
        }
        byte
    }

    /// Whether the comment goes to the end of the text.
    fn skip_comment(&mut self) -> bool {
        while self.next() != b'\n' {}
        self.ended
    }

    fn header(&mut self) -> Result<(), BadConfigLine> {
        self.name.clear();
        loop {
            let byte = self.next();
            match byte {
                _ if self.ended => return Err(self.bad(OPEN_HEADER)),
                b']' => return Ok(()),
                byte if is_space(byte) => return self.subsection(byte),
                byte if is_key_byte(byte) || byte == b'.' => {
                    self.name.push(byte.to_ascii_lowercase());
                }
                _ => return Err(self.bad("a section header with a name that is none")),
            }
        }
    }

    /// Reads what follows a section's name and a space.
    fn subsection(&mut self, mut byte: u8) -> Result<(), BadConfigLine> {
        while is_space(byte) {
            if byte == b'\n' {
                return Err(self.bad(OPEN_HEADER));
            }
            byte = self.next();
        }
        if byte != b'"' {
            return Err(self.bad("a subsection that is not in quotes"));
        }
        self.name.push(b'.');
        loop {
            let mut byte = self.next();
            match byte {
                b'"' => break,
                b'\\' => byte = self.next(),
                _ => {}
            }
            if byte == b'\n' {
                return Err(self.bad(OPEN_HEADER));
            }
            self.name.push(byte);
        }
        match self.next() {
            b']' => Ok(()),
            _ => Err(self.bad(OPEN_HEADER)),
        }
    }

    /// Reads the rest of a key and the value, if there is one.
    fn setting(&mut self, key: &mut Vec<u8>) -> Result<bool, BadConfigLine> {
        let mut byte = self.next();
        while !self.ended && is_key_byte(byte) {
            key.push(byte.to_ascii_lowercase());
            byte = self.next();
        }
        while matches!(byte, b' ' | b'\t') {
            byte = self.next();
        }
        match byte {
            b'\n' => Ok(false),
            b'=' => self.value().map(|()| true),
            _ => Err(self.bad("a key that is not followed by `=`")),
        }
    }

    fn value(&mut self) -> Result<(), BadConfigLine> {
        self.value.clear();
        // White space at the end does not count, unless it is in quotes or escaped.
        let mut counted = 0;
        let mut quoted = false;
        loop {
            match self.next() {
                b'\n' if quoted => return Err(self.bad(OPEN_QUOTE)),
                b'\n' => break,
                byte if is_space(byte) && !quoted => {
                    if !self.value.is_empty() {
                        self.value.push(byte);
                    }
                    continue;
                }
                b'#' | b';' if !quoted => {
                    while self.next() != b'\n' {}
                    break;
                }
                b'"' => quoted = !quoted,
                b'\\' => match self.next() {
                    b'\n' => {}
                    b't' => self.value.push(b'\t'),
                    b'b' => self.value.push(8),
                    b'n' => self.value.push(b'\n'),
                    byte @ (b'\\' | b'"') => self.value.push(byte),
                    _ => return Err(self.bad("an unknown escape")),
                },
                byte => self.value.push(byte),
            }
            counted = self.value.len();
        }
        self.value.truncate(counted);
        Ok(())
    }

    /// The error for the line of the byte last read.
    fn bad(&self, reason: &'static str) -> BadConfigLine {
        BadConfigLine {
            line: self.last_line,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], reading: ConfigReading) -> (String, Option<usize>) {
        let mut shown = Vec::new();
        let mut section = String::new();
        let read = read_config(text, reading, &mut |line, item| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match item {
                ConfigItem::Section(name) => section = text(name),
                ConfigItem::Setting { key, value } => {
                    let value = value.map_or_else(String::new, |value| format!("={}", text(value)));
                    shown.push(format!("{line}:{section}:{}{value}", text(key)));
                }
            }
            Ok(())
        });
        (shown.join("|"), read.err().map(|bad| bad.line))
    }

    #[track_caller]
    fn reads(text: &str, expected: &str, bad_line: Option<usize>) {
        let (shown, bad) = lines(text.as_bytes(), ConfigReading::File);
        assert_eq!((shown.as_str(), bad), (expected, bad_line), "{text:?}");
    }

    #[test]
    fn names_and_values_are_those_git_reads() {
        reads("[A \"B\\\"c\"] X = 1\n y", "1:a.B\"c:x=1|2:a.B\"c:y", None);
        reads("\u{feff}[a.B]\r\nx\r\n", "2:a.b:x", None);
        reads("x=1", "1::x=1", None);
        reads("[]x=1", "1::x=1", None);
        reads("[a]x= \"\" b", "1:a:x=b", None);
        reads("[a]x = a \tb \"  \" # c\\\ny", "1:a:x=a \tb   |2:a:y", None);
        reads("[a]x = a \\\n b \\", "1:a:x=a  b ", None);
        reads("[a]x=\\t\\b\\n\\\\\\\"", "1:a:x=\t\u{8}\n\\\"", None);
        reads("# [\n;]\n[a]x;y", "", Some(3));
    }

    #[test]
    fn what_stands_before_a_bad_line_counts() {
        reads("[a]x=1\n!", "1:a:x=1", Some(2));
        reads("[a]x=1\ny ; c", "1:a:x=1", Some(2));
        reads("[a]\nx=\"", "", Some(2));
        reads("[a]\nx=\\q", "", Some(2));
        for header in [
            "[",
            "[a",
            "[a ",
            "[a b]",
            "[a \"",
            "[a \"b\"",
            "[a \"b\" ]",
            "[a_]",
        ] {
            reads(header, "", Some(1));
        }
    }

    #[test]
    fn the_byte_that_is_an_end_ends_a_value_and_not_the_line() {
        let text = b"[a]x=1\xffy=2\nzz=3";
        let (signed, file) = (ConfigReading::SignedMemory, ConfigReading::File);
        // Git stops reading a key as soon as it has met the end.
        assert_eq!(lines(text, signed), ("1:a:x=1|1:a:y=2".to_owned(), Some(2)));
        assert_eq!(
            lines(text, file),
            ("1:a:x=1\u{fffd}y=2|2:a:zz=3".to_owned(), None)
        );
    }
}
