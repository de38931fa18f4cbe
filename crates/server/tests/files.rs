//! Listings of files.

use serde_json::{Value, json};

use crate::support::{Checkout, CommitBody, TestServer, Token};

async fn sample() -> TestServer {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main")
        .file("README", b"1")
        .file("src/a.rs", b"2")
        .file("src/deep/b.rs", b"3")
        .file_with_mode("src/run", "100755", b"4")
        .file_with_mode("link", "120000", b"README")
        .file("src.txt", b"5");
    server.commit("a", body).await.expect(201);
    server
}

fn paths(body: &Value) -> Vec<&str> {
    body["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path.as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn everything_is_listed_unless_pages_are_asked_for() {
    let server = sample().await;
    let listed = server
        .get("/repos/files", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(
        paths(&listed.body),
        [
            "README",
            "link",
            "src.txt",
            "src/a.rs",
            "src/deep/b.rs",
            "src/run"
        ]
    );
    assert_eq!(listed.body["ref"], "main");
    assert_eq!(
        listed.body["entries"][1],
        json!({ "path": "link", "type": "symlink", "mode": "120000" })
    );
    assert_eq!(
        listed.body["entries"][5],
        json!({ "path": "src/run", "type": "blob", "mode": "100755" })
    );
    assert!(listed.body.get("has_more").is_none());

    let flat = server
        .get("/repos/files?recursive=false", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(paths(&flat.body), ["README", "link", "src.txt"]);
    assert_eq!(
        flat.body["entries"][3],
        json!({ "path": "src", "type": "tree", "mode": "040000" })
    );

    for folder in ["src", "src/", "/src"] {
        let below = server
            .get(&format!("/repos/files?path={folder}"), &Token::read("a"))
            .await
            .expect(200);
        assert_eq!(
            paths(&below.body),
            ["src/a.rs", "src/deep/b.rs", "src/run"],
            "{folder}"
        );
    }
    let one = server
        .get("/repos/files?path=src/run", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(paths(&one.body), ["src/run"]);
    assert_eq!(
        server
            .get("/repos/files?path=nothing", &Token::read("a"))
            .await
            .expect(404)
            .code(),
        "path_not_found"
    );
}

#[tokio::test]
async fn pages_hold_together() {
    let server = sample().await;
    for (query, expected) in [("", 6), ("&recursive=false", 4), ("&path=src", 3)] {
        for limit in 1..4 {
            let mut found = Vec::new();
            let mut cursor = String::new();
            loop {
                let path = format!("/repos/files?limit={limit}{query}{cursor}");
                let page = server.get(&path, &Token::read("a")).await.expect(200);
                let entries = page.body["entries"].as_array().unwrap();
                assert!(entries.len() <= limit);
                found.extend(
                    entries
                        .iter()
                        .map(|entry| entry["path"].as_str().unwrap().to_owned()),
                );
                assert_eq!(
                    page.body["has_more"].as_bool().unwrap(),
                    page.body.get("next_cursor").is_some()
                );
                match page.body["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(found.len(), expected, "{query} {limit}: {found:?}");
            found.dedup();
            assert_eq!(found.len(), expected, "{query} {limit}: {found:?}");
        }
    }
}

#[tokio::test]
async fn the_answer_says_what_the_ref_was_resolved_to() {
    let server = sample().await;
    let body = CommitBody::new("preview")
        .set("ephemeral", json!(true))
        .set("base_branch", json!("main"))
        .file("p", b"1");
    let made = server.commit("a", body).await.expect(201);
    let sha = made.body["commit"]["commit_sha"].as_str().unwrap();
    for (query, expected) in [
        ("ref=main", "main"),
        ("ref=refs/heads/main", "main"),
        (
            "ref=preview&ephemeral=true",
            "refs/namespaces/ephemeral/refs/heads/preview",
        ),
        (&format!("ref={sha}"), sha),
        (&format!("ref={}", &sha[..10]), sha),
    ] {
        let listed = server
            .get(&format!("/repos/files?{query}"), &Token::read("a"))
            .await
            .expect(200);
        assert_eq!(listed.body["ref"], expected, "{query}");
    }
    server
        .get("/repos/files?ref=preview", &Token::read("a"))
        .await
        .expect(404);
    server
        .get(
            "/repos/files?ref=preview&ephemeral=false",
            &Token::read("a"),
        )
        .await
        .expect(404);
}

#[tokio::test]
async fn an_empty_repository_has_no_files_to_list() {
    let server = TestServer::with_repo("a").await;
    let answer = server
        .get("/repos/files", &Token::read("a"))
        .await
        .expect(404);
    assert_eq!(answer.code(), "ref_not_found");
    assert!(answer.error().contains("empty"));
}

#[tokio::test]
async fn a_tree_larger_than_a_page_of_output_is_listed_whole() {
    let server = TestServer::with_repo("a").await;
    let mut body = CommitBody::new("main").chunk("same", b"x", true);
    for at in 0..6000 {
        body = body.announce(
            &format!(
                "folder-{:02}/a file with a rather long name {at:05}",
                at % 50
            ),
            "same",
            "100644",
        );
    }
    server.commit("a", body).await.expect(201);
    let listed = server
        .get("/repos/files", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(paths(&listed.body).len(), 6000);
    assert_eq!(listed.body["entries"].as_array().unwrap().len(), 6000);
    let page = server
        .get("/repos/files?limit=99999", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(
        (paths(&page.body).len(), &page.body["has_more"]),
        (5000, &json!(true))
    );
}

/// A repository whose files and tags are not all named in UTF-8.
async fn raw_names() -> TestServer {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    for name in [
        &b"\xfe"[..],
        b"\xff1",
        b"\xff2",
        b"\xff3",
        b"z",
        "caf\u{fffd}".as_bytes(),
    ] {
        std::fs::write(checkout.path().join(OsStr::from_bytes(name)), name).unwrap();
    }
    checkout.git(&["add", "-A"]).await;
    checkout.git(&["commit", "-q", "-m", "names"]).await;
    let head = checkout.git(&["rev-parse", "HEAD"]).await;
    let tags = checkout.path().join(".git/refs/tags");
    for name in [&b"a"[..], b"\xff1", b"\xff2", b"\xff3"] {
        std::fs::write(tags.join(OsStr::from_bytes(name)), format!("{head}\n")).unwrap();
    }
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", "--tags", &url, "main"]).await;
    server
}

#[tokio::test]
async fn pages_end_and_hold_every_name_whatever_its_bytes() {
    let server = raw_names().await;
    for (list, field, count) in [
        ("files", "paths", 6),
        ("files/metadata", "files", 6),
        ("tags", "tags", 4),
    ] {
        let (mut found, mut cursor) = (0, String::new());
        for page in 0.. {
            assert!(page < count, "{list} does not end");
            let path = format!("/repos/{list}?limit=1{cursor}");
            let body = server.get(&path, &Token::read("a")).await.expect(200).body;
            found += body[field].as_array().unwrap().len();
            match body["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, count, "{list}");
    }
}

#[tokio::test]
async fn a_path_that_is_not_utf_8_is_never_taken_for_another() {
    let server = raw_names().await;
    let other = server.file("a", "path=caf%EF%BF%BD").await;
    assert_eq!(other.status(), 200);
    let refused = server.file("a", "path=caf%E9").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("UTF-8"));
    for path in ["blame?path=%FF1", "commits?path=%FF1", "files?path=%FF1"] {
        let path = format!("/repos/{path}");
        let refused = server.get(&path, &Token::read("a")).await.expect(400);
        assert!(refused.error().contains("UTF-8"));
    }
}
