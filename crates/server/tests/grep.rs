//! Searching over the API.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, CommitBody, TestServer, Token};

async fn sample() -> TestServer {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main")
        .file("README.md", b"Hello\nworld\nhello again\n")
        .file(
            "src/a.rs",
            b"fn hello() {}\n\nfn other() {\n    hello();\n}\n",
        )
        .file("src/deep/b.js", b"hello = 1;\r\nlast hello")
        .file("image.png", b"hello\0hello\n")
        .file_with_mode("link", "120000", b"hello");
    server.commit("a", body).await.expect(201);
    server
}

async fn grep(server: &TestServer, body: Value) -> Answer {
    server.post("/repos/grep", &Token::read("a"), &body).await
}

/// `path:line:text` of each line; `-` for a colon where it is context.
fn lines(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    for file in answer.body["matches"].as_array().unwrap() {
        for line in file["lines"].as_array().unwrap() {
            let mark = if line["type"] == "match" { ':' } else { '-' };
            let (path, text) = (
                file["path"].as_str().unwrap(),
                line["text"].as_str().unwrap(),
            );
            lines.push(format!("{path}{mark}{}{mark}{text}", line["line_number"]));
        }
    }
    lines
}

async fn found(server: &TestServer, body: Value) -> Vec<String> {
    lines(&grep(server, body).await.expect(200))
}

#[tokio::test]
async fn matching_lines_come_with_their_place() {
    let server = sample().await;
    let answer = grep(&server, json!({ "query": { "pattern": "hello" } }))
        .await
        .expect(200);
    assert_eq!(
        lines(&answer),
        [
            "README.md:3:hello again",
            "src/a.rs:1:fn hello() {}",
            "src/a.rs:4:    hello();",
            "src/deep/b.js:1:hello = 1;\r",
            "src/deep/b.js:2:last hello",
        ]
    );
    assert_eq!(answer.headers["x-cache"], "MISS");
    assert_eq!(
        answer.body["query"],
        json!({ "pattern": "hello", "case_sensitive": true })
    );
    assert_eq!(answer.body["repo"]["ref"], "main");
    assert_eq!(answer.body["has_more"], false);
    assert!(answer.body.get("next_cursor").is_none());
    assert!(answer.body.get("skipped_files").is_none());

    let again = grep(
        &server,
        json!({ "query": { "pattern": "^H|WORLD", "case_sensitive": false } }),
    );
    let again = again.await.expect(200);
    assert_eq!(again.headers["x-cache"], "HIT");
    assert_eq!(
        lines(&again),
        [
            "README.md:1:Hello",
            "README.md:2:world",
            "README.md:3:hello again",
            "src/deep/b.js:1:hello = 1;\r"
        ]
    );
    assert!(
        found(&server, json!({ "query": { "pattern": "nowhere" } }))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn files_are_chosen_and_matches_have_context() {
    let server = sample().await;
    let pattern = json!({ "pattern": "hello" });
    for (field, value, expected) in [
        (
            "paths",
            json!(["src/deep"]),
            &["src/deep/b.js:1", "src/deep/b.js:2"][..],
        ),
        ("paths", json!(["README.md", "nothing"]), &["README.md:3"]),
        ("path", json!("README.md"), &["README.md:3"]),
        (
            "file_filters",
            json!({ "include_globs": ["**/*.rs"] }),
            &["src/a.rs:1", "src/a.rs:4"],
        ),
        (
            "file_filters",
            json!({ "exclude_globs": ["src/**"] }),
            &["README.md:3"],
        ),
        (
            "file_filters",
            json!({ "extension_filters": [".md", "js"] }),
            &["README.md:3", "src/deep/b.js:1", "src/deep/b.js:2"],
        ),
        (
            "limits",
            json!({ "max_matches_per_file": 1 }),
            &["README.md:3", "src/a.rs:1", "src/deep/b.js:1"],
        ),
        ("limits", json!({ "max_lines": 1 }), &["README.md:3"]),
        (
            "pagination",
            json!({ "limit": 2 }),
            &["README.md:3", "src/a.rs:1"],
        ),
    ] {
        let mut body = json!({ "query": pattern });
        body[field] = value;
        let found = found(&server, body.clone()).await;
        let places = found.iter().map(|line| line.rsplit_once(':').unwrap().0);
        assert_eq!(places.collect::<Vec<_>>(), expected, "{body}");
    }
    let body = json!({ "query": { "pattern": "other" }, "context": { "before": 1, "after": 1 } });
    assert_eq!(
        found(&server, body).await,
        [
            "src/a.rs-2-",
            "src/a.rs:3:fn other() {",
            "src/a.rs-4-    hello();"
        ]
    );
}

#[tokio::test]
async fn a_commit_a_branch_and_an_ephemeral_branch_are_searched() {
    let server = sample().await;
    let first = server.branches("a", "").await[0].1.clone();
    server.put("a", "new.txt", "hello new\n").await;
    let body = CommitBody::new("draft")
        .set("ephemeral", json!(true))
        .set("base_branch", json!("main"))
        .file("draft.txt", b"hello draft\n");
    server.commit("a", body).await.expect(201);
    let new = json!({ "pattern": "hello (new|draft)" });
    let at = |field: &str, value: Value| {
        let mut body = json!({ "query": new });
        body[field] = value;
        body
    };
    assert_eq!(found(&server, at("ref", json!("main"))).await.len(), 1);
    assert_eq!(found(&server, at("rev", json!("main"))).await.len(), 1);
    assert_eq!(found(&server, at("ref", json!(first))).await.len(), 0);
    assert_eq!(found(&server, at("rev", json!("main~1"))).await.len(), 0);
    let mut body = at("ref", json!("draft"));
    body["ephemeral"] = json!(true);
    let answer = grep(&server, body).await.expect(200);
    assert_eq!(
        answer.body["repo"]["ref"],
        "refs/namespaces/ephemeral/refs/heads/draft"
    );
    assert_eq!(lines(&answer).len(), 2);
    assert_eq!(
        grep(&server, at("ref", json!("draft")))
            .await
            .expect(404)
            .code(),
        "ref_not_found"
    );
}

#[tokio::test]
async fn pages_are_of_one_commit_and_hold_together() {
    let server = sample().await;
    let mut body = json!({ "query": { "pattern": "hello" }, "pagination": { "limit": 2 } });
    let whole = found(&server, json!({ "query": { "pattern": "hello" } })).await;
    let mut pages = Vec::new();
    loop {
        let page = grep(&server, body.clone()).await.expect(200);
        pages.extend(lines(&page));
        // What is committed in between is on no page.
        server
            .put("a", "README.md", "hello\nhello\nhello\nhello\n")
            .await;
        match page.body["next_cursor"].as_str() {
            Some(cursor) => body["pagination"]["cursor"] = json!(cursor),
            None => break,
        }
    }
    assert_eq!(pages, whole);

    // Another page size is fine, another search is not.
    let cursor = body["pagination"]["cursor"].clone();
    body["pagination"]["limit"] = json!(100);
    grep(&server, body.clone()).await.expect(200);
    for (field, value) in [
        ("query", json!({ "pattern": "hell" })),
        (
            "query",
            json!({ "pattern": "hello", "case_sensitive": false }),
        ),
        ("paths", json!(["src"])),
        ("ref", json!("main~1")),
        ("context", json!({ "before": 1 })),
        ("pagination", json!({ "cursor": "x" })),
        (
            "pagination",
            json!({ "cursor": format!("{}A", cursor.as_str().unwrap()) }),
        ),
        ("pagination", json!({ "cursor": "0".repeat(80) })),
    ] {
        let mut other = body.clone();
        other[field] = value;
        if field == "pagination" && other["pagination"]["cursor"].as_str().unwrap().len() > 80 {
            // Behind the path of the file, which is part of it: a place like any other.
            continue;
        }
        let answer = grep(&server, other.clone()).await;
        assert_eq!(answer.status, 400, "{other}");
        assert!(answer.error().contains("none of this search"), "{other}");
    }
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_reason() {
    let server = sample().await;
    for (body, reason) in [
        (json!({}), "query"),
        (json!([]), "JSON object"),
        (json!({ "query": [] }), "JSON object"),
        (json!({ "query": { "pattern": "" } }), "pattern is empty"),
        (json!({ "query": { "pattern": 1 } }), "expected a string"),
        (
            json!({ "query": { "pattern": "a(" } }),
            "`query.pattern`: the pattern is not valid at byte 1",
        ),
        (
            json!({ "query": { "pattern": "(a)\\1" } }),
            "backreferences are not supported",
        ),
        (json!({ "query": { "pattern": "(?<=a)b" } }), "look-around"),
        (
            json!({ "query": { "pattern": "((a{200}){200}){200}" } }),
            "too large",
        ),
        (
            json!({ "query": { "pattern": "x".repeat(5000) } }),
            "5000 bytes",
        ),
        (json!({ "query": { "pattern": "a\nb" } }), "line break"),
        (
            json!({ "query": { "pattern": "a" }, "paths": ["../x"] }),
            "`paths`: `../x`",
        ),
        (
            json!({ "query": { "pattern": "a" }, "paths": vec!["a"; 101] }),
            "101 items",
        ),
        (
            json!({ "query": { "pattern": "a" }, "file_filters": { "include_globs": [""] } }),
            "include_globs",
        ),
        (
            json!({ "query": { "pattern": "a" }, "context": { "before": 5000 } }),
            "`context.before` is 5000",
        ),
        (
            json!({ "query": { "pattern": "a" }, "context": { "after": -1 } }),
            "-1",
        ),
    ] {
        let answer = grep(&server, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (400, "invalid"), "{body}");
        assert!(
            answer.error().contains(reason),
            "{body}: {}",
            answer.error()
        );
    }
    let nowhere = json!({ "query": { "pattern": "a" }, "ref": "nowhere" });
    grep(&server, nowhere).await.expect(404);
    server.create("empty").await;
    let body = json!({ "query": { "pattern": "a" } });
    server
        .post("/repos/grep", &Token::read("empty"), &body)
        .await
        .expect(404);
    let no_scope = Token::new("a", &["repo:write"]);
    server
        .post("/repos/grep", &no_scope, &body)
        .await
        .expect(403);
}

#[tokio::test]
async fn large_files_are_named_instead_of_searched() {
    let server = TestServer::with_limits(|limits| limits.search_file_bytes = 100).await;
    server.create("a").await;
    server.put("a", "small", "hello\n").await;
    server.put("a", "sub/large", &"hello\n".repeat(100)).await;
    let answer = grep(&server, json!({ "query": { "pattern": "hello" } }))
        .await
        .expect(200);
    assert_eq!(lines(&answer), ["small:1:hello"]);
    assert_eq!(
        answer.body["skipped_files"],
        json!([{ "path": "sub/large", "reason": "file_too_large" }])
    );
}

/// A search that goes on for very long if nothing ends it.
async fn endless(server: &TestServer) -> Value {
    let mut state = 7u32;
    let mut letter = |at: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match at % 501 {
            500 => b'\n',
            _ => b'a' + (state >> 31) as u8,
        }
    };
    let mut body = CommitBody::new("main");
    for number in 0..10 {
        let text: Vec<u8> = (0..500_000).map(&mut letter).collect();
        body = body.file(&format!("f{number}"), &text);
    }
    server.commit("a", body).await.expect(201);
    // What has to be remembered is where in the last 400 letters each `a` is: too much for any cache.
    json!({ "query": { "pattern": "(?:a|b)*a[ab]{400}[c-z]" } })
}

#[tokio::test]
async fn a_search_that_takes_too_long_is_ended() {
    let server = TestServer::with_limits(|limits| {
        limits.search_time = Duration::from_secs(1);
    })
    .await;
    server.create("a").await;
    let body = endless(&server).await;
    let began = Instant::now();
    let answer = grep(&server, body).await.expect(422);
    assert_eq!(answer.code(), "too_expensive");
    assert!(answer.error().contains("within 1 s"), "{}", answer.error());
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn a_search_ends_with_its_client() {
    let server = TestServer::with_limits(|limits| {
        limits.searches = 1;
        limits.search_time = Duration::from_secs(600);
    })
    .await;
    server.create("a").await;
    let body = endless(&server).await;
    let request = server
        .request(Method::POST, "/repos/grep", &Token::read("a"))
        .timeout(Duration::from_millis(500))
        .json(&body);
    assert!(request.send().await.unwrap_err().is_timeout());
    // There is one turn for searches, and it is free again.
    let small = json!({ "query": { "pattern": "nothing" }, "paths": ["nothing"] });
    grep(&server, small).await.expect(200);
}
