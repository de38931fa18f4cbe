//! Turns: a greedy organisation, full queues, and clients that stop waiting.

use std::time::Duration;

use packhouse_catalog::OrgId;
use packhouse_server::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Checkout, Key, TestServer, Token, git_output, register};

const UNDER_WAY: &str = "packhouse_under_way{kind=\"fetch\"}";
const WAITING: &str = "packhouse_turns_waiting{kind=\"fetch\"}";

/// The organisation beside the one that every test server has.
const OTHER: &str = "other";

/// A server with a repository of each of two organisations.
async fn two_orgs(set: impl FnOnce(&mut Limits)) -> TestServer {
    let server = TestServer::with_limits(set).await;
    let other: OrgId = {
        let catalog = server.server.hosted().catalog();
        catalog.create_org(OTHER).await.unwrap().id
    };
    register(&server.server, other, Key::OtherEs256.public_pem()).await;
    for token in [
        Token::new("a", &["repo:write"]),
        of_other("b", "repo:write"),
    ] {
        let body = serde_json::json!({});
        server.post("/repos", &token, &body).await.expect(201);
    }
    server
}

fn of_other(repo: &str, scope: &str) -> Token {
    Token::new(repo, &[scope])
        .with("iss", OTHER.into())
        .signed_by(Key::OtherEs256)
}

/// A request for `service` that begins and does not go on. It has its turn, or waits for it, until it is dropped.
async fn stuck(server: &TestServer, repo: &str, service: &str, token: &Token) -> TcpStream {
    let mut stream = TcpStream::connect(server.server.local_addr())
        .await
        .unwrap();
    let head = format!(
        "POST /{repo}.git/{service} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-{service}-request\r\nContent-Length: 1000\r\n\r\n",
        token.text()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_greedy_organisation_does_not_starve_another() {
    let server = two_orgs(|limits| limits.fetches = 4).await;
    server.create("c").await;
    // Three in four is an organisation's share, and half is a repository's.
    let mut greedy = Vec::new();
    for repo in ["a", "a", "a", "c", "c", "c", "a", "c"] {
        greedy.push(stuck(&server, repo, "git-upload-pack", &Token::read(repo)).await);
    }
    server.until_metric(UNDER_WAY, 3.0).await;
    server.until_metric(WAITING, 5.0).await;
    // The other one is served, while the first one waits for itself.
    let write = server.git_url("b", &of_other("b", "git:write"));
    let checkout = Checkout::init().await;
    checkout.commit("x", b"1").await;
    checkout.git(&["push", "-q", &write, "main"]).await;
    for _ in 0..3 {
        Checkout::clone(&write, &[]).await;
    }
    assert_eq!(server.metric(WAITING).await, Some(5.0));
    // Who stops waiting leaves the queue, and who had a turn leaves it to those who wait.
    greedy.truncate(5);
    server.until_metric(WAITING, 2.0).await;
    greedy.clear();
    server.until_metric(UNDER_WAY, 0.0).await;
    server.until_metric(WAITING, 0.0).await;
}

#[tokio::test]
async fn a_person_reads_that_the_queue_is_full() {
    let server = two_orgs(|limits| {
        (limits.fetches, limits.pushes, limits.org_queue) = (1, 1, 1);
    })
    .await;
    let checkout = Checkout::init().await;
    checkout.commit("x", b"1").await;
    let url = server.git_url("a", &Token::write("a"));
    for (kind, service, what, command) in [
        (
            "fetch",
            "git-upload-pack",
            "fetches",
            &["ls-remote", &*url][..],
        ),
        (
            "push",
            "git-receive-pack",
            "pushes",
            &["push", &*url, "main"][..],
        ),
    ] {
        let holds = stuck(&server, "a", service, &Token::write("a")).await;
        let under_way = format!("packhouse_under_way{{kind=\"{kind}\"}}");
        server.until_metric(&under_way, 1.0).await;
        let waits = stuck(&server, "a", service, &Token::write("a")).await;
        let waiting = format!("packhouse_turns_waiting{{kind=\"{kind}\"}}");
        server.until_metric(&waiting, 1.0).await;
        let told = format!(
            "too many {what} at once: 1 of this organisation wait already; try again in 1 s"
        );
        let refused = checkout.git_fails(command).await;
        assert!(refused.contains(&format!("remote: {told}")), "{refused}");
        let info = format!("{}/a.git/info/refs?service={service}", server.url());
        let request = server.http.get(info).bearer_auth(Token::write("a").text());
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 429);
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(answer.text().await.unwrap(), format!("{told}\n"));
        let refusals =
            format!("packhouse_turns_refused_total{{kind=\"{kind}\",why=\"org queue full\"}}");
        assert!(server.metric(&refusals).await >= Some(2.0));
        drop((holds, waits));
        server.until_metric(&under_way, 0.0).await;
    }
}

#[tokio::test]
async fn a_fetch_that_waited_too_long_says_so() {
    let server = two_orgs(|limits| {
        limits.fetches = 1;
        limits.queue_wait = Duration::from_millis(200);
    })
    .await;
    server.put("a", "x", "1").await;
    let url = server.git_url("a", &Token::read("a"));
    let checkout = Checkout::clone(&url, &[]).await;
    server.put("a", "x", "2").await;
    let _holds = stuck(&server, "a", "git-upload-pack", &Token::read("a")).await;
    server.until_metric(UNDER_WAY, 1.0).await;
    for version in ["protocol.version=0", "protocol.version=2"] {
        let output = git_output(checkout.path(), &["-c", version, "fetch"]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{told}");
        let expected =
            "remote error: too many fetches at once: none ended within 0.2 s; try again in";
        assert!(told.contains(expected), "{version}: {told}");
    }
}
