//! What a client says about its history and how much of ours it wants: `shallow` and `deepen…` lines.

use packhouse_object::{IdSet, ObjectId, ObjectKind};

use crate::error::WireError;
use crate::filter_spec::number;
use crate::ids::parse_id;
use crate::shown::Shown;

/// Where a short name may stand for a ref, in the order of git's rules.
const RULES: [(&str, &str); 6] = [
    ("", ""),
    ("refs/", ""),
    ("refs/tags/", ""),
    ("refs/heads/", ""),
    ("refs/remotes/", ""),
    ("refs/remotes/", "/HEAD"),
];

/// The shallow part of a fetch.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShallowRequest {
    /// Where the client's history ends, as far as the objects are here; each once.
    pub(crate) shallow: Vec<ObjectId>,
    seen: IdSet,
    /// How many commits deep history is to be: from the wants, or from where it ends now if `relative`.
    pub(crate) depth: Option<u32>,
    /// Whether `depth` counts from where the client's history ends.
    pub(crate) relative: bool,
    by_rules: bool,
    /// Commits older than this are left out, in seconds since 1970.
    pub(crate) since: Option<i64>,
    /// What these reach is left out; each once.
    pub(crate) excluded: Vec<ObjectId>,
    seen_excluded: IdSet,
}

impl ShallowRequest {
    /// Whether nothing was said of it.
    pub(crate) fn is_none(&self) -> bool {
        self.shallow.is_empty() && self.depth.is_none() && !self.by_rules
    }

    /// Whether history is to be cut by a time or by refs.
    pub(crate) fn by_rules(&self) -> bool {
        self.by_rules
    }

    /// Takes a line of a request. Returns whether it is one of these.
    pub(crate) fn take(&mut self, line: &[u8], shown: &Shown<'_>) -> Result<bool, WireError> {
        let invalid = |what: &str| {
            let line = String::from_utf8_lossy(&line[..line.len().min(200)]);
            WireError::refused(format!("{what}: {line}"))
        };
        if let Some(hex) = line.strip_prefix(b"shallow ") {
            let id = parse_id(hex).ok_or_else(|| invalid("invalid shallow line"))?;
            self.take_shallow(id, shown)?;
        } else if let Some(depth) = line.strip_prefix(b"deepen ") {
            let depth = number(depth)
                .and_then(|depth| u32::try_from(depth).ok())
                .filter(|depth| (1..=packhouse_object::INFINITE_DEPTH).contains(depth));
            self.depth = Some(depth.ok_or_else(|| invalid("Invalid deepen"))?);
        } else if let Some(since) = line.strip_prefix(b"deepen-since ") {
            let since = number(since).filter(|since| *since != u64::MAX);
            let since = since.ok_or_else(|| invalid("Invalid deepen-since"))?;
            self.by_rules = true;
            // Of everything that is not before 1970 nothing is left out.
            self.since = (since > 0).then(|| i64::try_from(since).unwrap_or(i64::MAX));
        } else if let Some(name) = line.strip_prefix(b"deepen-not ") {
            let found: Vec<_> = RULES
                .iter()
                .map(|(before, after)| [before.as_bytes(), name, after.as_bytes()].concat())
                .filter_map(|name| shown.find(&name))
                .collect();
            let [id] = found[..] else {
                return Err(invalid("ambiguous deepen-not"));
            };
            self.by_rules = true;
            if self.seen_excluded.insert(id) {
                self.excluded.push(id);
            }
        } else if line == b"deepen-relative" {
            self.relative = true;
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    fn take_shallow(&mut self, id: ObjectId, shown: &Shown<'_>) -> Result<(), WireError> {
        match shown.database().header(&id)? {
            // The client has what is not here: it does not matter where that ends.
            None => Ok(()),
            Some(header) if header.kind != ObjectKind::Commit => {
                Err(WireError::refused(format!("invalid shallow object {id}")))
            }
            Some(_) => {
                if self.seen.insert(id) {
                    self.shallow.push(id);
                }
                Ok(())
            }
        }
    }

    /// Refuses what cannot be wanted together.
    pub(crate) fn check(&self) -> Result<(), WireError> {
        match self.depth.is_some() && self.by_rules {
            true => Err(WireError::refused(
                "deepen and deepen-since (or deepen-not) cannot be used together",
            )),
            false => Ok(()),
        }
    }

    /// Whether the client's history ends at this commit.
    pub(crate) fn ends_at(&self, id: &ObjectId) -> bool {
        self.seen.contains(id)
    }

    /// Where history ends for the client now: at its own boundary, and at that of the repository.
    pub(crate) fn cut(&self, shown: &Shown<'_>) -> IdSet {
        let own = shown.shallow().iter();
        own.chain(&self.shallow).copied().collect()
    }
}
