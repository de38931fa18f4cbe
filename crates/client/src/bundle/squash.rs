//! Leaving history out: commits without parents, with the trees of those they stand for.

use packhouse_object::{CollisionError, Database, IdMap, NewObject, ObjectId, ObjectKind};

use crate::MirrorError;
use crate::mirror::diff::RefTargets;

/// Headers that vouch for the commit as it was.
const SIGNATURES: [&str; 3] = ["gpgsig", "gpgsig-sha256", "mergetag"];

/// The refs, each pointing to a commit without parents, and a database that has these commits in memory. The same refs
/// always give the same commits. What is no commit stays as it is.
pub(super) fn squashed(
    refs: &RefTargets,
    database: &Database,
) -> Result<(RefTargets, Database), MirrorError> {
    let mut made: IdMap<ObjectId> = IdMap::default();
    let mut objects = Vec::new();
    let mut squashed = RefTargets::new();
    for (name, target) in refs {
        let (id, kind) = database.peel(*target)?;
        let new = match (kind, made.get(&id)) {
            (ObjectKind::Commit, Some(new)) => *new,
            (ObjectKind::Commit, None) => {
                let object = without_parents(database, id)?;
                let new = object.id;
                objects.push(object);
                made.insert(id, new);
                new
            }
            _ => *target,
        };
        squashed.insert(name.clone(), new);
    }
    Ok((squashed, database.with_objects(objects)))
}

fn without_parents(database: &Database, id: ObjectId) -> Result<NewObject, MirrorError> {
    let mut commit = database.commit(id)?;
    commit.parents.clear();
    commit
        .extra_headers
        .retain(|(name, _)| !SIGNATURES.iter().any(|signature| name == signature));
    let object: Result<NewObject, CollisionError> =
        NewObject::new(ObjectKind::Commit, commit.encode());
    object.map_err(|error| MirrorError::Store(error.into()))
}
