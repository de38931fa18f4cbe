//! Paths inside a store: bytes, joined by `/`, relative to the root.
//!
//! Reading takes any path. Names that would make a repository unsafe to check out (`.git` in all its spellings) are
//! refused when they are written.

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{EntryMode, PathError, check_entry};

use super::{FileType, StoreError};

/// The path without slashes at its ends and without `.` segments; `None` for the root.
///
/// Empty segments, `..`, NUL, and a path of nothing but `.` segments are refused.
pub fn normalize(path: impl AsRef<[u8]>) -> Result<Option<BString>, StoreError> {
    let given = path.as_ref();
    let bad = |reason| StoreError::BadPath {
        path: given.into(),
        reason,
    };
    let path = given.trim_with(|c| c == '/');
    if path.is_empty() {
        return Ok(None);
    }
    if path.contains(&0) {
        return Err(bad("NUL in path"));
    }
    let mut normal = BString::default();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" => return Err(bad("Empty segment in path")),
            b".." => return Err(bad("Invalid path segment")),
            b"." => continue,
            _ if normal.is_empty() => {}
            _ => normal.push(b'/'),
        }
        normal.extend_from_slice(segment);
    }
    if normal.is_empty() {
        return Err(bad("Invalid path segment"));
    }
    Ok(Some(normal))
}

/// As [`normalize`], for paths that may not be the root.
pub fn normalize_file(path: impl AsRef<[u8]>) -> Result<BString, StoreError> {
    normalize(path)?.ok_or_else(|| StoreError::BadPath {
        path: BString::default(),
        reason: "Path must not be empty",
    })
}

/// `folder` and `name` joined; the root's entries have no slash.
pub fn join(folder: &[u8], name: &[u8]) -> BString {
    let mut path = BString::from(folder);
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Checks one name before it is written into a tree.
pub(crate) fn check_new_name(name: &[u8], file_type: FileType) -> Result<(), PathError> {
    check_as_git(name, file_type.entry_mode())
}

/// Checks one name of `path` before it gets to a disk. A tree from elsewhere may hold any name: none may lead out of
/// the folder, or be a repository's.
pub(super) fn check_to_disk(
    path: &BStr,
    name: &[u8],
    file_type: FileType,
) -> Result<(), StoreError> {
    check_new_name(name, file_type).map_err(|source| {
        StoreError::invalid(format!("'{path}' cannot be written to disk: {source}"))
    })
}

/// Longest part of a name that is looked at. A longer name is legal in Git, and only its start can be `.git`.
const LOOKED_AT: usize = 255;

/// Control characters and long names are legal in a tree, whatever a file system says of them.
fn check_as_git(name: &[u8], mode: EntryMode) -> Result<(), PathError> {
    let plain: Vec<u8> = name
        .iter()
        .take(LOOKED_AT)
        .map(|&byte| if byte.is_ascii_control() { b'x' } else { byte })
        .collect();
    check_entry(&plain, mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Result<Option<String>, &'static str> {
        match normalize(path) {
            Ok(path) => Ok(path.map(|path| path.to_string())),
            Err(StoreError::BadPath { reason, .. }) => Err(reason),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn paths_are_normalised() {
        for root in ["", "/", "///"] {
            assert_eq!(normal(root), Ok(None));
        }
        for (path, expected) in [
            ("a", "a"),
            ("/a/b/", "a/b"),
            ("./a/./b/.", "a/b"),
            ("a b/\\c", "a b/\\c"),
            ("...", "..."),
        ] {
            assert_eq!(normal(path), Ok(Some(expected.to_owned())));
        }
        assert_eq!(normal("a//b"), Err("Empty segment in path"));
        assert_eq!(normal("a/../b"), Err("Invalid path segment"));
        assert_eq!(normal(".."), Err("Invalid path segment"));
        assert_eq!(normal("."), Err("Invalid path segment"));
        assert_eq!(normal("./."), Err("Invalid path segment"));
        assert_eq!(normal("a\0b"), Err("NUL in path"));
    }

    #[test]
    fn names_that_git_takes_for_its_own_folder_are_refused() {
        for name in [".git", ".GIT", "git~1", ".git ", ".g\u{200c}it"] {
            assert!(
                check_new_name(name.as_bytes(), FileType::Blob).is_err(),
                "{name}"
            );
        }
        let long = "a".repeat(400);
        for name in ["a\nb", "\u{1}", ".gitmodules", "é", &long] {
            check_new_name(name.as_bytes(), FileType::Blob).unwrap();
        }
        check_new_name(b"\xff\xfe", FileType::Blob).unwrap();
        assert!(check_new_name(b".gitmodules", FileType::Link).is_err());
    }
}
