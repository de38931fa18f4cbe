//! Room on the disk that is put by for removing: the catalog needs some to forget an entry, also on a full disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use ring::rand::{SecureRandom, SystemRandom};

/// Enough for the pages that one removal changes, several times over.
const BYTES: usize = 256 << 10;

/// The file that takes the room.
#[derive(Clone, Debug)]
pub(super) struct Reserve(PathBuf);

impl Reserve {
    pub(super) fn at(path: PathBuf) -> Reserve {
        Reserve(path)
    }

    /// Sees to it that the room is put by. That there is none is no failure: removing may do without.
    pub(super) fn put_by(&self) {
        let found = fs::symlink_metadata(&self.0);
        if found.is_ok_and(|found| found.is_file() && found.len() == BYTES as u64) {
            return;
        }
        let _ = fs::remove_file(&self.0);
        if self.write().is_err() {
            let _ = fs::remove_file(&self.0);
        }
    }

    /// Gives the room back to the disk. `false`: there was none.
    pub(super) fn give(&self) -> bool {
        fs::remove_file(&self.0).is_ok()
    }

    fn write(&self) -> io::Result<()> {
        // What cannot be made smaller, on file systems that do that.
        let mut noise = vec![0; BYTES];
        SystemRandom::new()
            .fill(&mut noise)
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        File::create_new(&self.0)?.write_all(&noise)
    }
}
