//! A value that each process has for itself.

use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::handlers::generation;

/// A value that is made when it is first asked for, and made anew in a process that is forked off. Never blocks.
///
/// What a forked process had from its parent is not touched any more, nor dropped: another thread of the parent may have
/// been at work on it.
pub struct ProcessLocal<T> {
    newest: AtomicPtr<Slot<T>>,
    owns: PhantomData<Slot<T>>,
}

struct Slot<T> {
    generation: u64,
    value: T,
}

impl<T> ProcessLocal<T> {
    /// Nothing yet.
    pub const fn new() -> ProcessLocal<T> {
        ProcessLocal {
            newest: AtomicPtr::new(ptr::null_mut()),
            owns: PhantomData,
        }
    }

    /// This process's value, if it has one.
    pub fn get(&self) -> Option<&T> {
        Some(&self.newest()?.value)
    }

    #[allow(unsafe_code)]
    fn newest(&self) -> Option<&Slot<T>> {
        let newest = self.newest.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or was published by `get_or_init`, which made it of a box and changes nothing in
        // it afterwards. Only `drop` frees it, which nobody runs while `self` is borrowed.
        let newest = unsafe { newest.as_ref() };
        newest.filter(|slot| slot.generation == generation())
    }
}

impl<T: Send + Sync> ProcessLocal<T> {
    /// This process's value, made now if it has none. Of several threads that make it at once, one is heard.
    #[allow(unsafe_code)]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(slot) = self.newest() {
            return &slot.value;
        }
        let before = self.newest.load(Ordering::Acquire);
        let new = Box::into_raw(Box::new(Slot {
            generation: generation(),
            value: make(),
        }));
        let swapped =
            self.newest
                .compare_exchange(before, new, Ordering::AcqRel, Ordering::Acquire);
        if swapped.is_err() {
            // SAFETY: made of a box above, and published nowhere.
            drop(unsafe { Box::from_raw(new) });
        }
        // What was there before is the parent's, if anything, and stays where it is.
        let slot = self.newest();
        &slot.expect("this process has published one").value
    }
}

impl<T> Default for ProcessLocal<T> {
    fn default() -> Self {
        ProcessLocal::new()
    }
}

impl<T> Drop for ProcessLocal<T> {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        if self.newest().is_some() {
            // SAFETY: made of a box by `get_or_init`; nobody borrows `self` now, and its pointer is not read again.
            drop(unsafe { Box::from_raw(*self.newest.get_mut()) });
        }
    }
}

/// As std's mutex, but what a thread left that panicked is taken as it is.
impl<T: Default + Send> ProcessLocal<Mutex<T>> {
    /// Locks the value of this process.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let mutex = self.get_or_init(Mutex::default);
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default + Send + Sync> ProcessLocal<RwLock<T>> {
    /// Locks the value of this process for reading.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let lock = self.get_or_init(RwLock::default);
        lock.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the value of this process for writing.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let lock = self.get_or_init(RwLock::default);
        lock.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> std::fmt::Debug for ProcessLocal<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProcessLocal").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    struct Counted<'a>(&'a AtomicUsize);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn one_value_is_kept_and_every_other_one_dropped() {
        let (made, dropped) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for _ in 0..200 {
            let local = ProcessLocal::new();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let value = local.get_or_init(|| {
                            made.fetch_add(1, Ordering::SeqCst);
                            Counted(&dropped)
                        });
                        assert!(ptr::eq(value, local.get().unwrap()));
                    });
                }
            });
        }
        assert!(made.load(Ordering::SeqCst) >= 200);
        assert_eq!(made.load(Ordering::SeqCst), dropped.load(Ordering::SeqCst));
    }

    #[test]
    fn what_another_process_made_is_neither_found_nor_dropped() {
        let of_parent = Arc::new(Mutex::new(1));
        let slot = Slot {
            generation: generation() - 1,
            value: of_parent.clone(),
        };
        let local = ProcessLocal {
            newest: AtomicPtr::new(Box::into_raw(Box::new(slot))),
            owns: PhantomData,
        };
        let _held = of_parent.lock().unwrap();
        assert!(local.get().is_none());
        let own = local.get_or_init(Arc::default);
        assert_eq!(*own.lock().unwrap(), 0);
        drop(local);
        assert_eq!(Arc::strong_count(&of_parent), 2);
    }
}
