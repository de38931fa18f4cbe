//! What a source of a copy names: a file, a folder, or what is in a folder.
//!
//! Sources are literal, patterns are expanded by the caller. `folder/` is what is in the folder; `base/./rest` is
//! `base/rest`, placed below the folder part of `rest`.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use crate::store::path::{join, normalize};
use crate::store::{FileType, Snapshot, StoreError};

/// What is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One file or link.
    File,
    /// A folder with its name.
    Folder,
    /// What is in a folder.
    Contents,
}

/// A local source.
#[derive(Clone, Debug)]
pub(super) struct LocalSource {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    /// Where it goes below the destination: the folder part behind `/./`, and a folder's own name.
    pub(super) below: BString,
}

/// A source in a snapshot.
#[derive(Clone, Debug)]
pub(super) struct StoredSource {
    /// Normalised; empty for the root.
    pub(super) path: BString,
    pub(super) kind: Kind,
    /// The folder part behind `/./`.
    pub(super) prefix: BString,
}

/// A source as it is written.
struct Written<'a> {
    /// Before `/./`, if there is one.
    base: Option<&'a [u8]>,
    /// Without slashes at the end.
    rest: &'a [u8],
    contents: bool,
}

impl<'a> Written<'a> {
    fn parse(source: &'a [u8], pivot: Option<usize>) -> Written<'a> {
        let (base, rest) = match pivot.filter(|&at| at > 0) {
            Some(at) => (Some(&source[..at]), &source[at + 3..]),
            None => (None, source),
        };
        Written {
            base,
            contents: rest.ends_with(b"/") || (rest.is_empty() && base.is_some()),
            rest: rest.trim_end_with(|c| c == '/'),
        }
    }

    /// The folder part of what is behind `/./`.
    fn prefix(&self) -> Result<BString, StoreError> {
        let folder = match self.base.and_then(|_| self.rest.rfind_byte(b'/')) {
            Some(slash) => &self.rest[..slash],
            None => return Ok(BString::default()),
        };
        Ok(normalize(collapsed(folder))?.unwrap_or_default())
    }
}

/// Without empty and `.` segments, which name the same folder on disk.
fn collapsed(path: &[u8]) -> Vec<u8> {
    let parts = path.split(|&byte| byte == b'/');
    let parts: Vec<&[u8]> = parts.filter(|part| !matches!(*part, b"" | b".")).collect();
    parts.join(&b'/')
}

/// Looks at a local source. A link to a folder is one file unless links are followed or its contents are asked for.
pub(super) fn resolve_local(source: &OsStr, follow: bool) -> Result<LocalSource, StoreError> {
    let bytes = source.as_bytes();
    let written = Written::parse(bytes, bytes.find(b"/./"));
    let path = match written.base {
        Some(base) => Path::new(OsStr::from_bytes(base)).join(OsStr::from_bytes(
            written.rest.trim_start_with(|c| c == '/'),
        )),
        None if written.rest.is_empty() && written.contents => PathBuf::from("/"),
        None => PathBuf::from(OsString::from_vec(written.rest.to_vec())),
    };
    let prefix = written.prefix()?;
    let found = fs::metadata(&path);
    let is_folder = found.as_ref().is_ok_and(fs::Metadata::is_dir);
    let is_missing = |error: &std::io::Error| {
        matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    };
    match found {
        _ if path.as_os_str().is_empty() => return Err(StoreError::LocalNotFound { path }),
        Err(error) if !is_missing(&error) && !path.is_symlink() => {
            return Err(StoreError::local(&path)(error));
        }
        _ if written.contents && !is_folder => return Err(StoreError::LocalNotADirectory { path }),
        Err(_) if follow || !path.is_symlink() => return Err(StoreError::LocalNotFound { path }),
        _ => {}
    }
    let kind = match written.contents {
        true => Kind::Contents,
        false if is_folder && (follow || !path.is_symlink()) => Kind::Folder,
        false => Kind::File,
    };
    let below = match kind {
        Kind::Folder => below(&prefix, last_name(&path))?,
        Kind::File | Kind::Contents => prefix,
    };
    Ok(LocalSource { path, kind, below })
}

/// The last part of a path as it is written, even if it is `.` or `..`.
pub(super) fn last_name(path: &Path) -> &BStr {
    let bytes = path.as_os_str().as_bytes();
    bytes[bytes.rfind_byte(b'/').map_or(0, |slash| slash + 1)..].as_bstr()
}

/// A name below a prefix; `.` is the prefix itself, `..` is refused.
pub(super) fn below(prefix: &[u8], name: &[u8]) -> Result<BString, StoreError> {
    match name {
        b"." => Ok(prefix.into()),
        _ => Ok(normalize(join(prefix, name))?.unwrap_or_default()),
    }
}

/// Looks at a source in a snapshot.
pub(super) fn resolve_stored(
    snapshot: &Snapshot,
    source: &[u8],
) -> Result<StoredSource, StoreError> {
    let slashes: Vec<u8> = source
        .iter()
        .map(|&byte| if byte == b'\\' { b'/' } else { byte })
        .collect();
    // A backslash is an ordinary character, unless it is the pivot that is written with it.
    let (source, pivot) = match slashes.find(b"/./").filter(|&at| at > 0) {
        Some(at) => (slashes.as_slice(), Some(at)),
        None => (source, None),
    };
    let written = Written::parse(source, pivot);
    let prefix = written.prefix()?;
    let path = match written.base {
        Some(base) => normalize(collapsed(&join(base, written.rest)))?,
        None => normalize(written.rest)?,
    };
    let Some(path) = path else {
        let (path, kind) = (BString::default(), Kind::Contents);
        return Ok(StoredSource { path, kind, prefix });
    };
    let kind = match snapshot.entry(&path)?.map(|entry| entry.file_type) {
        Some(FileType::Tree) if written.contents => Kind::Contents,
        Some(FileType::Tree) => Kind::Folder,
        _ if written.contents => return Err(StoreError::SourceNotADirectory { path }),
        Some(_) => Kind::File,
        None => return Err(StoreError::SourceNotFound { path }),
    };
    Ok(StoredSource { path, kind, prefix })
}
