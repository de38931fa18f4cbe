//! The modes a tree entry may have.

use std::fmt;

/// What an entry of a tree is. The number is the mode Git writes.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Ord, PartialOrd)]
#[repr(u32)]
pub enum EntryMode {
    /// A folder.
    Tree = 0o040000,
    /// A plain file.
    Blob = 0o100644,
    /// A file that may be run.
    Executable = 0o100755,
    /// A symbolic link; the blob holds its target.
    Symlink = 0o120000,
    /// A commit of another repository.
    Submodule = 0o160000,
}

impl EntryMode {
    /// The mode for octal digits as they stand in trees or as people write them (`040000`).
    ///
    /// Old trees hold other permissions (`100664`); they are read as Git reads them: by type,
    /// and executable when the owner may run the file. `None` for any other type.
    pub fn from_octal_str(digits: impl AsRef<[u8]>) -> Option<EntryMode> {
        let digits = digits.as_ref();
        if digits.is_empty() || digits.len() > 7 {
            return None;
        }
        digits
            .iter()
            .try_fold(0u32, |mode, digit| match digit {
                b'0'..=b'7' => Some(mode << 3 | u32::from(digit - b'0')),
                _ => None,
            })
            .and_then(EntryMode::from_bits)
    }

    /// The mode for a number, with the same tolerance as [`EntryMode::from_octal_str`].
    pub fn from_bits(mode: u32) -> Option<EntryMode> {
        match mode & 0o170000 {
            0o040000 => Some(EntryMode::Tree),
            0o100000 if mode & 0o100 != 0 => Some(EntryMode::Executable),
            0o100000 => Some(EntryMode::Blob),
            0o120000 => Some(EntryMode::Symlink),
            0o160000 => Some(EntryMode::Submodule),
            _ => None,
        }
    }

    /// The number, as in `stat`.
    pub fn bits(self) -> u32 {
        self as u32
    }

    /// The octal digits a tree holds: no leading zero.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryMode::Tree => "40000",
            EntryMode::Blob => "100644",
            EntryMode::Executable => "100755",
            EntryMode::Symlink => "120000",
            EntryMode::Submodule => "160000",
        }
    }

    /// Six octal digits, as `git ls-tree` and `git diff-tree` print them.
    pub fn as_six_digits(self) -> &'static str {
        match self {
            EntryMode::Tree => "040000",
            other => other.as_str(),
        }
    }

    /// Whether the entry is a folder.
    pub fn is_tree(self) -> bool {
        self == EntryMode::Tree
    }

    /// Whether the entry's object is a blob: a file or a symbolic link.
    pub fn is_blob(self) -> bool {
        matches!(
            self,
            EntryMode::Blob | EntryMode::Executable | EntryMode::Symlink
        )
    }

    /// Whether the entry names a commit of another repository, which need not be here.
    pub fn is_submodule(self) -> bool {
        self == EntryMode::Submodule
    }
}

impl fmt::Display for EntryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_six_digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_git_reads_them() {
        let mode = |digits: &str| EntryMode::from_octal_str(digits);
        assert_eq!(mode("100644"), Some(EntryMode::Blob));
        assert_eq!(mode("100664"), Some(EntryMode::Blob));
        assert_eq!(mode("100775"), Some(EntryMode::Executable));
        assert_eq!(mode("40000"), Some(EntryMode::Tree));
        assert_eq!(mode("040000"), Some(EntryMode::Tree));
        assert_eq!(mode("120777"), Some(EntryMode::Symlink));
        assert_eq!(mode("160000"), Some(EntryMode::Submodule));
        for bad in ["", "0", "644", "100648", "010000", "-40000", "10064400"] {
            assert_eq!(mode(bad), None, "{bad}");
        }
    }

    #[test]
    fn digits_survive_the_way_there_and_back() {
        use EntryMode::*;
        for mode in [Tree, Blob, Executable, Symlink, Submodule] {
            assert_eq!(EntryMode::from_octal_str(mode.as_str()), Some(mode));
            assert_eq!(EntryMode::from_bits(mode.bits()), Some(mode));
        }
    }
}
