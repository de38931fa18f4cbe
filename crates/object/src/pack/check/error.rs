//! What may be wrong with an object; the messages are Git's name for it and Git's words, where it has some.

use crate::{PathError, SpecialFile};

/// An object that does not follow Git's rules.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say it, and Git's documentation of `fsck.<msg-id>`"
)]
pub enum SyntaxError {
    #[error("nulInHeader: unterminated header: NUL at offset {offset}")]
    NulInHeader { offset: usize },
    #[error("unterminatedHeader: unterminated header")]
    UnterminatedHeader,
    #[error("nulInCommit: NUL byte in the commit object body")]
    NulInCommit,

    #[error("missingTree: invalid format - expected 'tree' line")]
    MissingTree,
    #[error("badTreeSha1: invalid 'tree' line format - bad sha1")]
    BadTreeId,
    #[error("badParentSha1: invalid 'parent' line format - bad sha1")]
    BadParentId,
    #[error("missingAuthor: invalid format - expected 'author' line")]
    MissingAuthor,
    #[error("multipleAuthors: invalid format - multiple 'author' lines")]
    MultipleAuthors,
    #[error("missingCommitter: invalid format - expected 'committer' line")]
    MissingCommitter,
    #[error("nullSha1: contains entries pointing to null sha1")]
    NullId,

    #[error("missingNameBeforeEmail: invalid author/committer line - missing space before email")]
    MissingNameBeforeEmail,
    #[error("badName: invalid author/committer line - bad name")]
    BadName,
    #[error("missingEmail: invalid author/committer line - missing email")]
    MissingEmail,
    #[error("missingSpaceBeforeEmail: invalid author/committer line - missing space before email")]
    MissingSpaceBeforeEmail,
    #[error("badEmail: invalid author/committer line - bad email")]
    BadEmail,
    #[error("missingSpaceBeforeDate: invalid author/committer line - missing space before date")]
    MissingSpaceBeforeDate,
    #[error("zeroPaddedDate: invalid author/committer line - zero-padded date")]
    ZeroPaddedDate,
    #[error("badDateOverflow: invalid author/committer line - date causes integer overflow")]
    BadDateOverflow,
    #[error("badDate: invalid author/committer line - bad date")]
    BadDate,
    #[error("badTimezone: invalid author/committer line - bad time zone")]
    BadTimezone,

    #[error("missingObject: invalid format - expected 'object' line")]
    MissingObject,
    #[error("badObjectSha1: invalid 'object' line format - bad sha1")]
    BadObjectId,
    #[error("missingTypeEntry: invalid format - expected 'type' line")]
    MissingType,
    #[error("badType: invalid 'type' value")]
    BadType,
    #[error("missingTagEntry: invalid format - expected 'tag' line")]
    MissingTagName,

    #[error("badTree: cannot be parsed as a tree")]
    BadTree,
    #[error("badFilemode: contains bad file modes")]
    BadMode,
    #[error("zeroPaddedFilemode: contains zero-padded file modes")]
    ZeroPaddedMode,
    #[error("duplicateEntries: contains duplicate file entries")]
    DuplicateEntries,
    #[error("treeNotSorted: not properly sorted")]
    NotSorted,
    #[error("{}", name_fault(.0))]
    Name(#[from] PathError),
}

fn name_fault(error: &PathError) -> &'static str {
    match error {
        // Git does not get to its own rule for that.
        PathError::Empty => "badTree: cannot be parsed as a tree",
        PathError::Dot => "hasDot: contains '.'",
        PathError::DotDot => "hasDotdot: contains '..'",
        PathError::DotGit => "hasDotgit: contains '.git'",
        PathError::DotGitmodulesLink => "gitmodulesSymlink: .gitmodules is a symbolic link",
        PathError::TwoFiles => {
            "gitmodulesBlob: a name stands both for .gitmodules and for .gitattributes"
        }
        PathError::NoFile(SpecialFile::Modules) => "gitmodulesBlob: non-blob found at .gitmodules",
        PathError::NoFile(SpecialFile::Attributes) => {
            "gitattributesBlob: non-blob found at .gitattributes"
        }
        PathError::Slash => "fullPathname: contains full pathnames",
        PathError::TooLong => "largePathname: contains a name that is too long",
        PathError::Nul => "nulInName: contains a name with a NUL",
    }
}
