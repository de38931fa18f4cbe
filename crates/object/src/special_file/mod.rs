//! The files of a tree that Git itself reads: `.gitmodules` and `.gitattributes`.
//!
//! Their content is judged wherever it becomes part of a tree, by the rules that `git fsck` makes an error of.
//! A file named so in a tree that is here has passed, whatever other names its blob has.

mod attributes;
mod modules;
mod url;

use std::fmt;
use std::io::{self, Read};

use bstr::ByteSlice;

use crate::{Database, ObjectId, ObjectKind, ReadError};

pub use attributes::{MAX_ATTRIBUTES_BYTES, MAX_ATTRIBUTES_LINE_BYTES};
pub use modules::MAX_MODULES_BYTES;

/// A file that Git reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecialFile {
    /// Where submodules come from.
    Modules,
    /// How files are converted and compared.
    Attributes,
}

impl SpecialFile {
    /// Both.
    pub const ALL: [SpecialFile; 2] = [SpecialFile::Modules, SpecialFile::Attributes];

    /// Its name, as Git writes it.
    pub fn name(self) -> &'static str {
        match self {
            SpecialFile::Modules => ".gitmodules",
            SpecialFile::Attributes => ".gitattributes",
        }
    }

    /// Judges the content of one, which has `size` bytes. The outer error is that of reading it.
    pub fn check(
        self,
        size: u64,
        content: &mut dyn Read,
    ) -> io::Result<Result<(), SpecialFileError>> {
        self.judge(size, content, &mut Err)
    }

    /// Judges the blob `id`, which must be in the database.
    pub fn check_blob(
        self,
        database: &Database,
        id: ObjectId,
    ) -> Result<Result<(), SpecialFileError>, ReadError> {
        self.judge_blob(database, id, &mut Err)
    }

    fn judge(
        self,
        size: u64,
        content: &mut dyn Read,
        judge: &mut Judge<'_>,
    ) -> io::Result<Result<(), SpecialFileError>> {
        match self {
            SpecialFile::Modules => modules::check(size, content, judge),
            SpecialFile::Attributes => attributes::check(size, content, judge),
        }
    }

    /// As [`SpecialFile::check_blob`], where `judge` has a say in each fault.
    pub(crate) fn judge_blob(
        self,
        database: &Database,
        id: ObjectId,
        judge: &mut Judge<'_>,
    ) -> Result<Result<(), SpecialFileError>, ReadError> {
        let mut blob = database
            .stream(&id)?
            .ok_or_else(|| database.not_found(id))?;
        if blob.kind != ObjectKind::Blob {
            return Err(ReadError::WrongKind {
                id,
                expected: ObjectKind::Blob,
                found: blob.kind,
            });
        }
        self.judge(blob.size, &mut blob, judge)
            .map_err(|source| ReadError::Stream { id, source })
    }
}

/// Decides what a fault means: with `Ok` it is as if it were none.
pub(crate) type Judge<'j> = dyn FnMut(SpecialFileError) -> Result<(), SpecialFileError> + 'j;

impl fmt::Display for SpecialFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the content of a file that Git reads is refused; the messages begin with Git's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecialFileError {
    /// A submodule's name is empty or leads out of the folder of submodules.
    #[error("gitmodulesName: line {line} names a submodule with nothing, or with `..`")]
    ModulesName {
        /// The line, from 1.
        line: usize,
    },
    /// A URL that would be taken for an option, or for another host than it shows.
    #[error("gitmodulesUrl: line {line} has a URL that may not stand there")]
    ModulesUrl {
        /// The line, from 1.
        line: usize,
    },
    /// A path that would be taken for an option.
    #[error("gitmodulesPath: line {line} has a path that begins with `-`")]
    ModulesPath {
        /// The line, from 1.
        line: usize,
    },
    /// An update by a command, which everybody who clones would run.
    #[error("gitmodulesUpdate: line {line} would run a command")]
    ModulesUpdate {
        /// The line, from 1.
        line: usize,
    },
    /// `.gitmodules` over [`MAX_MODULES_BYTES`].
    #[error("gitmodulesLarge: it has {size} bytes, over the limit of {MAX_MODULES_BYTES}")]
    ModulesLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// A line of `.gitattributes` over [`MAX_ATTRIBUTES_LINE_BYTES`].
    #[error(
        "gitattributesLineLength: line {line} is over the limit of {MAX_ATTRIBUTES_LINE_BYTES} bytes"
    )]
    AttributesLine {
        /// The line, from 1.
        line: usize,
    },
    /// `.gitattributes` over [`MAX_ATTRIBUTES_BYTES`].
    #[error("gitattributesLarge: it has {size} bytes, over the limit of {MAX_ATTRIBUTES_BYTES}")]
    AttributesLarge {
        /// Its size in bytes.
        size: u64,
    },
}

/// Which of the files Git takes a name in a tree for, in any spelling that some file system takes for it: whether for
/// `.gitmodules`, and whether for `.gitattributes`.
pub(crate) fn special_names(name: &[u8]) -> (bool, bool) {
    use crate::path::{is_hfs_dot, is_ntfs_dot};
    let is_modules = |tail: &[u8]| is_ntfs_dot(tail, b"gitmodules", b"gitmod", b"gi7eba");
    let (mut modules, mut attributes) = (false, false);
    // The bytes that such a name can begin with: nearly all names are done here.
    if matches!(name.first(), Some(b'.' | b'g' | b'G' | 0xe2 | 0xef)) {
        modules = is_hfs_dot(name, b"gitmodules") || is_modules(name);
        attributes = is_hfs_dot(name, b"gitattributes")
            || is_ntfs_dot(name, b"gitattributes", b"gitatt", b"gi7d29");
    }
    // Windows takes a backslash for a slash. Git looks behind each for this one file only.
    let mut tail = name;
    while let Some(at) = tail.find_byte(b'\\') {
        tail = &tail[at + 1..];
        modules |= is_modules(tail);
    }
    (modules, attributes)
}
