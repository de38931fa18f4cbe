//! The backend over a bare repository's folder.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use packhouse_object::{FinishedPack, IdSet, NewObject, Pack, ProcessLocal, RefName};

use super::DirectoryOptions;
use super::beside_gc::Stored;
use super::error::{DirectoryError, OpenError};
use super::layout::{Layout, ObjectsDir};
use super::object_folders::{Damage, ObjectFolders};
use super::quarantine::Quarantine;
use super::ref_locks::Symbolic;
use super::ref_log::Moment;
use super::ref_map::{RefMap, SkippedRef};
use super::ref_store::{Head, RefState, RefStore};
use super::shallow_file::read_shallow;
use super::store::{PlacedPack, place_pack, store_objects};
use super::transaction::{Mover, Outcome};
use super::turn_note::Identity;
use crate::change::Change;
use crate::error::RepoError;
use crate::reflog::{ReflogEntry, ReflogPage};
use crate::repository::{Backend, Prepare, Refused};
use crate::view::View;

/// How often a write is prepared in all.
const ATTEMPTS_MAX: u32 = 20;

/// After this many attempts the refs stay locked while the write is prepared, so that it cannot be overtaken again.
const ATTEMPTS_UNLOCKED: u32 = 3;

/// A bare repository that is open. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Directory {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) layout: Layout,
    pub(super) options: DirectoryOptions,
    pub(super) quarantine: Quarantine,
    pub(super) refs: RefStore,
    pub(super) objects: Arc<ObjectFolders>,
    /// What views say of `HEAD` where it names no branch; `None`: there are no views then.
    detached_head: Option<RefName>,
    current: ProcessLocal<Mutex<Current>>,
    /// When a ref was last replaced the way that file systems write out at once.
    pub(super) written_out: ProcessLocal<Mutex<Option<Instant>>>,
    /// A ref and the file that holds it, durably: it was synced since it was put there.
    pub(super) made_durable: ProcessLocal<Mutex<Option<(RefName, Identity)>>>,
}

/// The newest state that was read. Held while the next one is read, so that a later view is never an older one.
#[derive(Default)]
struct Current {
    view: Option<(Arc<View>, RefState, u64)>,
    map: RefMap,
}

impl Directory {
    pub(super) fn open(layout: Layout, options: DirectoryOptions) -> Result<Directory, OpenError> {
        let quarantine = match options.read_only {
            true => Quarantine::unused(layout.objects()),
            false => Quarantine::prepare(&layout.objects_dir())?,
        };
        Ok(Directory::new(
            layout,
            options,
            quarantine,
            None,
            Damage::Refused,
        ))
    }

    /// Opens for reading only, whatever `HEAD` says.
    pub(super) fn open_source(layout: Layout, detached_head: RefName) -> Directory {
        Directory::open_served(layout, detached_head, false, Damage::Refused)
    }

    /// Opens for others to read, whatever `HEAD` says, and for moves of refs that are made without [`Inner::publish`].
    pub(super) fn open_served(
        layout: Layout,
        detached_head: RefName,
        log_branches: bool,
        damage: Damage,
    ) -> Directory {
        let options = DirectoryOptions {
            read_only: true,
            log_branches,
            ..DirectoryOptions::default()
        };
        let quarantine = Quarantine::unused(layout.objects());
        Directory::new(layout, options, quarantine, Some(detached_head), damage)
    }

    /// Opens for reading and writing, whatever `HEAD` says and whichever packs are damaged. Whoever is to remove something
    /// asks [`Directory::check_packs`] first.
    pub(super) fn open_any_head(
        layout: Layout,
        options: DirectoryOptions,
        detached_head: RefName,
    ) -> Result<Directory, OpenError> {
        let quarantine = match options.read_only {
            true => Quarantine::unused(layout.objects()),
            false => Quarantine::prepare(&layout.objects_dir())?,
        };
        Ok(Directory::new(
            layout,
            options,
            quarantine,
            Some(detached_head),
            Damage::PassedOver,
        ))
    }

    fn new(
        layout: Layout,
        options: DirectoryOptions,
        quarantine: Quarantine,
        detached_head: Option<RefName>,
        damage: Damage,
    ) -> Directory {
        let refs = RefStore::new(&layout, &options);
        let objects = ObjectFolders::new(&layout, options.cache.clone(), damage);
        Directory {
            inner: Arc::new(Inner {
                layout,
                options,
                quarantine,
                refs,
                objects,
                detached_head,
                current: ProcessLocal::new(),
                written_out: ProcessLocal::new(),
                made_durable: ProcessLocal::new(),
            }),
        }
    }

    /// The newest state.
    pub(crate) fn read_view(&self) -> Result<Arc<View>, RepoError> {
        self.inner.read_view()
    }

    /// Refs that are not in the newest view.
    pub(super) fn skipped(&self) -> Vec<SkippedRef> {
        self.inner.current.lock().map.skipped.clone()
    }

    /// Whether `HEAD` names a commit.
    pub(super) fn head_is_detached(&self) -> Result<bool, DirectoryError> {
        Ok(self.inner.refs.head()? == Head::Detached)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, RepoError> + Send + 'static,
    ) -> Result<T, RepoError> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|_| RepoError::Stopped)?
    }
}

#[async_trait]
impl Backend for Directory {
    async fn view(&self) -> Result<Arc<View>, RepoError> {
        self.blocking(Inner::read_view).await
    }

    async fn publish(
        &self,
        who: String,
        packs: Vec<FinishedPack>,
        mut prepare: Box<dyn Prepare>,
    ) -> Result<Option<Arc<View>>, RepoError> {
        self.blocking(move |inner| {
            let prepare = &mut |view: &View| prepare.prepare(view);
            inner.publish(&who, packs, Symbolic::Follow, prepare)
        })
        .await
    }

    fn quarantine_dir(&self) -> &Path {
        self.inner.quarantine.path()
    }

    async fn reflog(
        &self,
        name: Option<&[u8]>,
        after: Option<ReflogPage>,
        limit: u32,
    ) -> Result<Vec<ReflogEntry>, RepoError> {
        // A name that is not valid has no log, and must not become a path.
        let name = match name.map(RefName::parse) {
            Some(Err(_)) => return Ok(Vec::new()),
            Some(Ok(name)) => Some(name),
            None => None,
        };
        self.blocking(move |inner| {
            let logs = &inner.refs.logs;
            Ok(match name {
                Some(name) => logs.of_ref(name.as_bstr(), after, limit as usize)?,
                None => logs.of_all(after, limit as usize)?,
            })
        })
        .await
    }
}

impl Inner {
    fn read_view(&self) -> Result<Arc<View>, RepoError> {
        let mut current = self.current.lock();
        // Refs first: the objects that they name were there before them.
        let state = match self.detached_head {
            Some(_) => self.refs.read_any_head()?,
            None => self.refs.read()?,
        };
        let (database, round) = self.objects.database()?;
        // After the objects: what is no longer cut off has its parents among them.
        let shallow = read_shallow(&self.layout.git_dir)?;
        if let Some((view, before, before_round)) = &current.view
            && *before_round == round
            && before.same_as(&state)
            && view.shallow_commits() == shallow
        {
            return Ok(view.clone());
        }
        let head = match (&state.head, &self.detached_head) {
            (Head::Branch(name), _) | (Head::Detached, Some(name)) => name.clone(),
            (Head::Detached, None) => {
                return Err(DirectoryError::DetachedHead {
                    head: self.layout.git_dir.join("HEAD"),
                }
                .into());
            }
        };
        let map = RefMap::build(&state, &current.map, &database)?;
        let generation = current
            .view
            .as_ref()
            .map_or(1, |(view, _, _)| view.generation() + 1);
        let mut view = View::new(generation, head, map.refs.clone(), database);
        view.symbolic = map.symbolic.clone();
        view.shallow = shallow.into();
        view.damaged = map.damaged.clone();
        view.valueless = map.valueless.clone();
        let view = Arc::new(view);
        for skipped in map
            .skipped
            .iter()
            .filter(|skipped| !current.map.skipped.contains(skipped))
        {
            tracing::warn!(repository = %self.layout.git_dir.display(), name = %skipped.name, reason = skipped.reason, "ref is passed over");
        }
        *current = Current {
            view: Some((view.clone(), state, round)),
            map,
        };
        Ok(view)
    }

    /// Publishes in this thread's turn, which no other thread and no other process that uses this crate has meanwhile.
    ///
    /// It waits for locks that a `git` holds, and asks meanwhile whether it is still wanted. The answer may run code of the
    /// caller, such as the handler of a signal, and that may publish too, in this turn. That does no more to this write than
    /// a `git` can do at any time, which takes no turns:
    /// - it waits wherever a lock of a ref is taken, or that of `packed-refs`. What this write found before is compared again
    ///   once it has the lock; if it is another by then, it is prepared anew on the newest state;
    /// - refs whose locks it holds already cannot be moved: who tries waits for them, and gets an error in the end;
    /// - nothing of this process is locked meanwhile. What was stored, and no ref leads to yet, is looked at after the move
    ///   ([`Inner::secure`]), and what was only found is removed by nobody in this turn ([`Turn::is_writing`]).
    ///
    /// [`Turn::is_writing`]: super::gate::Turn::is_writing
    pub(super) fn publish(
        &self,
        who: &str,
        packs: Vec<FinishedPack>,
        symbolic: Symbolic,
        prepare: &mut dyn FnMut(&View) -> Result<Change, Refused>,
    ) -> Result<Option<Arc<View>>, RepoError> {
        self.check_writable()?;
        let mut incoming = Incoming::open(packs)?;
        let turn = self.refs.enter()?;
        let _writing = turn.begin_write();
        let mut stored = IdSet::default();
        let mut all_stored = Stored::default();
        let mut names = BTreeMap::new();
        for attempt in 1..=ATTEMPTS_MAX {
            let held = if attempt > ATTEMPTS_UNLOCKED {
                Some(self.refs.lock(&names)?)
            } else {
                None
            };
            let view = incoming.laid_over(&*self.read_view()?);
            let change = match prepare(&view) {
                Ok(change) => change,
                Err(Refused) => return Ok(None),
            };
            names = change
                .edits
                .iter()
                .map(|edit| match edit.new {
                    Some(_) => (edit.name.clone(), symbolic),
                    // What a symbolic ref leads to has a name of its own to be deleted by.
                    None => (edit.name.clone(), Symbolic::Itself),
                })
                .collect();
            let at_ms = now_ms();
            let after = view.with_change(&change, at_ms)?;
            check_targets(&change, &after)?;

            let packs = incoming.store(&self.layout.objects_dir())?;
            all_stored.packs.extend(packs);
            let missing: Vec<NewObject> = change
                .objects
                .iter()
                .filter(|object| stored.insert(object.id))
                .cloned()
                .collect();
            all_stored.append(store_objects(
                &self.layout.objects_dir(),
                &self.quarantine,
                &self.options,
                &missing,
            )?);

            let locked = match held {
                Some(held) if held.cover(&names) => Ok(held),
                held => {
                    drop(held);
                    self.refs.lock(&names)
                }
            };
            let outcome = match locked {
                Ok(locked) => locked.commit(
                    &change.edits,
                    Mover {
                        who,
                        at: Moment::of_ms(at_ms),
                        way: &[],
                    },
                    after.database(),
                ),
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(Outcome::Moved) => {
                    self.secure(&all_stored)?;
                    return Ok(Some(self.read_view()?));
                }
                Ok(Outcome::Stale) => {}
                // The ref in the way may have been made since the view was read; preparing again can tell.
                Err(RepoError::Directory(DirectoryError::NameConflict { .. })) if attempt == 1 => {}
                Err(error) => return Err(error),
            }
        }
        let name = names.first_key_value();
        let name = name.map(|(name, _)| name.to_string()).unwrap_or_default();
        Err(RepoError::Contended {
            name,
            attempts: ATTEMPTS_MAX,
        })
    }

    pub(super) fn check_writable(&self) -> Result<(), DirectoryError> {
        if let Err(reason) = &self.layout.sharing {
            return Err(DirectoryError::Damaged {
                path: self.layout.git_dir.join("config"),
                reason: reason.clone(),
            });
        }
        let reason = match () {
            () if self.layout.of_working_copy => {
                "it has a working copy, whose files a write would leave behind"
            }
            () if self.options.read_only && self.layout.is_protected() => {
                "its folder of objects cannot be written by this user"
            }
            () if self.options.read_only => "it was opened for reading",
            () if self.layout.shallow => "it is a shallow clone, whose history is not complete",
            () => return Ok(()),
        };
        Err(DirectoryError::ReadOnly {
            path: self.layout.git_dir.clone(),
            reason,
        })
    }
}

/// Packs that come with a write. They are read where they are until the write is known to be wanted.
struct Incoming {
    packs: Vec<(FinishedPack, Arc<Pack>)>,
}

impl Incoming {
    fn open(packs: Vec<FinishedPack>) -> Result<Incoming, RepoError> {
        let open = |finished: FinishedPack| {
            let pack = Pack::open(&finished.pack, &finished.idx)?;
            Ok((finished, Arc::new(pack)))
        };
        Ok(Incoming {
            packs: packs
                .into_iter()
                .map(open)
                .collect::<Result<_, RepoError>>()?,
        })
    }

    /// The view with these packs among its objects.
    fn laid_over(&self, view: &View) -> View {
        let mut view = view.clone();
        if !self.packs.is_empty() {
            let packs = self
                .packs
                .iter()
                .map(|(_, pack)| pack)
                .chain(view.database.packs())
                .cloned()
                .collect();
            view.database = view.database.with_packs(packs);
        }
        view
    }

    /// Makes the packs part of the repository. Later views find them there.
    fn store(&mut self, objects: &ObjectsDir) -> Result<Vec<PlacedPack>, DirectoryError> {
        let packs = self.packs.drain(..);
        packs
            .map(|(finished, _)| place_pack(finished, objects))
            .collect()
    }
}

/// A ref may not name what is not there: everything else relies on it.
fn check_targets(change: &Change, after: &View) -> Result<(), RepoError> {
    for edit in &change.edits {
        if let Some(target) = edit.new
            && !after.database().contains(&target)?
        {
            return Err(DirectoryError::NoSuchTarget {
                name: edit.name.to_string(),
                target,
            }
            .into());
        }
    }
    Ok(())
}

pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}
