//! Blame over the API, next to `git blame`.

use serde_json::Value;

use crate::support::{Answer, Checkout, CommitBody, TestServer, Token};

async fn blame(server: &TestServer, query: &str) -> Answer {
    let path = format!("/repos/blame?{query}");
    server.get(&path, &Token::read("a")).await
}

fn field<'a>(answer: &'a Answer, name: &str) -> Vec<&'a Value> {
    let lines = answer.body["lines"].as_array().unwrap();
    lines.iter().map(|line| &line[name]).collect()
}

async fn history(server: &TestServer) -> [String; 3] {
    let first = server.put("a", "f", "one\ntwo\nthree\nfour\n").await;
    let second = server.put("a", "f", "one\n2\nthree\nfour\n").await;
    let moved = CommitBody::new("main")
        .set("commit_message", "Rename\n\nand more".into())
        .delete("f")
        .file("dir/g", b"one\n2\nthree\nfour\nfive");
    let third = server.commit("a", moved).await.expect(201);
    let third = third.body["commit"]["commit_sha"]
        .as_str()
        .unwrap()
        .to_owned();
    [first, second, third]
}

#[tokio::test]
async fn lines_are_told_with_their_commits() {
    let server = TestServer::with_repo("a").await;
    let [first, second, third] = history(&server).await;
    let found = blame(&server, "path=dir/g").await.expect(200);
    assert_eq!(found.body["ref"], "main");
    assert_eq!(found.body["path"], "dir/g");
    assert_eq!(found.body["commit_sha"], third);
    assert_eq!(
        field(&found, "commit_sha"),
        [&first, &second, &first, &first, &third]
    );
    assert_eq!(
        field(&found, "original_path"),
        ["f", "f", "f", "f", "dir/g"]
    );
    assert_eq!(field(&found, "line_number"), [1, 2, 3, 4, 5]);
    let last = &found.body["lines"][4];
    assert_eq!(last["summary"], "Rename");
    assert_eq!(last["author_name"], "Ann");
    assert_eq!(last["previous_commit_sha"], second);
    assert!(found.body["lines"][0].get("previous_commit_sha").is_none());
    assert!(last["author_time"].as_str().unwrap().ends_with('Z'));

    let clone = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    let expected = clone
        .git(&[
            "blame",
            "-s",
            "-l",
            "--abbrev=40",
            "--root",
            "HEAD",
            "--",
            "dir/g",
        ])
        .await;
    let expected: Vec<&str> = expected.lines().map(|line| &line[..40]).collect();
    assert_eq!(field(&found, "commit_sha"), expected);
    let older = blame(&server, &format!("path=f&ref={second}"))
        .await
        .expect(200);
    assert_eq!(older.body["ref"], second);
}

#[tokio::test]
async fn ranges_choose_lines() {
    let server = TestServer::with_repo("a").await;
    history(&server).await;
    let numbers = async |query: &str| -> Vec<u64> {
        let found = blame(&server, &format!("path=dir/g&{query}"))
            .await
            .expect(200);
        let numbers = field(&found, "line_number");
        numbers
            .iter()
            .map(|number| number.as_u64().unwrap())
            .collect()
    };
    assert_eq!(numbers("range=2,3").await, [2, 3]);
    assert_eq!(numbers("range=4&range=1,%2B1").await, [1, 4, 5]);
    assert_eq!(numbers("range=/thr/,%2B1").await, [3]);
    for query in [
        "range=9",
        "range=x",
        "range=0",
        "range=:main",
        "range=/zzz/",
        "range=/%5C(/",
        "detect_moves=1",
        "path=twice",
        &"&range=1".repeat(17),
    ] {
        blame(&server, &format!("path=dir/g&{query}"))
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_blamed() {
    let server = TestServer::with_repo("a").await;
    blame(&server, "path=f").await.expect(404);
    history(&server).await;
    assert_eq!(
        blame(&server, "path=f").await.expect(404).code(),
        "path_not_found"
    );
    blame(&server, "path=dir").await.expect(404);
    blame(&server, "path=dir/g&ref=nothing").await.expect(404);
    blame(&server, "path=dir/g&ephemeral=true")
        .await
        .expect(404);
    blame(&server, "path=../g").await.expect(400);
    blame(&server, "").await.expect(400);
    let other = Token::new("a", &["repo:write"]);
    server
        .get("/repos/blame?path=dir/g", &other)
        .await
        .expect(403);
    let slow =
        TestServer::with_limits(|limits| limits.search_time = std::time::Duration::ZERO).await;
    slow.create("a").await;
    history(&slow).await;
    let refused = blame(&slow, "path=dir/g").await.expect(422);
    assert_eq!(refused.code(), "too_expensive");
}

#[tokio::test]
async fn moved_lines_are_followed_if_asked() {
    let server = TestServer::with_repo("a").await;
    let body: Vec<String> = (0..12)
        .map(|n| format!("a line with some text, number {n}\n"))
        .collect();
    let first = server.put("a", "f", &body.concat()).await;
    let moved = [&body[6..], &body[..6]].concat().concat();
    server.put("a", "f", &moved).await;
    let with = blame(&server, "path=f&detect_moves=true").await.expect(200);
    assert!(field(&with, "commit_sha").iter().all(|sha| **sha == first));
    let without = blame(&server, "path=f").await.expect(200);
    assert!(
        field(&without, "commit_sha")
            .iter()
            .any(|sha| **sha != first)
    );
}
