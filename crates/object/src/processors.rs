//! Work for all processors, also in a process that was forked off.
//!
//! A forked process has the memory of its parent and none of its threads. Work handed to threads that are not there
//! would never be done, so such a process gets threads of its own. Python's `multiprocessing` forks by default.

use std::sync::OnceLock;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::forked::{ProcessLocal, generation};

/// The threads of a process that was forked off.
static FORKED: ProcessLocal<OnceLock<ThreadPool>> = ProcessLocal::new();

/// Does `work`, in which every parallel iterator and join uses threads that this process has.
pub fn on_processors<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    // The first process that is watched has the usual threads.
    match generation() {
        1 => work(),
        _ => pool_of(&FORKED).install(work),
    }
}

/// The pool of this process; that of its parent is of no use to it, and its threads must not be waited for.
fn pool_of(pools: &ProcessLocal<OnceLock<ThreadPool>>) -> &ThreadPool {
    pools.get_or_init(OnceLock::new).get_or_init(|| {
        let alone = || ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        let pool = ThreadPoolBuilder::new()
            .build()
            .or_else(|_| alone().build());
        pool.expect("one thread is there: this one")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn work_is_done_here_and_by_a_pool_of_its_own() {
        let sum = || (0..1000u64).into_par_iter().sum::<u64>();
        assert_eq!(on_processors(sum), 499_500);
        let pools = ProcessLocal::new();
        assert_eq!(pool_of(&pools).install(sum), 499_500);
        assert!(std::ptr::eq(pool_of(&pools), pool_of(&pools)));
    }
}
