//! What happens on the connection itself: bodies that are refused, slow clients, broken requests, shutdown.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Checkout, CommitBody, TestServer, Token};

async fn connect(server: &TestServer) -> TcpStream {
    TcpStream::connect(server.server.local_addr())
        .await
        .unwrap()
}

/// Everything the server sends until it closes the connection, or for `time`.
async fn read_for(stream: &mut TcpStream, time: Duration) -> String {
    let mut text = Vec::new();
    let _ = tokio::time::timeout(time, stream.read_to_end(&mut text)).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads one answer with a `Content-Length`.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    loop {
        let byte = stream.read_u8().await.unwrap();
        text.push(byte);
        if text.ends_with(b"\r\n\r\n") {
            let head = String::from_utf8(text.clone())
                .unwrap()
                .to_ascii_lowercase();
            let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
                rest.split("\r\n").next().unwrap().parse().unwrap()
            });
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            text.extend_from_slice(&body);
            return String::from_utf8(text).unwrap();
        }
    }
}

fn head(method: &str, path: &str, token: &Token, more: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n{more}\r\n",
        token.text()
    )
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let server = TestServer::with_repo("a").await;
    // Like httpx: send everything, then read. 40 MiB do not fit into the socket's buffers.
    let chunk = vec![b'x'; 1 << 20];
    for (method, path, token) in [
        ("POST", "/api/v1/repos/commit-pack", Token::raw("bad")),
        ("POST", "/api/v1/repos/commit-pack", Token::write("a")),
        ("POST", "/api/v1/repos/branches/create", Token::raw("bad")),
        ("POST", "/api/v1/repos", Token::new("b", &["repo:write"])),
        ("POST", "/api/v1/nothing", Token::raw("bad")),
        ("PUT", "/api/v1/repos", Token::raw("bad")),
        ("POST", "/a.git/git-receive-pack", Token::raw("bad")),
        ("POST", "/a.git/git-receive-pack", Token::read("a")),
        ("GET", "/healthz", Token::raw("bad")),
    ] {
        let mut stream = connect(&server).await;
        let head = head(method, path, &token, "Transfer-Encoding: chunked\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..40 {
            stream
                .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
                .await
                .unwrap();
            stream
                .write_all(&chunk)
                .await
                .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            stream.write_all(b"\r\n").await.unwrap();
        }
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{method} {path}: {answer}");
        // The connection is in step: the next request on it is answered.
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(
            read_answer(&mut stream).await.ends_with("ok\n"),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_continue_is_told() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main").file("x", b"1").text();
    let expect = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
    let path = "/api/v1/repos/commit-pack";

    let mut stream = connect(&server).await;
    stream
        .write_all(head("POST", path, &Token::write("a"), &expect).as_bytes())
        .await
        .unwrap();
    assert_eq!(
        read_answer(&mut stream).await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(body.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 201"));

    // Refused without asking for the body.
    let mut stream = connect(&server).await;
    stream
        .write_all(head("POST", path, &Token::read("a"), &expect).as_bytes())
        .await
        .unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn urls_in_answers_have_the_host_that_was_asked() {
    let server = TestServer::start().await;
    let token = Token::new("a", &["repo:write"]);
    let mut stream = connect(&server).await;
    // With the host in the request's URI, as every HTTP/2 request has it.
    let path = "http://git.example:81/api/v1/repos";
    stream
        .write_all(head("POST", path, &token, "Content-Length: 0\r\n").as_bytes())
        .await
        .unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(
        answer.contains(r#""http_url":"http://git.example:81/a.git""#),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_that_stops_halfway_stores_nothing() {
    let server = TestServer::with_repo("a").await;
    let large = vec![7u8; 3 << 20];
    let body = CommitBody::new("main").file("x", &large).text();
    for cut in [0, 20, 300, body.len() / 2, body.len() - 1] {
        for framing in [
            format!("Content-Length: {}\r\n", body.len()),
            "Transfer-Encoding: chunked\r\n".to_owned(),
        ] {
            let mut stream = connect(&server).await;
            let head = head(
                "POST",
                "/api/v1/repos/commit-pack",
                &Token::write("a"),
                &framing,
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            if framing.starts_with('T') {
                stream
                    .write_all(format!("{:x}\r\n", body.len()).as_bytes())
                    .await
                    .unwrap();
            }
            stream.write_all(&body.as_bytes()[..cut]).await.unwrap();
            stream.shutdown().await.unwrap();
            read_for(&mut stream, Duration::from_secs(5)).await;
        }
    }
    assert!(server.branches("a", "").await.is_empty());
    // Nor is anything left lying about.
    let deadline = Instant::now() + Duration::from_secs(5);
    while temporary_files(server.folder.path()) > 0 {
        assert!(Instant::now() < deadline, "temporary files are left over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Files in the server's own folder, and in those of others; what locks them is none.
fn temporary_files(folder: &std::path::Path) -> usize {
    let below = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    let own = below(&folder.join("tmp"));
    assert_eq!(own.len(), 2, "{own:?}");
    own.iter().map(|folder| below(folder).len()).sum()
}

#[tokio::test]
async fn a_push_that_stops_halfway_stores_nothing() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    let commit = checkout.commit("x", b"1").await;
    let pack = {
        std::fs::write(checkout.path().join("revs"), format!("{commit}\n")).unwrap();
        let args = ["pack-objects", "--revs", "--stdout", "-q"];
        let mut command = std::process::Command::new("git");
        let revs = std::fs::File::open(checkout.path().join("revs")).unwrap();
        command
            .current_dir(checkout.path())
            .args(args)
            .stdin(revs)
            .output()
            .unwrap()
            .stdout
    };
    let line = format!("{} {commit} refs/heads/main\0report-status", "0".repeat(40));
    let mut body = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
    body.extend_from_slice(&pack);
    for cut in [10, 100, 160, body.len() - 30, body.len() - 1] {
        let mut stream = connect(&server).await;
        let more = format!(
            "Content-Type: application/x-git-receive-pack-request\r\nContent-Length: {}\r\n",
            body.len()
        );
        stream
            .write_all(
                head("POST", "/a.git/git-receive-pack", &Token::write("a"), &more).as_bytes(),
            )
            .await
            .unwrap();
        stream.write_all(&body[..cut]).await.unwrap();
        stream.shutdown().await.unwrap();
        read_for(&mut stream, Duration::from_secs(5)).await;
    }
    assert!(server.branches("a", "").await.is_empty());
}

#[tokio::test]
async fn a_client_that_falls_silent_is_given_up() {
    let server = TestServer::with_limits(|limits| {
        limits.header = Duration::from_millis(300);
        limits.body_idle = Duration::from_millis(300);
    })
    .await;
    server.create("a").await;
    for (path, token) in [
        ("/api/v1/repos/commit-pack", Token::write("a")),
        ("/api/v1/repos/branches/create", Token::write("a")),
    ] {
        let mut stream = connect(&server).await;
        let request = head("POST", path, &token, "Content-Length: 100\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_for(&mut stream, Duration::from_secs(5)).await;
        assert!(
            answer.starts_with("HTTP/1.1 408") && answer.contains("\"timeout\""),
            "{path}: {answer}"
        );
    }
    // The beginning of a head, nothing at all, and the beginning of HTTP/2.
    let starts = [
        "GET / HTTP/1.1\r\nHost:",
        "",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for start in starts {
        let began = Instant::now();
        let mut stream = connect(&server).await;
        stream.write_all(start.as_bytes()).await.unwrap();
        read_for(&mut stream, Duration::from_secs(5)).await;
        assert!(began.elapsed() < Duration::from_secs(3), "{start:?}");
    }
}

#[tokio::test]
async fn a_client_that_only_drips_is_given_up() {
    let server = TestServer::with_limits(|limits| {
        limits.body_idle = Duration::from_millis(400);
        limits.body_min_rate = 1000;
    })
    .await;
    server.create("a").await;
    let mut stream = connect(&server).await;
    let request = head(
        "POST",
        "/api/v1/repos/commit-pack",
        &Token::write("a"),
        "Content-Length: 100000\r\n",
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let began = Instant::now();
    while stream.write_all(b" ").await.is_ok() && began.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut byte = [0];
        if stream.try_read(&mut byte).is_ok() {
            break;
        }
    }
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_stops_reading_is_given_up() {
    let server = TestServer::with_limits(|limits| {
        limits.write_idle = Duration::from_millis(500);
        limits.fetches = 1;
        limits.queue_wait = Duration::from_secs(5);
    })
    .await;
    server.create("a").await;
    let checkout = Checkout::init().await;
    // More than all buffers on the way hold, and not compressible.
    let data: Vec<u8> = (0..12_000_000u32)
        .map(|at| (at.wrapping_mul(2654435761) >> 11) as u8)
        .collect();
    let mixed: Vec<u8> = data
        .iter()
        .scan(0u8, |last, byte| {
            *last = last.wrapping_mul(31) ^ byte;
            Some(*last)
        })
        .collect();
    let head_id = checkout.commit("big", &mixed).await;
    checkout
        .git(&[
            "push",
            "-q",
            &server.git_url("a", &Token::write("a")),
            "main",
        ])
        .await;
    let line = format!("want {head_id}\n");
    let body = format!("{:04x}{line}00000009done\n", line.len() + 4);
    let more = format!(
        "Content-Type: application/x-git-upload-pack-request\r\nContent-Length: {}\r\n",
        body.len()
    );
    let mut stalled = connect(&server).await;
    stalled
        .write_all(head("POST", "/a.git/git-upload-pack", &Token::read("a"), &more).as_bytes())
        .await
        .unwrap();
    stalled.write_all(body.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The one turn for fetches comes free again.
    Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    let answer = read_for(&mut stalled, Duration::from_secs(5)).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.len() < 12_000_000);
}

#[tokio::test]
async fn too_many_connections_wait_their_turn() {
    let server = TestServer::with_limits(|limits| limits.connections = 2).await;
    // The test's own client holds one open.
    let mut first = connect(&server).await;
    first
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    read_answer(&mut first).await;
    let mut second = connect(&server).await;
    second
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(read_for(&mut second, Duration::from_millis(300)).await, "");
    drop(first);
    assert!(read_answer(&mut second).await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_shutdown_lets_requests_finish() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main").file("x", b"1").text();
    let (start, rest) = body.split_at(100);
    let mut stream = connect(&server).await;
    let more = format!("Content-Length: {}\r\n", body.len());
    stream
        .write_all(
            head(
                "POST",
                "/api/v1/repos/commit-pack",
                &Token::write("a"),
                &more,
            )
            .as_bytes(),
        )
        .await
        .unwrap();
    stream.write_all(start.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let address = server.server.local_addr();
    let TestServer {
        server: running,
        folder,
        http,
        ..
    } = server;
    drop(http);
    let stopping = tokio::spawn(running.shutdown());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!stopping.is_finished());
    assert!(
        TcpStream::connect(address).await.is_err(),
        "still listening"
    );
    stream.write_all(rest.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 201"));
    tokio::time::timeout(Duration::from_secs(3), stopping)
        .await
        .unwrap()
        .unwrap();
    drop(folder);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let server =
        TestServer::with_limits(|limits| limits.shutdown = Duration::from_millis(300)).await;
    server.create("a").await;
    let mut stream = connect(&server).await;
    let request = head(
        "POST",
        "/api/v1/repos/commit-pack",
        &Token::write("a"),
        "Content-Length: 100\r\n",
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    tokio::time::timeout(Duration::from_secs(5), server.server.shutdown())
        .await
        .unwrap();
}

#[tokio::test]
async fn basic_credentials_work_on_a_raw_connection() {
    let server = TestServer::with_repo("a").await;
    let mut stream = connect(&server).await;
    let credentials = STANDARD.encode(format!("t:{}", Token::read("a").text()));
    let request = format!(
        "GET /a.git/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic {credentials}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(
        read_for(&mut stream, Duration::from_secs(5))
            .await
            .starts_with("HTTP/1.1 200")
    );
}
