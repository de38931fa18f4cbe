//! Clones by a farm: from the upstream over its link, and through `packhouse cache serve`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::corpus::Random;
use crate::fixture::{self, Repack, run};
use crate::link::{Link, Shape};
use crate::peer::{Counting, Peer};
use crate::report::Row;
use crate::sample::seconds;
use crate::{Bench, Result};

const CLONES: usize = 8;
const FILES: usize = 300;
const FILE_BYTES: usize = 16 << 10;
const LIMIT: f64 = 0.1;

pub(crate) fn line(bench: &Bench, _: &Runtime) -> Result<Vec<Row>> {
    let peer = Peer::start(bench, Counting::Nothing)?;
    run(Command::new("cp")
        .arg("-r")
        .arg(repository(bench)?)
        .arg(peer.path("served")))?;
    let link = Link::to(
        peer.address(),
        Shape {
            round_trip: Duration::from_millis(60),
            bits_per_second: Some(20_000_000),
        },
    )?;
    let folder = bench.kept_folder()?;
    let direct = format!("http://{}/served.git", link.address());
    let without = clone_at_once(&folder, &direct, CLONES)?;
    let proxy = Proxy::start(bench, &folder)?;
    let through = format!(
        "http://{}/http/{}/served.git",
        proxy.address,
        link.address()
    );
    clone_at_once(&folder, &through, 1)?;
    let before = link.counts().fetches.load(Ordering::Relaxed);
    let with = clone_at_once(&folder, &through, CLONES)?;
    let fetches = link.counts().fetches.load(Ordering::Relaxed) - before;
    let ratio = with.as_secs_f64() / without.as_secs_f64();
    Ok(vec![Row {
        line: format!(
            "cache: {CLONES} warm clones of {} MB at once through `cache serve`, upstream at 20 Mbit/s and 60 ms",
            FILES * FILE_BYTES / 1_000_000
        ),
        target: "at most 1/10 of direct clones".to_owned(),
        ours: format!(
            "{} ({ratio:.2}×), {fetches} upstream fetches",
            seconds(with)
        ),
        peer: format!("git clone, direct {}", seconds(without)),
        reached: ratio <= LIMIT && fetches == 0,
    }])
}

/// What does not compress, so that its size is what goes over the link.
fn repository(bench: &Bench) -> Result<PathBuf> {
    fixture::repository(bench, "served.git", Repack::OnePack, |out| {
        let mut random = Random(7);
        write!(
            out,
            "commit refs/heads/main\ncommitter Bench <bench@example.com> 1600000000 +0000\ndata 5\nfirst\n"
        )?;
        for number in 0..FILES {
            write!(
                out,
                "M 100644 inline d{}/f{number}\ndata {FILE_BYTES}\n",
                number % 20
            )?;
            for _ in 0..FILE_BYTES / 8 {
                out.write_all(&random.next().to_le_bytes())?;
            }
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

/// How long it takes until the last of so many clones is there.
fn clone_at_once(folder: &Path, url: &str, count: usize) -> Result<Duration> {
    let folder = tempfile::tempdir_in(folder)?.keep();
    let targets: Vec<PathBuf> = (0..count)
        .map(|at| folder.join(format!("clone-{at}")))
        .collect();
    let began = Instant::now();
    let mut clones = Vec::new();
    for target in &targets {
        clones.push(
            Command::new("git")
                .args(["clone", "-q", url])
                .arg(target)
                .spawn()?,
        );
    }
    let mut failed = None;
    for mut clone in clones {
        let status = clone.wait()?;
        if !status.success() {
            failed = Some(format!("git clone {url}: {status}"));
        }
    }
    let took = began.elapsed();
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(took),
    }
}

/// A started `packhouse cache serve`, ended when dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
}

impl Proxy {
    fn start(bench: &Bench, folder: &Path) -> Result<Proxy> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(&bench.binary)
            .args(["cache", "--root"])
            .arg(folder.join("cache"))
            .args([
                "serve",
                "--allow-private-addresses",
                "--listen",
                &address.to_string(),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let proxy = Proxy { child, address };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > deadline {
                return Err("waited 30 s for the proxy to listen".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
