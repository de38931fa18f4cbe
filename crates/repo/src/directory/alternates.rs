//! Object folders that a repository borrows from: `objects/info/alternates`, and theirs in turn.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;

use super::error::DirectoryError;

/// How far alternates of alternates are followed; Git's own limit.
const DEPTH_MAX: usize = 5;

/// The object folder itself and all it borrows from, each once, nearest first; `lenders` come before those that it names.
pub(super) fn object_folders(
    objects: &Path,
    lenders: &[PathBuf],
) -> Result<Vec<PathBuf>, DirectoryError> {
    let mut folders = vec![objects.to_owned()];
    let mut real = vec![fs::canonicalize(objects).map_err(DirectoryError::io("open", objects))?];
    let mut level = 0..1;
    for depth in 0.. {
        let end = folders.len();
        for at in level.clone() {
            let told = if at == 0 { lenders } else { &[] };
            for alternate in told.iter().cloned().chain(listed_in(&folders[at])?) {
                // Git warns of a folder that is gone and goes on; what is missed then says so itself.
                let Ok(path) = fs::canonicalize(&alternate) else {
                    continue;
                };
                if !real.contains(&path) {
                    real.push(path);
                    folders.push(alternate);
                }
            }
        }
        level = end..folders.len();
        if level.is_empty() {
            break;
        }
        if depth == DEPTH_MAX {
            let reason = format!("alternates are nested more than {DEPTH_MAX} deep");
            return Err(DirectoryError::Damaged {
                path: alternates_path(objects),
                reason,
            });
        }
    }
    Ok(folders)
}

fn alternates_path(objects: &Path) -> PathBuf {
    objects.join("info/alternates")
}

fn listed_in(objects: &Path) -> Result<Vec<PathBuf>, DirectoryError> {
    let path = alternates_path(objects);
    let text = match fs::read(&path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        text => text.map_err(DirectoryError::io("read", &path))?,
    };
    let lines = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    Ok(lines
        .map(|line| objects.join(OsStr::from_bytes(&unquoted(line))))
        .collect())
}

/// A path in quotes has escapes as in C; any other is as it stands.
fn unquoted(line: &[u8]) -> Vec<u8> {
    let Some(inner) = line
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""))
    else {
        return line.to_vec();
    };
    let mut path = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            path.push(byte);
            continue;
        }
        let octal = rest
            .get(..3)
            .and_then(|digits| digits.to_str().ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = octal {
            path.push(byte);
            rest = &rest[3..];
        } else if let Some((&escaped, after)) = rest.split_first() {
            let plain = match escaped {
                b'a' => 7,
                b'b' => 8,
                b't' => b'\t',
                b'n' => b'\n',
                b'v' => 11,
                b'f' => 12,
                b'r' => b'\r',
                other => other,
            };
            path.push(plain);
            rest = after;
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_paths_are_read() {
        assert_eq!(unquoted(b"../a b"), b"../a b");
        assert_eq!(
            unquoted(b"\"a\\\"b\\\\\\303\\244\\n\""),
            "a\"b\\ä\n".as_bytes()
        );
    }

    #[test]
    fn nested_and_circular_alternates_are_found_once() {
        let folder = tempfile::tempdir().unwrap();
        let objects = |name: &str| folder.path().join(name);
        for (name, alternates) in [
            ("a", "# comment\n../b\n../gone\n"),
            ("b", "../c\n../a\n"),
            ("c", "../b\n"),
        ] {
            fs::create_dir_all(objects(name).join("info")).unwrap();
            fs::write(alternates_path(&objects(name)), alternates).unwrap();
        }
        let found: Vec<_> = object_folders(&objects("a"), &[])
            .unwrap()
            .iter()
            .map(|path| fs::canonicalize(path).unwrap())
            .collect();
        assert_eq!(
            found,
            ["a", "b", "c"].map(|name| fs::canonicalize(objects(name)).unwrap())
        );
    }

    #[test]
    fn too_deep_alternates_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        for depth in 0..9 {
            let objects = folder.path().join(depth.to_string());
            fs::create_dir_all(objects.join("info")).unwrap();
            fs::write(alternates_path(&objects), format!("../{}\n", depth + 1)).unwrap();
        }
        assert!(matches!(
            object_folders(&folder.path().join("0"), &[]),
            Err(DirectoryError::Damaged { .. })
        ));
        assert_eq!(
            object_folders(&folder.path().join("4"), &[]).unwrap().len(),
            5
        );
    }
}
