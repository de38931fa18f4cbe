//! Callers that give up: what waits for others, or reads what may be long, asks now and then whether it is still wanted.
//!
//! The thread that was called is asked, so that nothing between a caller and a wait has to pass the question on.

use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Answers whether a caller has given up.
pub type HasGivenUp = Arc<dyn Fn() -> bool>;

/// How often whoever waits asks.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(100);

thread_local! {
    static CALLERS: RefCell<Vec<HasGivenUp>> = const { RefCell::new(Vec::new()) };
}

/// Does `work` for a caller who may give up: what it only waits for on this thread, such as its turn to write, or reads
/// of local files, ends with an error then. It is asked often, and by no thread that helps.
pub fn for_caller<T>(has_given_up: HasGivenUp, work: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            CALLERS.with_borrow_mut(|callers| callers.pop());
        }
    }
    CALLERS.with_borrow_mut(|callers| callers.push(has_given_up));
    let _leave = Leave;
    work()
}

/// Whether a caller of this thread has given up. Answering may run any code, so nothing may be locked meanwhile.
pub(crate) fn is_given_up() -> bool {
    let callers = CALLERS.with_borrow(Clone::clone);
    // The innermost first, who can tell of it where it happens.
    callers.iter().rev().any(|has_given_up| has_given_up())
}

/// Reads until the caller gives up.
pub(crate) struct WhileWanted<R>(pub(crate) R);

impl<R: Read> Read for WhileWanted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match is_given_up() {
            true => Err(io::Error::other("cancelled")),
            false => self.0.read(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_asked_while_its_work_is_done() {
        assert!(!is_given_up());
        let read = |given_up: bool| {
            let mut text = String::new();
            let read = WhileWanted(&b"text"[..]);
            for_caller(Arc::new(move || given_up), || {
                for_caller(Arc::new(|| false), || { read }.read_to_string(&mut text))
            })
        };
        assert_eq!(read(false).unwrap(), 4);
        read(true).unwrap_err();
        assert!(!is_given_up());
    }
}
