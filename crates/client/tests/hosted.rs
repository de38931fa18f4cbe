//! The hosted client against servers that misbehave: what is sent again, and what is not.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use packhouse_api::{CreateBranch, GrepPattern, GrepRequest, ListBranchesQuery, Person};
use packhouse_client::hosted::{
    Client, ClientCredential, ClientOptions, FileSource, HostedError, HostedRepo, RetryPolicy,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with one connection.
#[derive(Clone)]
enum Turn {
    /// Reads the request and answers with this.
    Answer(&'static str),
    /// Reads the request and hangs up.
    HangUp,
    /// Reads the request and says nothing.
    Silence,
    /// Answers after the first bytes, and reads on.
    Early(&'static str),
}

/// A server that takes each turn once, in order, and keeps what it was sent.
struct Scripted {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    async fn start(turns: Vec<Turn>) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            for turn in turns {
                let (mut socket, _) = listener.accept().await.unwrap();
                take(&mut socket, turn, &kept).await;
            }
        });
        Scripted {
            url,
            requests,
            task,
        }
    }

    fn repo(&self) -> HostedRepo {
        self.client(|_| {}).repo("team/site")
    }

    fn client(&self, set: impl FnOnce(&mut ClientOptions)) -> Client {
        let credential = ClientCredential::Token("secret-token".to_owned());
        let mut options = ClientOptions::new("acme", credential, self.url.clone());
        options.retry = RetryPolicy {
            attempts: 3,
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_secs(2),
        };
        set(&mut options);
        Client::new(options).unwrap()
    }

    /// First lines of the requests.
    fn seen(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests
            .iter()
            .map(|text| text.lines().next().unwrap_or_default().to_owned())
            .collect()
    }
}

async fn take(socket: &mut TcpStream, turn: Turn, kept: &Mutex<Vec<String>>) {
    let mut text = Vec::new();
    let mut piece = vec![0; 64 << 10];
    if let Turn::Early(answer) = turn {
        let read = socket.read(&mut piece).await.unwrap();
        text.extend_from_slice(&piece[..read]);
        socket.write_all(answer.as_bytes()).await.unwrap();
        while !text.ends_with(b"0\r\n\r\n") {
            match socket.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(read) => text.extend_from_slice(&piece[..read]),
            }
        }
        kept.lock()
            .unwrap()
            .push(String::from_utf8_lossy(&text).into_owned());
        return;
    }
    while !is_whole(&text) {
        match socket.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(read) => text.extend_from_slice(&piece[..read]),
        }
    }
    kept.lock()
        .unwrap()
        .push(String::from_utf8_lossy(&text).into_owned());
    match turn {
        Turn::Answer(answer) => socket.write_all(answer.as_bytes()).await.unwrap(),
        Turn::Silence => tokio::time::sleep(Duration::from_secs(30)).await,
        Turn::HangUp | Turn::Early(_) => {}
    }
}

fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    if head.contains("transfer-encoding: chunked") {
        return body.ends_with("0\r\n\r\n");
    }
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
const EMPTY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 32\r\nconnection: close\r\n\r\n{\"branches\":[],\"has_more\":false}";
const CREATED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 80\r\nconnection: close\r\n\r\n\
    {\"message\":\"m\",\"target_branch\":\"b\",\"target_is_ephemeral\":false,\"commit_sha\":\"1\"}";
const BAD_GATEWAY: &str =
    "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{\"error\":\"bad\"}";

async fn list(repo: &HostedRepo) -> Result<usize, HostedError> {
    let page = repo.list_branches(&ListBranchesQuery::default()).await?;
    Ok(page.branches.len())
}

async fn create(repo: &HostedRepo) -> Result<String, HostedError> {
    let request = CreateBranch {
        base_ref: Some("main".to_owned()),
        target_branch: "b".to_owned(),
        ..CreateBranch::default()
    };
    Ok(repo.create_branch(&request).await?.target_branch)
}

fn author() -> Person {
    Person {
        name: "Ada".to_owned(),
        email: "ada@example.com".to_owned(),
        timestamp: None,
    }
}

#[tokio::test]
async fn a_read_is_sent_again_after_every_passing_failure() {
    let turns = [Turn::Answer(BUSY), Turn::HangUp, Turn::Answer(EMPTY)];
    let server = Scripted::start(turns.to_vec()).await;
    assert_eq!(list(&server.repo()).await.unwrap(), 0);
    assert_eq!(
        server.seen(),
        vec!["GET /api/v1/repos/branches HTTP/1.1"; 3]
    );

    let server = Scripted::start(vec![Turn::Answer(BAD_GATEWAY), Turn::Answer(EMPTY)]).await;
    assert_eq!(list(&server.repo()).await.unwrap(), 0);

    // A search reads, although it is a POST.
    let server = Scripted::start(vec![Turn::HangUp, Turn::Answer(UNAUTHORIZED)]).await;
    let query = GrepPattern {
        pattern: "x".to_owned(),
        case_sensitive: None,
    };
    let error = server
        .repo()
        .grep(&GrepRequest {
            query,
            ..GrepRequest::default()
        })
        .await
        .unwrap_err();
    assert_eq!(
        (error.status(), error.to_string().as_str()),
        (Some(401), "bad")
    );
}

#[tokio::test]
async fn a_write_is_sent_again_only_if_it_was_turned_away() {
    let server = Scripted::start(vec![Turn::Answer(BUSY), Turn::Answer(CREATED)]).await;
    assert_eq!(create(&server.repo()).await.unwrap(), "b");
    let bodies = server.requests.lock().unwrap().clone();
    assert_eq!(
        bodies[0].split_once("\r\n\r\n"),
        bodies[1].split_once("\r\n\r\n")
    );

    for turn in [Turn::HangUp, Turn::Answer(BAD_GATEWAY)] {
        let server = Scripted::start(vec![turn, Turn::Answer(CREATED)]).await;
        let error = create(&server.repo()).await.unwrap_err();
        assert!(
            matches!(error, HostedError::Broken { .. }) || error.status() == Some(502),
            "{error:?}"
        );
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn attempts_end() {
    let server = Scripted::start(vec![Turn::Answer(BUSY); 5]).await;
    assert_eq!(list(&server.repo()).await.unwrap_err().status(), Some(503));
    assert_eq!(server.seen().len(), 3);

    let impatient = server.client(|options| options.retry = RetryPolicy::NEVER);
    assert_eq!(
        list(&impatient.repo("r")).await.unwrap_err().status(),
        Some(503)
    );
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let credential = ClientCredential::Token("secret-token".to_owned());
    let mut options = ClientOptions::new("acme", credential, format!("http://{address}/"));
    options.retry.first_pause = Duration::from_millis(1);
    let client = Client::new(options).unwrap();
    assert!(!format!("{client:?}").contains("secret"));
    let error = create(&client.repo("r")).await.unwrap_err();
    assert!(matches!(error, HostedError::Connect { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("could not connect to {address}"));
    assert!(!format!("{error:?}").contains("secret"));
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_not_asked_again() {
    let server = Scripted::start(vec![Turn::Silence, Turn::Answer(EMPTY)]).await;
    let client = server.client(|options| options.silence = Some(Duration::from_millis(100)));
    let before = Instant::now();
    let error = list(&client.repo("r")).await.unwrap_err();
    assert!(matches!(error, HostedError::TimedOut { .. }), "{error:?}");
    assert!(before.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn an_upload_that_takes_longer_than_the_silence_goes_on() {
    const REFUSED: &str =
        "HTTP/1.1 409 Conflict\r\ncontent-length: 13\r\nconnection: close\r\n\r\n{\"error\":\"x\"}";
    let server = Scripted::start(vec![Turn::Answer(REFUSED)]).await;
    let client = server.client(|options| options.silence = Some(Duration::from_millis(300)));
    // Each file is a line, and a line is progress.
    let mut commit = client.repo("r").commit("main", "m", author());
    for number in 0..8 {
        let slow = stream::once(async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(Bytes::from_static(b"x"))
        });
        commit = commit.file(format!("f{number}"), FileSource::stream(slow));
    }
    let Err(HostedError::RefUpdate(error)) = commit.send().await else {
        panic!("no refusal");
    };
    assert_eq!(
        (error.status.as_str(), error.message.as_str()),
        ("conflict", "x")
    );
}

#[tokio::test]
async fn a_stream_is_sent_once_and_bytes_again() {
    let server = Scripted::start(vec![Turn::Answer(BUSY), Turn::Answer(UNAUTHORIZED)]).await;
    let once = FileSource::stream(stream::iter([Ok(Bytes::from_static(b"x"))]));
    let commit = server.repo().commit("main", "m", author()).file("f", once);
    assert_eq!(commit.send().await.unwrap_err().status(), Some(503));
    assert_eq!(server.seen().len(), 1);

    let server = Scripted::start(vec![Turn::Answer(BUSY), Turn::Answer(UNAUTHORIZED)]).await;
    let commit = server.repo().commit("main", "m", author()).file("f", "x");
    assert_eq!(commit.send().await.unwrap_err().status(), Some(401));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_counts() {
    let server = Scripted::start(vec![Turn::Early(UNAUTHORIZED)]).await;
    let large = stream::iter((0..64).map(|_| Ok(Bytes::from(vec![b'x'; 1 << 20]))));
    let commit = server
        .repo()
        .commit("main", "m", author())
        .file("f", FileSource::stream(large));
    let Err(HostedError::RefUpdate(error)) = commit.send().await else {
        panic!("no refusal");
    };
    assert_eq!(error.status, "unauthorized");
}

#[tokio::test]
async fn a_source_that_fails_is_the_error_and_ends_the_request() {
    let server = Scripted::start(vec![Turn::HangUp]).await;
    let broken = stream::iter([
        Ok(Bytes::from_static(b"x")),
        Err(std::io::Error::other("the disk is gone")),
    ]);
    let commit = server
        .repo()
        .commit("main", "m", author())
        .file("f", FileSource::stream(broken));
    let error = commit.send().await.unwrap_err();
    let HostedError::Source(source) = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.to_string(), "the disk is gone");
}

#[tokio::test]
async fn nothing_is_sent_of_what_no_server_takes() {
    let server = Scripted::start(vec![]).await;
    let repo = server.repo();
    let commit = |branch: &str, message: &str| repo.commit(branch, message, author());
    for refused in [
        commit("refs/heads/main", "m"),
        commit(" ", "m"),
        commit("main", ""),
        commit("main", "m").base_branch("refs/heads/x"),
        commit("main", "m").ephemeral_base(),
        repo.commit("main", "m", Person::default()),
    ] {
        assert!(matches!(refused.send().await, Err(HostedError::Invalid(_))));
    }
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn events_go_on_after_the_last_one_when_the_connection_breaks() {
    const FIRST: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
        retry: 1\nid: 5\n\nid: 6\nevent: push\ndata: {\"n\":1}\n\nid: 7\nevent: pu";
    const SECOND: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
        id: 7\nevent: push\ndata: {\"n\":2}\n\n";
    const FORBIDDEN: &str =
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let turns = [
        Turn::Answer(FIRST),
        Turn::HangUp,
        Turn::Answer(SECOND),
        Turn::Answer(FORBIDDEN),
    ];
    let server = Scripted::start(turns.to_vec()).await;
    let mut events = server.repo().events(Some("0"));
    let mut seen = Vec::new();
    while let Some(Ok(event)) = events.next().await {
        seen.push((event.id, event.kind, event.data["n"].as_u64()));
    }
    let event = |id: &str, n| (id.to_owned(), "push".to_owned(), Some(n));
    assert_eq!(seen, [event("6", 1), event("7", 2)]);
    assert!(events.next().await.is_none());
    let asked: Vec<_> = server
        .requests
        .lock()
        .unwrap()
        .iter()
        .map(|text| {
            let mut lines = text.lines();
            lines
                .find_map(|line| line.strip_prefix("last-event-id: "))
                .map(str::to_owned)
        })
        .collect();
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(asked, [id("0"), id("6"), id("6"), id("7")]);
}

#[tokio::test]
async fn dropping_a_call_ends_its_request() {
    let server = Scripted::start(vec![Turn::Silence]).await;
    let repo = server.repo();
    let waiting = tokio::time::timeout(Duration::from_millis(200), list(&repo)).await;
    assert!(waiting.is_err());
    assert_eq!(server.seen().len(), 1);
}
