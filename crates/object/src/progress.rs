//! How long work tells its caller where it is, and learns that it is no longer wanted.

/// Receives progress of packs being read and written; every method may be left as it is.
///
/// Calls come from several threads at once and many times a second, so that an implementor that
/// prints should do so by the clock.
pub trait Progress: Sync {
    /// `done` of `total` objects of a pack have arrived.
    fn receiving(&self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// `done` of `total` deltas of a pack are resolved.
    fn resolving(&self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// `n` objects to send are found so far.
    fn counting(&self, n: u64) {
        let _ = n;
    }

    /// `done` of `total` objects are written.
    fn writing(&self, done: u64, total: u64) {
        let _ = (done, total);
    }

    /// Something is not as it should be, and the work goes on.
    fn warning(&self, text: &str) {
        let _ = text;
    }

    /// Whether the work should stop as soon as it can.
    fn cancelled(&self) -> bool {
        false
    }
}

/// No progress is shown and nothing is cancelled.
impl Progress for () {}
