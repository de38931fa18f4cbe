//! What the environment says of where a repository's objects are: `GIT_OBJECT_DIRECTORY`, `GIT_ALTERNATE_OBJECT_DIRECTORIES`, and
//! `GIT_QUARANTINE_PATH` of the hooks that look at a push.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use packhouse_repo::directory::ObjectPlaces;
use packhouse_repo::patch::unquote;

use crate::environment::Environment;

pub(crate) const OWN: &str = "GIT_OBJECT_DIRECTORY";
pub(crate) const LENDERS: &str = "GIT_ALTERNATE_OBJECT_DIRECTORIES";
pub(crate) const QUARANTINE: &str = "GIT_QUARANTINE_PATH";

/// Where the objects of the repository in the folder `git_dir` are. Relative paths begin there, as Git's programs go there first.
pub(crate) fn object_places(git_dir: &Path, environment: &Environment) -> ObjectPlaces {
    let lenders = environment.get(LENDERS).map(OsStr::as_bytes);
    ObjectPlaces {
        own: environment.get(OWN).map(|path| git_dir.join(path)),
        lenders: lenders.map_or_else(Vec::new, |text| {
            let paths = separated(text).into_iter();
            paths.map(|path| git_dir.join(path)).collect()
        }),
    }
}

/// The list of folders to borrow from with one more.
pub(crate) fn with_lender(environment: &Environment, folder: &Path) -> OsString {
    let folder = quoted(folder.as_os_str().as_bytes());
    match environment.present(LENDERS) {
        Some(list) => OsString::from_vec([list.as_bytes(), b":", &folder].concat()),
        None => OsString::from_vec(folder),
    }
}

/// Paths between colons; one that begins with a quote may have colons in it, and escapes as in C. One that begins with `#` is none.
fn separated(text: &[u8]) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (path, after) = match unquote(rest) {
            Some((path, after)) => {
                // As Git has it, whatever stands behind the quote is passed over, as a colon would be.
                (path.into(), after.get(1..).unwrap_or_default())
            }
            None => {
                let mut parts = rest.splitn(2, |byte| *byte == b':');
                let path = parts.next().unwrap_or_default().to_vec();
                (path, parts.next().unwrap_or_default())
            }
        };
        let is_comment = rest.starts_with(b"#");
        rest = after;
        if !path.is_empty() && !is_comment {
            paths.push(OsString::from_vec(path).into());
        }
    }
    paths
}

/// A path as it may stand in the list.
fn quoted(path: &[u8]) -> Vec<u8> {
    if !path.starts_with(b"\"") && !path.contains(&b':') {
        return path.to_vec();
    }
    let mut quoted = b"\"".to_vec();
    for byte in path {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            0x20..=0x7e => quoted.push(*byte),
            byte => quoted.extend(format!("\\{byte:03o}").into_bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_paths_with_colons_and_without() {
        let shown = |text: &str| {
            let paths = separated(text.as_bytes()).into_iter();
            paths
                .map(|path| path.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(shown("/a:/b"), ["/a", "/b"]);
        assert_eq!(shown(":/a::#c:"), ["/a"]);
        assert_eq!(shown(r#""/a:\"\303\244":/b"#), ["/a:\"\u{e4}", "/b"]);
        assert_eq!(shown(r#""/a:/b"#), ["\"/a", "/b"]);
        for path in ["/a", "/a:b", "\"", "/\\:\u{e4}"] {
            let text = String::from_utf8(quoted(path.as_bytes())).unwrap();
            assert_eq!(shown(&format!("{text}:/z")), [path, "/z"]);
        }
    }
}
