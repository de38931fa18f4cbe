//! Publishing: the one way a repository's contents change.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::audit::{self, Origin};
use crate::ids::RepoId;
use crate::lane::{Done, Moved, Work};
use crate::{Catalog, CatalogError, text};

/// Longest ref name that is stored.
pub const MAX_REF_NAME_BYTES: usize = 2048;

/// Objects and ref edits that become visible together.
#[derive(Clone, Debug)]
pub struct Publish {
    /// The repository.
    pub repo: RepoId,
    /// New objects, encoded; kept as they are.
    pub tail: Option<Bytes>,
    /// New packs, already in the bucket.
    pub packs: Vec<NewPack>,
    /// What happens to refs, in order.
    pub edits: Vec<RefEdit>,
    /// Who did it, for the reflog.
    pub who: String,
    /// When, for the reflog and for the creation time of new refs.
    pub at_ms: i64,
    /// The generation that the repository must have; `None`: any, as long as the refs are where they should be.
    pub only_at: Option<i64>,
    /// The generation of the state that holds all that the objects and edits build on. Where objects were dropped since,
    /// the publish is refused as stale.
    pub checked_at: i64,
}

/// One move of one ref, by compare-and-set.
///
/// A ref may be edited several times in one publish: each `old` must then be the `new` before it, the
/// ref ends at the last one, and the reflog has all. An edit whose `old` and `new` are the same only
/// checks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefEdit {
    /// Full name, such as `refs/heads/main`.
    pub name: Vec<u8>,
    /// Where it must point now; `None`: it must not exist.
    pub old: Option<Vec<u8>>,
    /// Where it shall point; `None`: it is deleted.
    pub new: Option<Vec<u8>>,
    /// What `new` peels to if it is a tag object.
    pub peeled: Option<Vec<u8>>,
    /// Reflog message.
    pub message: String,
    /// Who did it, when that is not who publishes.
    pub who: Option<String>,
    /// Where it came from, for the audit log.
    pub origin: Option<Arc<Origin>>,
}

/// A pack in the bucket to list.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewPack {
    /// BLAKE3 of the pack file, or 32 random bytes where the pack of that name was condemned; names it in the bucket.
    pub key: [u8; 32],
    /// What made it.
    pub source: PackSource,
    /// Objects in it.
    pub objects: i64,
    /// Size of the pack file.
    pub pack_bytes: i64,
    /// Size of its index.
    pub idx_bytes: i64,
}

/// What made a pack. Stored by number: numbers are never reused.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum PackSource {
    /// A push, as it was received.
    Push = 1,
    /// A large commit over the API.
    Commit = 2,
    /// A folded tail.
    Fold = 3,
    /// An import.
    Import = 4,
    /// A merge of packs.
    Repack = 5,
    /// A full repack: what the refs reached, with a bitmap index beside it.
    Reachable = 6,
    /// A full repack: what the refs did not reach.
    Unreachable = 7,
    /// A fork: a pack of the repository it was forked from, which both list.
    Fork = 8,
}

impl PackSource {
    pub(crate) fn number(self) -> i64 {
        self as i64
    }

    pub(crate) fn from_number(number: i64) -> Result<Self, CatalogError> {
        [
            Self::Push,
            Self::Commit,
            Self::Fold,
            Self::Import,
            Self::Repack,
            Self::Reachable,
            Self::Unreachable,
            Self::Fork,
        ]
        .into_iter()
        .find(|source| source.number() == number)
        .ok_or_else(|| CatalogError::Unknown {
            what: format!("pack source {number}"),
        })
    }
}

/// A publish that happened.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Published {
    /// The repository's new generation.
    pub generation: i64,
}

/// Why nothing was published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A ref is not where an edit expects it.
    #[error(
        "ref `{}` is {}, not {}",
        String::from_utf8_lossy(name), Target(found.as_deref()), Target(expected.as_deref())
    )]
    Moved {
        /// The ref.
        name: Vec<u8>,
        /// The edit's `old`.
        expected: Option<Vec<u8>>,
        /// Where it is: in the catalog, or after the edits before this one.
        found: Option<Vec<u8>>,
    },
    /// The repository has another generation than it must have, or objects were dropped since the publish was checked.
    #[error("the repository has changed")]
    Stale,
    /// The repository is deleted or never was.
    #[error("the repository is gone")]
    RepoGone,
    /// Packs lay unlisted for so long that their bytes are being deleted. Store the bytes again under other names.
    #[error("{} packs are being deleted", keys.len())]
    Condemned {
        /// The packs, those of other publishes not among them.
        keys: Vec<[u8; 32]>,
    },
    /// The catalog failed.
    #[error("could not publish")]
    Catalog(#[from] CatalogError),
}

/// An id in hexadecimal, or that there is none.
struct Target<'a>(Option<&'a [u8]>);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("absent"),
            Some(id) => {
                f.write_str("at ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
    }
}

impl Catalog {
    /// Publishes: all of it or nothing, and durable when this returns. A caller that stops waiting
    /// may find it done all the same.
    pub async fn publish(&self, publish: Publish) -> Result<Published, PublishError> {
        let publish = storable(publish)?;
        match self.submit(publish.repo, Work::Publish(publish)).await? {
            Done::Generation(generation) => Ok(Published { generation }),
            Done::Moved(Moved {
                name,
                expected,
                found,
            }) => Err(PublishError::Moved {
                name,
                expected,
                found,
            }),
            Done::Condemned(keys) => Err(PublishError::Condemned { keys }),
            Done::Stale => Err(PublishError::Stale),
            _ => Err(PublishError::RepoGone),
        }
    }
}

fn storable(mut publish: Publish) -> Result<Publish, CatalogError> {
    publish.who = text::storable(publish.who);
    for edit in &mut publish.edits {
        text::check_length("ref name", &edit.name, MAX_REF_NAME_BYTES)?;
        edit.message = text::reflog_message(std::mem::take(&mut edit.message));
        edit.who = edit.who.take().map(text::storable);
        edit.origin.as_deref().map_or(Ok(()), audit::check_origin)?;
    }
    Ok(publish)
}
