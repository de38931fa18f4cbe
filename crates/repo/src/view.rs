//! A view: one repository as it was at one generation.
//!
//! A view never changes. Everything a request reads comes from one view, so it sees either all of a
//! write or nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bstr::BString;
use packhouse_object::{Database, EPHEMERAL_PREFIX, ObjectId, ObjectKind, ReadError, RefName};

use crate::change::Change;
use crate::refs::{Ref, Refs};
use crate::revision;

/// One of the two sets of branch names of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Ordinary refs.
    Default,
    /// `refs/namespaces/ephemeral/`: same objects, separate names.
    Ephemeral,
}

impl Namespace {
    /// What stands before a ref name of this namespace in the store.
    pub fn prefix(self) -> &'static str {
        match self {
            Namespace::Default => "",
            Namespace::Ephemeral => EPHEMERAL_PREFIX,
        }
    }
}

/// What a revision named by a caller turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The commit.
    pub id: ObjectId,
    /// The ref it was found through, if it was a name and nothing more.
    pub name: Option<RefName>,
}

/// The immutable state of one repository at one generation.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) generation: i64,
    pub(crate) head: RefName,
    pub(crate) refs: Refs,
    pub(crate) database: Database,
    pub(crate) symbolic: Arc<BTreeMap<RefName, RefName>>,
    pub(crate) shallow: Arc<[ObjectId]>,
    pub(crate) damaged: Arc<[BString]>,
    pub(crate) valueless: Arc<[BString]>,
}

impl View {
    pub(crate) fn new(generation: i64, head: RefName, refs: Refs, database: Database) -> View {
        View {
            generation,
            head,
            refs,
            database,
            symbolic: Arc::default(),
            shallow: Arc::default(),
            damaged: Arc::default(),
            valueless: Arc::default(),
        }
    }

    /// Counts the writes the repository has seen; a higher one is newer. Only comparable within one repository.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// The objects.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// The refs.
    pub fn refs(&self) -> &Refs {
        &self.refs
    }

    /// What the refs name, each object once, in the order of their ids.
    pub(crate) fn tips(&self) -> Vec<ObjectId> {
        let mut tips: Vec<ObjectId> = self.refs.iter().map(|(_, at)| at.target).collect();
        tips.sort_unstable();
        tips.dedup();
        tips
    }

    /// The refs that stand for other refs, with what each leads to in the end. They are among [`View::refs`] too, with
    /// the targets of those. Only repositories in a folder have such refs; `HEAD` is none of them.
    pub fn symbolic_refs(&self) -> &BTreeMap<RefName, RefName> {
        &self.symbolic
    }

    /// The commits whose parents are not here, in the order of their ids: where a shallow clone cut history off. Only
    /// repositories in a folder have any.
    pub fn shallow_commits(&self) -> &[ObjectId] {
        &self.shallow
    }

    /// Refs whose files are there and name nothing, in the order of their names. They are not among [`View::refs`], and
    /// not gone either. Only repositories in a folder can have any.
    pub fn damaged_refs(&self) -> &[BString] {
        &self.damaged
    }

    /// Every ref that Git lists whose name starts with `prefix`, in byte order: those of [`View::refs`], and, without a
    /// value, those that are on disk while nobody knows where they point or whose names are not valid. Who leaves the latter
    /// out tells others that they were deleted.
    pub fn listed<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a Ref>)> {
        let from = self.valueless.partition_point(|name| &name[..] < prefix);
        let valueless = self.valueless[from..].iter();
        let mut valueless = valueless
            .take_while(move |name| name.starts_with(prefix))
            .peekable();
        let mut refs = self.refs.prefixed(prefix).peekable();
        std::iter::from_fn(move || {
            let is_next = match (valueless.peek(), refs.peek()) {
                (Some(name), Some((other, _))) => &name[..] < other.as_bytes(),
                (name, _) => name.is_some(),
            };
            match is_next {
                true => valueless.next().map(|name| (&name[..], None)),
                false => refs
                    .next()
                    .map(|(name, value)| (name.as_bytes(), Some(value))),
            }
        })
    }

    /// Whether a ref of this name is listed without a value.
    pub fn is_valueless(&self, name: &[u8]) -> bool {
        let found = self.valueless.binary_search_by(|other| other[..].cmp(name));
        found.is_ok()
    }

    /// The branch `HEAD` points to; it may not exist yet.
    pub fn head(&self) -> &RefName {
        &self.head
    }

    /// The commit a revision names: a branch, a tag, a full ref name, `HEAD` or `@`, or an object id, whole or
    /// abbreviated to at least four digits; then any number of `~N`, `^N`, `^{commit}` and `^{}`, as in Git. Tags are
    /// peeled. `None` if there is no such thing or it is no commit, or is more than 100,000 commits away from the name.
    pub fn resolve(&self, rev: &str, namespace: Namespace) -> Result<Option<Resolved>, ReadError> {
        let (name, steps) = revision::split(rev);
        let found = self.resolve_name(name, namespace)?;
        let Some(named) = found else {
            return Ok(None);
        };
        if steps.is_empty() {
            return Ok(Some(named));
        }
        let id = revision::follow(&self.database, named.id, steps)?;
        Ok(id.map(|id| Resolved { id, name: None }))
    }

    fn resolve_name(&self, rev: &str, namespace: Namespace) -> Result<Option<Resolved>, ReadError> {
        if let Some(id) = full_id(rev) {
            return self.commit_at(id, None);
        }
        if let Some(name) = self.find_ref(rev, namespace) {
            let target = self
                .refs
                .get(&name)
                .expect("find_ref returns refs that exist")
                .target;
            return self.commit_at(target, Some(name));
        }
        if rev.len() >= 4
            && rev.bytes().all(|b| b.is_ascii_hexdigit())
            && let [id] = self.database.prefix(&rev.to_ascii_lowercase())?[..]
        {
            return self.commit_at(id, None);
        }
        Ok(None)
    }

    fn find_ref(&self, rev: &str, namespace: Namespace) -> Option<RefName> {
        if matches!(rev, "HEAD" | "@") && namespace == Namespace::Default {
            return self.refs.get(&self.head).map(|_| self.head.clone());
        }
        let prefix = namespace.prefix();
        let candidates = if rev.starts_with("refs/") {
            vec![rev.to_owned(), format!("{prefix}{rev}")]
        } else {
            vec![
                format!("{prefix}refs/heads/{rev}"),
                format!("{prefix}refs/tags/{rev}"),
                format!("{prefix}refs/{rev}"),
            ]
        };
        candidates
            .into_iter()
            .filter_map(|name| RefName::parse(name).ok())
            .find(|name| self.refs.get(name).is_some())
    }

    fn commit_at(
        &self,
        id: ObjectId,
        name: Option<RefName>,
    ) -> Result<Option<Resolved>, ReadError> {
        if self.database.header(&id)?.is_none() {
            return Ok(None);
        }
        let (id, kind) = match self.database.peel(id) {
            // An object of a push may be such a tag, though no ref is.
            Err(ReadError::TagsTooDeep { .. }) => return Ok(None),
            peeled => peeled?,
        };
        Ok((kind == ObjectKind::Commit).then_some(Resolved { id, name }))
    }

    /// The view with a change laid over it, as it will be once the change is published.
    /// `now_ms` becomes the creation time of refs the change creates.
    pub(crate) fn with_change(&self, change: &Change, now_ms: i64) -> Result<View, ReadError> {
        let database = self.database.with_objects(change.objects.iter().cloned());
        let mut refs = self.refs.clone();
        for edit in &change.edits {
            match edit.new {
                Some(target) => {
                    let peeled = peeled(&database, target)?;
                    refs.set(edit.name.clone(), target, peeled, now_ms);
                }
                None => refs.remove(&edit.name),
            }
        }
        Ok(View {
            generation: self.generation,
            head: self.head.clone(),
            refs,
            database,
            symbolic: self.symbolic.clone(),
            shallow: self.shallow.clone(),
            damaged: self.damaged.clone(),
            valueless: self.valueless.clone(),
        })
    }
}

/// What `target` peels to, if it is a tag object.
pub(crate) fn peeled(database: &Database, target: ObjectId) -> Result<Option<ObjectId>, ReadError> {
    match database.header(&target)? {
        Some(header) if header.kind == ObjectKind::Tag => Ok(Some(database.peel(target)?.0)),
        _ => Ok(None),
    }
}

fn full_id(text: &str) -> Option<ObjectId> {
    (text.len() == 40)
        .then(|| ObjectId::from_hex(text.as_bytes()).ok())
        .flatten()
}

/// The name of a ref as a person reads it: without `refs/heads/` and without the ephemeral prefix.
pub fn display_name(name: &RefName) -> BString {
    name.branch_short()
        .map_or_else(|| name.as_bstr().to_owned(), |short| short.to_owned())
}
