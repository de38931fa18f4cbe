//! Working trees at any commit of an entry.

use std::fs;
use std::path::PathBuf;

use packhouse_object::{ObjectId, RefName};

use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::mend::mending;
use super::mirror::{self, Wanted};
use super::moment::Moment;
use super::record::{CheckoutRecord, EntryRecord};
use super::source::{Source, Upstream};
use super::staging::Staging;
use super::tree::{Files, TreeSpec, build};
use super::{CacheError, CallOptions, Checkout, note, publish, room};

/// A revision that was found.
struct Revision {
    commit: ObjectId,
    /// The branch, if it is one.
    branch: Option<String>,
    notes: Vec<String>,
}

/// Makes a working tree. Its caller has the entry's lease.
pub(super) fn make(
    inner: &Inner,
    record: &EntryRecord,
    revision: &str,
    call: &CallOptions<'_>,
) -> Result<Checkout, CacheError> {
    let source = Source::of_entry(record, &inner.root)?;
    let Some(upstream) = source.upstream() else {
        return Err(CacheError::InvalidSource {
            source_url: record.kept.source_url.clone(),
            reason: "a plain directory has no commits to check out".to_owned(),
        });
    };
    let _using = inner.using(&upstream.key, call)?;
    inner.index.touch(&record.name, Moment::now().wall_ms);
    let id = uuid::Uuid::new_v4().simple().to_string();
    let default_branch = record
        .kept
        .remote
        .as_ref()
        .and_then(|head| head.branch.as_deref());
    let before = inner.root.tree(&record.name).join(".git");
    // What was mirrored and cannot be read is fetched again.
    let (found, staging, built) = mending(inner, upstream, call, |damaged, _| {
        let found = find(inner, record, upstream, revision, call)?;
        let spec = TreeSpec {
            upstream,
            url: &record.kept.source_url,
            commit: Some(found.commit),
            branch: found.branch.as_deref(),
            default_branch,
            token: &id,
            before: Some(&before),
            older: &[],
            files: Files::OfCommit,
        };
        let staging = Staging::new(&inner.root)?;
        super::git_dir::make_folder(&staging.tree())?;
        let tree = staging.tree().join(record.name.as_str());
        let built = build(inner, &spec, &tree, damaged, call)?;
        Ok((found, staging, built))
    })?;
    // The history may have grown by what nobody had yet.
    room::make_room(inner, &record.name, built.bytes, true, call)?;
    let made = CheckoutRecord {
        entry: record.name.clone(),
        entry_id: record.kept.id.clone(),
        commit: found.commit.to_string(),
        made: Moment::now(),
        bytes: built.bytes,
        mirrors: built.mirrors,
        notes: found.notes.into_iter().chain(built.notes).collect(),
    };
    // First the record: without it nobody would know of the folder. And the note before that, for a catalog that is made anew
    // just then.
    note::of_checkout(&inner.root, &id, &made, &staging);
    if let Err(error) = inner.index.put_checkout(&id, &made) {
        note::forget(&inner.root, &id);
        return Err(error);
    }
    drop(built.using);
    let place = inner.root.own("checkouts").join(&id);
    fs::rename(staging.tree(), &place).map_err(CacheError::file(&place))?;
    Ok(shown(inner, &id, &made))
}

/// Whether a checkout is at its place and whole. Its record comes before its folder, and what was written before the
/// machine was started again may be there in part.
pub(super) fn is_there(inner: &Inner, id: &str, record: &CheckoutRecord, now: &Moment) -> bool {
    !record.made.is_other_boot(now) && place(inner, id, record).is_dir()
}

/// Removes checkouts that are not there or not whole, unless somebody may be making them. As with all cleaning up, what
/// cannot be removed now is left for another time.
pub(super) fn sweep(inner: &Inner) {
    let Ok(checkouts) = inner.index.checkouts() else {
        return;
    };
    let now = Moment::now();
    for (id, record) in &checkouts {
        if is_there(inner, id, record, &now) {
            continue;
        }
        // Who makes one has the lease of its entry from before the record is written.
        let lease = inner.root.lock("lease", &record.entry_id);
        if let Ok(Some(_unused)) = FileLock::try_take(&lease, Sharing::Exclusive)
            && !is_there(inner, id, record, &now)
        {
            let _ = publish::remove_checkout(inner, id);
        }
    }
}

fn place(inner: &Inner, id: &str, record: &CheckoutRecord) -> PathBuf {
    inner
        .root
        .own("checkouts")
        .join(id)
        .join(record.entry.as_str())
}

/// A checkout as it is told of.
pub(super) fn shown(inner: &Inner, id: &str, record: &CheckoutRecord) -> Checkout {
    Checkout {
        id: id.to_owned(),
        entry: record.entry.to_string(),
        path: place(inner, id, record),
        commit: record.commit.clone(),
        created_at: record.made.timestamp(),
        notes: record.notes.clone(),
    }
}

/// Finds a revision: a commit that is here is taken as it is; for a name the remote is asked where it is now.
fn find(
    inner: &Inner,
    record: &EntryRecord,
    upstream: &Upstream,
    revision: &str,
    call: &CallOptions<'_>,
) -> Result<Revision, CacheError> {
    let id = ObjectId::from_hex(revision.as_bytes()).ok();
    let mut notes = Vec::new();
    if let Some(id) = &id
        && let Some(commit) = mirror::commit_here(inner, upstream, id, call)?
    {
        return Ok(Revision {
            commit,
            branch: None,
            notes,
        });
    }
    match mirror::update(inner, upstream, &Moment::now(), call) {
        Ok(_) => {}
        Err(CacheError::Cancelled) => return Err(CacheError::Cancelled),
        // What is here is better than nothing, and it is said.
        Err(error) if inner.root.mirror(&upstream.key).is_dir() => notes.push(match error {
            CacheError::Full { .. } => format!("what is new could not be fetched: {error}"),
            error => format!("the remote could not be asked: {error}"),
        }),
        Err(error) => return Err(error),
    }
    if let Some((commit, branch)) = named(inner, upstream, revision, call)? {
        return Ok(Revision {
            commit,
            branch,
            notes,
        });
    }
    let name = RefName::parse(revision).ok();
    let wanted = match (&id, &name) {
        (Some(id), _) => Some(Wanted::Commit(id)),
        (None, Some(name)) => Some(Wanted::Ref(name)),
        (None, None) => None,
    };
    let obtained = match wanted {
        Some(wanted) => mirror::obtain(inner, upstream, &wanted, call)?,
        None => None,
    };
    let commit = match obtained {
        Some(id) => mirror::commit_here(inner, upstream, &id, call)?,
        None => None,
    };
    let commit = commit.ok_or_else(|| CacheError::NoSuchRevision {
        revision: revision.to_owned(),
        name: record.name.to_string(),
    })?;
    Ok(Revision {
        commit,
        branch: None,
        notes,
    })
}

/// What a branch, a tag, a whole ref, a shortened id or `HEAD` names in the mirror.
fn named(
    inner: &Inner,
    upstream: &Upstream,
    revision: &str,
    call: &CallOptions<'_>,
) -> Result<Option<(ObjectId, Option<String>)>, CacheError> {
    let shared = inner.root.lock("mirror", &upstream.key);
    let _shared = FileLock::take(&shared, Sharing::Shared, call)?;
    let place = inner.root.mirror(&upstream.key);
    let store = mirror::open(&place).map_err(CacheError::mirror(inner.root.path()))?;
    let failed = || CacheError::store(inner.root.path());
    let view = store.view().map_err(failed())?;
    let record = inner.index.mirror(&upstream.key)?;
    let head = record
        .as_ref()
        .and_then(|record| record.head_branch.as_deref());
    let name = match (revision, head, &record) {
        ("HEAD", Some(head), _) => format!("refs/heads/{head}"),
        ("HEAD", None, Some(record)) => record.head_commit.clone().unwrap_or_default(),
        _ => revision.to_owned(),
    };
    let folders = ["", "refs/heads/", "refs/tags/"];
    let full = folders.iter().find_map(|folder| {
        let name = RefName::parse(format!("{folder}{name}")).ok()?;
        let found = view.refs().get(&name)?;
        Some((
            found.peeled.unwrap_or(found.target),
            mirror::branch_name(&name),
        ))
    });
    if let Some((id, branch)) = full {
        let (id, kind) = view
            .database()
            .peel(id)
            .map_err(|error| failed()(error.into()))?;
        return Ok((kind == packhouse_object::ObjectKind::Commit).then_some((id, branch)));
    }
    let is_short = name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_short.then(|| store.snapshot(&name, 0)) {
        Some(Ok(snapshot)) => Ok(Some((snapshot.commit(), None))),
        _ => Ok(None),
    }
}
