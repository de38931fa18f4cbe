//! Paths of files in a repository, and the names a tree may hold.
//!
//! A checked path can be checked out anywhere: no part is `.git` in a spelling that Windows or
//! macOS would take for it, and none leads out of the folder.

use std::fmt;

use bstr::{BStr, BString, ByteSlice};

use crate::EntryMode;
use crate::special_file::{SpecialFile, special_names};

/// Longest part of a path in bytes: what file systems hold.
pub const MAX_PART_BYTES: usize = 255;
/// Longest path in bytes: `PATH_MAX` of Linux.
pub const MAX_PATH_BYTES: usize = 4096;

/// The path of a file or folder, relative to the root: checked parts joined by `/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(BString);

impl RepoPath {
    /// Checks a path. Nothing is normalised: `a//b`, `/a` and `a/` are refused.
    pub fn parse(path: impl AsRef<[u8]>) -> Result<RepoPath, PathError> {
        let path = path.as_ref();
        if path.len() > MAX_PATH_BYTES {
            return Err(PathError::TooLong);
        }
        path.split(|&byte| byte == b'/')
            .try_for_each(check_entry_name)?;
        Ok(RepoPath(path.into()))
    }

    /// The parts between the slashes, outermost first; at least one.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &BStr> + Clone {
        self.0.split(|&byte| byte == b'/').map(ByteSlice::as_bstr)
    }

    /// The path's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path, for display and search.
    pub fn as_bstr(&self) -> &BStr {
        self.0.as_bstr()
    }

    /// The last part.
    pub fn file_name(&self) -> &BStr {
        self.components()
            .next_back()
            .expect("a path has at least one part")
    }

    /// The folder it is in; `None` at the root.
    pub fn parent(&self) -> Option<RepoPath> {
        self.0
            .rfind_byte(b'/')
            .map(|slash| RepoPath(self.0[..slash].into()))
    }
}

impl AsRef<[u8]> for RepoPath {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bstr().fmt(f)
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepoPath({})", self.as_bstr())
    }
}

impl std::str::FromStr for RepoPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        RepoPath::parse(path)
    }
}

/// Whether a path leads to something in a folder, at any depth: never to the folder itself. Neither needs to be checked.
pub fn is_below(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with(b"/"))
}

/// Why a path or a name in a tree is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path, or what is between two slashes, is empty.
    #[error("a part of the path is empty")]
    Empty,
    /// `.`.
    #[error("a part of the path is `.`")]
    Dot,
    /// `..`.
    #[error("a part of the path is `..`")]
    DotDot,
    /// `.git` in a spelling that some file system takes for it.
    #[error("a part of the path is `.git`, or some file system would take it for that")]
    DotGit,
    /// A symbolic link called `.gitmodules`, which Git would follow.
    #[error("`.gitmodules` may not be a symbolic link")]
    DotGitmodulesLink,
    /// A folder or a submodule called like a file that Git reads.
    #[error("`{0}` may not be a folder or a submodule")]
    NoFile(SpecialFile),
    /// The name of a stream of `.gitattributes` that ends like `.gitmodules`, which could not be judged as one of them.
    #[error("a name stands both for `.gitmodules` and for `.gitattributes`")]
    TwoFiles,
    /// NUL. Other control characters are as good as letters, to Git and to file systems but those of Windows.
    #[error("the path contains a NUL")]
    Nul,
    /// A slash in a name.
    #[error("the name contains a slash")]
    Slash,
    /// A part over 255 bytes or a path over 4096.
    #[error("the path, or a part of it, is too long")]
    TooLong,
}

/// Checks one name as it may stand in a tree.
pub fn check_entry_name(name: &[u8]) -> Result<(), PathError> {
    judge_name(name, &mut Err)
}

/// Checks one name together with what it names: some names are for files only.
pub fn check_entry(name: &[u8], mode: EntryMode) -> Result<(), PathError> {
    special_entry(name, mode).map(|_| ())
}

/// Like [`check_entry`]; returns which file Git takes it for, whose content has rules too.
pub fn special_entry(name: &[u8], mode: EntryMode) -> Result<Option<SpecialFile>, PathError> {
    judge_entry(name, mode, &mut Err)
}

/// As [`special_entry`], where `judge` has a say: what it lets pass is looked at further.
pub(crate) fn judge_entry<E>(
    name: &[u8],
    mode: EntryMode,
    judge: &mut dyn FnMut(PathError) -> Result<(), E>,
) -> Result<Option<SpecialFile>, E> {
    if is_ordinary(name) {
        return Ok(None);
    }
    judge_name(name, judge)?;
    let special = match special_names(name) {
        (false, false) => None,
        (true, false) => Some(SpecialFile::Modules),
        (false, true) => Some(SpecialFile::Attributes),
        (true, true) => {
            judge(PathError::TwoFiles)?;
            Some(SpecialFile::Modules)
        }
    };
    match (special, mode) {
        (None, _) | (_, EntryMode::Blob | EntryMode::Executable) => return Ok(special),
        (Some(SpecialFile::Modules), EntryMode::Symlink) => judge(PathError::DotGitmodulesLink)?,
        // Git does not read it then.
        (Some(SpecialFile::Attributes), EntryMode::Symlink) => {}
        (Some(file), EntryMode::Tree | EntryMode::Submodule) => judge(PathError::NoFile(file))?,
    }
    Ok(None)
}

/// Whether nothing needs to be looked at further: the name has no byte that any of the names below needs. Nearly all
/// names are so, and trees repeat them in every version.
fn is_ordinary(name: &[u8]) -> bool {
    const NEEDED: [bool; 256] = {
        let mut needed = [false; 256];
        needed[0] = true;
        needed[b'/' as usize] = true;
        needed[b'\\' as usize] = true;
        // Short names.
        needed[b'~' as usize] = true;
        needed
    };
    // All others begin with a dot, on HFS+ perhaps behind characters that are not ASCII.
    let first_is_ordinary =
        matches!(name.first(), Some(first) if *first != b'.' && first.is_ascii());
    first_is_ordinary
        && name.len() <= MAX_PART_BYTES
        && !name.iter().any(|byte| NEEDED[usize::from(*byte)])
}

fn judge_name<E>(name: &[u8], judge: &mut dyn FnMut(PathError) -> Result<(), E>) -> Result<(), E> {
    match name {
        b"" => judge(PathError::Empty)?,
        b"." => judge(PathError::Dot)?,
        b".." => judge(PathError::DotDot)?,
        _ => {}
    }
    if name.contains(&b'/') {
        judge(PathError::Slash)?;
    }
    if name.contains(&0) {
        judge(PathError::Nul)?;
    }
    if name.len() > MAX_PART_BYTES {
        judge(PathError::TooLong)?;
    }
    if is_hfs_dot(name, b"git") || windows_parts(name).any(is_ntfs_dotgit) {
        judge(PathError::DotGit)?;
    }
    Ok(())
}

/// What Windows takes for separate parts: a backslash is a slash there.
fn windows_parts(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    name.split(|&byte| byte == b'\\')
}

/// Whether NTFS takes the name for `.git` (Git's `is_ntfs_dotgit`): in any case, by its short
/// name, with dots and spaces behind it, or naming a stream of it.
fn is_ntfs_dotgit(name: &[u8]) -> bool {
    let tail = match (
        strip_ascii_prefix(name, b".git"),
        strip_ascii_prefix(name, b"git~1"),
    ) {
        (Some(tail), _) | (None, Some(tail)) => tail,
        (None, None) => return false,
    };
    only_dots_and_spaces(tail)
}

/// Whether nothing is left but what NTFS drops, up to the name of a stream.
fn only_dots_and_spaces(tail: &[u8]) -> bool {
    tail.iter()
        .take_while(|&&byte| byte != b':')
        .all(|byte| matches!(byte, b'.' | b' '))
}

/// Whether NTFS takes the name for a dot and `word` (Git's `is_ntfs_dot_generic`): the name itself, one of the first
/// four short names, which begin with `short`, or one of those NTFS makes by hashing.
pub(crate) fn is_ntfs_dot(name: &[u8], word: &[u8], short: &[u8; 6], hashed: &[u8; 6]) -> bool {
    if let Some(tail) = name
        .strip_prefix(b".")
        .and_then(|rest| strip_ascii_prefix(rest, word))
    {
        return only_dots_and_spaces(tail);
    }
    if let Some([b'~', b'1'..=b'4', tail @ ..]) = strip_ascii_prefix(name, short) {
        return only_dots_and_spaces(tail);
    }
    is_hashed_short_name(name, hashed)
}

/// Whether the name is six bytes of `hashed`, cut off by `~` and digits to eight bytes in all.
fn is_hashed_short_name(name: &[u8], hashed: &[u8; 6]) -> bool {
    let mut saw_tilde = false;
    let mut at = 0;
    while at < 8 {
        let Some(&byte) = name.get(at) else {
            return false;
        };
        if saw_tilde {
            if !byte.is_ascii_digit() {
                return false;
            }
        } else if byte == b'~' {
            at += 1;
            if !matches!(name.get(at), Some(b'1'..=b'9')) {
                return false;
            }
            saw_tilde = true;
        } else if at >= 6 || !byte.is_ascii() || byte.to_ascii_lowercase() != hashed[at] {
            return false;
        }
        at += 1;
    }
    only_dots_and_spaces(&name[at..])
}

fn strip_ascii_prefix<'a>(name: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, tail) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// Whether HFS+ takes the name for a dot and `word` (Git's `is_hfs_dot_generic`): in any case,
/// with code points in it that HFS+ ignores.
pub(crate) fn is_hfs_dot(name: &[u8], word: &[u8]) -> bool {
    let mut chars = HfsChars(name);
    if chars.next() != Some('.') {
        return false;
    }
    let same = |&wanted: &u8| {
        chars
            .next()
            .is_some_and(|c| c.to_ascii_lowercase() == char::from(wanted))
    };
    word.iter().all(same) && chars.next().is_none()
}

/// The characters HFS+ compares; ends at the first byte that is not UTF-8, as Git's reading does.
struct HfsChars<'a>(&'a [u8]);

impl Iterator for HfsChars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        loop {
            let (c, len) = bstr::decode_utf8(self.0);
            self.0 = &self.0[len..];
            match c? {
                '\u{200c}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{206a}'..='\u{206f}'
                | '\u{feff}' => {}
                // Git's decoder refuses these two.
                '\u{fffe}' | '\u{ffff}' => return None,
                c => return Some(c),
            }
        }
    }
}
