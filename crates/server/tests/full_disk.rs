//! A server whose disk is full: it says so, keeps what it has, and goes on when there is room.

use packhouse_server::Config;
use packhouse_testkit::small_disk::SmallDisk;
use serde_json::json;

use crate::support::{Answer, Checkout, CommitBody, TestServer, Token};

/// Bytes that do not deflate.
fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

async fn readiness(server: &TestServer) -> (u16, String) {
    let asked = server.http.get(format!("{}/readyz", server.url())).send();
    let answer = asked.await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[track_caller]
fn says_full(answer: &Answer, disk: &SmallDisk) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.headers["retry-after"], "10", "{}", answer.body);
    let text = answer.body.to_string();
    assert!(text.contains("no room left"), "{text}");
    for leaked in [disk.path().to_str().unwrap(), "os error", "sqlite"] {
        assert!(!text.contains(leaked), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_whole_until_there_is_room() {
    let Some(disk) = SmallDisk::mount(24) else {
        return;
    };
    let server = TestServer::with(|config| *config = Config::embedded(disk.path())).await;
    server.create("a").await;
    let mut head = server.put("a", "first", "1").await;
    let checkout = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    checkout.commit("pushed", &noise(200_000, 1)).await;
    assert_eq!(readiness(&server).await, (200, "ready\n".to_owned()));

    disk.fill(0);
    assert_eq!(
        readiness(&server).await,
        (503, "the disk is full\n".to_owned())
    );
    // The database's log may have room of its own for a few.
    let mut refused = None;
    for n in 0..500 {
        let body = CommitBody::new("main").file(&format!("f{n}"), &noise(60_000, n));
        let answer = server.commit("a", body).await;
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
        head = answer.body["commit"]["commit_sha"]
            .as_str()
            .unwrap()
            .to_owned();
    }
    let refused = refused.expect("the disk was not full");
    says_full(&refused, &disk);
    assert_eq!(refused.body["result"]["status"], "unavailable");
    let large = CommitBody::new("main").file("large", &noise(3 << 20, 7));
    says_full(&server.commit("a", large).await, &disk);
    let more = Token::new("b", &["repo:write"]);
    says_full(&server.post("/repos", &more, &json!({})).await, &disk);
    let said = checkout.git_fails(&["push", "-q", "origin", "main"]).await;
    assert!(said.contains("the server has no room left"), "{said}");
    assert!(!said.contains(disk.path().to_str().unwrap()), "{said}");

    // What was there can still be read, and is all there is.
    let branches = server
        .get("/repos/branches", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(branches.body["branches"][0]["head_sha"], head.as_str());
    server.get("/repo", &Token::read("b")).await.expect(404);

    disk.make_room();
    assert_eq!(readiness(&server).await, (200, "ready\n".to_owned()));
    let large = CommitBody::new("main").file("large", &noise(3 << 20, 7));
    server.commit("a", large).await.expect(201);
    server.create("b").await;
    checkout
        .git(&["pull", "-q", "--rebase", "origin", "main"])
        .await;
    checkout.git(&["push", "-q", "origin", "main"]).await;
    let again = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    again.git(&["fsck", "--full", "--strict"]).await;
    assert_eq!(
        std::fs::read(again.path().join("large")).unwrap(),
        noise(3 << 20, 7)
    );
    server.server.shutdown().await;
    let left: Vec<_> = std::fs::read_dir(disk.path().join("tmp"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
