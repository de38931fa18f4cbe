//! A catalog that is damaged or lost, made anew of what is on the disk.
//!
//! What always holds:
//! - one process mends it; others wait for that, and find it whole, in the middle of their work too (`index_gate.rs`). Who
//!   finds that it was killed before it was done mends it anew;
//! - the new catalog is complete before it takes the place of the old one. Who is killed before leaves the old one, which
//!   the next one mends;
//! - the old one is kept, as one of the last three;
//! - an entry is taken over if the very tree that its note names is at its place, and a mirror if it can be read. Nothing
//!   that is found is taken for newer than it is: the next refresh asks the remote;
//! - who is at work on an entry meanwhile finds it, or finds its note later: what is about to come to its place is not
//!   forgotten.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::index_gate::{InCall, IndexGate};
use super::moment::Moment;
use super::name::EntryName;
use super::note::{self, Noted};
use super::record::{EntryRecord, Index, MirrorRecord, is_id};
use super::reserve::Reserve;
use super::root::Root;
use super::source::Source;
use super::state::{Found, tree_at};
use super::trash::Retired;
use super::{CacheError, mirror};

/// So many damaged catalogs are kept.
const KEPT: usize = 3;
/// What SQLite has beside a file.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Opens the catalog of a cache, mending it if need be.
pub(super) fn open(root: &Root) -> Result<Index, CacheError> {
    let gate = IndexGate::of(root);
    let found = {
        let _in_call = gate.enter()?;
        whole(root)?
    };
    if let Some(index) = found {
        return Ok(index.behind(gate));
    }
    let _alone = gate.close()?;
    // Somebody else may have mended it.
    if let Some(index) = whole(root)? {
        return Ok(index.behind(gate));
    }
    // On a full disk the room is needed for this.
    reserve(root).give();
    make(root)?;
    Ok(Index::open(&root.index(), reserve(root))?.behind(gate))
}

/// Comes in for one call, and finds the catalog at its place: also where whoever was mending it was killed, or where somebody
/// removed it, or the folder of the cache, which then begins anew.
pub(super) fn enter(gate: &IndexGate) -> Result<InCall, CacheError> {
    let root = gate.root();
    let mut may_make = true;
    loop {
        let entered = match gate.enter() {
            Err(_) if root.is_gone() && std::mem::take(&mut may_make) => {
                Root::open(root.path())?;
                continue;
            }
            entered => entered?,
        };
        if !is_under_way(root) && fs::symlink_metadata(root.index()).is_ok() {
            return Ok(entered);
        }
        drop(entered);
        open(root)?;
    }
}

/// The entry whose copy is at the place of this name, though the catalog does not know it, as its note says. `None`: what is
/// there is of no note.
pub(super) fn noted(root: &Root, name: &EntryName) -> Option<EntryRecord> {
    note::all(root).find_map(|noted| match noted {
        Noted::Entry(record) if record.name.lock_key() == name.lock_key() => settled(root, *record),
        _ => None,
    })
}

fn reserve(root: &Root) -> Reserve {
    Reserve::at(root.own("reserve"))
}

/// The catalog, unless it is damaged or lost.
fn whole(root: &Root) -> Result<Option<Index>, CacheError> {
    if is_under_way(root) {
        // Without its log, the old one may look whole.
        return Ok(None);
    }
    let found = fs::metadata(root.index());
    let is_nothing = found.map_or_else(
        |error| error.kind() == ErrorKind::NotFound,
        |found| found.len() == 0,
    );
    if is_nothing && note::is_any(root) {
        return Ok(None);
    }
    let opened = Index::open(&root.index(), reserve(root));
    match opened.and_then(|index| index.check().map(|()| index)) {
        Ok(index) => Ok(Some(index)),
        Err(CacheError::Damaged { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// There from before the old catalog is taken apart until the new one is in its place.
fn under_way(root: &Root) -> PathBuf {
    root.own("index.mending")
}

fn is_under_way(root: &Root) -> bool {
    fs::symlink_metadata(under_way(root)).is_ok()
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Makes a new catalog and puts it in the place of the old one. Nobody else is at work in that.
fn make(root: &Root) -> Result<(), CacheError> {
    let (new, place) = (root.own("index.mended"), root.index());
    for end in BESIDE.iter().chain(&[""]) {
        remove(&beside(&new, end))?;
    }
    let index = Index::open(&new, reserve(root))?;
    take_over(root, &index)?;
    index.check()?;
    if beside(&new, "-wal").exists() {
        // What is in its log would be left behind.
        return Err(CacheError::NoSpace { path: new });
    }
    let aside = root.own(&format!("damaged-{:015}.sqlite3", Moment::now().wall_ms));
    // Before one more comes: whoever is killed in between leaves none too many.
    drop_old(root, KEPT - 1);
    let under_way = under_way(root);
    File::create(&under_way).map_err(CacheError::file(&under_way))?;
    // The log first: it would be taken for that of the new one.
    rename(&beside(&place, "-wal"), &beside(&aside, "-wal"))?;
    remove(&beside(&place, "-journal"))?;
    remove(&beside(&place, "-shm"))?;
    // By another name: at its place it stays until the new one comes there.
    if fs::hard_link(&place, &aside).is_err() {
        rename(&place, &aside)?;
    }
    rename(&new, &place)?;
    remove(&under_way)
}

fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CacheError::file(path)(error)),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), CacheError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CacheError::file(from)(error)),
        _ => Ok(()),
    }
}

/// Removes damaged catalogs but the last ones, so many.
fn drop_old(root: &Root, count: usize) {
    let own = fs::read_dir(root.own("")).into_iter().flatten().flatten();
    let names = own.filter_map(|file| file.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("damaged-")).collect();
    // A log goes with its file, whose name is a part of its own.
    let files = |name: &String| name.ends_with(".sqlite3");
    names.sort();
    let kept: Vec<String> = names
        .iter()
        .rev()
        .filter(|name| files(name))
        .take(count)
        .cloned()
        .collect();
    for name in names {
        if !kept.iter().any(|kept| name.starts_with(kept)) {
            let _ = fs::remove_file(root.own(&name));
        }
    }
}

/// Fills a new catalog with what is on the disk.
fn take_over(root: &Root, index: &Index) -> Result<(), CacheError> {
    let (mut sources, mut urls) = (HashMap::new(), HashMap::new());
    for noted in note::all(root) {
        match noted {
            Noted::Entry(record) => {
                if let Some(record) = settled(root, *record)
                    && index.insert(&record)?
                {
                    sources.extend(record.kept.mirror.clone().map(|key| (key, record)));
                }
            }
            // One that is not there is about to be, or is swept.
            Noted::Checkout(id, record) => index.put_checkout(&id, &record)?,
            Noted::Mirror(key, url) => drop(urls.insert(key, url)),
        }
    }
    for folder in fs::read_dir(root.own("mirrors"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = folder.file_name();
        let key = name.to_str().and_then(|name| name.strip_suffix(".git"));
        if let Some(key) = key.filter(|key| is_id(key)) {
            let url = urls.remove(key).unwrap_or_default();
            let record = mirror_record(root, key, url, sources.get(key));
            index.put_mirror(key, &record)?;
        }
    }
    Ok(())
}

/// An entry as its note and its folder say together; `None` if the folder is not that of the note.
fn settled(root: &Root, mut record: EntryRecord) -> Option<EntryRecord> {
    let Found::Tree(tree) = tree_at(root, &record) else {
        return None;
    };
    let tree = tree.clone();
    // Somebody may be about to put that one there.
    let next = record.kept.next.take().filter(|next| *next != tree);
    let spare = Retired::read(&root.own("spares").join(&record.kept.id));
    let spare = spare.ok().flatten();
    record.tree_bytes = tree.bytes;
    record.kept.spare_bytes = spare.map_or(0, |spare| spare.weight.bytes);
    record.kept.tree = Some(tree);
    record.kept.next = next;
    record.kept.error = None;
    record.kept.remote = None;
    Some(record)
}

/// What is known of a mirror: as its note says, and a tree that was made of it, if its refs are still those.
fn mirror_record(root: &Root, key: &str, url: String, of: Option<&EntryRecord>) -> MirrorRecord {
    let place = root.mirror(key);
    let upstream = of.and_then(|of| Source::parse(&of.kept.source_url, root).ok());
    let upstream = upstream.as_ref().and_then(Source::upstream);
    let tree = of.and_then(|of| of.kept.tree.as_ref());
    // Before anything that is asked from now on.
    let long_ago = tree.map_or_else(Moment::unknown, |tree| tree.made.clone());
    let mut record = MirrorRecord {
        url: upstream.map_or(url, |upstream| upstream.url.to_string()),
        completed: long_ago.clone(),
        asked: long_ago,
        refs: tree.map_or_else(String::new, |tree| tree.refs.clone()),
        head_commit: tree.and_then(|tree| tree.commit.clone()),
        head_branch: tree.and_then(|tree| tree.branch.clone()),
        bytes: mirror::size_of(&place),
        server: None,
    };
    if !mirror::is_good(&place, &record) {
        // No refs have this digest: the next one to ask brings what is new.
        record.refs = String::new();
        (record.head_commit, record.head_branch) = (None, None);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::super::staging::Staging;
    use super::super::test_world::TestWorld;
    use super::super::{Cache, CallOptions};
    use super::*;

    /// Has the catalog made anew, as if it were damaged.
    fn mend(world: &TestWorld) {
        File::create(under_way(&world.inner.root)).unwrap();
        open(&world.inner.root).unwrap();
        assert!(!under_way(&world.inner.root).exists());
    }

    #[test]
    fn an_open_cache_mends_what_a_killed_mender_left() {
        let world = TestWorld::new();
        let (root, before) = (&world.inner.root, world.record());
        let place = root.index();
        // Killed with the log of the old catalog aside, and then with its file aside too.
        for is_there in [true, false] {
            File::create(under_way(root)).unwrap();
            remove(&beside(&place, "-wal")).unwrap();
            if !is_there {
                remove(&place).unwrap();
            }
            assert_eq!(world.cache.list().unwrap().len(), 1);
            assert!(!is_under_way(root) && place.exists());
            assert!(world.record().kept.has_trees_of(&before.kept));
        }
    }

    #[test]
    fn an_entry_that_the_catalog_lost_is_found_again_by_whoever_wants_its_name() {
        let world = TestWorld::new();
        let (before, call) = (world.record(), CallOptions::default());
        let lose = || assert!(world.inner.index.remove(&before.name).unwrap());
        lose();
        let entry = world.cache.add(&world.url, None, &call).unwrap();
        assert_eq!(entry.name, "remote");
        assert!(world.record().kept.has_trees_of(&before.kept));
        // Somebody else's name is not handed out, and its copy stays.
        lose();
        let other = world.cache.root().parent().unwrap().join("other");
        fs::create_dir(&other).unwrap();
        let other = other.to_str().unwrap();
        let taken = world.cache.add(other, Some("remote"), &call).unwrap_err();
        assert!(
            matches!(&taken, CacheError::NameTaken { source_url, .. } if *source_url == world.url),
            "{taken}"
        );
        assert!(world.record().kept.has_trees_of(&before.kept));
        // A folder that is not the copy is nobody's.
        lose();
        let place = world.inner.root.tree(&before.name);
        fs::remove_dir_all(&place).unwrap();
        fs::create_dir(&place).unwrap();
        let occupied = world
            .cache
            .add(&world.url, Some("remote"), &call)
            .unwrap_err();
        assert!(
            matches!(occupied, CacheError::Occupied { .. }),
            "{occupied}"
        );
    }

    #[test]
    fn a_tree_that_is_about_to_come_is_known_after_a_mend() {
        let world = TestWorld::new();
        let mut record = world.record();
        let mut next = record.kept.tree.clone().unwrap();
        next.id = uuid::Uuid::new_v4().simple().to_string();
        next.identity = super::super::record::Identity::of(world.cache.root()).unwrap();
        record.kept.next = Some(next.clone());
        let staging = Staging::new(&world.inner.root).unwrap();
        note::of_entry(&world.inner.root, &record, &staging);
        mend(&world);
        let kept = world.record().kept;
        assert_eq!((kept.tree, kept.next), (record.kept.tree, Some(next)));
    }

    #[test]
    fn a_checkout_that_is_about_to_come_is_known_after_a_mend_and_swept_if_nobody_makes_it() {
        let world = TestWorld::new();
        let call = CallOptions::default();
        let made = world.cache.checkout("remote", "main", &call).unwrap();
        let aside = world.cache.root().join("aside");
        let place = made.path.parent().unwrap().to_owned();
        fs::rename(&place, &aside).unwrap();
        let lease = world.cache.lease("remote", &call).unwrap();
        mend(&world);
        let open = || Cache::open(world.cache.config().clone()).unwrap();
        open();
        fs::rename(&aside, &place).unwrap();
        assert_eq!(open().checkouts().unwrap().len(), 1);
        fs::remove_dir_all(&place).unwrap();
        drop(lease);
        open();
        assert!(!note::is_there(&world.inner.root, &made.id));
    }

    #[test]
    fn a_note_that_could_not_be_written_leaves_no_older_one() {
        let world = TestWorld::new();
        let (root, record) = (&world.inner.root, world.record());
        let staging = Staging::new(root).unwrap();
        fs::remove_dir_all(staging.path()).unwrap();
        note::of_entry(root, &record, &staging);
        assert!(!note::is_there(root, &record.kept.id));
        world
            .cache
            .refresh("remote", &CallOptions::default())
            .unwrap();
        mend(&world);
        assert!(world.record().kept.has_trees_of(&record.kept));
    }
}
