//! The refs of one view: an ordered map that is cheap to copy, so that a write can be tried out on a copy.

use std::ops::Bound;

use imbl::OrdMap;
use packhouse_object::{ObjectId, RefName};

/// Where a ref points, and what listings need to know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ref {
    /// The object the ref names: a commit, or a tag object.
    pub target: ObjectId,
    /// What an annotated tag finally points to; `None` where the target is no tag object.
    pub peeled: Option<ObjectId>,
    /// When the ref came to be, in milliseconds since the epoch; 0 where the store does not know.
    pub created_at_ms: i64,
}

/// All refs of a view, in byte order of their names.
#[derive(Clone, Debug, Default)]
pub struct Refs {
    map: OrdMap<RefName, Ref>,
}

impl Refs {
    /// The ref called `name`.
    pub fn get(&self, name: &RefName) -> Option<&Ref> {
        self.map.get(name)
    }

    /// How many refs there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether there is no ref at all.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Every ref, in byte order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&RefName, &Ref)> {
        self.map.iter()
    }

    /// The refs whose names start with `prefix`, in byte order.
    pub fn prefixed<'a>(
        &'a self,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a RefName, &'a Ref)> {
        // A folder's own name sorts before everything in it, so where the prefix is one the walk starts there.
        let folder = prefix
            .strip_suffix(b"/")
            .and_then(|folder| RefName::parse(folder).ok());
        let from = folder.map_or(Bound::Unbounded, Bound::Included);
        self.map
            .range((from, Bound::Unbounded))
            .skip_while(move |(name, _)| name.as_bytes() < prefix)
            .take_while(move |(name, _)| name.as_bytes().starts_with(prefix))
    }

    /// The refs behind `after` whose names start with `prefix`, in byte order. Costs what is taken of them.
    pub fn prefixed_after<'a>(
        &'a self,
        prefix: &'a [u8],
        after: &'a RefName,
    ) -> impl Iterator<Item = (&'a RefName, &'a Ref)> {
        let from = Bound::Excluded(after.clone());
        self.map
            .range((from, Bound::Unbounded))
            .take_while(move |(name, _)| name.as_bytes().starts_with(prefix))
    }

    /// The ref that keeps `name` from being created: one it would be a folder of, or one it would lie in.
    /// Git keeps refs as files, so `a` and `a/b` cannot both exist.
    pub fn in_the_way(&self, name: &RefName) -> Option<RefName> {
        let bytes = name.as_bytes();
        let above = bytes
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .find_map(|(at, _)| {
                let folder = RefName::parse(&bytes[..at]).ok()?;
                self.map.contains_key(&folder).then_some(folder)
            });
        above.or_else(|| {
            let inside = [bytes, b"/"].concat();
            self.prefixed(&inside).next().map(|(name, _)| name.clone())
        })
    }

    /// Sets `name`, keeping the creation time of a ref that is already there.
    pub(crate) fn set(
        &mut self,
        name: RefName,
        target: ObjectId,
        peeled: Option<ObjectId>,
        now_ms: i64,
    ) {
        let created_at_ms = self
            .map
            .get(&name)
            .map_or(now_ms, |present| present.created_at_ms);
        self.map.insert(
            name,
            Ref {
                target,
                peeled,
                created_at_ms,
            },
        );
    }

    /// Puts `name` as the store describes it.
    pub(crate) fn put(&mut self, name: RefName, value: Ref) {
        self.map.insert(name, value);
    }

    pub(crate) fn remove(&mut self, name: &RefName) {
        self.map.remove(name);
    }
}
