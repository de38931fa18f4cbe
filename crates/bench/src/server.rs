//! A `packhouse serve` of our own, stopped when dropped.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::cpu::{cpu_of, with_descendants};
use crate::http::Connection;
use crate::token::Minter;
use crate::{Bench, Result};

/// A started server.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Signs tokens it accepts.
    pub minter: Minter,
    _folder: tempfile::TempDir,
}

impl Server {
    /// Starts one with a fresh data folder; `catalog` is a URL, or `None` for SQLite.
    pub(crate) fn start(bench: &Bench, catalog: Option<&str>) -> Result<Server> {
        let folder = tempfile::tempdir_in(&bench.work)?;
        let data = folder.path().join("data");
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log = std::fs::File::create(bench.work.join("server.log"))?;
        let mut command = Command::new(&bench.binary);
        command
            .args(["serve", "--dev", "--allow-private-addresses"])
            .args(["--listen", &address.to_string(), "--data"])
            .arg(&data);
        if let Some(url) = catalog {
            command.args(["--catalog", url]);
        }
        let child = command
            .env("RUST_LOG", "warn")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let minter = match wait_until_ready(address).and_then(|()| wait_for_key(&data)) {
            Ok(()) => Minter::of(&data)?,
            Err(error) => {
                let mut child = child;
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        };
        Ok(Server {
            child,
            address,
            minter,
            _folder: folder,
        })
    }

    /// The most memory it ever had resident, in bytes.
    pub(crate) fn peak_memory_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .ok_or("no VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib * 1024)
    }

    /// Creates an empty repository over the API.
    pub(crate) fn create(&self, repo: &str) -> Result<()> {
        let token = self.minter.mint(repo)?;
        let answer = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async {
                Connection::open(self.address)
                    .await?
                    .send("POST", "/api/v1/repos", &token, "application/json", b"{}")
                    .await
            })?;
        match answer.status {
            201 => Ok(()),
            status => Err(format!("creating {repo} answered {status}").into()),
        }
    }

    /// The processor time it has used since it was started.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        cpu_of(&[self.child.id()])
    }

    /// Waits until it has nothing left to do in the background, for which it also runs programs.
    pub(crate) fn wait_until_idle(&self) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(1500);
        let deadline = Instant::now() + Duration::from_secs(120);
        while Instant::now() < deadline {
            // One of the programs may end while it is looked at.
            let used = || cpu_of(&with_descendants(self.child.id())).ok();
            let before = used();
            std::thread::sleep(PAUSE);
            if let (Some(before), Some(after)) = (before, used())
                && after.saturating_sub(before) < PAUSE / 20
            {
                return Ok(());
            }
        }
        Err("the server is busy though nothing is asked of it".into())
    }

    /// The URL `git` uses for a repository.
    pub(crate) fn git_url(&self, repo: &str) -> Result<String> {
        Ok(format!(
            "http://t:{}@{}/{repo}.git",
            self.minter.mint(repo)?,
            self.address
        ))
    }

    /// The path of the binary's data, for measuring the disk beneath it.
    pub(crate) fn folder(&self) -> PathBuf {
        self._folder.path().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_until_ready(address: SocketAddr) -> Result<()> {
    wait("the server to listen", || {
        TcpStream::connect(address).is_ok()
    })
}

fn wait_for_key(data: &Path) -> Result<()> {
    wait("the development key", || data.join("dev-key.pem").exists())
}

fn wait(what: &str, ready: impl Fn() -> bool) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("waited 30 s for {what}").into())
}
