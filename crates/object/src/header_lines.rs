//! The header lines that commits and tags begin with.

use bstr::{BString, ByteSlice, ByteVec};

use crate::ObjectId;

/// Takes header lines from the front of an object.
#[derive(Clone, Debug)]
pub(crate) struct HeaderLines<'a> {
    rest: &'a [u8],
}

impl<'a> HeaderLines<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        HeaderLines { rest: data }
    }

    /// The value of the next line if it is this header; otherwise nothing is taken.
    pub(crate) fn value(&mut self, name: &str) -> Option<&'a [u8]> {
        let rest = self
            .rest
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b" ")?;
        let end = rest.find_byte(b'\n')?;
        self.rest = &rest[end + 1..];
        Some(&rest[..end])
    }

    /// The id the next line gives, if it is this header.
    pub(crate) fn id(&mut self, name: &str) -> Result<Option<ObjectId>, &'static str> {
        let Some(hex) = self.value(name) else {
            return Ok(None);
        };
        // Git writes lower case, and reads upper case too.
        ObjectId::from_hex(hex)
            .map(Some)
            .map_err(|_| "a header names no id")
    }

    /// The next header, whichever it is, with the lines that continue it. `None` at the blank
    /// line and at the end, which may come in the middle of a line. A line that continues nothing is a header without a
    /// name.
    pub(crate) fn folded(&mut self) -> Option<(BString, BString)> {
        let line = self.line()?;
        let (name, value) = line.split_once_str(b" ").unwrap_or((line, b""));
        let mut value = BString::from(value);
        while self.rest.first() == Some(&b' ') {
            value.push(b'\n');
            value.push_str(&self.line()?[1..]);
        }
        Some((name.into(), value))
    }

    /// What was not taken yet.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// What follows the blank line.
    pub(crate) fn message(self) -> &'a [u8] {
        self.rest.strip_prefix(b"\n").unwrap_or(self.rest)
    }

    fn line(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() || self.rest[0] == b'\n' {
            return None;
        }
        let (line, rest) = self.rest.split_once_str(b"\n").unwrap_or((self.rest, b""));
        self.rest = rest;
        Some(line)
    }
}
