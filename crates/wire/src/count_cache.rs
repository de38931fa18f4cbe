//! Counts that are kept: what one request found is there for the next that asks for the same.
//!
//! A count is what a client wants, has and leaves out, and nothing else decides its result: objects are named by their content, and
//! all that a wanted object reaches is there. So a count stays right while the repository changes, and needs no
//! invalidation. That it was made for the same pack is asked all the same, so that packs that were replaced are let go.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use packhouse_object::{
    CountLimits, Database, ObjectFilter, ObjectId, Progress, ReadError, ToSend, Wanted, bitmapped,
    count_limited_to_send,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    scope: u64,
    /// What the bitmaps are about, if there are some.
    packed: Option<ObjectId>,
    /// The largest pack, by its checksum.
    pack: Option<ObjectId>,
    wants: Vec<ObjectId>,
    haves: Vec<ObjectId>,
    tags: Vec<(ObjectId, ObjectId)>,
    thin: bool,
    cut: Vec<ObjectId>,
    filter: ObjectFilter,
}

impl Key {
    fn of(db: &Database, wanted: &Wanted, limits: &CountLimits) -> Key {
        let sorted = |mut ids: Vec<ObjectId>| {
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let largest = db.packs().iter().max_by_key(|pack| pack.bytes());
        Key {
            scope: db.scope(),
            packed: bitmapped(db).map(|packed| packed.id()),
            pack: largest.map(|pack| pack.id()),
            wants: sorted(wanted.wants.clone()),
            haves: sorted(wanted.haves.clone()),
            tags: wanted.include_tags.clone(),
            thin: wanted.thin,
            cut: sorted(limits.cut.iter().copied().collect()),
            filter: limits.filter.clone(),
        }
    }

    fn weight_bytes(&self) -> u64 {
        let ids = self.wants.len() + self.haves.len() + 2 * self.tags.len() + self.cut.len();
        ids as u64 * size_of::<ObjectId>() as u64
    }
}

/// Counts of a server's fetches, the ones used longest ago given up first.
///
/// Of requests that ask for the same at the same time one counts, and the others wait for it, though not for long: whoever
/// counts may be held up by a client that reads nothing.
#[derive(Debug)]
pub struct CountCache {
    limit_bytes: u64,
    state: Mutex<State>,
    /// A count has come to its end.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Arc<Key>, Entry>,
    bytes: u64,
    /// Goes up with each use.
    clock: u64,
}

#[derive(Debug)]
enum Entry {
    /// Somebody is counting; what is found is there for all who wait, whether or not it is kept.
    Running(Arc<OnceLock<Arc<ToSend>>>),
    Done {
        found: Arc<ToSend>,
        bytes: u64,
        used: u64,
    },
}

/// What a request finds.
enum Turn {
    Found(Arc<ToSend>),
    /// It is to count itself.
    Mine(Arc<OnceLock<Arc<ToSend>>>),
    Wait(Arc<OnceLock<Arc<ToSend>>>),
}

/// How often one who waits looks whether his client is still there.
const LOOK: Duration = Duration::from_millis(200);

/// How long one waits for another request, whose own client may hold it up, before it counts itself.
const PATIENCE: Duration = Duration::from_secs(10);

impl CountCache {
    /// A cache of so many bytes of memory at most. What is larger than a quarter of it is not kept.
    pub fn new(limit_bytes: u64) -> CountCache {
        CountCache {
            limit_bytes,
            state: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// What is to be sent, counted now or by another request.
    pub(crate) fn count(
        &self,
        db: &Database,
        wanted: &Wanted,
        limits: &CountLimits,
        progress: &dyn Progress,
    ) -> Result<Arc<ToSend>, ReadError> {
        let count = || count_limited_to_send(db, wanted, limits, progress).map(Arc::new);
        let key = Arc::new(Key::of(db, wanted, limits));
        let came = Instant::now();
        let mut state = self.lock();
        let found = loop {
            let other = match state.turn(&key) {
                Turn::Found(found) => return Ok(found),
                Turn::Mine(found) => break found,
                Turn::Wait(other) => other,
            };
            let waited = self.ended.wait_timeout(state, LOOK);
            drop(waited.expect("no holder of this lock panics"));
            if let Some(found) = other.get() {
                return Ok(Arc::clone(found));
            }
            // Keeps the connection alive.
            progress.counting(0);
            if progress.cancelled() {
                return Err(ReadError::Cancelled);
            }
            if came.elapsed() > PATIENCE {
                return count();
            }
            state = self.lock();
        };
        drop(state);
        // Whatever happens, nobody waits for this request longer than it counts.
        let running = Running { cache: self, key };
        let counted = count()?;
        let found = found.get_or_init(|| counted);
        running.keep(found);
        Ok(Arc::clone(found))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }
}

impl State {
    fn turn(&mut self, key: &Arc<Key>) -> Turn {
        self.clock += 1;
        let clock = self.clock;
        match self.entries.get_mut(key) {
            Some(Entry::Done { found, used, .. }) => {
                *used = clock;
                Turn::Found(Arc::clone(found))
            }
            Some(Entry::Running(found)) => Turn::Wait(Arc::clone(found)),
            None => {
                let found = Arc::default();
                let running = Entry::Running(Arc::clone(&found));
                self.entries.insert(Arc::clone(key), running);
                Turn::Mine(found)
            }
        }
    }

    /// Gives up what was counted for packs of the same repository that are not its largest any more.
    fn let_go_of_others(&mut self, key: &Key) {
        let is_old = |(other, entry): &(&Arc<Key>, &Entry)| {
            other.scope == key.scope
                && (other.pack, other.packed) != (key.pack, key.packed)
                && matches!(entry, Entry::Done { .. })
        };
        let old: Vec<_> = self
            .entries
            .iter()
            .filter(is_old)
            .map(|(key, _)| Arc::clone(key))
            .collect();
        old.iter().for_each(|key| self.remove(key));
    }

    fn remove(&mut self, key: &Key) {
        if let Some(Entry::Done { bytes, .. }) = self.entries.remove(key) {
            self.bytes -= bytes;
        }
    }

    /// Gives up what was used longest ago until so many bytes are left.
    fn shrink(&mut self, limit_bytes: u64) {
        while self.bytes > limit_bytes {
            let done = self.entries.iter().filter_map(|(key, entry)| match entry {
                Entry::Done { used, .. } => Some((*used, key)),
                Entry::Running(_) => None,
            });
            let Some((_, oldest)) = done.min_by_key(|(used, _)| *used) else {
                return;
            };
            let oldest = Arc::clone(oldest);
            self.remove(&oldest);
        }
    }
}

/// A count that is under way.
struct Running<'a> {
    cache: &'a CountCache,
    key: Arc<Key>,
}

impl Running<'_> {
    fn keep(&self, found: &Arc<ToSend>) {
        let own = found.weight_bytes() + self.key.weight_bytes();
        if own > self.cache.limit_bytes / 4 {
            return;
        }
        let bytes = own + found.pinned_bytes().min(self.cache.limit_bytes / 8);
        let mut state = self.cache.lock();
        state.let_go_of_others(&self.key);
        let used = state.clock;
        let done = Entry::Done {
            found: Arc::clone(found),
            bytes,
            used,
        };
        state.entries.insert(Arc::clone(&self.key), done);
        state.bytes += bytes;
        state.shrink(self.cache.limit_bytes);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        if matches!(state.entries.get(&self.key), Some(Entry::Running(_))) {
            state.entries.remove(&self.key);
        }
        drop(state);
        self.cache.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use packhouse_object::{NewObject, ObjectCache, ObjectKind};

    use super::*;

    fn blobs(count: usize) -> (Database, Vec<ObjectId>) {
        let objects: Vec<_> = (0..count)
            .map(|n| NewObject::new(ObjectKind::Blob, n.to_string().into_bytes()).unwrap())
            .collect();
        let ids = objects.iter().map(|object| object.id).collect();
        let db = Database::new(Arc::new(ObjectCache::new(1 << 20)), 1);
        (db.with_objects(objects), ids)
    }

    fn count(
        cache: &CountCache,
        db: &Database,
        wanted: &Wanted,
        progress: &dyn Progress,
    ) -> Result<Arc<ToSend>, ReadError> {
        cache.count(db, wanted, &CountLimits::default(), progress)
    }

    fn wanted(wants: &[ObjectId]) -> Wanted {
        Wanted {
            wants: wants.to_vec(),
            ..Wanted::default()
        }
    }

    #[test]
    fn the_same_is_counted_once_and_other_things_are_not_mixed_up() {
        let (db, ids) = blobs(3);
        let cache = CountCache::new(1 << 20);
        let first = count(&cache, &db, &wanted(&ids[..2]), &()).unwrap();
        let again = count(&cache, &db, &wanted(&[ids[1], ids[0], ids[1]]), &());
        assert!(Arc::ptr_eq(&first, &again.unwrap()));
        let other = count(&cache, &db, &wanted(&ids[1..]), &()).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let elsewhere = Database::new(Arc::new(ObjectCache::new(1 << 20)), 2);
        assert!(count(&cache, &elsewhere, &wanted(&ids[..2]), &()).is_err());
    }

    #[test]
    fn what_is_opened_again_shares_counts_by_its_scope() {
        let (db, ids) = blobs(3);
        let cache = CountCache::new(1 << 20);
        let first = count(&cache, &db, &wanted(&ids), &()).unwrap();
        let (again, _) = blobs(3);
        let again = again.with_scope(9);
        let other = count(&cache, &again, &wanted(&ids), &()).unwrap();
        assert!(!Arc::ptr_eq(&first, &other));
        let same = count(&cache, &again.with_scope(db.scope()), &wanted(&ids), &());
        assert!(Arc::ptr_eq(&first, &same.unwrap()));
    }

    #[test]
    fn what_was_used_longest_ago_is_given_up() {
        let (db, ids) = blobs(40);
        let one = cache_bytes(&db, &ids[..1]);
        let cache = CountCache::new(one * 4);
        let first = count(&cache, &db, &wanted(&ids[..1]), &()).unwrap();
        for id in &ids[1..4] {
            count(&cache, &db, &wanted(&[*id]), &()).unwrap();
        }
        let again = count(&cache, &db, &wanted(&ids[..1]), &()).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        count(&cache, &db, &wanted(&ids[4..5]), &()).unwrap();
        let again = count(&cache, &db, &wanted(&ids[..1]), &()).unwrap();
        assert!(Arc::ptr_eq(&first, &again), "it was used lately");
        for id in &ids[5..10] {
            count(&cache, &db, &wanted(&[*id]), &()).unwrap();
        }
        assert!(cache.lock().bytes <= one * 4);
        let again = count(&cache, &db, &wanted(&ids[..1]), &()).unwrap();
        assert!(!Arc::ptr_eq(&first, &again));
    }

    fn cache_bytes(db: &Database, ids: &[ObjectId]) -> u64 {
        let cache = CountCache::new(1 << 20);
        count(&cache, db, &wanted(ids), &()).unwrap();
        cache.lock().bytes
    }

    /// Holds a count up until others wait for it, and may then give it up.
    struct Slow<'a> {
        counting: &'a AtomicUsize,
        waiting: &'a AtomicUsize,
        gives_up: bool,
    }

    impl Progress for Slow<'_> {
        fn cancelled(&self) -> bool {
            false
        }

        fn counting(&self, n: u64) {
            if n == 0 {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                return;
            }
            self.counting.fetch_add(1, Ordering::SeqCst);
            while self.waiting.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            assert!(!self.gives_up, "this count fails");
        }
    }

    #[test]
    fn others_wait_for_one_that_counts_and_count_themselves_if_it_fails() {
        for gives_up in [false, true] {
            let (db, ids) = blobs(2);
            let cache = CountCache::new(1 << 20);
            let (counting, waiting) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let failed = AtomicBool::new(false);
            std::thread::scope(|scope| {
                let slow = Slow {
                    counting: &counting,
                    waiting: &waiting,
                    gives_up,
                };
                let leader = scope.spawn({
                    let (cache, db, ids) = (&cache, &db, &ids);
                    move || count(cache, db, &wanted(ids), &slow).map(|found| found.len())
                });
                while counting.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
                let follower = Slow {
                    counting: &counting,
                    waiting: &waiting,
                    gives_up: false,
                };
                let found = count(&cache, &db, &wanted(&ids), &follower).unwrap();
                assert_eq!(found.len(), 2);
                failed.store(leader.join().is_err(), Ordering::SeqCst);
            });
            assert_eq!(failed.load(Ordering::SeqCst), gives_up);
            assert_eq!(counting.load(Ordering::SeqCst), 1 + usize::from(gives_up));
        }
    }
}
