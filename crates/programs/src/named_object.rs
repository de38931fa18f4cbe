//! Objects by the names that Git's programs take: `main:folder/file`, `v1~2`, ids, whole or abbreviated.

use packhouse_object::{Database, ObjectId, ObjectKind, ReadError, RefName, RepoPath, find_path};
use packhouse_repo::{Namespace, View};

/// Where Git looks for a ref whose name is not given in full, in this order.
const PLACES: [&str; 5] = ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"];

/// The object of a name, if there is one. That of a whole id need not be there. `head` is what `HEAD` names.
pub(crate) fn named_object(
    view: &View,
    head: Option<ObjectId>,
    name: &[u8],
) -> Result<Option<ObjectId>, ReadError> {
    let end = name.iter().position(|byte| *byte == b':');
    let (rev, path) = match end {
        Some(end) => (&name[..end], Some(&name[end + 1..])),
        None => (name, None),
    };
    let Ok(rev) = std::str::from_utf8(rev) else {
        return Ok(None);
    };
    let (Some(id), database) = (by_rev(view, head, rev)?, view.database()) else {
        return Ok(None);
    };
    let Some(path) = path else {
        return Ok(Some(id));
    };
    let Some(tree) = tree_of(database, id)? else {
        return Ok(None);
    };
    if path.is_empty() {
        return Ok(Some(tree));
    }
    let Ok(path) = RepoPath::parse(path) else {
        return Ok(None);
    };
    let found = find_path(database, tree, &path)?;
    Ok(found.map(|entry| entry.id))
}

fn by_rev(view: &View, head: Option<ObjectId>, rev: &str) -> Result<Option<ObjectId>, ReadError> {
    let (base, steps) = rev.split_at(rev.find(['~', '^']).unwrap_or(rev.len()));
    if base.is_empty() {
        return Ok(None);
    }
    let id = match (base, ObjectId::from_hex(base.as_bytes())) {
        ("HEAD" | "@", _) => head,
        (_, Ok(id)) => Some(id),
        _ => match by_ref(view, base) {
            Some(id) => Some(id),
            None => abbreviated(view.database(), base)?,
        },
    };
    let Some(id) = id.filter(|_| !steps.is_empty()) else {
        return Ok(id);
    };
    let resolved = view.resolve(&format!("{id}{steps}"), Namespace::Default)?;
    Ok(resolved.map(|resolved| resolved.id))
}

fn by_ref(view: &View, name: &str) -> Option<ObjectId> {
    let in_full = PLACES.iter().map(|place| format!("{place}{name}"));
    let in_full = in_full.chain([format!("refs/remotes/{name}/HEAD")]);
    let mut names = in_full.filter_map(|name| RefName::parse(name).ok());
    let found = names.find_map(|name| view.refs().get(&name))?;
    Some(found.target)
}

/// The object of which this is the beginning of the id; of several the one that is a file.
fn abbreviated(database: &Database, hex: &str) -> Result<Option<ObjectId>, ReadError> {
    if hex.len() < 4 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let mut found = database.prefix(&hex.to_ascii_lowercase())?;
    if found.len() > 1 {
        let mut blobs = Vec::new();
        for id in found {
            let header = database.header(&id)?;
            blobs.extend(
                header
                    .filter(|header| header.kind == ObjectKind::Blob)
                    .map(|_| id),
            );
        }
        found = blobs;
    }
    Ok(match found[..] {
        [id] => Some(id),
        _ => None,
    })
}

fn tree_of(database: &Database, id: ObjectId) -> Result<Option<ObjectId>, ReadError> {
    let peeled = match database.peel(id) {
        Err(error) if error.is_not_found() => return Ok(None),
        peeled => peeled?,
    };
    Ok(match peeled {
        (id, ObjectKind::Commit) => Some(database.commit_links_once(id)?.0),
        (id, ObjectKind::Tree) => Some(id),
        _ => None,
    })
}
