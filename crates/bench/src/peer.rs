//! The peer for Git traffic: `git http-backend` behind nginx and fcgiwrap.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::cpu::{cpu_of, with_descendants};
use crate::{Bench, Result};

const SCRIPT: &str = "scripts/peer-http-backend.sh";

/// A started peer, stopped when dropped.
pub(crate) struct Peer {
    port: u16,
    root: PathBuf,
    /// The first processes of nginx and fcgiwrap.
    pids: Vec<u32>,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// Starts one with an empty root.
    pub(crate) fn start(bench: &Bench) -> Result<Peer> {
        let folder = tempfile::tempdir_in(&bench.work)?;
        let root = folder.path().join("root");
        std::fs::create_dir(&root)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut peer = Peer {
            port,
            root,
            pids: Vec::new(),
            _folder: folder,
        };
        let said = peer.script("start")?;
        for program in ["nginx=", "fcgiwrap="] {
            let pid = said
                .split_whitespace()
                .find_map(|word| word.strip_prefix(program))
                .ok_or_else(|| format!("{SCRIPT} start said no {program}: {said}"))?;
            peer.pids.push(pid.parse()?);
        }
        Ok(peer)
    }

    /// The processor time that all of its processes have used since they were started.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let pids: Vec<u32> = self
            .pids
            .iter()
            .copied()
            .flat_map(with_descendants)
            .collect();
        cpu_of(&pids)
    }

    fn script(&self, verb: &str) -> Result<String> {
        let output = Command::new(SCRIPT)
            .arg(verb)
            .arg(&self.root)
            .arg(self.port.to_string())
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
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
