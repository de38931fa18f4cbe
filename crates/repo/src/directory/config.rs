//! Git's config file, as far as it says how a repository is stored.
//!
//! Included files are not read: what decides about the form of storage stands in the file itself.

use bstr::{BString, ByteSlice};

/// The settings of one file, in order.
#[derive(Debug, Default)]
pub(super) struct Config {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    section: String,
    subsection: Option<BString>,
    key: String,
    /// `None` for a key without `=`, which means true.
    value: Option<BString>,
}

/// A line that does not follow the format.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

impl Config {
    /// Reads the text of a config file.
    pub(super) fn parse(text: &[u8]) -> Result<Config, BadLine> {
        let mut parser = Parser {
            rest: text,
            line: 1,
            section: None,
            entries: Vec::new(),
        };
        while !parser.rest.is_empty() {
            parser.statement()?;
        }
        Ok(Config {
            entries: parser.entries,
        })
    }

    /// The value of `section.key`; the last one counts.
    pub(super) fn text(&self, section: &str, key: &str) -> Option<String> {
        let entry = self.find(section, key)?;
        entry
            .value
            .as_ref()
            .map(|value| value.to_str_lossy().into_owned())
    }

    /// The truth of `section.key`; `None` if it is not set, or set to something that is neither true nor false.
    pub(super) fn flag(&self, section: &str, key: &str) -> Option<bool> {
        self.find(section, key).and_then(Entry::flag)
    }

    /// The keys of a section without subsection, with their values.
    pub(super) fn section(&self, section: &str) -> impl Iterator<Item = (&str, String)> {
        let entries = self
            .entries
            .iter()
            .filter(move |entry| entry.section == section && entry.subsection.is_none());
        entries.map(|entry| {
            (
                entry.key.as_str(),
                entry.value.as_ref().map_or_else(
                    || "true".to_owned(),
                    |value| value.to_str_lossy().into_owned(),
                ),
            )
        })
    }

    /// Whether any subsection of `section` sets `key` to true, or to a word that is no truth value.
    pub(super) fn any_subsection(&self, section: &str, key: &str) -> bool {
        self.entries
            .iter()
            .filter(|entry| {
                entry.section == section && entry.subsection.is_some() && entry.key == key
            })
            .any(|entry| entry.flag().unwrap_or(true))
    }

    fn find(&self, section: &str, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| {
            entry.section == section && entry.subsection.is_none() && entry.key == key
        })
    }
}

impl Entry {
    fn flag(&self) -> Option<bool> {
        let Some(value) = &self.value else {
            return Some(true);
        };
        match value.to_ascii_lowercase().as_slice() {
            b"true" | b"yes" | b"on" | b"1" => Some(true),
            b"false" | b"no" | b"off" | b"0" | b"" => Some(false),
            _ => None,
        }
    }
}

struct Parser<'a> {
    rest: &'a [u8],
    line: usize,
    section: Option<(String, Option<BString>)>,
    entries: Vec<Entry>,
}

impl Parser<'_> {
    fn statement(&mut self) -> Result<(), BadLine> {
        match self.rest[0] {
            b'\n' => {
                self.take();
            }
            byte if byte.is_ascii_whitespace() => {
                self.take();
            }
            b'#' | b';' => self.skip_comment(),
            b'[' => self.header()?,
            byte if byte.is_ascii_alphabetic() => self.setting()?,
            // A byte order mark, which Git skips too.
            0xef if self.rest.starts_with(b"\xef\xbb\xbf") && self.entries.is_empty() => {
                self.rest = &self.rest[3..]
            }
            _ => return Err(self.bad("neither a section nor a setting")),
        }
        Ok(())
    }

    fn header(&mut self) -> Result<(), BadLine> {
        self.take();
        let name =
            self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.');
        let mut section = String::from_utf8_lossy(&name).to_ascii_lowercase();
        self.take_while(|byte| byte == b' ' || byte == b'\t');
        let mut subsection = None;
        if self.rest.first() == Some(&b'"') {
            self.take();
            subsection = Some(self.quoted_subsection()?);
        } else if let Some((outer, inner)) = section.clone().split_once('.') {
            subsection = Some(BString::from(inner));
            section = outer.to_owned();
        }
        if section.is_empty() || self.take() != Some(b']') {
            return Err(self.bad("a section header that does not end"));
        }
        self.section = Some((section, subsection));
        Ok(())
    }

    fn quoted_subsection(&mut self) -> Result<BString, BadLine> {
        let mut name = BString::default();
        loop {
            match self.take() {
                Some(b'"') => return Ok(name),
                Some(b'\\') => match self.take() {
                    Some(byte) if byte != b'\n' => name.push(byte),
                    _ => return Err(self.bad("a section header that does not end")),
                },
                Some(b'\n') | None => return Err(self.bad("a section header that does not end")),
                Some(byte) => name.push(byte),
            }
        }
    }

    fn setting(&mut self) -> Result<(), BadLine> {
        let key = self.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        self.take_while(|byte| byte == b' ' || byte == b'\t');
        let value = match self.rest.first() {
            Some(b'=') => {
                self.take();
                Some(self.value()?)
            }
            Some(b'\n' | b'\r' | b'#' | b';') | None => None,
            Some(_) => return Err(self.bad("a key that is not followed by `=`")),
        };
        let Some((section, subsection)) = self.section.clone() else {
            return Err(self.bad("a setting outside of any section"));
        };
        let key = String::from_utf8_lossy(&key).to_ascii_lowercase();
        self.entries.push(Entry {
            section,
            subsection,
            key,
            value,
        });
        Ok(())
    }

    fn value(&mut self) -> Result<BString, BadLine> {
        self.take_while(|byte| byte == b' ' || byte == b'\t');
        let mut value = BString::default();
        let mut quoted = false;
        // Blanks at the end do not count, blanks in quotes do.
        let mut significant = 0;
        loop {
            match self.rest.first() {
                None if quoted => return Err(self.bad("a quote that does not end")),
                None | Some(b'\n') if !quoted => break,
                Some(b'\n') => return Err(self.bad("a quote that does not end")),
                Some(b'#' | b';') if !quoted => {
                    self.skip_comment();
                    break;
                }
                _ => {}
            }
            match self.take() {
                Some(b'"') => {
                    quoted = !quoted;
                    significant = value.len();
                }
                Some(b'\\') => {
                    self.escape(&mut value)?;
                    significant = value.len();
                }
                Some(b'\r') if self.rest.first() == Some(&b'\n') => {}
                Some(byte) => {
                    value.push(byte);
                    if quoted || !byte.is_ascii_whitespace() {
                        significant = value.len();
                    }
                }
                None => break,
            }
        }
        value.truncate(significant);
        Ok(value)
    }

    fn escape(&mut self, value: &mut BString) -> Result<(), BadLine> {
        match self.take() {
            Some(b'\n') => {}
            Some(b'n') => value.push(b'\n'),
            Some(b't') => value.push(b'\t'),
            Some(b'b') => value.push(8),
            Some(byte @ (b'"' | b'\\')) => value.push(byte),
            _ => return Err(self.bad("an unknown escape")),
        }
        Ok(())
    }

    fn skip_comment(&mut self) {
        self.take_while(|byte| byte != b'\n');
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> Vec<u8> {
        let len = self
            .rest
            .iter()
            .position(|&byte| !wanted(byte))
            .unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken.to_vec()
    }

    fn take(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn bad(&self, reason: &'static str) -> BadLine {
        BadLine {
            line: self.line,
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_git_reads_them() {
        let text = b"\xef\xbb\xbf# first\n[core]\n\tBare = true ; said\n\tx\n[Remote \"Ori\\\"gin\"]\n\turl = \"a;b\" c  # d\n\tpromisor=no\n[core]\nname = one \\\n two\\t\n";
        let config = Config::parse(text).unwrap();
        assert_eq!(config.flag("core", "bare"), Some(true));
        assert_eq!(config.flag("core", "x"), Some(true));
        assert_eq!(config.flag("core", "y"), None);
        assert_eq!(config.text("core", "name").as_deref(), Some("one  two\t"));
        assert_eq!(config.text("remote", "url"), None);
        assert!(config.any_subsection("remote", "url"));
        assert!(!config.any_subsection("remote", "promisor"));
        assert_eq!(
            config
                .section("core")
                .map(|(key, _)| key)
                .collect::<Vec<_>>(),
            ["bare", "x", "name"]
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        let bad = |text: &[u8]| Config::parse(text).unwrap_err().line;
        assert_eq!(bad(b"[core]\n\n!x\n"), 3);
        assert_eq!(bad(b"x = 1"), 1);
        assert_eq!(bad(b"[core\nx = 1"), 2);
        assert_eq!(bad(b"[core]\nx = \"a\n"), 2);
        assert_eq!(bad(b"[core]\nx = \\q\n"), 2);
    }
}
