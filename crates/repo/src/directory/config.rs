//! Git's config file, as far as it says how a repository is stored.
//!
//! Included files are not read: what decides about the form of storage stands in the file itself.

use bstr::{BString, ByteSlice};
use packhouse_object::{BadConfigLine, ConfigItem, ConfigReading, read_config};

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

impl Config {
    /// Reads the text of a config file.
    pub(super) fn parse(text: &[u8]) -> Result<Config, BadConfigLine> {
        let mut entries = Vec::new();
        let mut header = None;
        read_config(text, ConfigReading::File, &mut |_, item| {
            match item {
                ConfigItem::Section(name) => {
                    let (section, subsection) = match name.split_once_str(b".") {
                        Some((section, subsection)) => (section, Some(BString::from(subsection))),
                        None => (name, None),
                    };
                    header = Some((section.to_str_lossy().into_owned(), subsection));
                }
                ConfigItem::Setting { key, value } => {
                    let (section, subsection) =
                        header.clone().ok_or("a setting outside of any section")?;
                    entries.push(Entry {
                        section,
                        subsection,
                        key: key.to_str_lossy().into_owned(),
                        value: value.map(BString::from),
                    });
                }
            }
            Ok(())
        })?;
        Ok(Config { entries })
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
        assert_eq!(bad(b"[core\nx = 1"), 1);
        assert_eq!(bad(b"[core]\nx = \"a\n"), 2);
        assert_eq!(bad(b"[core]\nx = \\q\n"), 2);
    }
}
