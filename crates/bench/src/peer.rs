//! The peer for Git traffic: `git http-backend` behind nginx and fcgiwrap.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Bench, Result};

const SCRIPT: &str = "scripts/peer-http-backend.sh";

/// A started peer, stopped when dropped.
pub(crate) struct Peer {
    port: u16,
    root: PathBuf,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// Starts one with an empty root.
    pub(crate) fn start(bench: &Bench) -> Result<Peer> {
        let folder = tempfile::tempdir_in(&bench.work)?;
        let root = folder.path().join("root");
        std::fs::create_dir(&root)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let peer = Peer {
            port,
            root,
            _folder: folder,
        };
        peer.script("start")?;
        Ok(peer)
    }

    fn script(&self, verb: &str) -> Result<()> {
        let output = Command::new(SCRIPT)
            .arg(verb)
            .arg(&self.root)
            .arg(self.port.to_string())
            .output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "{SCRIPT} {verb}: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into())
    }

    /// Where a bare repository of this name is kept.
    pub(crate) fn path(&self, repo: &str) -> PathBuf {
        self.root.join(format!("{repo}.git"))
    }

    /// The folder everything is served from.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL `git` uses for a repository.
    pub(crate) fn git_url(&self, repo: &str) -> String {
        format!("http://127.0.0.1:{}/{repo}.git", self.port)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.script("stop");
    }
}
