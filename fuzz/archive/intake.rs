//! Counts entries and bytes against limits as the real intake does, and reads every file to its end.

use std::io::{self, Read};
use std::marker::PhantomData;

use crate::StoreError;

pub(super) const LINK_BYTES_MAX: u64 = 64 << 10;
pub(super) const XZ_MEMORY_KIB: u32 = 96 << 10;

/// What no archive may go beyond here.
pub const ENTRIES_MAX: u64 = 1000;
pub const BYTES_MAX: u64 = 1 << 20;

#[derive(Default)]
pub struct Intake<'a> {
    pub entries: u64,
    pub bytes: u64,
    /// The real one borrows what it tells of its progress.
    borrows: PhantomData<&'a ()>,
}

impl Intake<'_> {
    pub(super) fn entry(&mut self) -> Result<(), StoreError> {
        self.entries += 1;
        match self.entries > ENTRIES_MAX {
            true => Err(too_large(ENTRIES_MAX)),
            false => Ok(()),
        }
    }

    pub(super) fn bytes_left(&self) -> u64 {
        BYTES_MAX - self.bytes
    }

    fn count(&mut self, bytes: u64) -> Result<(), StoreError> {
        if bytes > self.bytes_left() {
            return Err(too_large(BYTES_MAX));
        }
        self.bytes += bytes;
        Ok(())
    }

    pub(super) fn file(
        &mut self,
        _name: &[u8],
        _executable: bool,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<(), StoreError> {
        self.count(size)?;
        // As the real one: what is longer or shorter than it says is an error.
        let copied = io::copy(&mut content.take(size + 1), &mut io::sink()).map_err(StoreError::Source)?;
        match copied == size {
            true => Ok(()),
            false => Err(StoreError::Source(io::ErrorKind::InvalidData.into())),
        }
    }

    pub(super) fn link(&mut self, _name: &[u8], target: &[u8]) -> Result<(), StoreError> {
        assert!(target.len() as u64 <= LINK_BYTES_MAX);
        self.count(target.len() as u64)
    }

    pub(super) fn hard_link(&mut self, _name: &[u8], _target: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    pub(super) fn skip(&mut self, _name: &[u8], _what: &str) {}
}

pub(super) fn too_large(_limit: u64) -> StoreError {
    StoreError::TooLarge
}
