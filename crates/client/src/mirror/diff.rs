//! How the refs of two repositories differ.

use std::collections::BTreeMap;

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::ref_text;

use crate::remote::PushEdit;

/// Refs, and where they point.
pub(crate) type RefTargets = BTreeMap<RefName, ObjectId>;

/// The refs of a repository that is about to change.
#[derive(Clone, Debug, Default)]
pub(crate) struct FoundRefs {
    pub(crate) targets: RefTargets,
    /// Those of them that stand for others, with what they lead to, as far as that is known.
    pub(crate) symbolic: BTreeMap<RefName, RefName>,
}

impl From<RefTargets> for FoundRefs {
    fn from(targets: RefTargets) -> FoundRefs {
        let symbolic = BTreeMap::new();
        FoundRefs { targets, symbolic }
    }
}

/// What a backup or restore changes in its target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorDiff {
    /// Refs that it does not have yet.
    pub add: Vec<RefChange>,
    /// Refs that point elsewhere.
    pub update: Vec<RefChange>,
    /// Refs that only it has.
    pub delete: Vec<RefChange>,
}

/// One ref that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefChange {
    /// The whole name, as [`ref_text`] has it.
    pub name: String,
    /// Where it pointed; `None`: it did not exist.
    pub old: Option<ObjectId>,
    /// Where it points; `None`: it is deleted.
    pub new: Option<ObjectId>,
}

impl MirrorDiff {
    /// Whether nothing changes.
    pub fn in_sync(&self) -> bool {
        self.total() == 0
    }

    /// How many refs change.
    pub fn total(&self) -> usize {
        self.add.len() + self.update.len() + self.delete.len()
    }

    /// What the edits come to.
    pub(crate) fn of(edits: &[PushEdit]) -> MirrorDiff {
        let mut diff = MirrorDiff::default();
        for edit in edits.iter().filter(|edit| edit.old != edit.new) {
            let list = match (edit.old, edit.new) {
                (None, _) => &mut diff.add,
                (Some(_), Some(_)) => &mut diff.update,
                (Some(_), None) => &mut diff.delete,
            };
            list.push(RefChange {
                name: ref_text(edit.name.as_bytes()),
                old: edit.old,
                new: edit.new,
            });
        }
        diff
    }
}

/// The edits that make `found` what is `wanted`; with `delete`, also where it has more. Deletions come first, as
/// they may make room. A ref that stands for another, which goes elsewhere, has an edit to where it is already, so that
/// it does not go with it.
pub(crate) fn edits(found: &FoundRefs, wanted: &RefTargets, delete: bool) -> Vec<PushEdit> {
    let targets = &found.targets;
    let deleted = targets
        .iter()
        .filter(|(name, _)| delete && !wanted.contains_key(*name))
        .map(|(name, old)| PushEdit {
            name: name.clone(),
            old: Some(*old),
            new: None,
        });
    let moved = wanted
        .iter()
        .map(|(name, new)| PushEdit {
            name: name.clone(),
            old: targets.get(name).copied(),
            new: Some(*new),
        })
        .filter(|edit| edit.old != edit.new);
    let mut edits: Vec<PushEdit> = deleted.chain(moved).collect();
    let new: BTreeMap<_, _> = edits.iter().map(|edit| (&edit.name, edit.new)).collect();
    let held: Vec<PushEdit> = found
        .symbolic
        .iter()
        .filter_map(|(name, target)| {
            let stays = *wanted.get(name)?;
            let is_held =
                targets.get(name) == Some(&stays) && after(found, &new, target) != Some(stays);
            is_held.then(|| PushEdit {
                name: name.clone(),
                old: Some(stays),
                new: Some(stays),
            })
        })
        .collect();
    edits.extend(held);
    edits
}

/// Where a ref is once these moves are made.
pub(crate) fn after(
    found: &FoundRefs,
    moves: &BTreeMap<&RefName, Option<ObjectId>>,
    name: &RefName,
) -> Option<ObjectId> {
    match moves.get(name) {
        Some(new) => *new,
        None => found.targets.get(name).copied(),
    }
}

/// The deletions without which another edit cannot have its name: Git keeps `a` and `a/b` apart.
pub(crate) fn making_room(edits: &[PushEdit]) -> Vec<PushEdit> {
    let created: BTreeMap<&[u8], ()> = edits
        .iter()
        .filter(|edit| edit.new.is_some() && edit.old.is_none())
        .map(|edit| (edit.name.as_bytes(), ()))
        .collect();
    let is_in_the_way = |name: &[u8]| {
        let mut above = name
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| &name[..at]);
        let inside = [name, b"/"].concat();
        above.any(|above| created.contains_key(above))
            || created
                .range(&inside[..]..)
                .next()
                .is_some_and(|(name, ())| name.starts_with(&inside))
    };
    edits
        .iter()
        .filter(|edit| edit.new.is_none() && is_in_the_way(edit.name.as_bytes()))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use packhouse_object::HashKind;

    use super::*;

    fn targets(names: &[(&str, u8)]) -> RefTargets {
        let id = |byte| ObjectId::from_bytes_or_panic(&[byte; 20]);
        names
            .iter()
            .map(|(name, byte)| (RefName::parse(format!("refs/{name}")).unwrap(), id(*byte)))
            .collect()
    }

    #[test]
    fn edits_make_one_set_of_refs_the_other() {
        assert_eq!(HashKind::Sha1.len_in_bytes(), 20);
        let found = FoundRefs::from(targets(&[("heads/a", 1), ("heads/b", 1), ("heads/c", 1)]));
        let wanted = targets(&[("heads/a", 1), ("heads/b", 2), ("heads/d", 2)]);
        let exact = MirrorDiff::of(&edits(&found, &wanted, true));
        assert_eq!(
            (exact.add.len(), exact.update.len(), exact.delete.len()),
            (1, 1, 1)
        );
        assert_eq!(exact.delete[0].name, "refs/heads/c");
        let additive = MirrorDiff::of(&edits(&found, &wanted, false));
        assert_eq!((additive.total(), additive.delete.len()), (2, 0));
        assert!(MirrorDiff::of(&edits(&found, &found.targets, true)).in_sync());
    }

    #[test]
    fn what_is_in_the_way_goes_first() {
        let found = FoundRefs::from(targets(&[("heads/a", 1), ("heads/b/c", 1), ("heads/d", 1)]));
        let wanted = targets(&[("heads/a/x", 1), ("heads/b", 1), ("heads/e", 1)]);
        let room: Vec<_> = making_room(&edits(&found, &wanted, true))
            .iter()
            .map(|edit| edit.name.to_string())
            .collect();
        assert_eq!(room, ["refs/heads/a", "refs/heads/b/c"]);
    }
}
