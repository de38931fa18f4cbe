//! Locks of others that are let go when somebody waits for them.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Does `work`, and removes a lock file of the bare repository at `git_dir`, by its path below it, once `work` has tried to
/// take it in vain more than once, while it held another one.
pub fn let_go_when_waited_for<T>(git_dir: &Path, lock: &str, work: impl FnOnce() -> T) -> T {
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if is_waited_for(git_dir, lock) {
                    return fs::remove_file(git_dir.join(lock)).expect("the lock is ours");
                }
                thread::yield_now();
            }
        });
        let _over = Over(&is_over);
        work()
    })
}

/// Writers note each try to take a lock, as `docs/format.md` has it, until they hold none.
fn is_waited_for(git_dir: &Path, lock: &str) -> bool {
    let file = fs::read(git_dir.join("gitstore.lock")).unwrap_or_default();
    let text = String::from_utf8_lossy(&file);
    let notes = text.split("\n.").next().unwrap_or_default();
    notes.matches(lock).count() > 1
}
