//! Whether a caller may have what a request names.

use std::collections::BinaryHeap;

use packhouse_client::cache::ServedCopy;
use packhouse_object::{Database, IdSet, ObjectId, ObjectKind, ReadError, commit_links};

use super::request::Objects;

/// Commits older than the oldest one looked for, by so many seconds, are not looked behind: clocks differ. A no that
/// would be a yes only sends the request to the upstream.
const SLACK_SECONDS: i64 = 86_400;

/// Whether the copy has all that is wanted, and all that the request names of it is what the upstream listed, or an
/// ancestor of that. What the client says it has counts too: differences are made against it.
pub(super) fn holds(copy: &ServedCopy, objects: &Objects) -> Result<bool, ReadError> {
    let database = copy.view().database();
    let is_known = |name: &Vec<u8>| match (name.as_slice(), copy.head()) {
        (b"HEAD", Some(head)) => copy.find(head.as_bytes()).is_some(),
        (name, _) => copy.find(name).is_some(),
    };
    if !objects.want_refs.iter().all(is_known) {
        return Ok(false);
    }
    let mut unknown = IdSet::default();
    for want in &objects.wants {
        if !database.contains(want)? {
            return Ok(false);
        }
        unknown.insert(*want);
    }
    for have in &objects.haves {
        if database.contains(have)? {
            unknown.insert(*have);
        }
    }
    for tip in copy.tips() {
        unknown.remove(&tip);
    }
    match unknown.is_empty() {
        true => Ok(true),
        false => all_reached(database, unknown, copy.tips()),
    }
}

/// Whether all of `unknown` are commits that `tips` reach, or tags on the way to these. Newest first, as what is asked
/// for is mostly new.
fn all_reached(
    database: &Database,
    mut unknown: IdSet,
    tips: impl Iterator<Item = ObjectId>,
) -> Result<bool, ReadError> {
    let mut oldest = i64::MAX;
    for id in &unknown {
        match links(database, *id)? {
            Some((_, seconds)) => oldest = oldest.min(seconds),
            None => return Ok(false),
        }
    }
    let oldest = oldest.saturating_sub(SLACK_SECONDS);
    let mut seen = IdSet::default();
    let mut queue = BinaryHeap::new();
    for tip in tips {
        let (id, kind) = database.peel(tip)?;
        if kind == ObjectKind::Commit
            && seen.insert(id)
            && let Some((parents, seconds)) = links(database, id)?
        {
            queue.push((seconds, id, parents));
        }
    }
    while let Some((seconds, id, parents)) = queue.pop() {
        unknown.remove(&id);
        if unknown.is_empty() {
            return Ok(true);
        }
        if seconds < oldest {
            return Ok(false);
        }
        for parent in parents {
            if seen.insert(parent)
                && let Some((parents, seconds)) = links(database, parent)?
            {
                queue.push((seconds, parent, parents));
            }
        }
    }
    Ok(unknown.is_empty())
}

/// Parents and time of a commit; `None` for all else.
fn links(database: &Database, id: ObjectId) -> Result<Option<(Vec<ObjectId>, i64)>, ReadError> {
    match database.read(&id)? {
        Some(object) if object.kind == ObjectKind::Commit => {
            let read = commit_links(&object.data);
            let (_, parents, seconds) = read.map_err(|source| ReadError::decode(id, source))?;
            Ok(Some((parents, seconds)))
        }
        _ => Ok(None),
    }
}
