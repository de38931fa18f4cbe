//! Reading that a signal ends in order, so that what was begun is removed.

use std::io::{self, Read};

use crate::signals;

/// What `inner` gives, until a signal asks to stop; then an error.
pub(crate) struct UntilStopped<R> {
    inner: R,
}

impl<R: Read> UntilStopped<R> {
    /// From now on the first signal ends reading, and the second one the process.
    pub(crate) fn new(inner: R) -> UntilStopped<R> {
        signals::stop_in_order();
        UntilStopped { inner }
    }
}

impl<R: Read> Read for UntilStopped<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // Looked at afterwards: what the signal has ended as well may be who writes to us, and then the end of the
        // input is not the end of the data.
        let len = self.inner.read(out)?;
        match signals::stopped() {
            // Not `Interrupted`, which means to try again.
            true => Err(io::Error::other("stopped by a signal")),
            false => Ok(len),
        }
    }
}
