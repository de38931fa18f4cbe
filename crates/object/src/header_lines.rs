//! The header lines that commits and tags begin with.

use bstr::{BString, ByteSlice, ByteVec};

use crate::{ObjectId, Signature};

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

    /// The signature the next line gives, if it is this header.
    pub(crate) fn signature(&mut self, name: &str) -> Result<Option<Signature>, &'static str> {
        let Some(line) = self.value(name) else {
            return Ok(None);
        };
        Signature::parse(line)
            .map(Some)
            .ok_or("a signature has no address")
    }

    /// The next header, whichever it is, with the lines that continue it. `None` at the blank
    /// line and at the end. A line that continues nothing is a header without a name.
    pub(crate) fn folded(&mut self) -> Result<Option<(BString, BString)>, &'static str> {
        let Some(line) = self.line()? else {
            return Ok(None);
        };
        let (name, value) = line.split_once_str(b" ").unwrap_or((line, b""));
        let mut value = BString::from(value);
        while self.rest.first() == Some(&b' ') {
            value.push(b'\n');
            value.push_str(&self.line()?.unwrap_or_default()[1..]);
        }
        Ok(Some((name.into(), value)))
    }

    /// What follows the blank line.
    pub(crate) fn message(self) -> &'a [u8] {
        self.rest.strip_prefix(b"\n").unwrap_or(self.rest)
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, &'static str> {
        if self.rest.is_empty() || self.rest[0] == b'\n' {
            return Ok(None);
        }
        let end = self
            .rest
            .find_byte(b'\n')
            .ok_or("the last header has no end")?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(Some(line))
    }
}
