//! What may be wrong with an object; the messages begin with Git's name for it.

use crate::{PathError, SpecialFile};

/// An object that does not follow Git's rules.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "the messages say it, and Git's documentation of `fsck.<msg-id>`"
)]
pub enum SyntaxError {
    #[error("nulInHeader: a NUL byte in the headers")]
    NulInHeader,
    #[error("unterminatedHeader: the headers do not end with a line break")]
    UnterminatedHeader,
    #[error("nulInCommit: a NUL byte in the message")]
    NulInCommit,

    #[error("missingTree: no `tree` line")]
    MissingTree,
    #[error("badTreeSha1: the `tree` line has no valid id")]
    BadTreeId,
    #[error("badParentSha1: a `parent` line has no valid id")]
    BadParentId,
    #[error("missingAuthor: no `author` line")]
    MissingAuthor,
    #[error("multipleAuthors: more than one `author` line")]
    MultipleAuthors,
    #[error("missingCommitter: no `committer` line")]
    MissingCommitter,
    #[error("nullSha1: it names the null id")]
    NullId,

    #[error("missingNameBeforeEmail: no name before an email address")]
    MissingNameBeforeEmail,
    #[error("badName: a name contains `>`")]
    BadName,
    #[error("missingEmail: no email address")]
    MissingEmail,
    #[error("missingSpaceBeforeEmail: no space before an email address")]
    MissingSpaceBeforeEmail,
    #[error("badEmail: an email address has no end")]
    BadEmail,
    #[error("missingSpaceBeforeDate: no space before a date")]
    MissingSpaceBeforeDate,
    #[error("zeroPaddedDate: a date begins with a zero")]
    ZeroPaddedDate,
    #[error("badDateOverflow: a date is too far away")]
    BadDateOverflow,
    #[error("badDate: a date is no number")]
    BadDate,
    #[error("badTimezone: a time zone is not of the form +0000")]
    BadTimezone,

    #[error("missingObject: no `object` line")]
    MissingObject,
    #[error("badObjectSha1: the `object` line has no valid id")]
    BadObjectId,
    #[error("missingTypeEntry: no `type` line")]
    MissingType,
    #[error("badType: the `type` line names no kind of object")]
    BadType,
    #[error("missingTagEntry: no `tag` line")]
    MissingTagName,

    #[error("badTree: an entry is cut short or malformed")]
    BadTree,
    #[error("badFilemode: an entry has a mode that means nothing")]
    BadMode,
    #[error("zeroPaddedFilemode: a mode begins with a zero")]
    ZeroPaddedMode,
    #[error("duplicateEntries: a name stands there twice")]
    DuplicateEntries,
    #[error("treeNotSorted: the entries are not in order")]
    NotSorted,
    #[error("{rule}: {0}", rule = path_rule(.0))]
    Name(#[from] PathError),
}

fn path_rule(error: &PathError) -> &'static str {
    match error {
        PathError::Empty => "emptyName",
        PathError::Dots => "hasDot",
        PathError::DotGit => "hasDotgit",
        PathError::DotGitmodulesLink => "gitmodulesSymlink",
        PathError::TwoFiles | PathError::NoFile(SpecialFile::Modules) => "gitmodulesBlob",
        PathError::NoFile(SpecialFile::Attributes) => "gitattributesBlob",
        PathError::Slash => "fullPathname",
        PathError::TooLong => "largePathname",
        PathError::Nul => "nulInName",
    }
}
