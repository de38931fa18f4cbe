//! A disk that a test can fill.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A file system of a few MiB, until this is dropped.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, after a word about it, where nothing may be mounted.
    pub fn mount(mebibytes: u32) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "none"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk(folder)),
            _ => {
                eprintln!("skipped: only root may mount the small disk that this test fills");
                None
            }
        }
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room there is but `left` bytes.
    pub fn fill(&self, left: u64) {
        let mut file = File::create(self.filler()).expect("a file takes no room");
        let full = loop {
            if let Err(error) = file.write_all(&[1; 4096]) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        let filled = file.metadata().expect("it is open").len();
        file.set_len(filled - left).expect("a file can shrink");
    }

    /// Takes what room came free since it was filled.
    pub fn fill_up(&self) {
        let mut file = File::options()
            .append(true)
            .open(self.filler())
            .expect("the disk was filled");
        while file.write_all(&[1; 512]).is_ok() {}
    }

    /// Gives the room back.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the disk was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
