//! Objects that are in a repository though no ref of it leads there.

use packhouse_object::{Database, IdSet, ObjectId};
use packhouse_repo::RepoError;
use packhouse_repo::directory::Served;

/// What the refs of the repositories that this one borrows from point to, each once. Those that cannot be read have
/// nothing to say.
pub(super) fn of_alternates(repository: &Served) -> Result<Vec<ObjectId>, RepoError> {
    let database: Database = repository.database()?;
    let mut seen = IdSet::default();
    let mut haves = Vec::new();
    for objects in repository.alternates()? {
        let Some(folder) = objects.parent().filter(|_| objects.ends_with("objects")) else {
            continue;
        };
        let Some(view) = Served::open(folder)
            .ok()
            .and_then(|lender| lender.view().ok())
        else {
            continue;
        };
        for (_, entry) in view.refs().iter() {
            if seen.insert(entry.target) && database.contains(&entry.target)? {
                haves.push(entry.target);
            }
        }
    }
    Ok(haves)
}
