//! What a process that is forked off must not take over from its parent.
//!
//! Such a process has the memory and the open files of its parent, and of its threads only the one that forked. A lock
//! in memory that another thread held is never given up there, what that thread was changing stays half changed, and a
//! lock on an open file is held by both processes until both have closed it. Python's `multiprocessing` forks by
//! default on Linux, from programs with threads.
//!
//! What always holds:
//! - a [`ProcessLocal`] of a forked process is empty, so nobody waits there for a thread that is not there;
//! - an [`UnsharedFile`] is closed in a forked process before the fork returns, so that what its parent locked is free
//!   once the parent is gone;
//! - what is [`MadeHere`], as files under way are, is neither changed nor removed by a forked process that has a copy;
//! - no fork happens while somebody holds a [`ForkPause`].
//!
//! The handlers are those of `fork(3)`. A process made by the bare system call `clone`, without them, is not served.

mod fork_pause;
mod handlers;
mod made_here;
mod process_local;
mod process_mark;
mod unshared_file;

pub use fork_pause::ForkPause;
pub use made_here::{ForkedCopy, MadeHere};
pub use process_local::ProcessLocal;
pub use process_mark::ProcessMark;
pub use unshared_file::UnsharedFile;

pub(crate) use handlers::generation;

/// Sees to it that forks are noticed from now on. Whatever is made of these types does that too; a program that starts
/// threads of `rayon` itself may call it before.
pub fn watch_forks() {
    generation();
}
