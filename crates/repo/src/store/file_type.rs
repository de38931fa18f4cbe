//! What an entry of a folder is.

use packhouse_object::EntryMode;

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileType {
    /// A plain file.
    Blob,
    /// A file that may be run.
    Executable,
    /// A symbolic link; its content is the target.
    Link,
    /// A folder.
    Tree,
    /// A commit of another repository: a submodule. Only foreign repositories have them.
    Commit,
}

const TYPE_BITS: u32 = 0o170000;

impl FileType {
    /// The mode Git writes.
    pub fn mode(self) -> u32 {
        self.entry_mode().bits()
    }

    /// The type of a mode as Git reads it. Odd permissions of old repositories (`100664`) count by their type
    /// and the owner's right to run; an unknown type is a plain file.
    pub fn from_mode(mode: u32) -> FileType {
        match mode & TYPE_BITS {
            0o040000 => FileType::Tree,
            0o120000 => FileType::Link,
            0o160000 => FileType::Commit,
            _ if mode & 0o100 != 0 => FileType::Executable,
            _ => FileType::Blob,
        }
    }

    /// `blob`, `executable`, `link`, `tree` or `commit`.
    pub fn as_str(self) -> &'static str {
        match self {
            FileType::Blob => "blob",
            FileType::Executable => "executable",
            FileType::Link => "link",
            FileType::Tree => "tree",
            FileType::Commit => "commit",
        }
    }

    /// The mode of new tree entries.
    pub fn entry_mode(self) -> EntryMode {
        match self {
            FileType::Blob => EntryMode::Blob,
            FileType::Executable => EntryMode::Executable,
            FileType::Link => EntryMode::Symlink,
            FileType::Tree => EntryMode::Tree,
            FileType::Commit => EntryMode::Submodule,
        }
    }

    /// Whether the entry's object is a blob: a file or a symbolic link.
    pub fn is_blob(self) -> bool {
        matches!(self, FileType::Blob | FileType::Executable | FileType::Link)
    }
}

impl From<EntryMode> for FileType {
    fn from(mode: EntryMode) -> Self {
        FileType::from_mode(mode.bits())
    }
}

impl std::fmt::Display for FileType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_modes_are_read_by_their_type() {
        for (mode, expected) in [
            (0o100644, FileType::Blob),
            (0o100664, FileType::Blob),
            (0o100755, FileType::Executable),
            (0o100775, FileType::Executable),
            (0o120000, FileType::Link),
            (0o040000, FileType::Tree),
            (0o160000, FileType::Commit),
            (0, FileType::Blob),
        ] {
            assert_eq!(FileType::from_mode(mode), expected, "{mode:o}");
        }
        for of in [FileType::Blob, FileType::Executable, FileType::Link] {
            assert_eq!(FileType::from_mode(of.mode()), of);
        }
    }
}
