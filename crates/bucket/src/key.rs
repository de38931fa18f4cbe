//! The name of an object.

use std::fmt;
use std::sync::Arc;

/// Bytes of a key. S3 allows 1,024; the rest is room for the prefix of a bucket that is shared.
const KEY_LIMIT: usize = 512;
/// Bytes of one part. File systems allow 255.
const PART_LIMIT: usize = 200;

/// A relative path of parts joined by slashes, of the characters that every store takes as they are.
///
/// A part holds ASCII letters, digits, `.`, `_` and `-`, and does not start with a dot: so there is no `..`, and a
/// folder on disk has room for names that are no keys.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

/// Why a text is no [`Key`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` cannot be a bucket key: {reason}")]
pub struct KeyError {
    key: String,
    reason: &'static str,
}

impl Key {
    /// Checks `text` and returns it as a key.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        match fault(text) {
            None => Ok(Key(text.into())),
            Some(reason) => Err(KeyError {
                key: text.chars().take(KEY_LIMIT).collect(),
                reason,
            }),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fault(text: &str) -> Option<&'static str> {
    if text.len() > KEY_LIMIT {
        return Some("it is longer than 512 bytes");
    }
    text.split('/').find_map(|part| match part.as_bytes() {
        [] => Some("it has an empty part"),
        [b'.', ..] => Some("a part starts with a dot"),
        part if part.len() > PART_LIMIT => Some("a part is longer than 200 bytes"),
        part if !part.iter().all(|&byte| is_allowed(byte)) => {
            Some("it has a character other than letters, digits, `.`, `_`, `-` and `/`")
        }
        _ => None,
    })
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

impl std::str::FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Key, KeyError> {
        Key::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_of_packs_are_keys() {
        for text in ["a", "orgs/1/packs/ab/abcd.pack", "A-b_c.d/0", "a/-/_"] {
            assert_eq!(Key::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn what_a_store_could_misread_is_refused() {
        let long_part = "a".repeat(PART_LIMIT + 1);
        let long_key = "a/".repeat(KEY_LIMIT / 2) + "a";
        for text in [
            "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", ".tmp/x", "a b", "a\\b",
            "a\0b", "ä", "a%2fb", "a:b", "a\nb", &long_part, &long_key,
        ] {
            assert!(Key::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_joined_to_a_folder_stays_below_it(text in "[a-z./]{0,12}") {
            if let Ok(key) = Key::parse(&text) {
                let path = std::path::Path::new("/root").join(key.as_str());
                prop_assert!(path.components().all(|part| part.as_os_str() != ".."));
                prop_assert!(path.starts_with("/root"));
                let expected = format!("/root/{text}");
                prop_assert_eq!(path.to_str(), Some(expected.as_str()));
            }
        }
    }
}
