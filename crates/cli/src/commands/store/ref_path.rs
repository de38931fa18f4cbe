//! The `ref:path` rule: which arguments are local paths and which are places in the store.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use bstr::{BString, ByteSlice};

use packhouse_repo::ref_text;

use super::failure::Failure;

/// What an argument names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A path of the local file system.
    Local(OsString),
    /// A place in the store.
    Stored(RefPath),
}

/// `ref~N:path`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RefPath {
    /// Branch, tag or commit, as [`ref_text`] has it; empty for the current branch.
    pub(crate) name: String,
    /// How many commits before it.
    pub(crate) back: u64,
    /// The path without slashes before it; empty for the root. A slash at the end is kept: it means "the contents of".
    pub(crate) path: BString,
}

impl Place {
    /// Reads an argument that may be either.
    ///
    /// # Errors
    ///
    /// What follows `~` is no positive number.
    pub(crate) fn parse(argument: &OsStr) -> Result<Place, Failure> {
        let bytes = argument.as_bytes();
        let local = || Ok(Place::Local(argument.to_owned()));
        let Some(colon) = bytes.find_byte(b':') else {
            return local();
        };
        let (before, after) = (&bytes[..colon], &bytes[colon + 1..]);
        let is_slash = |byte: &u8| matches!(byte, b'/' | b'\\');
        let is_drive = before.len() == 1
            && before[0].is_ascii_alphabetic()
            && after.first().is_some_and(is_slash);
        if is_drive || before.iter().any(is_slash) {
            return local();
        }
        let (name, back) = parse_rev(before)?;
        Ok(Place::Stored(RefPath {
            name,
            back,
            path: after.trim_start_with(|char| char == '/').into(),
        }))
    }
}

impl RefPath {
    /// Reads an argument that is a place in the store with or without a colon.
    ///
    /// # Errors
    ///
    /// As [`Place::parse`].
    pub(crate) fn parse(argument: &OsStr) -> Result<RefPath, Failure> {
        Ok(match Place::parse(argument)? {
            Place::Stored(place) => place,
            Place::Local(path) => RefPath {
                path: path.as_bytes().trim_start_with(|char| char == '/').into(),
                ..RefPath::default()
            },
        })
    }

    /// Reads an argument that without a colon is a ref: `main`, `main~2`, `~2`.
    ///
    /// # Errors
    ///
    /// As [`Place::parse`].
    pub(crate) fn parse_with_bare_ref(argument: &OsStr) -> Result<RefPath, Failure> {
        // A ref with slashes and a colon at the end is still a ref: `feature/x:`.
        let bytes = argument.as_bytes();
        let bare = bytes.strip_suffix(b":").unwrap_or(bytes);
        if bare.contains(&b':') {
            return RefPath::parse(argument);
        }
        let (name, back) = parse_rev(bare)?;
        Ok(RefPath {
            name,
            back,
            path: BString::default(),
        })
    }

    /// Whether it names a ref, and not the current branch.
    pub(crate) fn has_ref(&self) -> bool {
        !self.name.is_empty()
    }

    /// `ref~N`, as it was given.
    pub(crate) fn rev(&self) -> String {
        match self.back {
            0 => self.name.clone(),
            back => format!("{}~{back}", self.name),
        }
    }
}

/// Splits `name~N`.
fn parse_rev(text: &[u8]) -> Result<(String, u64), Failure> {
    let (name, steps) = match text.rsplit_once_str("~") {
        Some((name, steps)) => (ref_text(name), steps.to_str_lossy()),
        None => return Ok((ref_text(text), 0)),
    };
    let text = text.as_bstr();
    match steps.parse() {
        Ok(0) => {
            Err(Failure::new(format!("~0 in '{text}' walks nowhere")).hint("leave out the ~0"))
        }
        Ok(back) if steps.bytes().all(|byte| byte.is_ascii_digit()) => Ok((name, back)),
        _ => Err(Failure::new(format!(
            "What follows ~ in '{text}' must be a positive integer"
        ))
        .hint("main~2 is two commits before main; './' begins a local path with ~ and a colon")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(name: &str, back: u64, path: &str) -> Place {
        Place::Stored(RefPath {
            name: name.into(),
            back,
            path: path.into(),
        })
    }

    fn parse(text: &str) -> Place {
        Place::parse(text.as_ref()).unwrap()
    }

    #[test]
    fn the_first_colon_splits_ref_and_path() {
        for (text, expected) in [
            (":file.txt", stored("", 0, "file.txt")),
            (":", stored("", 0, "")),
            (":/a/b", stored("", 0, "a/b")),
            (":data/", stored("", 0, "data/")),
            ("main:file.txt", stored("main", 0, "file.txt")),
            ("main:", stored("main", 0, "")),
            ("v1.0:data/file", stored("v1.0", 0, "data/file")),
            ("D:file", stored("D", 0, "file")),
            ("ref:path:with:colons", stored("ref", 0, "path:with:colons")),
            ("main:dir/file~backup", stored("main", 0, "dir/file~backup")),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn drives_and_slashes_before_the_colon_are_local() {
        for text in [
            "file.txt",
            "",
            "C:/Users/x",
            r"C:\Users\x",
            "path/to:rest",
            "./local:file",
            r"path\to:rest",
        ] {
            assert_eq!(parse(text), Place::Local(text.into()), "{text}");
        }
    }

    #[test]
    fn a_tilde_walks_back() {
        assert_eq!(parse("main~3:f"), stored("main", 3, "f"));
        assert_eq!(parse("~2:f"), stored("", 2, "f"));
        assert_eq!(parse("~3:"), stored("", 3, ""));
        assert_eq!(parse("main~100:p"), stored("main", 100, "p"));
        for (text, says) in [
            ("main~0:f", "~0"),
            ("main~abc:f", "must be a positive integer"),
            ("main~+1:f", "must be a positive integer"),
            ("main~:f", "must be a positive integer"),
            ("main~-1:f", "must be a positive integer"),
        ] {
            let error = Place::parse(text.as_ref()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn without_a_colon_an_argument_may_be_a_path_or_a_ref() {
        let path = |text: &str| RefPath::parse(text.as_ref()).unwrap();
        assert_eq!(Place::Stored(path("a/b")), stored("", 0, "a/b"));
        assert_eq!(Place::Stored(path("/a")), stored("", 0, "a"));
        assert_eq!(Place::Stored(path("main:a")), stored("main", 0, "a"));
        let rev = |text: &str| RefPath::parse_with_bare_ref(text.as_ref()).unwrap();
        assert_eq!(Place::Stored(rev("feature/x")), stored("feature/x", 0, ""));
        assert_eq!(Place::Stored(rev("feature/x:")), stored("feature/x", 0, ""));
        assert_eq!(Place::Stored(rev("main~2")), stored("main", 2, ""));
        assert_eq!(Place::Stored(rev("~2")), stored("", 2, ""));
        assert_eq!(Place::Stored(rev(":a")), stored("", 0, "a"));
        assert_eq!(Place::Stored(rev("main:a")), stored("main", 0, "a"));
    }

    #[test]
    fn bytes_that_are_no_text_stay_in_paths_and_are_quoted_in_refs() {
        let parse = |text: &[u8]| Place::parse(OsStr::from_bytes(text)).unwrap();
        let Place::Stored(place) = parse(b":caf\xe9") else {
            panic!("it is in the store");
        };
        assert_eq!(place.path, b"caf\xe9"[..]);
        assert_eq!(parse(b"caf\xe9:x"), stored(r#""caf\351""#, 0, "x"));
        assert_eq!(parse(b"caf\xe9~2:x"), stored(r#""caf\351""#, 2, "x"));
        assert!(Place::parse(OsStr::from_bytes(b"x~caf\xe9:x")).is_err());
    }
}
