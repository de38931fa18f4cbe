//! Moving refs of a store with the objects they need.

use std::collections::BTreeMap;
use std::convert::Infallible;

use packhouse_object::{FinishedPack, NewObject, Received, RefName};
use packhouse_repo::given_up::unasked;
use packhouse_repo::store::{Store, StoreError};
use packhouse_repo::{Change, RefEdit, View};

use super::diff::{FoundRefs, MirrorDiff, RefTargets, after, edits, making_room};
use crate::remote::PushEdit;

/// The refs of a view, with where they point.
pub(crate) fn targets(view: &View) -> RefTargets {
    let refs = view.refs().iter();
    refs.map(|(name, value)| (name.clone(), value.target))
        .collect()
}

/// The refs of a view that are about to change.
pub(crate) fn found_refs(view: &View) -> FoundRefs {
    FoundRefs {
        targets: targets(view),
        symbolic: view.symbolic_refs().clone(),
    }
}

/// Edits to make as they are, or not at all.
pub(crate) struct Moves<'a> {
    pub(crate) edits: &'a [PushEdit],
    /// The line for the reflog.
    pub(crate) message: &'a str,
}

/// Makes the edits in one step. `Ok(Err(name))`: that ref is not where its edit says, and nothing moved.
pub(crate) fn publish(
    store: &Store,
    received: Option<Received>,
    moves: &Moves<'_>,
) -> Result<Result<(), RefName>, StoreError> {
    let decide = |found: &FoundRefs| {
        let mut edits = Vec::new();
        for edit in moves.edits {
            match (found.targets.get(&edit.name).copied(), edit.new) {
                // It went away already.
                (None, None) => {}
                (found, _) if found == edit.old => edits.push(edit.clone()),
                _ => return Err(edit.name.clone()),
            }
        }
        Ok((edits, ()))
    };
    publish_decided(store, received, moves.message, decide)
}

/// Makes the refs what is `wanted`, whatever they are, and says what that changed; with `delete` what else there is goes.
pub(crate) fn publish_targets(
    store: &Store,
    received: Option<Received>,
    message: &str,
    wanted: &RefTargets,
    delete: bool,
) -> Result<MirrorDiff, StoreError> {
    let moved = publish_decided(store, received, message, |found| {
        let edits = edits(found, wanted, delete);
        let diff = MirrorDiff::of(&edits);
        Ok::<_, Infallible>((edits, diff))
    })?;
    match moved {
        Ok(diff) => Ok(diff),
        Err(never) => match never {},
    }
}

/// Makes the edits that are decided on the newest refs, after what is in their way has gone.
///
/// Git keeps `a` and `a/b` apart, also where one of them goes in the same step. So what makes room goes in a step before,
/// with all that has to be stored: what is left then is to move refs, and what has gone comes back if they are not moved.
///
/// `decide` may be called several times, with the refs as they were before there was room. `Ok(Err(…))`: it refused, and
/// nothing moved.
pub(crate) fn publish_decided<T, E>(
    store: &Store,
    received: Option<Received>,
    message: &str,
    mut decide: impl FnMut(&FoundRefs) -> Result<(Vec<PushEdit>, T), E>,
) -> Result<Result<T, E>, StoreError> {
    let (objects, mut packs): (Vec<NewObject>, Vec<FinishedPack>) = match received {
        None => (Vec::new(), Vec::new()),
        Some(Received::Small(objects)) => (objects, Vec::new()),
        Some(Received::Large(pack)) => (Vec::new(), vec![pack]),
    };
    let change = |view: &View, edits: Vec<PushEdit>, message: &str| -> Result<Change, StoreError> {
        let mut missing = Vec::new();
        for object in objects.iter().filter(|_| !edits.is_empty()) {
            // The database knows the empty tree by heart; git wants it stored where something names it.
            if object.id.is_empty_tree() || !view.database().contains(&object.id)? {
                missing.push(object.clone());
            }
        }
        let edit = |edit: PushEdit| RefEdit {
            name: edit.name,
            old: edit.old,
            new: edit.new,
            message: message.to_owned(),
        };
        Ok(Change {
            objects: missing,
            edits: edits.into_iter().map(edit).collect(),
        })
    };
    let room = match decide(&found_refs(&*store.view()?)) {
        Ok((edits, _)) => making_room(&edits),
        Err(refusal) => return Ok(Err(refusal)),
    };
    // From one step to the next, so that nobody of this crate comes in between, and what has gone need not wait to come back.
    let _turn = store.exclusive()?;
    let mut gone = Vec::new();
    if !room.is_empty() {
        (gone, _) = store.publish_mirrored(std::mem::take(&mut packs), |view| {
            let found = targets(view);
            let still = room
                .iter()
                .filter(|edit| found.get(&edit.name).copied() == edit.old);
            let still: Vec<PushEdit> = still.cloned().collect();
            Ok((change(view, still.clone(), message)?, still))
        })?;
    }
    let moved = store.publish_mirrored(packs, |view| {
        let found = found_refs(view);
        let mut before = found.clone();
        for edit in &gone {
            if let Some(old) = edit.old {
                before.targets.entry(edit.name.clone()).or_insert(old);
            }
        }
        Ok(match decide(&before) {
            Ok((mut edits, value)) => {
                for edit in &mut edits {
                    edit.old = found.targets.get(&edit.name).copied();
                }
                // What has gone already.
                edits.retain(|edit| (edit.old, edit.new) != (None, None));
                let edits = without_followers(&found, edits);
                (change(view, edits, message)?, Ok(value))
            }
            Err(refusal) => (Change::default(), Err(refusal)),
        })
    });
    if !matches!(moved, Ok((Ok(_), _))) && !gone.is_empty() {
        let message = format!("{message}: set back, as the rest failed");
        let put_back = |gone: &[PushEdit]| {
            store.publish_mirrored(Vec::new(), |view| {
                let found = targets(view);
                let back = gone.iter().filter(|edit| !found.contains_key(&edit.name));
                let back = back.map(|edit| PushEdit {
                    name: edit.name.clone(),
                    old: None,
                    new: edit.old,
                });
                Ok((change(view, back.collect(), &message)?, ()))
            })
        };
        // Whatever fails here leaves them away: the error, or the refusal, says what the reason is.
        unasked(|| {
            if put_back(&gone).is_err() {
                // One may be in the way of all, whose objects a collection has removed meanwhile.
                for edit in &gone {
                    let _ = put_back(std::slice::from_ref(edit));
                }
            }
        });
    }
    Ok(moved?.0)
}

/// The edits without those of symbolic refs that get where they go by what they lead to. They stay symbolic.
fn without_followers(found: &FoundRefs, edits: Vec<PushEdit>) -> Vec<PushEdit> {
    if found.symbolic.is_empty() {
        return edits;
    }
    let moved: BTreeMap<_, _> = edits.iter().map(|edit| (&edit.name, edit.new)).collect();
    let follows = |edit: &PushEdit| match found.symbolic.get(&edit.name) {
        Some(target) => edit.new.is_some() && after(found, &moved, target) == edit.new,
        None => false,
    };
    let rest = edits.iter().filter(|edit| !follows(edit));
    rest.cloned().collect()
}

#[cfg(test)]
mod tests;
