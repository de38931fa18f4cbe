//! History over the API.

use serde_json::{Value, json};

use crate::support::{Checkout, CommitBody, TestServer, Token, encoded};

async fn history(server: &TestServer, query: &str, limit: usize) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/repos/commits?limit={limit}{query}{cursor}");
        let listed = server.get(&path, &Token::read("a")).await.expect(200);
        found.extend(listed.body["commits"].as_array().unwrap().iter().cloned());
        match listed.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

#[tokio::test]
async fn commits_are_listed_newest_first_in_pages() {
    let server = TestServer::with_repo("a").await;
    let mut expected = Vec::new();
    for at in 0..7 {
        let path = if at % 2 == 0 { "even" } else { "dir/odd" };
        expected.insert(0, server.put("a", path, &at.to_string()).await);
    }
    let found = history(&server, "", 3).await;
    let shas: Vec<&str> = found
        .iter()
        .map(|commit| commit["sha"].as_str().unwrap())
        .collect();
    assert_eq!(shas, expected);
    assert_eq!(found[0]["parent_shas"], json!([expected[1]]));
    assert_eq!(found[6]["parent_shas"], json!([]));
    assert_eq!(found[0]["message"], "a change");
    assert_eq!(found[0]["author_name"], "Ann");
    let odd: Vec<Value> = history(&server, "&path=dir", 2).await;
    assert_eq!(odd.len(), 3);
    assert_eq!(odd[0]["sha"], expected[1]);
    assert_eq!(history(&server, "&path=dir/odd", 2).await, odd);
    assert!(history(&server, "&path=nothing", 2).await.is_empty());
}

#[tokio::test]
async fn a_page_does_not_shift_when_commits_are_made() {
    let server = TestServer::with_repo("a").await;
    for at in 0..4 {
        server.put("a", "x", &at.to_string()).await;
    }
    let first = server
        .get("/repos/commits?limit=2", &Token::read("a"))
        .await
        .expect(200);
    server.put("a", "x", "new").await;
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = server
        .get(
            &format!("/repos/commits?limit=2&cursor={cursor}"),
            &Token::read("a"),
        )
        .await
        .expect(200);
    assert_eq!(
        first.body["commits"][1]["parent_shas"][0],
        second.body["commits"][0]["sha"]
    );
    assert_eq!(second.body["has_more"], false);
}

#[tokio::test]
async fn unknown_branches_and_odd_cursors_are_refused() {
    let server = TestServer::with_repo("a").await;
    let read = Token::read("a");
    assert!(
        server
            .get("/repos/commits", &read)
            .await
            .expect(404)
            .error()
            .contains("empty")
    );
    let head = server.put("a", "x", "1").await;
    assert_eq!(
        server
            .get("/repos/commits?branch=nothing", &read)
            .await
            .expect(404)
            .code(),
        "ref_not_found"
    );
    server
        .get("/repos/commits?branch=main&ephemeral=true", &read)
        .await
        .expect(404);
    let tip = server.put("a", "x", "2").await;
    let page = server
        .get("/repos/commits?limit=1", &read)
        .await
        .expect(200);
    let next = page.body["next_cursor"].as_str().unwrap();
    let odd = [
        next.replace(&format!("{tip}.1"), &format!("{tip}.-1")),
        next.replace(&format!("{tip}.1"), &format!("{tip}.99999999999")),
        next.replace("commits.", "commits.0"),
        next.replace(&tip, &"1".repeat(40)),
        next.replace(&tip, ""),
        format!("{head}.0"),
        "x".to_owned(),
        ".".to_owned(),
    ];
    for cursor in odd {
        assert_ne!(cursor, next);
        server
            .get(&format!("/repos/commits?cursor={cursor}"), &read)
            .await
            .expect(400);
    }
    server
        .get("/repos/commits?path=../x", &read)
        .await
        .expect(400);
}

#[tokio::test]
async fn any_revision_names_a_commit() {
    let server = TestServer::with_repo("a").await;
    let head = server
        .commit(
            "a",
            CommitBody::new("main")
                .file("x", b"1")
                .set("commit_message", json!("one line")),
        )
        .await;
    let head = head.expect(201).body["commit"]["commit_sha"]
        .as_str()
        .unwrap()
        .to_owned();
    for rev in ["main", "refs/heads/main", "HEAD", &head, &head[..8]] {
        let found = server
            .get(&format!("/repos/commit?sha={rev}"), &Token::read("a"))
            .await
            .expect(200);
        assert_eq!(found.body["commit"]["sha"], head, "{rev}");
        assert_eq!(found.body["commit"]["message"], "one line");
        assert!(found.body["commit"].get("signature").is_none());
    }
    let next = server.put("a", "x", "2").await;
    for (rev, sha) in [
        ("main~1", &head),
        ("main%5E", &head),
        ("@", &next),
        ("@~0", &next),
        ("main%5E%7Bcommit%7D~", &head),
    ] {
        let found = server
            .get(&format!("/repos/commit?sha={rev}"), &Token::read("a"))
            .await
            .expect(200);
        assert_eq!(found.body["commit"]["sha"], **sha, "{rev}");
        let file = server.file("a", &format!("path=x&ref={rev}")).await;
        let expected = if *sha == head { "1" } else { "2" };
        assert_eq!(file.text().await.unwrap(), expected, "{rev}");
    }
    for rev in [
        "main~2",
        "main~999999999",
        "main%5E2",
        "main%5E%7Btree%7D",
        "~1",
    ] {
        server
            .get(&format!("/repos/commit?sha={rev}"), &Token::read("a"))
            .await
            .expect(404);
    }
    server
        .get("/repos/commit?sha=", &Token::read("a"))
        .await
        .expect(400);
    server
        .get("/repos/commit", &Token::read("a"))
        .await
        .expect(400);
    server
        .get("/repos/commit?sha=nothing", &Token::read("a"))
        .await
        .expect(404);
}

#[tokio::test]
async fn a_signed_commit_comes_with_signature_and_payload() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    let plain = checkout.commit("x", b"1").await;
    let raw = checkout.git(&["cat-file", "commit", &plain]).await;
    let (headers, message) = raw.split_once("\n\n").unwrap();
    let signature = "-----BEGIN PGP SIGNATURE-----\n\nabc\n-----END PGP SIGNATURE-----";
    let signed = format!(
        "{headers}\ngpgsig {}\n\n{message}\n",
        signature.replace('\n', "\n ")
    );
    std::fs::write(checkout.path().join("signed"), signed).unwrap();
    let id = checkout
        .git(&["hash-object", "-w", "-t", "commit", "signed"])
        .await;
    checkout
        .git(&[
            "push",
            "-q",
            &server.git_url("a", &Token::write("a")),
            &format!("{id}:refs/heads/main"),
        ])
        .await;
    let found = server
        .get(&format!("/repos/commit?sha={id}"), &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(
        found.body["commit"]["signature"]
            .as_str()
            .unwrap()
            .trim_end(),
        signature
    );
    assert_eq!(
        found.body["commit"]["payload"].as_str().unwrap(),
        format!("{raw}\n")
    );
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let server = TestServer::with_repo("a").await;
    let read = Token::read("a");
    for at in 0..3 {
        server.put("a", &format!("{at}"), "1").await;
    }
    let body = json!({ "base_branch": "main", "target_branch": "side" });
    server
        .post("/repos/branches/create", &Token::write("a"), &body)
        .await
        .expect(200);
    let next = async |query: &str| {
        let page = server.get(&format!("/repos/{query}"), &read).await;
        page.expect(200).body["next_cursor"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let of_main = next("commits?branch=main&limit=1").await;
    let of_files = next("files?limit=1").await;
    for query in [
        format!("commits?branch=side&cursor={of_main}"),
        format!("commits?branch=main&path=0&cursor={of_main}"),
        format!("tags?cursor={of_main}"),
        format!("files?cursor={of_main}"),
        format!("files/metadata?cursor={of_main}"),
        format!("branches?cursor={of_main}"),
        format!("tags?cursor={of_files}"),
        format!("commits?branch=main&cursor={of_files}"),
    ] {
        let refused = server.get(&format!("/repos/{query}"), &read).await;
        assert!(
            refused.expect(400).error().contains("none of this list"),
            "{query}"
        );
    }
    server
        .get(
            &format!("/repos/commits?branch=main&cursor={of_main}"),
            &read,
        )
        .await
        .expect(200);
}

/// Messages have no limit of their own, and many of them are in one answer.
#[tokio::test]
async fn a_page_holds_only_so_many_bytes_of_messages() {
    let server = TestServer::with_repo("a").await;
    let mut made = Vec::new();
    for (n, bytes) in [10, 3 << 20, 3 << 20, 5 << 20, 10].into_iter().enumerate() {
        let body = CommitBody::new("main")
            .set("commit_message", json!("m".repeat(bytes)))
            .file(&format!("f{n}"), b"x");
        let commit = server.commit("a", body).await.expect(201).body;
        made.insert(
            0,
            commit["commit"]["commit_sha"].as_str().unwrap().to_owned(),
        );
    }
    for path in ["", "&path=."] {
        // The history of one file is gone through in another way.
        let path = path.replace('.', "f3");
        let (mut seen, mut pages, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let query = format!("/repos/commits?limit=50{path}&cursor={}", encoded(&cursor));
            let page = server.get(&query, &Token::read("a")).await.expect(200).body;
            let commits = page["commits"].as_array().unwrap();
            pages.push(commits.len());
            let shas = commits
                .iter()
                .map(|commit| commit["sha"].as_str().unwrap().to_owned());
            seen.extend(shas);
            assert_eq!(page["has_more"], page["next_cursor"].is_string());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        if path.is_empty() {
            assert_eq!(pages, [1, 1, 1, 2]);
            assert_eq!(seen, made);
        } else {
            assert_eq!(seen, made[1..2]);
        }
    }
    let (mut files, mut cursor) = (Vec::new(), String::new());
    loop {
        let query = format!("/repos/files/metadata?cursor={}", encoded(&cursor));
        let page = server.get(&query, &Token::read("a")).await.expect(200).body;
        let commits = page["commits"].as_object().unwrap();
        for file in page["files"].as_array().unwrap() {
            assert!(commits.contains_key(file["last_commit_sha"].as_str().unwrap()));
            files.push(file["path"].as_str().unwrap().to_owned());
        }
        assert!(page.to_string().len() < 9 << 20);
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(files, ["f0", "f1", "f2", "f3", "f4"]);
    let blamed = server.get("/repos/blame?path=f3", &Token::read("a")).await;
    let summary = &blamed.expect(200).body["lines"][0]["summary"];
    assert_eq!(summary.as_str().unwrap(), "m".repeat(1000));
    let owner = Token::new("a", &["repo:write"]);
    let log = server.get("/repos/audit", &owner).await.expect(200);
    let log = log.body.to_string();
    assert!(log.len() < 20_000, "{}", log.len());
}
