//! A value that belongs to the process that made it.

use std::io;
use std::ops::Deref;

use super::ProcessMark;

/// A value that only the process that made it changes, gives away and drops, as a file under way that is removed when it
/// is dropped. A process that is forked off has a copy of it that can be looked at, and no more.
#[derive(Debug)]
pub struct MadeHere<T> {
    /// There until this is dropped.
    value: Option<T>,
    made_in: ProcessMark,
}

/// Something that was begun before this process was forked off is its parent's to finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it was begun before this process was forked, and only the process that began it can go on with it: begin anew in this one"
)]
pub struct ForkedCopy;

impl From<ForkedCopy> for io::Error {
    fn from(error: ForkedCopy) -> io::Error {
        io::Error::other(error)
    }
}

impl<T> MadeHere<T> {
    /// A value of this process.
    pub fn new(value: T) -> MadeHere<T> {
        MadeHere {
            value: Some(value),
            made_in: ProcessMark::here(),
        }
    }

    /// The value, to be changed.
    pub fn get_mut(&mut self) -> Result<&mut T, ForkedCopy> {
        self.made_in.check()?;
        Ok(self
            .value
            .as_mut()
            .expect("it is there until it is dropped"))
    }

    /// The value itself.
    pub fn into_inner(mut self) -> Result<T, ForkedCopy> {
        self.made_in.check()?;
        Ok(self.value.take().expect("it is there until it is dropped"))
    }
}

impl<T> Deref for MadeHere<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
            .as_ref()
            .expect("it is there until it is dropped")
    }
}

impl<T> Drop for MadeHere<T> {
    fn drop(&mut self) {
        if !self.made_in.is_here() {
            // Dropping it would write what waits in its buffers, or remove what its maker is at work on.
            std::mem::forget(self.value.take());
        }
    }
}
