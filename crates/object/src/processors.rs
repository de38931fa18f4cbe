//! Work for all processors, also in a process that was forked off.
//!
//! A forked process has the memory of its parent and none of its threads. Work handed to threads that are not there
//! would never be done, so such a process gets threads of its own. Python's `multiprocessing` forks by default.

use std::process;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The process in which the usual threads were started.
static FIRST: OnceLock<u32> = OnceLock::new();

/// The threads of a process that was forked off, and which process that is.
static FORKED: Mutex<Option<(u32, Arc<ThreadPool>)>> = Mutex::new(None);

/// Does `work`, in which every parallel iterator and join uses threads that this process has.
pub fn on_processors<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match forked_pool() {
        None => work(),
        Some(pool) => pool.install(work),
    }
}

/// Notes that this process is the one whose threads are used. To be called before any thread is.
pub fn own_processors() {
    FIRST.get_or_init(process::id);
}

fn forked_pool() -> Option<Arc<ThreadPool>> {
    let id = process::id();
    if *FIRST.get_or_init(|| id) == id {
        return None;
    }
    Some(pool_of(id, &mut FORKED.lock()))
}

/// The pool of a process; that of its parent is of no use to it.
fn pool_of(id: u32, known: &mut Option<(u32, Arc<ThreadPool>)>) -> Arc<ThreadPool> {
    match known {
        Some((owner, pool)) if *owner == id => pool.clone(),
        _ => {
            let alone = || ThreadPoolBuilder::new().num_threads(1).use_current_thread();
            let pool = ThreadPoolBuilder::new()
                .build()
                .or_else(|_| alone().build())
                .expect("one thread is there: this one");
            let pool = Arc::new(pool);
            if let Some((_, gone)) = known.replace((id, pool.clone())) {
                // Its threads are the parent's, and must not be waited for.
                std::mem::forget(gone);
            }
            pool
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn work_is_done_here_and_by_a_pool_of_another_process() {
        let sum = || (0..1000u64).into_par_iter().sum::<u64>();
        assert_eq!(on_processors(sum), 499_500);
        let mut known = None;
        let first = pool_of(1, &mut known);
        assert!(Arc::ptr_eq(&first, &pool_of(1, &mut known)));
        let second = pool_of(2, &mut known);
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(second.install(sum), 499_500);
    }
}
