//! Servers whose PostgreSQL takes no writes: they say so, refuse what would write, and go on reading.

use std::time::{Duration, Instant};

use packhouse_testkit::small_disk::SmallDisk;

use crate::support::{CommitBody, OwnDatabase, TestServer, Token, noise};

async fn text(server: &TestServer, path: &str) -> (u16, String) {
    let asked = server.http.get(format!("{}{path}", server.url())).send();
    let answer = asked.await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until the server says that it is as ready as `expected`: connections that were cut are found out one by one.
async fn until_ready(server: &TestServer, expected: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let found = text(server, "/readyz").await;
        if found == (200, expected.to_owned()) {
            return;
        }
        assert!(Instant::now() < end, "{found:?} for {expected}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn takes_writes(server: &TestServer) -> Option<f64> {
    server.metric("packhouse_catalog_takes_writes").await
}

/// Commits, until the server refuses to; returns the last head.
async fn commit_until_refused(server: &TestServer, mut head: String, reason: &str) -> String {
    for n in 0..500 {
        let mut data = noise(60_000);
        data[..4].copy_from_slice(&u32::to_be_bytes(n));
        let body = CommitBody::new("main").file(&format!("f{n}"), &data);
        let answer = server.commit("a", body).await;
        if answer.status == 201 {
            let made = &answer.body["commit"]["commit_sha"];
            head = made.as_str().unwrap().to_owned();
            continue;
        }
        // A connection that was cut fails once, and nobody knows what became of it.
        if answer.status == 500 && n < 100 {
            continue;
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.headers["retry-after"], "10", "{}", answer.body);
        assert!(answer.error().contains(reason), "{}", answer.body);
        assert_eq!(answer.body["result"]["status"], "unavailable");
        return head;
    }
    panic!("nothing was refused");
}

async fn head(server: &TestServer) -> String {
    server.branches("a", "").await[0].1.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_database_is_read_on_until_there_is_room() {
    let Some(database) = SmallDisk::mount(48).and_then(OwnDatabase::on) else {
        return;
    };
    let disk = database.disk.as_ref().unwrap();
    let server = TestServer::with(|config| database.set(config)).await;
    server.create("a").await;
    let first = server.put("a", "first", "1").await;
    until_ready(&server, "ready\n").await;
    assert_eq!(takes_writes(&server).await, Some(1.0));

    disk.fill(0);
    until_ready(&server, "ready to read only: the database has no room\n").await;
    assert_eq!(takes_writes(&server).await, Some(0.0));
    // Its tables may have room of their own for a few.
    let last = commit_until_refused(&server, first, "no room left").await;
    assert_eq!(head(&server).await, last);
    server.file("a", "path=first").await;

    disk.make_room();
    until_ready(&server, "ready\n").await;
    server.put("a", "second", "2").await;
    server.server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_until_it_is_none() {
    let Some(database) = OwnDatabase::new() else {
        return;
    };
    let server = TestServer::with(|config| database.set(config)).await;
    server.create("a").await;
    let first = server.put("a", "first", "1").await;

    database.set_read_only(true);
    until_ready(
        &server,
        "ready to read only: the database takes no writes\n",
    )
    .await;
    let last = commit_until_refused(&server, first.clone(), "takes no writes now").await;
    assert_eq!(last, first);
    assert_eq!(head(&server).await, first);
    server.get("/repo", &Token::read("a")).await.expect(200);

    database.set_read_only(false);
    until_ready(&server, "ready\n").await;
    assert_eq!(takes_writes(&server).await, Some(1.0));
    let end = Instant::now() + Duration::from_secs(20);
    while server
        .commit("a", CommitBody::new("main").file("x", b"2"))
        .await
        .status
        != 201
    {
        assert!(Instant::now() < end, "nothing can be written");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.server.shutdown().await;
}
