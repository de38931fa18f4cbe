//! Whole connections, as `git://`, SSH and local programs have them: real clients, and transcripts beside git's.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use packhouse_repo::{Namespace, Repository};
use packhouse_wire::pktline::PacketReader;
use packhouse_wire::repository::{PushTarget, sink_of, source_of};
use packhouse_wire::{
    FetchOptions, ReceiveOptions, Version, receive_pack_connection, upload_pack_connection,
};
use tokio::runtime::Handle;

use crate::backends::{OURS, REF_IN_WANT, World};
use crate::bytes::adapted;
use crate::git::{Git, init, init_bare};
use crate::history::History;
use crate::raw::{Line, decode, encode, gits, text};
use crate::sites::TestPolicy;

/// Our functions behind `git://`.
struct Daemon {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Daemon {
    fn start(world: &World) -> Daemon {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let (site, stopping) = (world.site.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let repository = |name: &str| site.repository(name);
                serve(stream.unwrap(), &repository, &site.runtime());
            }
        });
        Daemon {
            address,
            stop,
            thread: Some(thread),
        }
    }

    fn url(&self, name: &str) -> String {
        format!("git://{}/{name}", self.address)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// One connection: the line that names program and repository, then the program.
fn serve(stream: TcpStream, repository: &dyn Fn(&str) -> Repository, runtime: &Handle) {
    let mut input = stream.try_clone().unwrap();
    let mut digits = [0; 4];
    if input.read_exact(&mut digits).is_err() {
        return;
    }
    let length = usize::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap();
    let mut line = vec![0; length - 4];
    input.read_exact(&mut line).unwrap();
    let line = String::from_utf8(line).unwrap();
    let mut parts = line.split('\0');
    let (program, name) = parts.next().unwrap().split_once(" /").unwrap();
    let version = Version::from_header(parts.find(|part| part.starts_with("version=")));
    let repository = repository(name);
    let mut out = stream;
    converse(program, version, &repository, runtime, &mut input, &mut out);
    let _ = out.shutdown(std::net::Shutdown::Write);
    // Closing with input left unread would take back what was written.
    let _ = std::io::copy(&mut input, &mut std::io::sink());
}

fn converse(
    program: &str,
    version: Version,
    repository: &Repository,
    runtime: &Handle,
    input: &mut (dyn Read + Send),
    out: &mut (dyn Write + Send),
) {
    let view = runtime.block_on(repository.view()).unwrap();
    let source = source_of(view.clone(), Namespace::Default);
    if program == "git-upload-pack" {
        let _ = upload_pack_connection(version, input, &source, out, &FetchOptions::default());
        return;
    }
    let target = PushTarget {
        repository: repository.clone(),
        namespace: Namespace::Default,
        policy: Arc::new(TestPolicy),
        who: "tester".to_owned(),
        limits: packhouse_object::ReceiveLimits::default(),
    };
    let mut sink = sink_of(target, view, runtime.clone());
    let options = ReceiveOptions::default();
    let _ = receive_pack_connection(version, input, &mut sink, &source, out, &options);
}

/// What our functions answer over one connection to a client that says all of `said` at once.
fn transcript(world: &World, name: &str, version: u8, said: &[u8]) -> Vec<u8> {
    let repository = world.site.repository(name);
    let header = format!("version={version}");
    let version = Version::from_header(Some(&header));
    let (mut input, mut out) = (said, Vec::new());
    let runtime = world.site.runtime();
    converse(
        "git-upload-pack",
        version,
        &repository,
        &runtime,
        &mut input,
        &mut out,
    );
    out
}

#[test]
fn clones_fetches_and_pushes_over_one_connection_are_whole() {
    let world = World::new();
    let daemon = Daemon::start(&world);
    for version in 0..=2 {
        for name in OURS {
            let work = init(&world.path(&format!("work-{name}-{version}"))).speaking(version);
            let first = work.commit_file("a", &format!("one {version}\n"));
            let url = daemon.url(name);
            work.run(&["push", "-q", "--force", &url, "main"]);
            let folder = format!("clone-{name}-{version}");
            world
                .root()
                .speaking(version)
                .run(&["clone", "-q", &url, &folder]);
            let clone = Git::at(world.path(&folder)).speaking(version);
            assert_eq!(clone.run(&["rev-parse", "HEAD"]), first);
            // Far apart: the client has much that the server has not, and the other way round.
            for round in 0..40 {
                clone.commit_file("b", &format!("{round}\n"));
            }
            for round in 0..40 {
                work.commit_file("c", &format!("{round}\n"));
            }
            work.run(&["tag", "-a", "-m", "note", "v1"]);
            work.run(&["push", "-q", "--force", &url, "main", "v1"]);
            clone.run(&["fetch", "-q"]);
            assert_eq!(
                clone.run(&["rev-parse", "origin/main", "v1^{}"]),
                work.run(&["rev-parse", "main", "main"])
            );
            clone.fsck();
            let refs = clone.run(&["ls-remote", &url]);
            assert!(refs.contains("refs/tags/v1^{}"), "{refs}");
            work.run(&["push", "-q", "--delete", &url, "v1"]);
        }
    }
    world.bare("directory").fsck();
}

#[test]
fn what_is_said_in_several_rounds_is_what_git_says() {
    let world = World::new();
    world.bare("stock").configure(&[REF_IN_WANT]);
    let mut history = History::new(init_bare(&world.path("seed.git")), 41);
    history.grow(60);
    history.move_refs(30);
    for remote in ["directory", "hosted", "stock"] {
        let url = world.url(remote);
        history.git.run(&["push", "-q", "--mirror", &url]);
    }
    let heads = history
        .git
        .run(&["for-each-ref", "--format=%(objectname)", "refs/heads/"]);
    let heads: Vec<String> = heads.lines().map(str::to_owned).collect();
    for round in 0..40 {
        // A client without either stops at its first common commit; that answer is compared in `bytes`.
        let ack = *history.random.pick(&["multi_ack_detailed", "multi_ack"]);
        let want = history.random.pick(&heads).clone();
        let mut lines = vec![
            text(format!(
                "want {want} {ack} side-band-64k ofs-delta no-progress\n"
            )),
            Line::Flush,
        ];
        for _ in 0..history.random.below(4) {
            for _ in 0..history.random.below(6) {
                let id = match history.random.below(4) {
                    0 => format!("{:040x}", history.random.below(1000) + 1),
                    1 => history.random.pick(&heads).clone(),
                    _ => history.random.pick(&history.commits.clone()).clone(),
                };
                lines.push(text(format!("have {id}\n")));
            }
            lines.push(Line::Flush);
        }
        lines.push(text("done\n"));
        let body = encode(&lines);
        let version = history.random.below(2) as u8;
        let expected = adapted(&gits(&world, "stock", &["upload-pack"], version, &body));
        for name in OURS {
            let said = decode(&transcript(&world, name, version, &body));
            assert_eq!(said, expected, "round {round} {name} {lines:?}");
        }
    }
}

#[test]
fn commands_of_version_2_are_answered_one_after_the_other() {
    let world = World::new();
    world.bare("stock").configure(&[REF_IN_WANT]);
    let work = init(&world.path("work"));
    let commit = work.commit_file("a", "one\n");
    for remote in ["directory", "hosted", "stock"] {
        work.run(&["push", "-q", &world.url(remote), "main"]);
    }
    let list = |argument: &str| {
        vec![
            text("command=ls-refs\n"),
            Line::Delim,
            text(argument),
            Line::Flush,
        ]
    };
    let fetch = vec![
        text("command=fetch"),
        Line::Delim,
        text("no-progress"),
        text(format!("want {commit}\n")),
        text(format!("have {}\n", "1".repeat(40))),
        Line::Flush,
    ];
    for end in [&[Line::Flush][..], &[]] {
        let lines = [
            list("symrefs"),
            fetch.clone(),
            list("ref-prefix HEAD"),
            end.to_vec(),
        ]
        .concat();
        let body = encode(&lines);
        let expected = adapted(&gits(&world, "stock", &["upload-pack"], 2, &body));
        for name in OURS {
            assert_eq!(
                decode(&transcript(&world, name, 2, &body)),
                expected,
                "{name}"
            );
        }
    }
}

/// A client that says nothing more, and keeps the connection.
struct Silent;

impl Read for Silent {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::TimedOut.into())
    }
}

/// `git` keeps its connection while it resolves the deltas of what it got, which takes as long as it takes.
#[test]
fn a_client_that_works_on_what_it_got_and_says_nothing_has_ended_in_order() {
    let world = World::new();
    let work = init(&world.path("work"));
    work.commit_file("a", "one\n");
    work.run(&["push", "-q", &world.url("directory"), "main"]);
    let repository = world.site.repository("directory");
    let view = world.site.runtime().block_on(repository.view()).unwrap();
    let source = source_of(view, Namespace::Default);
    let list = [text("command=ls-refs\n"), Line::Flush];
    let half = [text("command=ls-refs\n")];
    let silent_after = |said: &[u8]| {
        let (mut input, mut out) = (said.chain(Silent), Vec::new());
        let options = FetchOptions::default();
        let ended = upload_pack_connection(Version::V2, &mut input, &source, &mut out, &options);
        (ended, decode(&out))
    };
    let (ended, said) = silent_after(&encode(&list));
    assert!(ended.is_ok(), "{ended:?}");
    assert!(!said.iter().any(|line| line.contains("ERR")), "{said:?}");
    assert!(silent_after(&encode(&half)).0.is_err());
    assert!(silent_after(b"").0.is_err());
}

#[test]
fn a_client_that_only_looks_ends_in_order_and_one_that_breaks_off_does_not() {
    let world = World::new();
    let work = init(&world.path("work"));
    let commit = work.commit_file("a", "one\n");
    work.run(&["push", "-q", &world.url("directory"), "main"]);
    let repository = world.site.repository("directory");
    let view = world.site.runtime().block_on(repository.view()).unwrap();
    let source = source_of(view, Namespace::Default);
    let ended = |version: Version, said: &[u8]| {
        let (mut input, mut out) = (said, Vec::new());
        let ended = upload_pack_connection(
            version,
            &mut input,
            &source,
            &mut out,
            &FetchOptions::default(),
        );
        (ended, out)
    };
    for version in [Version::V0, Version::V1, Version::V2] {
        assert!(ended(version, b"").0.is_ok());
        assert!(ended(version, b"0000").0.is_ok());
        assert!(ended(version, b"00").0.is_err());
    }
    let lines = [text(format!("want {commit} multi_ack\n")), Line::Flush];
    let (broken_off, out) = ended(Version::V0, &encode(&lines));
    assert!(broken_off.is_err());
    let mut reader = PacketReader::new(&out[..]);
    let mut last = String::new();
    while let Ok(Some(packet)) = reader.read() {
        last = String::from_utf8_lossy(packet.text().unwrap_or_default()).into_owned();
    }
    assert_eq!(last, "ERR upload-pack: the remote end hung up unexpectedly");
}
