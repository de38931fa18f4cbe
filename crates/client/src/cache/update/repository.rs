//! Entries of repositories: the tree of the remote's default branch.

use super::super::inner::Inner;
use super::super::mend::mending;
use super::super::mirror;
use super::super::moment::Moment;
use super::super::publish::{Old, publish};
use super::super::record::{EntryRecord, MirrorRecord, TreeRecord};
use super::super::seal::{self, Seal};
use super::super::source::{Source, Upstream};
use super::super::staging::Staging;
use super::super::state::{Found, is_whole, tree_at};
use super::super::take_over::Older;
use super::super::tree::{Files, TreeSpec, build, show_refs};
use super::super::{CacheError, CallOptions, room, spare};
use super::{good_tree, history_bytes, make_room, note_remote, spec_of, tree_id, tree_record};

/// Makes the tree at its place that of the remote's default branch.
pub(super) fn of_repository(
    inner: &Inner,
    record: &mut EntryRecord,
    upstream: &Upstream,
    arrived: &Moment,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let _using = inner.using(&upstream.key, call)?;
    record.kept.mirror = Some(upstream.key.clone());
    let place = inner.root.tree(&record.name);
    let manifests = inner.root.own("manifests");
    let old_id = record.kept.tree.as_ref().map(|tree| tree.id.clone());
    let (mirrored, is_intact) = std::thread::scope(|scope| {
        // Looked at while the remote thinks: somebody may have tidied up among the files, or worked there.
        let look = || {
            let old_id = old_id.as_ref();
            old_id.is_some_and(|id| seal::holds(&manifests, id, &place, Files::OfCommit, call))
        };
        let looking = std::thread::Builder::new().spawn_scoped(scope, look);
        let mirrored = mirror::update(inner, upstream, arrived, call);
        let is_intact = match looking {
            Ok(looking) => looking.join().unwrap_or(false),
            // The system has no more threads.
            Err(_) => look(),
        };
        (mirrored, is_intact)
    });
    let mut mirrored = mirrored?;
    if !is_intact && let Some(newest) = mend_mirrors(inner, record, upstream, call)? {
        mirrored = newest;
    }
    note_remote(record, &mirrored);
    let manner = inner.manner();
    let is_same = is_intact
        && good_tree(inner, record, &manner).is_some_and(|tree| {
            let is_of_now =
                tree.commit == mirrored.head_commit && tree.branch == mirrored.head_branch;
            // What was not to be had may be by now.
            is_of_now && tree.pointers_left == 0
        });
    if is_same && shows_refs(inner, record, upstream, &mirrored, call)? {
        record.kept.updated = Some(mirrored.asked);
        return Ok(());
    }
    if mirrored.head_commit.is_none()
        && record
            .kept
            .tree
            .as_ref()
            .is_some_and(|tree| tree.commit.is_some())
    {
        return Err(CacheError::NoDefaultBranch {
            url: mirrored.url.clone(),
        });
    }
    let id = tree_id();
    let before = place.join(".git");
    let spare = spare::take(inner, record)?;
    let mut older: Vec<Older> = spare
        .iter()
        .map(|spare| Older::unread(spare.tree()))
        .collect();
    if matches!(tree_at(&inner.root, record), Found::Tree(tree) if is_whole(tree, &place, &Moment::now()))
    {
        older.push(Older::read_by_others(&place));
    }
    // Where what was mirrored cannot be read it is fetched again, while the old tree stays.
    let (mirrored, staging, mut built) = mending(inner, upstream, call, |damaged, newest| {
        let mirrored = newest.unwrap_or_else(|| mirrored.clone());
        let staging = Staging::to_replace(&inner.root)?;
        let spec = TreeSpec {
            before: Some(&before),
            older: &older,
            ..spec_of(record, upstream, &mirrored, &id, Files::OfCommit)
        };
        let built = build(inner, &spec, &staging.tree(), damaged, call)?;
        Ok((mirrored, staging, built))
    })?;
    if mirrored.head_commit.is_none() {
        built
            .notes
            .push("its default branch has no commits yet".to_owned());
    }
    let is_no_news = |tree: &TreeRecord| {
        let is_of_now = tree.commit == mirrored.head_commit && tree.branch == mirrored.head_branch;
        is_of_now && tree.pointers_left == built.pointers_left && tree.refs == mirrored.refs
    };
    if is_intact && good_tree(inner, record, &manner).is_some_and(is_no_news) {
        record.kept.updated = Some(mirrored.asked);
        return Ok(());
    }
    // The catalog notes the tree, and with it the mirrors, before these are given up.
    let _using = std::mem::take(&mut built.using);
    let shares_blocks = built.shares_blocks;
    let seal = Seal(std::mem::take(&mut built.sealed));
    let next = TreeRecord {
        commit: mirrored.head_commit.clone(),
        branch: mirrored.head_branch.clone(),
        refs: mirrored.refs.clone(),
        ..tree_record(inner, &staging, id.clone(), built, manner)?
    };
    // Where blocks can be shared, those of the tree at its place are.
    let old = match shares_blocks {
        true => Old::Read { shared_bytes: 0 },
        false => Old::Spare,
    };
    make_room(inner, record, &next, call)?;
    publish(inner, record, staging, next, old)?;
    // After the catalog knows the tree: what is of no tree that it knows is swept. One without a seal is made anew.
    let _ = seal.write(&manifests, &id);
    record.kept.updated = Some(mirrored.asked);
    Ok(())
}

/// Whether the tree at its place has the refs that were mirrored. Where nothing else changed, it gets them.
pub(super) fn shows_refs(
    inner: &Inner,
    record: &mut EntryRecord,
    upstream: &Upstream,
    mirrored: &MirrorRecord,
    call: &CallOptions<'_>,
) -> Result<bool, CacheError> {
    let Some(tree) = &record.kept.tree else {
        return Ok(false);
    };
    if tree.refs == mirrored.refs {
        return Ok(true);
    }
    let id = tree.id.clone();
    let spec = spec_of(record, upstream, mirrored, &id, Files::Elsewhere);
    let given = match show_refs(inner, &spec, &inner.root.tree(&record.name), call) {
        // A new tree takes the place of what somebody worked in, or was made from a mirror that is damaged by now.
        Err(CacheError::Occupied { .. } | CacheError::Store(_)) => None,
        shown => shown?,
    };
    let manifests = inner.root.own("manifests");
    let (Some(given), Some(mut seal)) = (given, Seal::read(&manifests, &id)) else {
        return Ok(false);
    };
    seal.add(given);
    // Before the record: refs that it does not know yet are shown again.
    seal.write(&manifests, &id)?;
    if let Some(tree) = &mut record.kept.tree {
        tree.refs.clone_from(&mirrored.refs);
        let bytes = history_bytes(inner, &tree.mirrors)?;
        let known = std::mem::replace(&mut tree.history_bytes, bytes);
        room::make_room(inner, &record.name, 0, bytes > known, call)?;
    }
    Ok(true)
}

/// Fetches mirrors again into whose files of objects somebody wrote by way of the entry's copy, those of its submodules too.
/// Returns the new record of `upstream`'s, if it was one of them.
pub(super) fn mend_mirrors(
    inner: &Inner,
    record: &EntryRecord,
    upstream: &Upstream,
    call: &CallOptions<'_>,
) -> Result<Option<MirrorRecord>, CacheError> {
    let tree = record.kept.tree.as_ref();
    let seal = tree.and_then(|tree| Seal::read(&inner.root.own("manifests"), &tree.id));
    let mut own = None;
    for key in seal
        .iter()
        .flat_map(|seal| seal.contradicted(&inner.root, call))
    {
        if key == upstream.key {
            own = Some(mirror::rebuild(inner, upstream, call)?);
            continue;
        }
        let _using = inner.using(key, call)?;
        let Some(known) = inner.index.mirror(key)? else {
            continue;
        };
        let source = Source::parse(&known.url, &inner.root).ok();
        let found = source.as_ref().and_then(Source::upstream);
        if let Some(found) = found.filter(|found| found.key == key) {
            let module = Upstream {
                // As when it was made: its URL is an author's.
                is_foreign: !found.url.is_same_server(&upstream.url),
                ..found.clone()
            };
            mirror::rebuild(inner, &module, call)?;
        }
    }
    Ok(own)
}
