//! Names of entries: each is that of a folder in the cache.

use serde::{Deserialize, Serialize};

use super::CacheError;
use super::root::OWN;

/// The longest name, in bytes. File systems take 255, and a temporary file may add to it.
const MAX_BYTES: usize = 200;

/// A name that is one folder below the root and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct EntryName(String);

impl EntryName {
    /// A name as somebody chose it.
    pub(super) fn parse(text: &str) -> Result<EntryName, CacheError> {
        match problem(text) {
            None => Ok(EntryName(text.to_owned())),
            Some(reason) => Err(CacheError::InvalidName {
                name: text.to_owned(),
                reason,
            }),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// What its locks are called: the same whatever the case.
    pub(super) fn lock_key(&self) -> String {
        super::source::hashed(self.0.to_ascii_lowercase().as_bytes())
    }
}

impl TryFrom<String> for EntryName {
    type Error = CacheError;

    fn try_from(text: String) -> Result<EntryName, CacheError> {
        EntryName::parse(&text)
    }
}

impl From<EntryName> for String {
    fn from(name: EntryName) -> String {
        name.0
    }
}

impl std::fmt::Display for EntryName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > MAX_BYTES {
        return Some("it is longer than 200 bytes");
    }
    if name.contains(['/', '\\']) {
        return Some("it contains a slash; a name is one folder in the cache");
    }
    if name.contains(|c: char| c.is_control()) {
        return Some("it contains a control character");
    }
    if matches!(name, "." | "..") {
        return Some("it is no name of a folder of its own");
    }
    if name.starts_with('-') {
        return Some("it begins with `-`, and programs would take it for an option");
    }
    let lower = name.to_ascii_lowercase();
    if lower == ".git" || lower.starts_with(OWN) {
        return Some("it is reserved");
    }
    None
}

/// The names to try for a source that nobody named, in this order: the last part of its path without `.git`; the last
/// two, three and so on, with the host, joined by `-`; and the first with eight digits of the source's key.
///
/// `parts` are the host, if there is one, and the parts of the path.
pub(super) fn candidates(parts: &[String], key: &str) -> Vec<EntryName> {
    let cleaned: Vec<String> = parts
        .iter()
        .map(|part| clean(part))
        .filter(|part| !part.is_empty())
        .collect();
    let mut names: Vec<String> = (1..=cleaned.len())
        .map(|count| cleaned[cleaned.len() - count..].join("-"))
        .collect();
    let first = names.first().map_or("repository", String::as_str);
    names.push(format!("{}-{}", cut(first, 150), &key[..8]));
    let mut found: Vec<EntryName> = Vec::new();
    for name in names {
        // A name that begins with a dash, or is reserved, only lacks its beginning.
        let parsed = EntryName::parse(&name).or_else(|_| EntryName::parse(&format!("_{name}")));
        if let Ok(name) = parsed
            && !found.contains(&name)
        {
            found.push(name);
        }
    }
    found
}

/// A part of a path as a part of a name.
fn clean(part: &str) -> String {
    let part = part.strip_suffix(".git").unwrap_or(part);
    let replaced: String = part
        .chars()
        .map(|c| match c {
            '/' | '\\' | ':' => '-',
            c if c.is_control() => '-',
            c => c,
        })
        .collect();
    match replaced.as_str() {
        "." | ".." => String::new(),
        _ => cut(&replaced, MAX_BYTES / 2).to_owned(),
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    match text
        .char_indices()
        .find(|(at, c)| at + c.len_utf8() > bytes)
    {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_folder_in_the_cache_is_no_name() {
        let long = "x".repeat(201);
        for name in [
            "",
            ".",
            "..",
            "../victim",
            "/etc",
            "a/b",
            "a\\b",
            "a\0b",
            "a\nb",
            "-x",
            ".git",
            ".GIT",
            ".packhouse",
            ".Packhouse-x",
            &long,
        ] {
            let error = EntryName::parse(name).unwrap_err().to_string();
            assert!(error.starts_with("Invalid name: "), "{error}");
        }
        for name in ["a", ".github", "a b", "ä", "...", "a..b"] {
            assert_eq!(EntryName::parse(name).unwrap().as_str(), name);
        }
    }

    fn names(parts: &[&str]) -> Vec<String> {
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let names = candidates(&parts, "0123456789abcdef");
        names.iter().map(EntryName::to_string).collect()
    }

    #[test]
    fn a_name_grows_from_the_end_of_the_path() {
        assert_eq!(
            names(&["example.com", "orgB", "repo.git"]),
            [
                "repo",
                "orgB-repo",
                "example.com-orgB-repo",
                "repo-01234567"
            ]
        );
        assert_eq!(names(&[]), ["repository-01234567"]);
        assert_eq!(names(&["-x"]), ["_-x", "_-x-01234567"]);
        assert_eq!(names(&["h", "..", "."]), ["h", "h-01234567"]);
    }

    proptest! {
        #[test]
        fn any_path_has_a_name(parts: Vec<String>) {
            let names = candidates(&parts, "0123456789abcdef");
            prop_assert!(!names.is_empty());
            for name in names {
                prop_assert!(problem(name.as_str()).is_none());
            }
        }
    }
}
