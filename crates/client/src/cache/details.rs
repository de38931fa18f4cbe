//! What there is to know of an entry.

use std::time::Duration;

use super::difference::summary;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::record::{EntryRecord, RemoteHead};
use super::room::Others;
use super::source::{self, Source};
use super::state::{Found, entry_seen, look};
use super::{CacheError, CacheStatus, CallOptions, Details, Entry, Upstream, mirror, room};

/// The remote is not asked again within this time.
const ASKED_WITHIN: Duration = Duration::from_secs(300);

/// An entry, and what its remote says now.
pub(super) fn details(
    inner: &Inner,
    record: EntryRecord,
    call: &CallOptions<'_>,
) -> Result<Details, CacheError> {
    let now = Moment::now();
    let seen = look(&inner.root, &record);
    let entry = entry_seen(inner, &record, seen, &now);
    let exists = matches!(seen.found, Found::Tree(_));
    let is_stale = match (entry.status, &record.kept.updated) {
        (CacheStatus::Fresh, _) => false,
        (CacheStatus::Error, Some(updated)) => updated.is_older_than(inner.config.timeout, &now),
        _ => true,
    };
    let asked = record.kept.remote.as_ref().map(|remote| &remote.asked);
    let is_due = asked.is_none_or(|asked| asked.is_older_than(ASKED_WITHIN, &now));
    let current = match is_due {
        true => ask(inner, &record, &entry, call)?,
        false => None,
    };
    Ok(Details {
        entry,
        exists,
        is_stale,
        current,
    })
}

fn ask(
    inner: &Inner,
    record: &EntryRecord,
    entry: &Entry,
    call: &CallOptions<'_>,
) -> Result<Option<Result<Upstream, String>>, CacheError> {
    let source = Source::of_entry(record, &inner.root);
    let of = match source.as_ref().map(Source::upstream) {
        Ok(None) => return Ok(None),
        Ok(Some(upstream)) => upstream,
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    let _using = inner.using(&of.key, call)?;
    let mut head = match newest_head(inner, record, of, call) {
        Ok(head) => head,
        Err(CacheError::Cancelled) => return Err(CacheError::Cancelled),
        Err(error) => return Ok(Some(Err(error.to_string()))),
    };
    head.summary = summary(inner, of, entry, &head, call)?;
    let upstream = Upstream {
        local_commit_hash: entry.local_commit_hash.clone(),
        local_branch: entry.local_branch.clone(),
        remote_commit_hash: head.commit.clone(),
        remote_branch: head.branch.clone(),
        has_changes: entry.local_commit_hash != head.commit,
        summary: head.summary.clone(),
        checked_at: head.asked.timestamp(),
    };
    match keep(inner, record, head) {
        // It is told all the same, and asked again the next time.
        Err(CacheError::NoSpace { .. }) => {}
        kept => kept?,
    }
    Ok(Some(Ok(upstream)))
}

/// Notes what the remote said, unless somebody is bringing the entry up to date, who knows better.
fn keep(inner: &Inner, record: &EntryRecord, head: RemoteHead) -> Result<(), CacheError> {
    let lock = inner.root.lock("entry", &record.name.lock_key());
    let Some(_lock) = FileLock::try_take(&lock, Sharing::Exclusive)? else {
        return Ok(());
    };
    if let Some(mut newest) = inner.index.entry(&record.name)?
        && newest.kept.id == record.kept.id
    {
        newest.kept.remote = Some(head);
        inner.index.update(&newest)?;
    }
    Ok(())
}

/// Where the remote's default branch is. A mirror that is there gets what is new, so that it can be counted.
fn newest_head(
    inner: &Inner,
    record: &EntryRecord,
    upstream: &source::Upstream,
    call: &CallOptions<'_>,
) -> Result<RemoteHead, CacheError> {
    let key = &upstream.key;
    let is_mirrored = record.kept.mirror.as_ref() == Some(key)
        && inner.root.mirror(key).is_dir()
        && inner.index.mirror(key)?.is_some();
    if !is_mirrored {
        return mirror::ask_head(inner, upstream, call);
    }
    // Looking at an entry is no reason for another to go.
    let others = Others::Stay;
    let mirrored = mirror::update_beside(inner, upstream, others, &Moment::now(), call)?;
    room::make_room_for_mirror(inner, key)?;
    Ok(RemoteHead::of(&mirrored))
}

#[cfg(test)]
mod tests {
    use super::super::test_world::TestWorld;
    use super::super::update::bring_up_to_date;
    use super::*;

    #[test]
    fn commits_that_only_one_side_has_are_counted() {
        let world = TestWorld::new();
        let (inner, branches, call) = (
            &world.inner,
            world.remote.branches(),
            CallOptions::default(),
        );
        let begin = branches.get("main").unwrap().parent().unwrap().unwrap();
        // As if the remote had been asked long ago.
        let asked = || {
            let mut record = world.record();
            record.kept.remote = None;
            let found = details(inner, record, &call).unwrap();
            let upstream = found.current.unwrap().unwrap();
            (upstream.has_changes, upstream.summary.unwrap_or_default())
        };
        assert_eq!(asked(), (false, String::new()));

        let newest = world.write(3).commit().to_string();
        let expected = format!(
            "Remote is 3 commits ahead, local is 0 commits ahead. Latest remote commit: {} Number 2",
            &newest[..10]
        );
        assert_eq!(asked(), (true, expected.clone()));
        let entry = world.cache.list().unwrap().remove(0);
        assert_eq!(entry.upstream_changes_summary, Some(expected));

        // The remote begins anew where the copy is not.
        branches.set("main", &begin).unwrap();
        world.write(2);
        let (_, told) = asked();
        let expected = "Remote is 2 commits ahead, local is 1 commits ahead.";
        assert!(told.starts_with(expected), "{told}");

        let (record, now) = (world.record(), Moment::now());
        let source = Source::parse(&world.url, &inner.root).unwrap();
        bring_up_to_date(inner, &record.name, &source, &now, &call).unwrap();
        assert_eq!(asked(), (false, String::new()));
    }
}
