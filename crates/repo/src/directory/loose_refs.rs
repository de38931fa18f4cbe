//! Refs as files of their own, below `refs/`, and `HEAD`.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{ObjectId, RefName};

/// The most bytes of a ref file that are read: a symbolic ref holds a name of at most 4 KiB.
const REF_BYTES_MAX: u64 = 8 << 10;

/// How deep folders of refs are followed. A name that deep is longer than Git's own limit on paths.
const DEPTH_MAX: usize = 512;

/// What a ref file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RawRef {
    /// The object the ref points to.
    Id(ObjectId),
    /// The name of another ref.
    Symbolic(BString),
    /// Neither.
    Broken,
}

impl RawRef {
    /// Whether the file is there and names nothing, so that what it was to name is not known.
    pub(super) fn is_damaged(&self) -> bool {
        match self {
            RawRef::Id(_) => false,
            RawRef::Symbolic(target) => *target != "HEAD" && RefName::parse(target).is_err(),
            RawRef::Broken => true,
        }
    }
}

/// The ref in the file at `path`; `None` if there is no such file.
pub(super) fn read_raw(path: &Path) -> io::Result<Option<RawRef>> {
    match try_read_raw(path) {
        Ok(raw) => Ok(Some(raw)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn try_read_raw(path: &Path) -> io::Result<RawRef> {
    let mut file = match open_unless_link(path) {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            // Git once made symbolic refs as symbolic links, and reads them still.
            let target = fs::read_link(path)?;
            let target = target.as_os_str().as_bytes();
            if target.starts_with(b"refs/") {
                return Ok(RawRef::Symbolic(target.into()));
            }
            File::open(path)?
        }
        Err(error) => return Err(error),
    };
    let mut text = [0; SHORT_BYTES];
    let n = file.read(&mut text)?;
    // A file that holds an id is read at once.
    if n == ID_LINE_BYTES && text[n - 1] == b'\n' {
        return Ok(parse_raw(&text[..n]));
    }
    let mut text = text[..n].to_vec();
    file.take(REF_BYTES_MAX - n as u64).read_to_end(&mut text)?;
    Ok(parse_raw(&text))
}

/// The digits of an id and a line break: what Git writes.
const ID_LINE_BYTES: usize = 41;

const SHORT_BYTES: usize = 64;

fn open_unless_link(path: &Path) -> io::Result<File> {
    const O_NOFOLLOW: i32 = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(O_NOFOLLOW)
        .open(path)
}

fn parse_raw(text: &[u8]) -> RawRef {
    if let Some(target) = text.strip_prefix(b"ref:") {
        return RawRef::Symbolic(target.trim().into());
    }
    let digits = text
        .get(..40)
        .and_then(|digits| ObjectId::from_hex(digits).ok());
    match (digits, text.get(40)) {
        (Some(id), None) if !id.is_null() => RawRef::Id(id),
        (Some(id), Some(next)) if !id.is_null() && next.is_ascii_whitespace() => RawRef::Id(id),
        _ => RawRef::Broken,
    }
}

/// Every ref file below `refs/`, sorted by name. What is removed meanwhile may be in it or not.
pub(super) fn scan(git_dir: &Path) -> io::Result<Vec<(BString, RawRef)>> {
    let mut found = Vec::new();
    scan_folder(
        &git_dir.join("refs"),
        &mut BString::from("refs"),
        0,
        &mut found,
    )?;
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn scan_folder(
    folder: &Path,
    name: &mut BString,
    depth: usize,
    found: &mut Vec<(BString, RawRef)>,
) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let part = entry.file_name();
        if part.as_bytes().ends_with(b".lock") || part.as_bytes().starts_with(b".") {
            continue;
        }
        let length = name.len();
        name.push(b'/');
        name.extend_from_slice(part.as_bytes());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => {
                if depth < DEPTH_MAX {
                    scan_folder(&entry.path(), name, depth + 1, found)?;
                }
            }
            Ok(_) => {
                if let Some(raw) = read_raw(&entry.path())? {
                    found.push((name.clone(), raw));
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        name.truncate(length);
    }
    Ok(())
}

/// The file of the ref called `name`, which must be a checked one or `HEAD`.
pub(super) fn ref_path(git_dir: &Path, name: &BStr) -> PathBuf {
    git_dir.join(std::ffi::OsStr::from_bytes(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ref_files_are_read_like_git_reads_them() {
        let hex = "1".repeat(40);
        let id = RawRef::Id(ObjectId::from_hex(hex.as_bytes()).unwrap());
        assert_eq!(parse_raw(format!("{hex}\n").as_bytes()), id);
        assert_eq!(parse_raw(hex.as_bytes()), id);
        assert_eq!(parse_raw(format!("{hex} x").as_bytes()), id);
        assert_eq!(
            parse_raw(b"ref:  refs/heads/a\n"),
            RawRef::Symbolic("refs/heads/a".into())
        );
        for broken in [
            &b""[..],
            b"11",
            format!("{hex}1\n").as_bytes(),
            "0".repeat(40).as_bytes(),
            b"\0\0\0\0",
        ] {
            assert_eq!(parse_raw(broken), RawRef::Broken, "{broken:?}");
        }
        for (text, is_damaged) in [
            (&b""[..], true),
            (b"ref:", true),
            (b"ref: refs/heads/\0\0", true),
            (b"ref: refs/heads/a", false),
            (b"ref: HEAD", false),
            (hex.as_bytes(), false),
        ] {
            assert_eq!(parse_raw(text).is_damaged(), is_damaged, "{text:?}");
        }
    }
}
