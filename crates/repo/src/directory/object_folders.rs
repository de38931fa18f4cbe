//! The object folders of a repository: its own, and those it borrows from through alternates.
//!
//! What always holds:
//! - packs that are open stay readable when another process replaces them;
//! - an object that a ref named when it was read is found, even if `git gc` moves it from a loose
//!   file into a pack at that moment: a miss looks at the folders again before it is believed;
//! - a pack that is damaged is done without by those alone who remove nothing: others are refused, with its name, here or
//!   when they ask ([`Directory::check_packs`](super::Directory::check_packs)).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use packhouse_object::{
    CommitGraphs, DamagedPack, Database, LooseStore, MAX_IN_MEMORY_OF_ONE, MissedObject, MultiPack,
    NewObject, Object, ObjectCache, Pack, PackError, ProcessLocal, ReadError,
};

use super::alternates::object_folders;
use super::layout::{Layout, Summaries};
use crate::error::RepoError;

/// How often packs are listed again because one vanished before it was opened.
const LIST_ATTEMPTS: u32 = 10;

/// A folder whose times are younger than this when it is listed may change again without a new time.
const TIME_GRAIN: Duration = Duration::from_secs(2);

/// Objects on disk.
#[derive(Debug)]
pub(super) struct ObjectFolders {
    objects: PathBuf,
    /// Folders that it borrows from without naming them.
    lenders: Vec<PathBuf>,
    cache: Arc<ObjectCache>,
    summaries: Summaries,
    damage: Damage,
    /// No other repository that is open has the same number, so cached objects never show up elsewhere.
    scope: u64,
    listed: ProcessLocal<Mutex<Listed>>,
}

/// What was found when the folders were looked at last.
#[derive(Debug, Default)]
struct Listed {
    folders: Vec<Folder>,
    database: Option<Database>,
    /// What files know of commits, and what those files were.
    graphs: Option<(GraphStamps, Arc<CommitGraphs>)>,
    /// Counts the times something new was found.
    round: u64,
}

#[derive(Debug)]
struct Folder {
    objects: PathBuf,
    /// When `objects/pack` had changed last, if that time can be trusted.
    stamp: Option<Stamp>,
    packs: Vec<(OsString, Arc<Pack>)>,
    /// Packs that cannot be opened.
    damaged: Vec<DamagedPack>,
    multi: Option<Arc<MultiPack>>,
}

type Stamp = (u64, u64, i64, i64);

/// Folders whose commit graphs may be used, with those of their files that there are.
type GraphStamps = Vec<(PathBuf, Vec<Stamp>)>;

/// What becomes of a folder with a pack that is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    /// It cannot be read, so that nobody removes objects since what needs them was not seen.
    Refused,
    /// Its other objects can, as with Git.
    PassedOver,
}

/// How a folder is listed whose packs may be replaced meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    /// What it misses is looked for again when it is asked for.
    Once,
    /// Until two in a row say the same, for who would say next that an object is not here. While one listing is made, a pack can
    /// go that it has not come to, and the one that took its place stand where it has been already; the next one has that.
    UntilItHolds,
}

impl ObjectFolders {
    pub(super) fn new(
        layout: &Layout,
        cache: Arc<ObjectCache>,
        damage: Damage,
    ) -> Arc<ObjectFolders> {
        static NEXT_SCOPE: AtomicU64 = AtomicU64::new(1 << 62);
        let scope = NEXT_SCOPE.fetch_add(1, Ordering::Relaxed);
        Arc::new(ObjectFolders {
            objects: layout.objects(),
            lenders: layout.places.lenders.clone(),
            cache,
            summaries: layout.summaries,
            damage,
            scope,
            listed: ProcessLocal::new(),
        })
    }

    /// The objects that are there now, and a number that grows when packs come or go.
    pub(super) fn database(self: &Arc<Self>) -> Result<(Database, u64), RepoError> {
        let (database, round) = self.list(Listing::Once)?;
        let again = LookAgain {
            folders: self.clone(),
            round,
        };
        Ok((database.with_missed(Arc::new(again)), round))
    }

    /// Keeps an object in the cache.
    pub(super) fn remember(&self, object: &NewObject) {
        let NewObject { id, kind, data } = object.clone();
        self.cache
            .keep_object(self.scope, id, &Object { kind, data });
    }

    fn list(&self, listing: Listing) -> Result<(Database, u64), RepoError> {
        let mut listed = self.listed.lock();
        let places = object_folders(&self.objects, &self.lenders)?;
        let same_places = places
            .iter()
            .eq(listed.folders.iter().map(|folder| &folder.objects));
        let mut changed = !same_places || listed.database.is_none();
        if !same_places {
            let mut before = std::mem::take(&mut listed.folders);
            listed.folders = places
                .into_iter()
                .map(
                    |objects| match before.iter().position(|folder| folder.objects == objects) {
                        Some(at) => before.swap_remove(at),
                        None => Folder {
                            objects,
                            stamp: None,
                            packs: Vec::new(),
                            damaged: Vec::new(),
                            multi: None,
                        },
                    },
                )
                .collect();
        }
        for folder in &mut listed.folders {
            changed |= folder.refresh(self.summaries, self.damage, listing)?;
        }
        if changed {
            let packs = listed
                .folders
                .iter()
                .flat_map(|folder| folder.packs.iter().map(|(_, pack)| pack.clone()))
                .collect();
            let multi = listed.folders.iter();
            let multi: Vec<_> = multi.flat_map(|folder| folder.multi.clone()).collect();
            let loose = listed
                .folders
                .iter()
                .map(|folder| LooseStore::open(&folder.objects))
                .collect();
            let damaged = listed.folders.iter();
            let damaged = damaged.flat_map(|folder| folder.damaged.clone()).collect();
            let stamps = match self.summaries.commit_graphs {
                true => graph_stamps(&listed.folders),
                false => GraphStamps::new(),
            };
            let known = listed.graphs.take().filter(|(known, _)| *known == stamps);
            // Kept while other things change: it takes a while to open them.
            let (stamps, graphs) = known.unwrap_or_else(|| {
                let folders = stamps.iter().map(|(folder, _)| folder.clone());
                let graphs = CommitGraphs::new(folders.collect());
                let graphs = match self.summaries.path_filters {
                    true => graphs,
                    false => graphs.without_filters(),
                };
                (stamps, Arc::new(graphs))
            });
            listed.database = Some(
                Database::new(self.cache.clone(), self.scope)
                    .with_packs(packs)
                    .with_multi_packs(multi)
                    .with_loose(loose)
                    .with_damaged_packs(damaged)
                    .with_commit_graphs(graphs.clone())
                    // Whoever opens a folder works for nobody else.
                    .with_in_one_piece(MAX_IN_MEMORY_OF_ONE),
            );
            listed.graphs = Some((stamps, graphs));
            listed.round += 1;
        }
        let database = listed
            .database
            .clone()
            .expect("set above when it was missing");
        Ok((database, listed.round))
    }
}

impl Folder {
    /// Lists the packs if they may have changed. Returns whether they have.
    fn refresh(
        &mut self,
        summaries: Summaries,
        damage: Damage,
        listing: Listing,
    ) -> Result<bool, RepoError> {
        let folder = self.objects.join("pack");
        let mut attempts = 1;
        loop {
            let stamp = stamp(&folder).map_err(|error| RepoError::io("look at", &folder, error))?;
            // What is damaged may be put right without a trace in the folder; not every miss looks for that.
            let is_whole = self.damaged.is_empty() || listing == Listing::UntilItHolds;
            if stamp.is_some() && stamp == self.stamp && is_whole {
                return Ok(false);
            }
            let list = || pack_names(&folder);
            let names = match listing {
                Listing::Once => list(),
                Listing::UntilItHolds => until_it_holds(list),
            };
            let names = names.map_err(|error| RepoError::io("list", &folder, error))?;
            // What is damaged may be half of what is being written.
            let passes_over = damage == Damage::PassedOver && attempts > 1;
            match self.open_packs(&folder, &names, passes_over) {
                // A pack vanished: what took its place was there before, so it is in a new list.
                Err(RepoError::Pack(PackError::Io { source, .. }))
                    if source.kind() == ErrorKind::NotFound && attempts < LIST_ATTEMPTS =>
                {
                    attempts += 1
                }
                Err(RepoError::Pack(PackError::Damaged { .. } | PackError::Index { .. }))
                    if attempts < 2 =>
                {
                    attempts += 1
                }
                Err(error) => return Err(error),
                Ok(changed) => {
                    self.stamp = stamp;
                    let has_new_multi = summaries.multi_packs && self.open_multi(&folder);
                    return Ok(changed | has_new_multi);
                }
            }
        }
    }

    /// Opens the index of several packs, if there is one of those that are there. Returns whether it is another than before.
    fn open_multi(&mut self, folder: &Path) -> bool {
        let path = folder.join("multi-pack-index");
        let packs: Vec<Arc<Pack>> = self.packs.iter().map(|(_, pack)| pack.clone()).collect();
        let found = MultiPack::open(&path, &packs);
        let name = |multi: &MultiPack| multi.index().checksum();
        let is_same = found.as_ref().map(name) == self.multi.as_deref().map(name);
        let has_same_packs = |multi: &Arc<MultiPack>| {
            let is_open = |pack| packs.iter().any(|other| Arc::ptr_eq(other, pack));
            multi.packs().iter().all(is_open)
        };
        if is_same && self.multi.as_ref().is_none_or(has_same_packs) {
            return false;
        }
        self.multi = found.map(Arc::new);
        true
    }

    fn open_packs(
        &mut self,
        folder: &Path,
        names: &[OsString],
        passes_over: bool,
    ) -> Result<bool, RepoError> {
        let mut damaged = Vec::new();
        let mut packs = Vec::with_capacity(names.len());
        for name in names {
            let open = self
                .packs
                .iter()
                .find(|(other, _)| other == name)
                .map(|(_, pack)| pack.clone());
            let pack = match open {
                Some(pack) => pack,
                None => {
                    let idx = folder.join(name);
                    match Pack::open(&idx.with_extension("pack"), &idx) {
                        Ok(pack) => Arc::new(pack),
                        Err(error) => match DamagedPack::of(&error).filter(|_| passes_over) {
                            None => return Err(error.into()),
                            Some(pack) => {
                                damaged.push(pack);
                                continue;
                            }
                        },
                    }
                }
            };
            packs.push((name.clone(), pack));
        }
        for pack in damaged.iter().filter(|pack| !self.damaged.contains(pack)) {
            tracing::warn!(pack = %pack.path.display(), reason = pack.reason, "pack is damaged, and is passed over");
        }
        let is_as_damaged = damaged == self.damaged;
        self.damaged = damaged;
        let changed = !packs
            .iter()
            .map(|(name, _)| name)
            .eq(self.packs.iter().map(|(name, _)| name));
        self.packs = packs;
        Ok(changed || !is_as_damaged)
    }
}

/// The indexes of packs that are there, those of the newest packs first: what is asked for is mostly new.
fn pack_names(folder: &Path) -> std::io::Result<Vec<OsString>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if name.as_bytes().starts_with(b"pack-")
            && Path::new(&name).extension() == Some(OsStr::new("idx"))
        {
            match fs::metadata(folder.join(&name).with_extension("pack")) {
                Ok(pack) => found.push((pack.modified()?, name)),
                // An index without its pack is on its way out.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, name)| name).collect())
}

/// The first listing that is as the one before it; after many the last.
fn until_it_holds<T: PartialEq>(
    mut list: impl FnMut() -> std::io::Result<T>,
) -> std::io::Result<T> {
    let mut found = list()?;
    for _ in 1..LIST_ATTEMPTS {
        let again = list()?;
        if again == found {
            break;
        }
        found = again;
    }
    Ok(found)
}

/// The folders that have a commit graph, but for those of shallow clones: Git makes none there, and one from before says more
/// than is there.
fn graph_stamps(folders: &[Folder]) -> GraphStamps {
    let is_shallow = |objects: &Path| {
        let shallow = objects.parent().map(|git_dir| git_dir.join("shallow"));
        shallow.is_some_and(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0))
    };
    let whole = folders.iter().filter(|folder| !is_shallow(&folder.objects));
    let stamps = whole.map(|folder| {
        let info = folder.objects.join("info");
        let files = ["commit-graph", "commit-graphs/commit-graph-chain"];
        let found = files
            .iter()
            .filter_map(|file| fs::metadata(info.join(file)).ok());
        let stamps = found.map(|file| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec()));
        (folder.objects.clone(), stamps.collect::<Vec<_>>())
    });
    stamps.filter(|(_, files)| !files.is_empty()).collect()
}

fn stamp(folder: &Path) -> std::io::Result<Option<Stamp>> {
    let metadata = match fs::metadata(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let age = SystemTime::now()
        .duration_since(metadata.modified()?)
        .unwrap_or_default();
    Ok((age > TIME_GRAIN).then(|| {
        (
            metadata.dev(),
            metadata.ino(),
            metadata.mtime(),
            metadata.mtime_nsec(),
        )
    }))
}

/// Asked when an object is missed that may have been moved.
#[derive(Debug)]
struct LookAgain {
    folders: Arc<ObjectFolders>,
    round: u64,
}

impl MissedObject for LookAgain {
    fn look_again(&self) -> Result<Option<Database>, ReadError> {
        match self.folders.list(Listing::UntilItHolds) {
            Ok((database, round)) => Ok((round != self.round).then_some(database)),
            Err(RepoError::Read(error)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "could not look for packs again");
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_that_fell_between_two_packs_is_made_again() {
        // The old pack went before it was come to, and the new one came behind.
        let mut listings = [vec!["other"], vec!["other", "new"], vec!["other", "new"]].into_iter();
        let found = until_it_holds(|| Ok(listings.next().unwrap())).unwrap();
        assert_eq!(found, ["other", "new"]);
        assert_eq!(listings.next(), None);
        // One that never comes to rest is taken in the end.
        let mut number = 0;
        let found = until_it_holds(|| {
            number += 1;
            Ok(number)
        });
        assert_eq!(found.unwrap(), LIST_ATTEMPTS);
    }
}
