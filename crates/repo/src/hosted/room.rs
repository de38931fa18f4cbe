//! Whether there is room on the disks that writes need.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use packhouse_bucket::Key;

use crate::error::RepoError;
use crate::hosted::{Engine, Hosted};

/// Bytes that have to fit: about what a small commit takes, with what the database writes beside it.
const PROBE_BYTES: usize = 64 << 10;

impl Hosted {
    /// Whether the disks of this machine that writes need take some more bytes. Free blocks alone do not say so: quotas
    /// and what is kept for root count, too. So a file is written, of which nothing stays.
    pub async fn check_room(&self) -> Result<(), RepoError> {
        let folders = self.engine.written_folders();
        tokio::task::spawn_blocking(move || probe(&folders))
            .await
            .map_err(|_| RepoError::Stopped)?
    }
}

impl Engine {
    fn written_folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.scratch.ready().to_owned()];
        folders.extend(self.catalog.local_folder().map(Path::to_owned));
        let any = Key::parse("any").expect("a word is a key");
        let local = self.packs.local_path(&any);
        folders.extend(local.and_then(|path| path.parent().map(Path::to_owned)));
        folders
    }
}

fn probe(folders: &[PathBuf]) -> Result<(), RepoError> {
    let mut seen = HashSet::new();
    for folder in folders {
        let failed = |error| RepoError::io("could not write into", folder, error);
        if seen.insert(fs::metadata(folder).map_err(failed)?.dev()) {
            write_and_forget(folder).map_err(failed)?;
        }
    }
    Ok(())
}

fn write_and_forget(folder: &Path) -> io::Result<()> {
    // Not zeros, which a file system may keep without room.
    let bytes = vec![0xa5; PROBE_BYTES];
    let mut file = tempfile::tempfile_in(folder)?;
    file.write_all(&bytes)
}
