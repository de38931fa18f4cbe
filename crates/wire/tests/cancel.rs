//! Clients that go away, and servers that are told to stop.

use std::io::{self, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use packhouse_repo::{Namespace, directory};
use packhouse_wire::repository::source_of;
use packhouse_wire::{FetchOptions, Version, WireError, upload_pack};

use crate::git::{Git, init_bare};
use crate::history::History;
use crate::raw::{Line, encode, text};

/// A client that takes `most` bytes and is gone.
struct Impatient {
    most: usize,
    taken: Arc<AtomicUsize>,
}

impl Write for Impatient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken.load(Ordering::SeqCst) >= self.most {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.taken.fetch_add(bytes.len(), Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn repository(dir: &std::path::Path) -> (Git, Vec<u8>) {
    let git = init_bare(&dir.join("repo.git"));
    let mut history = History::new(git, 5);
    history.grow(200);
    history.move_refs(5);
    let want = history.git.run(&["rev-parse", "main"]);
    let body = encode(&[
        text("command=fetch"),
        Line::Delim,
        text(format!("want {want}")),
        text("done"),
        Line::Flush,
    ]);
    (history.git, body)
}

fn fetch(
    git: &Git,
    body: &[u8],
    out: &mut (dyn Write + Send),
    options: &FetchOptions,
) -> Result<(), WireError> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let repository = directory::open(&git.dir, directory::DirectoryOptions::default()).unwrap();
    let view = runtime.block_on(repository.view()).unwrap();
    let source = source_of(view, Namespace::Default);
    let mut body = body;
    upload_pack(Version::V2, &mut body, &source, out, options)
}

#[test]
fn work_ends_when_the_client_has_gone() {
    let tmp = tempfile::TempDir::new().unwrap();
    let (git, body) = repository(tmp.path());
    for most in [0, 1, 100] {
        let taken = Arc::new(AtomicUsize::new(0));
        let mut out = Impatient {
            most,
            taken: taken.clone(),
        };
        let error = fetch(&git, &body, &mut out, &FetchOptions::default()).unwrap_err();
        assert!(matches!(error, WireError::Gone(_)), "{error:?}");
        assert!(taken.load(Ordering::SeqCst) < 70_000);
    }
}

#[test]
fn work_ends_when_it_is_cancelled() {
    let tmp = tempfile::TempDir::new().unwrap();
    let (git, body) = repository(tmp.path());
    let options = FetchOptions {
        cancelled: Arc::new(AtomicBool::new(true)),
        ..FetchOptions::default()
    };
    let mut out = Vec::new();
    let error = fetch(&git, &body, &mut out, &options).unwrap_err();
    assert!(matches!(error, WireError::Gone(_)), "{error:?}");
    assert!(!out.windows(4).any(|window| window == b"PACK"));
}

#[test]
fn a_client_that_waits_is_kept_awake() {
    let tmp = tempfile::TempDir::new().unwrap();
    let (git, body) = repository(tmp.path());
    let options = FetchOptions {
        keepalive: Duration::ZERO,
        ..FetchOptions::default()
    };
    let mut out = Vec::new();
    fetch(&git, &body, &mut out, &options).unwrap();
    let keepalives = out
        .windows(5)
        .filter(|window| *window == b"0005\x01")
        .count();
    assert!(keepalives > 0);
    // The pack is whole nevertheless.
    let bytes = &out[..];
    let mut reader = packhouse_wire::pktline::PacketReader::new(bytes);
    let mut pack = Vec::new();
    while let Some(packet) = reader.read().unwrap() {
        if let packhouse_wire::pktline::Packet::Data([1, data @ ..]) = packet {
            pack.extend_from_slice(data);
        }
    }
    let indexed = init_bare(&tmp.path().join("other.git"));
    indexed.feed(&["index-pack", "--stdin", "--strict"], &pack);
}

#[test]
fn a_client_is_kept_awake_while_its_depth_is_worked_out() {
    let tmp = tempfile::TempDir::new().unwrap();
    let git = init_bare(&tmp.path().join("repo.git"));
    // More commits than are walked between two looks at the clock.
    let commits: String = (1..=1500)
        .map(|number| {
            format!(
                "commit refs/heads/main\ncommitter A <a@example.com> {number} +0000\ndata 1\nm\n"
            )
        })
        .collect();
    git.feed(&["fast-import", "--quiet"], commits.as_bytes());
    let want = git.run(&["rev-parse", "main"]);
    let body = encode(&[
        text("command=fetch"),
        Line::Delim,
        text("sideband-all"),
        text("deepen 1400"),
        text(format!("want {want}")),
        text("done"),
        Line::Flush,
    ]);
    let mut options = FetchOptions {
        sideband_all: true,
        ..FetchOptions::default()
    };
    for (keepalive, is_woken) in [(Duration::ZERO, true), (Duration::from_secs(60), false)] {
        options.keepalive = keepalive;
        let mut out = Vec::new();
        fetch(&git, &body, &mut out, &options).unwrap();
        let begins = |what: &[u8]| out.windows(what.len()).position(|window| window == what);
        let pack_at = begins(b"packfile").unwrap();
        let woken = begins(b"0005\x02").is_some_and(|at| at < pack_at);
        assert_eq!(woken, is_woken);
    }
}

#[test]
fn a_client_killed_in_a_clone_leaves_the_server_well() {
    let world = crate::backends::World::new();
    let work = init_bare(&world.path("seed.git"));
    let mut history = History::new(work, 6);
    history.grow(300);
    history.move_refs(10);
    for remote in crate::backends::OURS {
        history
            .git
            .run(&["push", "-q", "--mirror", &world.url(remote)]);
        for wait_ms in [1, 5, 20, 50] {
            let name = format!("killed-{remote}-{wait_ms}");
            let mut child = Command::new("git")
                .args(["clone", "-q", "--bare", &world.url(remote), &name])
                .current_dir(world.root().dir)
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(wait_ms));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        world.root().run(&[
            "clone",
            "-q",
            "--mirror",
            &world.url(remote),
            &format!("whole-{remote}"),
        ]);
        assert_eq!(
            Git::at(world.path(&format!("whole-{remote}"))).refs(),
            history.git.refs()
        );
    }
}
