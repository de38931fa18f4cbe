//! Names of refs: what `git check-ref-format` accepts, below `refs/`, short enough for a file.

use std::fmt;
use std::sync::Arc;

use bstr::{BStr, ByteSlice};

/// Where ephemeral branches live: Git's own namespace scheme.
pub const EPHEMERAL_PREFIX: &str = "refs/namespaces/ephemeral/";

const BRANCH_PREFIX: &str = "refs/heads/";

/// Longest name in bytes. Ours; Git has no limit but the file system's.
const MAX_NAME_BYTES: usize = 1024;
/// Longest part in bytes: with `.lock` behind it, still a file name on every file system.
const MAX_PART_BYTES: usize = 250;

/// The full name of a ref, for example `refs/heads/main`. Cheap to clone, ordered by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RefName(Arc<[u8]>);

impl RefName {
    /// Checks a full name.
    pub fn parse(name: impl AsRef<[u8]>) -> Result<RefName, RefNameError> {
        let name = name.as_ref();
        let refuse = |problem| RefNameError {
            name: name.as_bstr().to_string(),
            problem,
        };
        check_ref_format(name).map_err(refuse)?;
        if !name.starts_with(b"refs/") {
            return Err(refuse(RefNameProblem::NotBelowRefs));
        }
        let longest = name
            .split(|&byte| byte == b'/')
            .map(<[u8]>::len)
            .max()
            .unwrap_or(0);
        if name.len() > MAX_NAME_BYTES || longest > MAX_PART_BYTES {
            return Err(refuse(RefNameProblem::TooLong));
        }
        Ok(RefName(name.into()))
    }

    /// `refs/heads/<short>`, for names that `git branch` would accept.
    pub fn branch(short: &str) -> Result<RefName, RefNameError> {
        check_branch(short)?;
        RefName::parse(format!("{BRANCH_PREFIX}{short}"))
    }

    /// `refs/namespaces/ephemeral/refs/heads/<short>`.
    pub fn ephemeral_branch(short: &str) -> Result<RefName, RefNameError> {
        check_branch(short)?;
        RefName::parse(format!("{EPHEMERAL_PREFIX}{BRANCH_PREFIX}{short}"))
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name, for display and search.
    pub fn as_bstr(&self) -> &BStr {
        self.0.as_bstr()
    }

    /// What follows `prefix`, if the name begins with it.
    pub fn strip_prefix(&self, prefix: impl AsRef<[u8]>) -> Option<&BStr> {
        self.0.strip_prefix(prefix.as_ref()).map(ByteSlice::as_bstr)
    }

    /// The branch's short name, in either namespace; `None` for tags and the rest.
    pub fn branch_short(&self) -> Option<&BStr> {
        let name = self
            .0
            .strip_prefix(EPHEMERAL_PREFIX.as_bytes())
            .unwrap_or(&self.0);
        name.strip_prefix(BRANCH_PREFIX.as_bytes())
            .map(ByteSlice::as_bstr)
    }

    /// Whether the ref is in the ephemeral namespace.
    pub fn is_ephemeral(&self) -> bool {
        self.0.starts_with(EPHEMERAL_PREFIX.as_bytes())
    }
}

fn check_branch(short: &str) -> Result<(), RefNameError> {
    // `git branch` refuses both: one reads as an option, the other as the symbolic ref.
    if short.starts_with('-') || short == "HEAD" {
        return Err(RefNameError {
            name: short.to_owned(),
            problem: RefNameProblem::NoBranch,
        });
    }
    Ok(())
}

impl AsRef<[u8]> for RefName {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl std::borrow::Borrow<[u8]> for RefName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bstr().fmt(f)
    }
}

impl fmt::Debug for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RefName({})", self.as_bstr())
    }
}

impl std::str::FromStr for RefName {
    type Err = RefNameError;

    fn from_str(name: &str) -> Result<Self, RefNameError> {
        RefName::parse(name)
    }
}

/// A name no ref may have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not a valid ref name: {problem}")]
pub struct RefNameError {
    /// The name, as text.
    pub name: String,
    /// What is wrong with it.
    pub problem: RefNameProblem,
}

/// What makes a ref name invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RefNameProblem {
    /// Nothing, or nothing between two slashes, before the first or after the last.
    #[error("a part is empty")]
    EmptyPart,
    /// No slash.
    #[error("it has only one part")]
    OnePart,
    /// A part begins with a dot.
    #[error("a part begins with `.`")]
    LeadingDot,
    /// The name ends with a dot.
    #[error("it ends with `.`")]
    TrailingDot,
    /// Two dots.
    #[error("it contains `..`")]
    TwoDots,
    /// What the reflog syntax begins with.
    #[error("it contains `@{{`")]
    AtBrace,
    /// Git's lock files end so.
    #[error("a part ends with `.lock`")]
    Lock,
    /// A control character, a space or one of `~ ^ : ? * [ \`.
    #[error("it contains a character that is not allowed")]
    Character,
    /// It is not below `refs/`.
    #[error("it does not begin with `refs/`")]
    NotBelowRefs,
    /// It begins with a dash or is `HEAD`.
    #[error("no branch may be called so")]
    NoBranch,
    /// Longer than 1024 bytes, or a part longer than 250.
    #[error("it is too long")]
    TooLong,
}

/// Git's own rules (`git check-ref-format` without options), whatever the name begins with.
pub fn check_ref_format(name: &[u8]) -> Result<(), RefNameProblem> {
    for part in name.split(|&byte| byte == b'/') {
        check_part(part)?;
    }
    if !name.contains(&b'/') {
        return Err(RefNameProblem::OnePart);
    }
    if name.ends_with(b".") {
        return Err(RefNameProblem::TrailingDot);
    }
    Ok(())
}

fn check_part(part: &[u8]) -> Result<(), RefNameProblem> {
    if part.is_empty() {
        return Err(RefNameProblem::EmptyPart);
    }
    if part.starts_with(b".") {
        return Err(RefNameProblem::LeadingDot);
    }
    if part.ends_with(b".lock") {
        return Err(RefNameProblem::Lock);
    }
    let forbidden = |byte: &u8| byte.is_ascii_control() || b" ~^:?*[\\".contains(byte);
    if part.iter().any(forbidden) {
        return Err(RefNameProblem::Character);
    }
    for pair in part.windows(2) {
        match pair {
            b".." => return Err(RefNameProblem::TwoDots),
            b"@{" => return Err(RefNameProblem::AtBrace),
            _ => {}
        }
    }
    Ok(())
}
