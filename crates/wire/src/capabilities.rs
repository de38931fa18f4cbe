//! Capabilities: the words in which both sides say what they can do.

use std::fmt;

use crate::error::WireError;
use crate::shown::Shown;
use crate::upload_pack::{FetchOptions, Rounds};

/// How this server names itself to clients.
pub const AGENT: &str = concat!("packhouse/", env!("CARGO_PKG_VERSION"));

/// What a fetch of version 0 and 1 offers under `options`, in git's order.
pub(crate) fn upload_pack_words(options: &FetchOptions, shown: &Shown<'_>) -> Vec<u8> {
    let mut words: Vec<&str> = vec![
        "multi_ack",
        "thin-pack",
        "side-band",
        "side-band-64k",
        "ofs-delta",
    ];
    if options.shallow {
        words.extend(["shallow", "deepen-since", "deepen-not", "deepen-relative"]);
    }
    words.extend(["no-progress", "include-tag", "multi_ack_detailed"]);
    words.extend(options.wants.capabilities());
    if options.rounds == Rounds::One {
        // Where the client waits for each answer anyway, `done` would cost one more.
        words.push("no-done");
    }
    let mut text = words.join(" ").into_bytes();
    if let Some((name, Some(_))) = shown.head() {
        text.extend_from_slice(b" symref=HEAD:");
        text.extend_from_slice(name.as_bytes());
    }
    if options.filter.allow {
        text.extend_from_slice(b" filter");
    }
    if let Some(id) = &options.session_id {
        text.extend_from_slice(format!(" session-id={id}").as_bytes());
    }
    text.extend_from_slice(format!(" object-format={OBJECT_FORMAT} agent={AGENT}").as_bytes());
    text
}

/// What every push offers, before what is a matter of settings.
pub(crate) const RECEIVE_PACK: &str =
    "report-status report-status-v2 delete-refs side-band-64k quiet";

/// The one hash in use, as capabilities name it.
pub const OBJECT_FORMAT: &str = "sha1";

/// The capabilities that a side of version 0 or 1 names: words, or words with a value.
#[derive(Clone, Copy)]
pub struct Capabilities<'a>(&'a [u8]);

impl<'a> Capabilities<'a> {
    /// Capabilities separated by spaces.
    pub fn new(words: &'a [u8]) -> Capabilities<'a> {
        Capabilities(words)
    }

    /// All of them, with their values.
    pub fn words(self) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty())
    }

    /// Whether `name` is there, without a value.
    pub fn has(self, name: &str) -> bool {
        self.words().any(|word| word == name.as_bytes())
    }

    /// The value of `name=value`.
    pub fn value(self, name: &str) -> Option<&'a [u8]> {
        self.words()
            .find_map(|word| word.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }

    /// Refuses a client that speaks another hash than the repository.
    pub(crate) fn check_object_format(self) -> Result<(), WireError> {
        check_object_format(self.value("object-format"))
    }
}

impl fmt::Debug for Capabilities<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

/// Refuses a hash that is not the repository's; a client that names none means SHA-1.
pub(crate) fn check_object_format(value: Option<&[u8]>) -> Result<(), WireError> {
    match value {
        None => Ok(()),
        Some(format) if format == OBJECT_FORMAT.as_bytes() => Ok(()),
        Some(other) => Err(WireError::refused(format!(
            "mismatched object format: server {OBJECT_FORMAT}; client {}",
            String::from_utf8_lossy(other)
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_matched_whole() {
        let capabilities =
            Capabilities::new(b" side-band-64k  agent=git/2.39.5 object-format=sha1");
        assert!(capabilities.has("side-band-64k"));
        assert!(!capabilities.has("side-band"));
        assert!(!capabilities.has("agent"));
        assert_eq!(capabilities.value("agent"), Some(&b"git/2.39.5"[..]));
        assert_eq!(capabilities.value("age"), None);
        assert!(capabilities.check_object_format().is_ok());
    }

    #[test]
    fn another_hash_is_refused() {
        let error = Capabilities::new(b"object-format=sha256")
            .check_object_format()
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "mismatched object format: server sha1; client sha256"
        );
        assert!(Capabilities::new(b"").check_object_format().is_ok());
    }
}
