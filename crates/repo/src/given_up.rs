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
    /// The callers of this thread. `None`: work that none of those before is asked about.
    static CALLERS: RefCell<Vec<Option<HasGivenUp>>> = const { RefCell::new(Vec::new()) };
}

/// Does `work` for a caller who may give up: what it only waits for on this thread, such as its turn to write, or reads
/// of local files, ends with an error then. It is asked often, and by no thread that helps.
pub fn for_caller<T>(has_given_up: HasGivenUp, work: impl FnOnce() -> T) -> T {
    with(Some(has_given_up), work)
}

/// Does `work` whether the callers of this thread have given up or not, and does not ask them: what undoes what a caller
/// has given up, or is done for another one.
pub fn unasked<T>(work: impl FnOnce() -> T) -> T {
    with(None, work)
}

fn with<T>(caller: Option<HasGivenUp>, work: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            let left = CALLERS.with_borrow_mut(Vec::pop);
            // Dropping what a caller gave may run any code, too.
            drop(left);
        }
    }
    CALLERS.with_borrow_mut(|callers| callers.push(caller));
    let _leave = Leave;
    work()
}

/// Whether a caller of this thread has given up. Answering may run any code, so nothing may be locked meanwhile.
pub fn is_given_up() -> bool {
    let callers = CALLERS.with_borrow(Clone::clone);
    // The innermost first, who can tell of it where it happens.
    let mut asked = callers.iter().rev().map_while(Option::as_ref);
    asked.any(|has_given_up| has_given_up())
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

    #[test]
    fn callers_are_not_asked_about_what_is_done_whatever_they_want() {
        let given_up = || -> HasGivenUp { Arc::new(|| true) };
        for_caller(given_up(), || {
            unasked(|| {
                assert!(!is_given_up());
                // Who calls from in there is asked.
                assert!(for_caller(given_up(), is_given_up));
                assert!(!for_caller(Arc::new(|| false), is_given_up));
            });
            assert!(is_given_up());
        });
    }
}
