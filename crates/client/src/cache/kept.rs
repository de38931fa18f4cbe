//! What a mirror keeps that no branch or tag of its remote names: commits that checkouts asked for, and those of submodules.
//!
//! What always holds:
//! - each has a ref, which says in which hour it was asked for;
//! - the ref goes once no checkout and no copy has the commit, and not before a day is over: whoever asked for it may not
//!   have noted yet what for;
//! - what only that ref named goes when the mirror is cleaned up, a day after it was fetched at the earliest.

use std::collections::HashSet;
use std::time::Duration;

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::store::Store;

use super::CacheError;
use super::inner::Inner;
use super::moment::Moment;
use super::seal::Seal;
use crate::mirror::publish::{Moves, publish};
use crate::remote::PushEdit;

/// Below it are the refs.
pub(super) const KEPT: &str = "refs/packhouse/kept/";

/// So long what nobody needs stays.
pub(super) const GRACE: Duration = Duration::from_secs(24 * 3600);

/// The ref of a commit that is asked for now.
pub(super) fn name_of(id: &ObjectId) -> Result<RefName, CacheError> {
    let name = RefName::parse(format!("{KEPT}{id}-{}", this_hour()));
    name.map_err(|error| CacheError::Config {
        reason: error.to_string(),
    })
}

fn this_hour() -> i64 {
    Moment::now().wall_ms / 3_600_000
}

/// Whether a ref has been there for longer than it has to be. Those of before the hour was a part of their names do not say.
fn is_old(name: &RefName, this_hour: i64) -> bool {
    let text = std::str::from_utf8(name.as_bytes()).ok();
    let hour = text.and_then(|text| text.rsplit_once('-')?.1.parse::<i64>().ok());
    // What seems to come from the future is from before the clock was put back.
    let hours = (GRACE.as_secs() / 3600) as i64;
    hour.is_none_or(|hour| !(this_hour - hours..=this_hour + 1).contains(&hour))
}

/// Lets go of what nobody needs any more, and says whether there was any. Its caller has the lock of the mirror alone.
pub(super) fn forget(inner: &Inner, key: &str, store: &Store) -> Result<bool, CacheError> {
    let failed = || CacheError::store(inner.root.path());
    let view = store.view().map_err(failed())?;
    let this_hour = this_hour();
    let refs = view.refs().prefixed(KEPT.as_bytes());
    let old: Vec<_> = refs.filter(|(name, _)| is_old(name, this_hour)).collect();
    if old.is_empty() {
        return Ok(false);
    }
    let Some(mut needed) = needed(inner, key)? else {
        return Ok(false);
    };
    let mut edits = Vec::new();
    for (name, found) in old {
        // What was asked for may be a tag.
        let leads_to = view.database().peel(found.target);
        let commit = leads_to.map_or(found.target, |(id, _)| id);
        // One ref is enough.
        if !needed.remove(&commit.to_string()) {
            edits.push(PushEdit {
                name: name.clone(),
                old: Some(found.target),
                new: None,
            });
        }
    }
    if edits.is_empty() {
        return Ok(false);
    }
    let moves = Moves {
        edits: &edits,
        message: "forget",
    };
    let moved = publish(store, None, &moves).map_err(failed())?;
    Ok(moved.is_ok())
}

/// The commits of a mirror that checkouts and copies have, those that are about to come among them. `None`: it is not known of
/// all: the record of a checkout with submodules says the commit of one of its mirrors only, and seals may not be there yet.
fn needed(inner: &Inner, key: &str) -> Result<Option<HashSet<String>>, CacheError> {
    let contents = inner.index.contents()?;
    let manifests = inner.root.own("manifests");
    let has = |mirrors: &[String]| mirrors.iter().any(|mirror| mirror == key);
    let mut commits = HashSet::new();
    for (_, checkout) in contents.checkouts {
        if !has(&checkout.mirrors) {
            continue;
        }
        if checkout.mirrors.len() > 1 {
            return Ok(None);
        }
        commits.insert(checkout.commit);
    }
    for entry in &contents.entries {
        let trees = entry.kept.tree.iter().chain(&entry.kept.next);
        for tree in trees.filter(|tree| has(&tree.mirrors)) {
            let Some(seal) = Seal::read(&manifests, &tree.id) else {
                return Ok(None);
            };
            commits.extend(seal.commits_of(key));
        }
    }
    Ok(Some(commits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ref_says_how_old_it_is() {
        let id = ObjectId::from_hex(&[b'7'; 40]).unwrap();
        let now = this_hour();
        assert!(!is_old(&name_of(&id).unwrap(), now));
        for (end, expected) in [
            (format!("-{}", now - 24), false),
            (format!("-{}", now - 25), true),
            (format!("-{}", now + 1), false),
            (format!("-{}", now + 2), true),
            (String::new(), true),
        ] {
            let name = RefName::parse(format!("{KEPT}{id}{end}")).unwrap();
            assert_eq!(is_old(&name, now), expected, "{name}");
        }
    }
}
