//! One bare repository for each canonical URL, kept like the remote.
//!
//! What always holds:
//! - a mirror appears at its place with all that its refs reach, or not at all;
//! - its refs move in one step, after the objects came;
//! - who changes it has its lock alone, who takes from it shares the lock;
//! - what its record says of its refs counts only while they are those: a process that ends after the refs moved and
//!   before the record was written leaves new refs under an old record, and whoever relies on the record compares both
//!   ([`is_as_recorded`]);
//! - one that cannot be read is made anew beside the old one, and takes its place when it is complete.

use std::convert::Infallible;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use packhouse_object::{ObjectId, ObjectKind, ReadError, ReceiveError, Received, RefName};
use packhouse_repo::View;
use packhouse_repo::store::{Create, GcOptions, Store, StoreError, StoreOptions};
use ring::digest;
use rustix::io::Errno;

use super::inner::Inner;
use super::kept::{self, KEPT};
use super::lock::{FileLock, Sharing};
use super::moment::Moment;
use super::record::{MirrorRecord, RemoteHead};
use super::room::{Others, Room};
use super::root::link_in_mirror;
use super::source::Upstream;
use super::staging::Staging;
use super::{CacheError, CacheStep, CallOptions, note};
use crate::mirror::diff::{FoundRefs, RefTargets, edits};
use crate::mirror::publish::{found_refs, publish_decided};
use crate::mirror::{MirrorError, lacking};
use crate::remote::{FetchConnection, FetchRequest, Remote, RemoteError, RemoteRefs, ServerMemory};

/// Where a `HEAD` is kept that stands for no branch.
pub(super) const DETACHED: &str = "refs/packhouse/head";

/// More packs than these are made one, as Git does.
const PACKS_MAX: usize = 50;
/// More loose objects than these go into a pack: each takes a link of its own in every working tree.
const LOOSE_MAX: usize = 200;

/// A remote that broke off or was too busy to answer is asked once more, after so long, or as long as it says.
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(300);
/// One that wants to be left alone for longer is not asked again: others wait for this call.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often whoever waits for that looks whether to go on.
const LOOK_UP: Duration = Duration::from_millis(20);

/// What a remote has.
pub(super) struct Offered {
    targets: RefTargets,
    head_commit: Option<ObjectId>,
    head_branch: Option<RefName>,
    /// Stands for all of it.
    pub(super) digest: String,
}

impl Offered {
    pub(super) fn of(refs: &RemoteRefs) -> Result<Offered, CacheError> {
        refs.check_whole(is_mirrored)
            .map_err(|error| CacheError::Remote(Arc::new(error)))?;
        let mut targets: RefTargets = refs
            .refs
            .iter()
            .filter(|entry| is_mirrored(&entry.name))
            .map(|entry| (entry.name.clone(), entry.target))
            .collect();
        let head_branch = refs.head_ref.clone().filter(is_mirrored);
        let named = head_branch.as_ref().and_then(|name| targets.get(name));
        let head_commit = named.copied().or(refs.head);
        if named.is_none()
            && let Some(head) = refs.head
        {
            let name = RefName::parse(DETACHED).map_err(|error| CacheError::Config {
                reason: error.to_string(),
            })?;
            targets.insert(name, head);
        }
        let commit = head_commit.map(|id| id.to_string());
        let branch = head_branch.as_ref().and_then(branch_name);
        let refs = targets.iter().map(|(name, target)| (name, *target));
        Ok(Offered {
            digest: digest_of(commit.as_deref(), branch.as_deref(), refs),
            targets,
            head_commit,
            head_branch,
        })
    }
}

/// Stands for refs, which come in byte order, and for where `HEAD` is.
fn digest_of<'a>(
    head_commit: Option<&str>,
    head_branch: Option<&str>,
    refs: impl Iterator<Item = (&'a RefName, ObjectId)>,
) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(format!("{head_commit:?} {head_branch:?}\n").as_bytes());
    for (name, target) in refs {
        context.update(format!("{target} ").as_bytes());
        context.update(name.as_bytes());
        context.update(b"\n");
    }
    let digest = context.finish();
    let digits = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// Whether the refs of a mirror are those of which its record is.
pub(super) fn is_as_recorded(view: &View, record: &MirrorRecord) -> bool {
    let refs = view.refs().iter();
    let refs = refs.filter(|(name, _)| !name.as_bytes().starts_with(KEPT.as_bytes()));
    let digest = digest_of(
        record.head_commit.as_deref(),
        record.head_branch.as_deref(),
        refs.map(|(name, found)| (name, found.target)),
    );
    digest == record.refs
}

/// Whether the mirror at `place` can be read, and is as its record says.
pub(super) fn is_good(place: &Path, record: &MirrorRecord) -> bool {
    let view = open(place).and_then(|store| Ok(store.view()?));
    view.is_ok_and(|view| is_as_recorded(&view, record))
}

fn is_mirrored(name: &RefName) -> bool {
    name.as_bytes().starts_with(b"refs/heads/") || name.as_bytes().starts_with(b"refs/tags/")
}

/// Makes the mirror of `upstream` what the remote is, and says what it found.
///
/// Who finds that it was done since `arrived`, or for the first time since then, by somebody else, takes that.
pub(super) fn update(
    inner: &Inner,
    upstream: &Upstream,
    arrived: &Moment,
    call: &CallOptions<'_>,
) -> Result<MirrorRecord, CacheError> {
    update_beside(inner, upstream, Others::MayGo, arrived, call)
}

/// As [`update`], where what becomes of other entries is said.
pub(super) fn update_beside(
    inner: &Inner,
    upstream: &Upstream,
    others: Others,
    arrived: &Moment,
    call: &CallOptions<'_>,
) -> Result<MirrorRecord, CacheError> {
    let key = &upstream.key;
    let _lock = FileLock::take(&inner.root.lock("mirror", key), Sharing::Exclusive, call)?;
    let place = inner.root.mirror(key);
    let known = inner.index.mirror(key)?.filter(|_| place.is_dir());
    if let Some(record) = &known
        && (record.asked.is_since(arrived) || record.completed.is_since(arrived))
    {
        return Ok(record.clone());
    }
    call.step(CacheStep::Asking, 0, None);
    let asked = Moment::now();
    let remote = inner.remote(upstream);
    let memory = known.as_ref().and_then(|record| record.server.as_ref());
    let failed = || CacheError::remote(inner.root.path());
    let connection = ask(inner, &remote, memory, call)?;
    let server = connection.memory();
    let offered = Offered::of(connection.refs())?;
    let mut record = record_of(upstream, known.as_ref(), &asked, &offered);
    record.server = server;
    match &known {
        Some(known) if known.refs == record.refs && is_good(&place, known) => {}
        known => {
            let is_there = known.is_some();
            let room = room_for(inner, key, others, call)?;
            let again = || {
                let connection = remote.connect_to_fetch(call).map_err(failed())?;
                Ok(connection.limited_to(room.anew_bytes()))
            };
            let connection = connection.limited_to(match is_there {
                true => room.more_bytes(),
                false => room.anew_bytes(),
            });
            bring_or_make(inner, &place, is_there, connection, again, &offered, call)
                .map_err(|error| room.explain(&upstream.url, error))?;
            if !is_there {
                record.completed = Moment::now();
            }
            record.bytes = size_of(&place);
        }
    }
    inner.index.put_mirror(key, &record)?;
    note::of_mirror(&inner.root, key, &record.url);
    Ok(record)
}

/// Asks a remote what it has: one that broke off or was too busy, once more.
fn ask<'c>(
    inner: &Inner,
    remote: &Remote,
    memory: Option<&ServerMemory>,
    call: &'c CallOptions<'_>,
) -> Result<FetchConnection<'c>, CacheError> {
    ask_while(&|| true, inner, remote, memory, call)
}

/// As [`ask`], but waits for one that was too busy only where the caller `may_wait`.
pub(super) fn ask_while<'c>(
    may_wait: &dyn Fn() -> bool,
    inner: &Inner,
    remote: &Remote,
    memory: Option<&ServerMemory>,
    call: &'c CallOptions<'_>,
) -> Result<FetchConnection<'c>, CacheError> {
    let asked_first = match memory {
        Some(memory) => remote.connect_as_before(memory, call),
        None => remote.connect_to_fetch(call),
    };
    // The second time is the last one, and does not rely on what the server did before.
    let connection = match asked_first {
        Err(error) => match next_try(&error, memory.is_some()) {
            Some(pause) if !remote.url().is_ssh() && (pause.is_zero() || may_wait()) => {
                wait(pause, call)?;
                remote.connect_to_fetch(call)
            }
            _ => Err(error),
        },
        asked => asked,
    };
    connection.map_err(CacheError::remote(inner.root.path()))
}

/// After how long a remote is asked a second time; `None`: it is not. One that was asked `as_before` may only have changed.
fn next_try(error: &RemoteError, as_before: bool) -> Option<Duration> {
    let is_passing = match error {
        RemoteError::Connect { source, .. } => is_about_the_way(source.as_ref()),
        RemoteError::Broken { .. } => true,
        RemoteError::Status {
            status: 429 | 502 | 503 | 504,
            retry_after,
            ..
        } => {
            let pause = retry_after.map_or(ASKED_AGAIN_AFTER, |asked| asked.max(ASKED_AGAIN_AFTER));
            return (pause <= LONGEST_PAUSE).then_some(pause);
        }
        _ => false,
    };
    match is_passing {
        true => Some(ASKED_AGAIN_AFTER),
        false => (as_before && !error.is_final()).then_some(Duration::ZERO),
    }
}

/// Whether a connection was refused or lost on the way. A name that is none, or a certificate that is not trusted, stays so.
fn is_about_the_way(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>()
            && matches!(
                error.kind(),
                ErrorKind::ConnectionRefused
                    | ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
            )
        {
            return true;
        }
        next = error.source();
    }
    false
}

fn wait(pause: Duration, call: &CallOptions<'_>) -> Result<(), CacheError> {
    let begun = Instant::now();
    while begun.elapsed() < pause {
        call.check()?;
        std::thread::sleep(LOOK_UP);
    }
    Ok(())
}

/// What is noted of a mirror that is about to be what the remote offers.
pub(super) fn record_of(
    upstream: &Upstream,
    known: Option<&MirrorRecord>,
    asked: &Moment,
    offered: &Offered,
) -> MirrorRecord {
    MirrorRecord {
        url: upstream.url.to_string(),
        completed: known.map_or_else(|| asked.clone(), |record| record.completed.clone()),
        asked: asked.clone(),
        refs: offered.digest.clone(),
        head_commit: offered.head_commit.map(|id| id.to_string()),
        head_branch: offered.head_branch.as_ref().and_then(branch_name),
        bytes: known.map_or(0, |record| record.bytes),
        server: None,
    }
}

/// Brings what is offered into the mirror at `place`, or makes a new one: where none is, or one that cannot be read; then
/// the remote is asked `again`. Its caller has the mirror's lock.
pub(super) fn bring_or_make<'c>(
    inner: &Inner,
    place: &Path,
    is_there: bool,
    connection: FetchConnection<'_>,
    again: impl FnOnce() -> Result<FetchConnection<'c>, CacheError>,
    offered: &Offered,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    if !is_there {
        return make(inner, place, connection, offered, call);
    }
    match bring_into(place, connection, offered, call) {
        Err(error) if is_about_ours(&error) => make(inner, place, again()?, offered, call)?,
        brought => brought.map_err(CacheError::mirror(inner.root.path()))?,
    }
    tidy(place, call)
}

/// Makes the mirror anew from the remote, as what is there cannot be read.
pub(super) fn rebuild(
    inner: &Inner,
    upstream: &Upstream,
    call: &CallOptions<'_>,
) -> Result<MirrorRecord, CacheError> {
    {
        let key = &upstream.key;
        let _lock = FileLock::take(&inner.root.lock("mirror", key), Sharing::Exclusive, call)?;
        let connection = ask(inner, &inner.remote(upstream), None, call)?;
        let offered = Offered::of(connection.refs())?;
        let place = inner.root.mirror(key);
        let room = Room::of_mirror(inner, key, Others::MayGo)?;
        let connection = connection.limited_to(room.anew_bytes());
        make(inner, &place, connection, &offered, call)
            .map_err(|error| room.explain(&upstream.url, error))?;
        if let Some(mut record) = inner.index.mirror(key)? {
            record.refs.clone_from(&offered.digest);
            record.head_commit = offered.head_commit.map(|id| id.to_string());
            record.head_branch = offered.head_branch.as_ref().and_then(branch_name);
            record.bytes = size_of(&place);
            inner.index.put_mirror(key, &record)?;
        }
    }
    update(inner, upstream, &Moment::now(), call)
}

/// Gets a commit or ref that is none of the mirrored ones, and keeps it. `None`: the remote does not have it, or does not hand
/// it out.
pub(super) fn obtain(
    inner: &Inner,
    upstream: &Upstream,
    wanted: &Wanted<'_>,
    call: &CallOptions<'_>,
) -> Result<Option<ObjectId>, CacheError> {
    let failed = || CacheError::mirror(inner.root.path());
    let key = &upstream.key;
    let _lock = FileLock::take(&inner.root.lock("mirror", key), Sharing::Exclusive, call)?;
    let place = inner.root.mirror(key);
    let mut remote_options = inner.options_for(upstream);
    if let Wanted::Ref(name) = wanted {
        remote_options.ref_prefixes = vec![name.to_string()];
    }
    let remote = inner.remote_with(upstream, remote_options);
    let connection = ask(inner, &remote, None, call)?;
    let id = match wanted {
        Wanted::Commit(id) => **id,
        Wanted::Ref(name) => match connection.refs().get(name) {
            Some(found) => found.peeled.unwrap_or(found.target),
            None => return Ok(None),
        },
    };
    let room = room_for(inner, key, Others::MayGo, call)?;
    let connection = connection.limited_to(room.more_bytes());
    let store = open(&place).map_err(failed())?;
    let targets = RefTargets::from([(kept::name_of(&id)?, id)]);
    match bring(&store, connection, &targets, Deleting::Nothing, call) {
        Ok(()) => {}
        Err(MirrorError::Remote(error)) if is_refusal(&error, &id) => return Ok(None),
        Err(error) => return Err(room.explain(&upstream.url, failed()(error))),
    }
    drop(store);
    tidy(&place, call)?;
    note_size(inner, key, &place)?;
    Ok(Some(id))
}

/// Whether a remote says that it does not have an object, or does not hand it out.
fn is_refusal(error: &RemoteError, id: &ObjectId) -> bool {
    match error {
        RemoteError::Remote { .. } | RemoteError::NotSent { .. } => true,
        // A repository of this machine, which is read and not asked.
        RemoteError::Read(ReadError::NotFound { id: missing }) => missing == id,
        _ => false,
    }
}

/// What a fetch into a mirror may take. Where there is little room, or it is about to be tidied, what it keeps for nobody goes
/// before. Its caller has its lock alone.
fn room_for(
    inner: &Inner,
    key: &str,
    others: Others,
    call: &CallOptions<'_>,
) -> Result<Room, CacheError> {
    let room = Room::of_mirror(inner, key, others)?;
    let place = inner.root.mirror(key);
    // What comes may be as much as what is there, and have files of that size, too.
    let is_little = room.more_bytes() / 2 < room.own_bytes;
    if !is_little && packs_of(&place) < PACKS_MAX {
        return Ok(room);
    }
    let Ok(store) = open(&place) else {
        return Ok(room);
    };
    // One that cannot be read is made anew by whoever fetches.
    let has_forgotten = kept::forget(inner, key, &store).unwrap_or(false);
    if !has_forgotten || !is_little {
        return Ok(room);
    }
    clean_up(&store, call)?;
    note_size(inner, key, &place)?;
    Room::of_mirror(inner, key, others)
}

/// Notes what a mirror takes by now.
fn note_size(inner: &Inner, key: &str, place: &Path) -> Result<(), CacheError> {
    let Some(mut record) = inner.index.mirror(key)? else {
        return Ok(());
    };
    record.bytes = size_of(place);
    inner.index.put_mirror(key, &record)
}

/// Asks the remote where its default branch is, and gets nothing.
pub(super) fn ask_head(
    inner: &Inner,
    upstream: &Upstream,
    call: &CallOptions<'_>,
) -> Result<RemoteHead, CacheError> {
    let known = inner.index.mirror(&upstream.key)?;
    let asked = Moment::now();
    let memory = known.as_ref().and_then(|record| record.server.as_ref());
    let connection = ask(inner, &inner.remote(upstream), memory, call)?;
    let offered = Offered::of(connection.refs())?;
    Ok(RemoteHead {
        asked,
        commit: offered.head_commit.map(|id| id.to_string()),
        branch: offered.head_branch.as_ref().and_then(branch_name),
        summary: None,
    })
}

/// The commit that an object of the mirror leads to, if it is there with all it reaches.
pub(super) fn commit_here(
    inner: &Inner,
    upstream: &Upstream,
    id: &ObjectId,
    call: &CallOptions<'_>,
) -> Result<Option<ObjectId>, CacheError> {
    let place = inner.root.mirror(&upstream.key);
    if !place.is_dir() {
        return Ok(None);
    }
    let shared = inner.root.lock("mirror", &upstream.key);
    let _shared = FileLock::take(&shared, Sharing::Shared, call)?;
    let store = open(&place).map_err(CacheError::mirror(inner.root.path()))?;
    let failed = || CacheError::store(inner.root.path());
    let database = store.database().map_err(failed())?;
    if !database
        .contains(id)
        .map_err(|error| failed()(error.into()))?
    {
        return Ok(None);
    }
    let (id, kind) = database.peel(*id).map_err(|error| failed()(error.into()))?;
    Ok((kind == ObjectKind::Commit).then_some(id))
}

/// What [`obtain`] gets.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wanted<'a> {
    Commit(&'a ObjectId),
    Ref(&'a RefName),
}

/// Opens a mirror to read or write it. One with a damaged pack is made anew: trees get its packs as they are. One with links,
/// as an archive may bring it, is refused: what is written there would be written elsewhere.
pub(super) fn open(place: &Path) -> Result<Store, MirrorError> {
    let refuse = |path, source| Err(MirrorError::File { path, source });
    match link_in_mirror(place) {
        Ok(None) => {}
        Ok(Some(link)) => return refuse(link, Errno::LOOP.into()),
        Err(error) => return refuse(place.to_owned(), error),
    }
    let store = Store::open(place, StoreOptions::default())?;
    store.check_packs()?;
    Ok(store)
}

/// `main` of `refs/heads/main`, if it is text.
pub(super) fn branch_name(name: &RefName) -> Option<String> {
    let short = name.strip_prefix(b"refs/heads/")?;
    std::str::from_utf8(short).ok().map(str::to_owned)
}

/// Whether an error says that our own copy is damaged, and not that the remote failed.
fn is_about_ours(error: &MirrorError) -> bool {
    match error {
        MirrorError::Store(_) => true,
        MirrorError::Remote(RemoteError::Receive(ReceiveError::PackTooLarge { .. })) => false,
        MirrorError::Remote(error) => matches!(
            error,
            RemoteError::Read(_)
                | RemoteError::Send(_)
                | RemoteError::Receive(_)
                | RemoteError::Local { .. }
        ),
        _ => false,
    }
}

fn bring_into(
    place: &Path,
    connection: FetchConnection<'_>,
    offered: &Offered,
    call: &CallOptions<'_>,
) -> Result<(), MirrorError> {
    bring(
        &open(place)?,
        connection,
        &offered.targets,
        Deleting::Others,
        call,
    )
}

/// A new mirror at its place.
fn make(
    inner: &Inner,
    place: &Path,
    connection: FetchConnection<'_>,
    offered: &Offered,
    call: &CallOptions<'_>,
) -> Result<(), CacheError> {
    let staging = Staging::new(&inner.root)?;
    let new = staging.path().join("git");
    let options = StoreOptions {
        create: Create::New { branch: None },
        ..StoreOptions::default()
    };
    let store = Store::open(&new, options).map_err(CacheError::store(inner.root.path()))?;
    bring(&store, connection, &offered.targets, Deleting::Others, call)
        .map_err(CacheError::mirror(inner.root.path()))?;
    drop(store);
    if fs::symlink_metadata(place).is_ok() {
        fs::rename(place, staging.path().join("old")).map_err(CacheError::file(place))?;
    }
    fs::rename(&new, place).map_err(CacheError::file(place))?;
    let parent = inner.root.own("mirrors");
    File::open(&parent)
        .and_then(|folder| folder.sync_all())
        .map_err(CacheError::file(&parent))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deleting {
    /// Mirrored refs that the remote does not have.
    Others,
    Nothing,
}

/// Gets what the targets need and moves the refs.
fn bring(
    store: &Store,
    connection: FetchConnection<'_>,
    targets: &RefTargets,
    deleting: Deleting,
    call: &CallOptions<'_>,
) -> Result<(), MirrorError> {
    let delete = deleting == Deleting::Others;
    let view = store.view()?;
    let planned = edits(&mirrored_refs(&view), targets, delete);
    if planned.is_empty() {
        return Ok(());
    }
    let haves: Vec<ObjectId> = view.refs().iter().map(|(_, value)| value.target).collect();
    let request = FetchRequest {
        wants: lacking(&view, &planned, &haves, call)?,
        haves,
        database: view.database(),
        quarantine: store.quarantine_dir(),
    };
    let limit = connection.pack_bytes_max();
    let received = connection.fetch(&request)?;
    if let Some(Received::Large(pack)) = &received
        && pack.pack_bytes.saturating_add(pack.idx_bytes) > limit
    {
        let error = ReceiveError::PackTooLarge { limit };
        return Err(RemoteError::Receive(error).into());
    }
    let moved = publish_decided(store, received, "fetch", |found: &FoundRefs| {
        let found = only_mirrored(found);
        Ok::<_, Infallible>((edits(&found, targets, delete), ()))
    })?;
    match moved {
        Ok(()) => Ok(()),
        Err(never) => match never {},
    }
}

fn mirrored_refs(view: &View) -> FoundRefs {
    only_mirrored(&found_refs(view))
}

/// The refs without those that are kept for checkouts.
fn only_mirrored(found: &FoundRefs) -> FoundRefs {
    let mut targets = found.targets.clone();
    targets.retain(|name, _| !name.as_bytes().starts_with(KEPT.as_bytes()));
    targets.into()
}

/// Keeps a mirror in few files.
fn tidy(place: &Path, call: &CallOptions<'_>) -> Result<(), CacheError> {
    let objects = place.join("objects");
    let packs = packs_of(place);
    let loose: usize = (0..=255u8)
        .map(|byte| count(&objects.join(format!("{byte:02x}")), |_| true))
        .sum();
    if packs <= PACKS_MAX && loose <= LOOSE_MAX {
        return Ok(());
    }
    let Ok(store) = open(place) else {
        return Ok(());
    };
    match packs > PACKS_MAX {
        true => clean_up(&store, call),
        false => unless_cancelled(store.pack(call)),
    }
}

/// Gathers what a mirror has in one pack. Trees have links of their own: what no ref names any more is not needed here.
fn clean_up(store: &Store, call: &CallOptions<'_>) -> Result<(), CacheError> {
    let grace = kept::GRACE;
    unless_cancelled(store.gc_with(&GcOptions { grace }, call))
}

fn unless_cancelled<T>(tidied: Result<T, StoreError>) -> Result<(), CacheError> {
    match tidied {
        Err(StoreError::Cancelled) => Err(CacheError::Cancelled),
        // The mirror is as good as it was.
        _ => Ok(()),
    }
}

fn packs_of(place: &Path) -> usize {
    count(&place.join("objects/pack"), |name| name.ends_with(".pack"))
}

fn count(folder: &Path, counts: impl Fn(&str) -> bool) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(&counts))
        .count()
}

/// What the files of a mirror take.
pub(super) fn size_of(place: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let Ok(found) = entry.metadata() else {
            continue;
        };
        bytes += match found.is_dir() {
            true => size_of(&entry.path()),
            false => found.len(),
        };
    }
    bytes
}
