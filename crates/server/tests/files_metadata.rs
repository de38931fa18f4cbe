//! Files with the commit that changed each last.

use serde_json::{Value, json};

use crate::support::{Checkout, CommitBody, TestServer, Token};

async fn listed(server: &TestServer, query: &str) -> Value {
    let path = format!("/repos/files/metadata?{query}");
    server.get(&path, &Token::read("a")).await.expect(200).body
}

/// `path commit` of each file.
fn changes(body: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let files = body["files"].as_array().unwrap();
    files
        .iter()
        .map(|file| {
            let commit = text(&file["last_commit_sha"]);
            assert!(body["commits"][&commit].is_object(), "{commit}");
            format!("{} {commit}", text(&file["path"]))
        })
        .collect()
}

#[tokio::test]
async fn files_come_with_size_mode_and_last_commit() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main")
        .file("README", b"12345")
        .file_with_mode("src/run", "100755", b"1234")
        .file_with_mode("link", "120000", b"README");
    let first = server.commit("a", body).await.expect(201);
    let first = first.body["commit"]["commit_sha"]
        .as_str()
        .unwrap()
        .to_owned();
    let second = server.put("a", "src/a.rs", "x").await;
    let body = listed(&server, "").await;
    assert_eq!(
        body["files"],
        json!([
            { "path": "README", "mode": "100644", "size": 5, "last_commit_sha": first, "type": "blob" },
            { "path": "link", "mode": "120000", "size": 6, "last_commit_sha": first, "type": "symlink" },
            { "path": "src/a.rs", "mode": "100644", "size": 1, "last_commit_sha": second, "type": "blob" },
            { "path": "src/run", "mode": "100755", "size": 4, "last_commit_sha": first, "type": "blob" },
        ])
    );
    assert_eq!(
        (&body["ref"], &body["has_more"]),
        (&json!("main"), &json!(false))
    );
    let commits = body["commits"].as_object().unwrap();
    assert_eq!(commits.len(), 2);
    assert_eq!(commits[&first]["author"], "Ann");
    assert_eq!(commits[&first]["message"], "a change");
    assert!(commits[&first]["date"].as_str().unwrap().ends_with('Z'));

    let one = server.file("a", "path=src/run").await;
    assert_eq!(one.headers()["x-last-commit-sha"], first);
    for (query, expected) in [
        (
            "path=src",
            vec![format!("src/a.rs {second}"), format!("src/run {first}")],
        ),
        (
            "path=src/&recursive=false",
            vec![format!("src/a.rs {second}"), format!("src/run {first}")],
        ),
        ("path=README", vec![format!("README {first}")]),
        (
            &format!("ref={first}&path=src"),
            vec![format!("src/run {first}")],
        ),
    ] {
        assert_eq!(changes(&listed(&server, query).await), expected, "{query}");
    }
}

#[tokio::test]
async fn pages_hold_together() {
    let server = TestServer::with_repo("a").await;
    for number in 0..7 {
        server
            .put("a", &format!("d{}/f{number}", number % 3), "x")
            .await;
    }
    let whole = changes(&listed(&server, "").await);
    assert_eq!(whole.len(), 7);
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = listed(&server, &format!("limit=2{cursor}")).await;
        found.extend(changes(&page));
        let commits = page["commits"].as_object().unwrap();
        assert_eq!(commits.len(), page["files"].as_array().unwrap().len());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, whole);
}

#[tokio::test]
async fn ephemeral_branches_have_rules_of_their_own() {
    let server = TestServer::with_repo("a").await;
    let missing = server.get("/repos/files/metadata", &Token::read("a")).await;
    assert_eq!(missing.expect(404).code(), "ref_not_found");
    server.put("a", "x", "1").await;
    let body = CommitBody::new("draft")
        .set("ephemeral", json!(true))
        .set("base_branch", json!("main"))
        .file("y", b"2");
    server.commit("a", body).await.expect(201);
    let body = listed(&server, "ref=draft&ephemeral=true").await;
    assert_eq!(body["ref"], "refs/namespaces/ephemeral/refs/heads/draft");
    assert_eq!(body["files"].as_array().unwrap().len(), 2);
    for (query, status) in [
        ("ephemeral=true", 400),
        ("ref=nowhere&ephemeral=true", 400),
        ("ephemeral=maybe", 400),
        ("ref=nowhere", 404),
        ("ref=draft&ephemeral=false", 404),
        ("path=nothing", 404),
        ("path=a//b", 400),
        ("limit=-1", 400),
    ] {
        let path = format!("/repos/files/metadata?{query}");
        server.get(&path, &Token::read("a")).await.expect(status);
    }
}

#[tokio::test]
async fn merges_and_long_histories_are_as_git_has_them() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    for file in ["a", "b", "sub/c"] {
        checkout.commit(file, b"1").await;
    }
    checkout.git(&["checkout", "-q", "-b", "side"]).await;
    checkout.commit("b", b"side").await;
    checkout.git(&["checkout", "-q", "main"]).await;
    checkout.commit("a", b"main").await;
    checkout
        .git(&["merge", "-q", "--no-ff", "-m", "merge", "side"])
        .await;
    // More than are walked without an index.
    let mut stream = String::new();
    for number in 0..700 {
        let from = if number == 0 {
            "from refs/heads/main^0\n"
        } else {
            ""
        };
        stream += &format!(
            "commit refs/heads/main\ncommitter A <a> {} +0000\ndata 1\nm\n{from}M 100644 inline many/f{}\ndata 3\n{number:03}\n",
            1_800_000_000 + number,
            number % 40
        );
    }
    std::fs::write(checkout.path().join("stream"), stream).unwrap();
    checkout
        .git(&["-c", "alias.fi=!git fast-import --quiet <stream", "fi"])
        .await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main"]).await;

    let mut expected = Vec::new();
    for path in checkout
        .git(&["ls-tree", "-r", "--name-only", "main"])
        .await
        .lines()
    {
        let commit = checkout
            .git(&["log", "-1", "--format=%H", "main", "--", path])
            .await;
        expected.push(format!("{path} {commit}"));
    }
    assert_eq!(changes(&listed(&server, "limit=1000").await), expected);
    assert_eq!(changes(&listed(&server, "limit=1000").await), expected);
    for line in &expected {
        let (path, commit) = line.split_once(' ').unwrap();
        let file = server.file("a", &format!("path={path}")).await;
        assert_eq!(file.headers()["x-last-commit-sha"], commit, "{path}");
    }
    // What is newer than the index is found, too.
    let newest = server.put("a", "many/f3", "new").await;
    let body = listed(&server, "path=many/f3").await;
    assert_eq!(changes(&body), [format!("many/f3 {newest}")]);
}
