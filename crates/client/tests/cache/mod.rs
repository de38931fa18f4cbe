//! The cache against real remotes. Each weakness of the implementation that others have is a test here.

mod basics;
mod changing;
mod crowds;
mod full_disk;
mod hostile;
mod interrupted;
mod killed;
mod limits;
mod line_ends;
mod mended;
mod places;
mod refreshes;
mod remotes;
mod served;
mod tampered;
mod trash;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use packhouse_client::RemoteOptions;
use packhouse_client::cache::{Cache, CacheConfig, CallOptions, Entry};
use packhouse_client::remote::Proxy;

use crate::git::Git;
use crate::world::World;

pub(crate) fn config(root: &Path) -> CacheConfig {
    CacheConfig {
        remote: RemoteOptions {
            proxy: Proxy::None,
            idle_timeout: Duration::from_secs(20),
            ..RemoteOptions::default()
        },
        ..CacheConfig::at(root)
    }
}

pub(crate) fn open(world: &World) -> Cache {
    Cache::open(config(&world.path("cache"))).unwrap()
}

/// As if it had been long ago that somebody looked for what nobody needs: whoever opens the cache does.
pub(crate) fn forget_sweep(root: &Path) {
    let _ = fs::remove_file(root.join(".packhouse/swept"));
}

pub(crate) fn add(cache: &Cache, source: &str) -> Entry {
    cache.add(source, None, &CallOptions::default()).unwrap()
}

/// The path of a bare repository of [`World::with_history`] as a source.
pub(crate) fn path_of(git: &Git) -> String {
    git.dir.display().to_string()
}

/// Checks that a working tree is one that Git finds nothing wrong with.
pub(crate) fn check_tree(path: &Path) {
    let git = Git::at(path);
    git.fsck();
    assert_eq!(git.run(&["status", "--porcelain"]), "");
}

/// Every file of a folder with its content, without `.git`.
pub(crate) fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.sort();
    found
}

fn collect(top: &Path, folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(top).unwrap().to_owned();
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            if !path.ends_with(".git") {
                collect(top, &path, found);
            }
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            found.push((name, target.into_os_string().into_encoded_bytes()));
        } else {
            found.push((name, fs::read(&path).unwrap()));
        }
    }
}
