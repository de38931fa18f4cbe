//! A fetch over one connection: negotiation goes on over several rounds, and version 2 takes command after command.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use packhouse_repo::{Namespace, directory};
use packhouse_wire::repository::source_of;
use packhouse_wire::{FetchOptions, Rounds, Version, advertise_upload_pack, upload_pack};

use crate::git::{Git, init, init_bare};
use crate::history::History;

/// Serves the repository to one client, which connects as to `git daemon`, and returns what became of it.
fn serve_one(listener: TcpListener, repository: Git) -> thread::JoinHandle<Result<(), String>> {
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let version = greeting(&mut stream);
        let repository =
            directory::open(&repository.dir, directory::DirectoryOptions::default()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let view = runtime.block_on(repository.view()).unwrap();
        let source = source_of(view, Namespace::Default);
        let options = FetchOptions {
            rounds: Rounds::Many,
            ..FetchOptions::default()
        };
        let mut out = stream.try_clone().unwrap();
        advertise_upload_pack(version, &source, &options, &mut out).unwrap();
        upload_pack(version, &mut stream, &source, &mut out, &options)
            .map_err(|error| error.to_string())
    })
}

/// Reads the line that names the program and the path, and the version behind it.
fn greeting(stream: &mut TcpStream) -> Version {
    let mut length = [0; 4];
    stream.read_exact(&mut length).unwrap();
    let length = usize::from_str_radix(std::str::from_utf8(&length).unwrap(), 16).unwrap();
    let mut line = vec![0; length - 4];
    stream.read_exact(&mut line).unwrap();
    let text = String::from_utf8(line).unwrap();
    assert!(text.starts_with("git-upload-pack /"), "{text}");
    let header = text.split('\0').find(|part| part.starts_with("version="));
    Version::from_header(header)
}

/// Runs `git` against a server of `repository` that answers once.
fn with_server(git: &Git, repository: &Git, args: &[&str]) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/x", listener.local_addr().unwrap());
    let server = serve_one(listener, repository.clone());
    let args: Vec<&str> = args
        .iter()
        .map(|arg| if *arg == "URL" { url.as_str() } else { *arg })
        .collect();
    git.run(&args);
    let served = server.join().unwrap();
    // A client of version 0 that has all it wants says so by a flush, or just goes.
    assert!(
        served.is_ok() || served == Err("the client went away".to_owned()),
        "{served:?}"
    );
}

#[test]
fn a_connection_serves_clones_fetches_and_depths() {
    let tmp = tempfile::tempdir().unwrap();
    let mut history = History::new(init_bare(&tmp.path().join("seed.git")), 31);
    history.grow(60);
    history.move_refs(10);
    // The client has much that the server has not: the negotiation takes rounds.
    let clients = [0, 1, 2].map(|version| {
        let git = init(&tmp.path().join(format!("client-{version}"))).speaking(version);
        with_server(
            &git,
            &history.git,
            &["fetch", "-q", "URL", "+refs/*:refs/*", "--update-head-ok"],
        );
        git
    });
    for git in &clients {
        assert_eq!(git.refs(), history.git.refs());
        git.run(&["checkout", "-q", "-f", "main"]);
        for number in 0..40 {
            git.run(&["commit", "-q", "--allow-empty", "-m", &number.to_string()]);
        }
    }
    history.grow(20);
    history.move_refs(5);
    for git in &clients {
        let refspec = "+refs/heads/*:refs/remotes/x/*";
        with_server(git, &history.git, &["fetch", "-q", "URL", refspec]);
        let main = history.git.run(&["rev-parse", "main"]);
        assert_eq!(git.run(&["rev-parse", "refs/remotes/x/main"]), main);
        git.fsck();
    }
    for version in [0, 1, 2] {
        let name = format!("shallow-{version}");
        let root = Git::at(tmp.path()).speaking(version);
        with_server(
            &root,
            &history.git,
            &["clone", "-q", "--depth=2", "URL", &name],
        );
        let git = Git::at(tmp.path().join(&name)).speaking(version);
        with_server(
            &git,
            &history.git,
            &["fetch", "-q", "--deepen=2", "URL", "main"],
        );
        with_server(
            &git,
            &history.git,
            &["fetch", "-q", "--unshallow", "URL", "main"],
        );
        assert!(git.shallow().is_empty());
        git.fsck();
        with_server(&root, &history.git, &["ls-remote", "URL"]);
    }
}

#[test]
fn a_client_that_goes_in_the_middle_of_it_ends_the_work() {
    let tmp = tempfile::tempdir().unwrap();
    let mut history = History::new(init_bare(&tmp.path().join("seed.git")), 32);
    history.grow(5);
    history.move_refs(1);
    let main = history.git.run(&["rev-parse", "main"]);
    let want = format!("want {main} side-band-64k multi_ack_detailed\n");
    let want = format!("{:04x}{want}0000", want.len() + 4);
    for (greeting, request) in [
        ("git-upload-pack /x\0host=a\0", want.as_str()),
        (
            "git-upload-pack /x\0host=a\0\0version=2\0",
            "0012command=fetch\n0001",
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let server = serve_one(listener, history.git.clone());
        write!(stream, "{:04x}{greeting}{request}", greeting.len() + 4).unwrap();
        // Half of it: the answer could still be read.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let served = server.join().unwrap();
        assert_eq!(
            served,
            Err("the remote end hung up unexpectedly".to_owned())
        );
        assert!(!answer.windows(4).any(|bytes| bytes == b"PACK"));
    }
}
