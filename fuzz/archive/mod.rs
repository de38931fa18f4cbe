//! The readers of archives, from the repository crate's own source files, over an intake that keeps nothing.

use std::io::Read;
use std::path::Path;

use super::StoreError;

pub mod intake;
#[path = "../../crates/repo/src/store/archive/tar_in.rs"]
mod tar_in;
#[path = "../../crates/repo/src/store/archive/zip_in.rs"]
mod zip_in;

use intake::Intake;

pub fn read_tar(input: impl Read, intake: &mut Intake<'_>) -> Result<(), StoreError> {
    tar_in::read(input, intake)
}

pub fn read_zip(input: impl Read, dir: &Path, intake: &mut Intake<'_>) -> Result<(), StoreError> {
    zip_in::read(input, dir, intake)
}
