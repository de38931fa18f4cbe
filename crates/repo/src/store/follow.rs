//! What objects reach that need not be complete: leftovers of writes, whose bases may be gone.

use packhouse_object::{Commit, Database, IdSet, ObjectId, ObjectKind, Tag};

use super::scan::Scan;
use super::{FileType, StoreError};

/// Everything that `from` names, at any distance, itself included, as far as it is there; what is in `known` is not
/// gone into.
pub(super) fn follow(
    database: &Database,
    from: &[ObjectId],
    known: &IdSet,
) -> Result<IdSet, StoreError> {
    let mut found = IdSet::default();
    let mut open: Vec<ObjectId> = from.to_vec();
    while let Some(id) = open.pop() {
        if known.contains(&id) || !found.insert(id) {
            continue;
        }
        let Some(header) = database.header(&id)? else {
            continue;
        };
        if header.kind == ObjectKind::Blob {
            continue;
        }
        let Some(object) = database.read(&id)? else {
            continue;
        };
        // What cannot be understood names nothing.
        match object.kind {
            ObjectKind::Commit => {
                if let Ok(commit) = Commit::parse(&object.data) {
                    open.push(commit.tree);
                    open.extend(commit.parents);
                }
            }
            ObjectKind::Tag => open.extend(Tag::parse(&object.data).map(|tag| tag.target)),
            ObjectKind::Tree => {
                let entries = Scan::new(&object.data).map_while(Result::ok);
                let objects = entries.filter(|entry| entry.file_type() != FileType::Commit);
                for entry in objects {
                    match entry.file_type() {
                        FileType::Tree => open.push(entry.id),
                        // It need not be read to know that it names nothing.
                        _ if !known.contains(&entry.id) => drop(found.insert(entry.id)),
                        _ => {}
                    }
                }
            }
            ObjectKind::Blob => {}
        }
    }
    Ok(found)
}
