//! The peer for Git traffic: `git http-backend` behind nginx and fcgiwrap.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::cpu::{cpu_of, with_descendants};
use crate::{Bench, Result};

const SCRIPT: &str = "scripts/peer-http-backend.sh";

/// Whether the processor time of Git's own programs is counted, which takes a shell around each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// For lines that measure processor time.
    All,
    /// For lines that measure moments.
    Nothing,
}

/// A started peer, stopped when dropped.
pub(crate) struct Peer {
    port: u16,
    root: PathBuf,
    /// The first processes of nginx and fcgiwrap.
    pids: Vec<u32>,
    /// Where the processor time of Git's own programs is written down, if it is counted.
    times: Option<PathBuf>,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// Starts one with an empty root.
    pub(crate) fn start(bench: &Bench, counting: Counting) -> Result<Peer> {
        let folder = tempfile::tempdir_in(&bench.work)?;
        let root = folder.path().join("root");
        std::fs::create_dir(&root)?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut peer = Peer {
            port,
            root,
            pids: Vec::new(),
            times: None,
            _folder: folder,
        };
        let said = peer.script("start", counting)?;
        let told = |name: &str| {
            said.split_whitespace()
                .find_map(|word| word.strip_prefix(name))
                .ok_or_else(|| format!("{SCRIPT} start said no {name}: {said}"))
        };
        peer.pids = vec![told("nginx=")?.parse()?, told("fcgiwrap=")?.parse()?];
        peer.times = match counting {
            Counting::All => Some(told("times=")?.into()),
            Counting::Nothing => None,
        };
        Ok(peer)
    }

    /// The processor time that all of its processes have used since they were started, those of `git` included if they are
    /// counted.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let pids: Vec<u32> = self
            .pids
            .iter()
            .copied()
            .flat_map(with_descendants)
            .collect();
        let mut total = cpu_of(&pids)?;
        for file in self.times.iter().map(std::fs::read_dir) {
            for file in file? {
                total += times_of_children(&std::fs::read_to_string(file?.path())?)?;
            }
        }
        Ok(total)
    }

    fn script(&self, verb: &str, counting: Counting) -> Result<String> {
        let mut command = Command::new(SCRIPT);
        if counting == Counting::All {
            command.env("PEER_TIMES", "1");
        }
        let output = command
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
        let _ = self.script("stop", Counting::Nothing);
    }
}

/// The second line of what `times` of a shell prints: user and system time of its children, as `0m0.123s 0m0.045s`. A file
/// that is being written counts nothing yet.
fn times_of_children(printed: &str) -> Result<Duration> {
    let mut total = 0.0;
    for time in printed.lines().nth(1).unwrap_or_default().split(' ') {
        if let Some((minutes, seconds)) = time.trim_end_matches('s').split_once('m') {
            total += minutes.parse::<f64>()? * 60.0 + seconds.parse::<f64>()?;
        }
    }
    Ok(Duration::from_secs_f64(total))
}
