//! What requests may say in more than one way, and what they may not say at all.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Checkout, CommitBody, TestServer, Token, encoded};

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn two_names_of_a_query_field_may_say_the_same_and_nothing_else() {
    let server = TestServer::with_repo("a").await;
    let first = server.put("a", "x", "1").await;
    let second = server.put("a", "x", "2").await;
    for (path, query) in [
        (
            "/repos/commits",
            "branch=main&ref=main&ephemeral=false&ref_is_ephemeral=false".to_owned(),
        ),
        (
            "/repos/diff",
            format!("sha={second}&ref={second}&baseSha={first}&base_ref={first}"),
        ),
        (
            "/repos/diff",
            format!("sha={second}&gitApplyCompatible=true&git_apply_compatible=true"),
        ),
        (
            "/repos/branches/diff",
            "branch=main&ref=main&base=main&base_ref=main".to_owned(),
        ),
        ("/repos/files", "ref=main&ref=main".to_owned()),
        ("/repos/branches", "limit=5&limit=5".to_owned()),
    ] {
        let path = format!("{path}?{query}");
        server.get(&path, &Token::read("a")).await.expect(200);
    }
    for (path, query, named) in [
        (
            "/repos/commits",
            "branch=main&ref=other".to_owned(),
            ["`branch`", "`ref`"],
        ),
        (
            "/repos/diff",
            format!("sha={second}&baseSha={first}&base_ref=main"),
            ["`baseSha`", "`base_ref`"],
        ),
        (
            "/repos/diff",
            format!("sha={second}&gitApplyCompatible=true&git_apply_compatible=false"),
            ["`gitApplyCompatible`", "`git_apply_compatible`"],
        ),
        (
            "/repos/branches/diff",
            "branch=main&ref=other".to_owned(),
            ["`branch`", "`ref`"],
        ),
        (
            "/repos/files",
            "ref=main&ref=other".to_owned(),
            ["`main`", "`other`"],
        ),
    ] {
        let path = format!("{path}?{query}");
        let refused = server.get(&path, &Token::read("a")).await.expect(400);
        for name in named {
            assert!(
                refused.error().contains(name),
                "{path}: {}",
                refused.error()
            );
        }
    }
}

#[tokio::test]
async fn two_names_of_a_body_field_may_say_the_same_and_nothing_else() {
    let server = TestServer::with_repo("a").await;
    let first = server.put("a", "x", "1").await;
    let both = |head: &str| {
        CommitBody::new("main")
            .set("expected_head_sha", json!(first))
            .set("expected_target_sha", json!(head))
            .set("ephemeral", json!(false))
            .set("target_is_ephemeral", json!(false))
            .file("x", b"2")
    };
    let other = "1".repeat(40);
    let refused = server.commit("a", both(&other)).await.expect(400);
    for named in ["`expected_head_sha`", "`expected_target_sha`", &other] {
        assert!(refused.error().contains(named), "{}", refused.error());
    }
    server.commit("a", both(&first)).await.expect(201);
    let note = |sha: &str| json!({ "sha": first, "object_ref": sha, "action": "add", "note": "n", "ref": "x", "notes_ref": "x" });
    let write = Token::write("a");
    server
        .post("/repos/notes", &write, &note(&other))
        .await
        .expect(400);
    server
        .post("/repos/notes", &write, &note(&first))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_body_may_be_compressed_by_gzip_and_by_nothing_else() {
    let server = TestServer::start().await;
    let send = async |path: &str, repo: &str, encoding: &str, body: Vec<u8>| {
        let kind = match path {
            "/repos/commit-pack" => "application/x-ndjson",
            _ => "application/json",
        };
        let request = server
            .request(
                Method::POST,
                path,
                &Token::new(repo, &["git:write", "repo:write"]),
            )
            .header("content-type", kind)
            .header("content-encoding", encoding);
        server.send(request.body(body)).await
    };
    let create = json!({ "default_branch": "trunk" }).to_string();
    send("/repos", "a", "gzip", gzip(&create)).await.expect(201);
    let found = server.get("/repo", &Token::read("a")).await.expect(200);
    assert_eq!(found.body["default_branch"], "trunk");
    send("/repos", "b", "identity", create.clone().into())
        .await
        .expect(201);

    let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let commit = CommitBody::new("trunk").file("x", &data).text();
    send("/repos/commit-pack", "a", "x-gzip", gzip(&commit))
        .await
        .expect(201);
    // Members one after the other are one body.
    let (one, two) = commit.split_at(1000);
    let members = [gzip(one), gzip(two)].concat();
    send("/repos/commit-pack", "b", "gzip", members)
        .await
        .expect(201);
    let read = server.file("a", "path=x").await.bytes().await.unwrap();
    assert_eq!(read, data);

    for encoding in ["br", "deflate", "gzip, gzip", "zstd"] {
        let refused = send("/repos", "c", encoding, gzip(&create))
            .await
            .expect(415);
        assert!(refused.error().contains(encoding), "{}", refused.error());
        assert_eq!(refused.code(), "unsupported_media_type");
    }
    let whole = gzip(&create);
    for broken in [
        create.clone().into_bytes(),
        whole[..whole.len() - 3].to_vec(),
        b"\x1f\x8b\x08".to_vec(),
    ] {
        let refused = send("/repos", "c", "gzip", broken).await.expect(400);
        assert!(refused.error().contains("gzip"), "{}", refused.error());
    }
    server.get("/repo", &Token::read("c")).await.expect(404);
}

#[tokio::test]
async fn what_is_compressed_has_the_limits_of_what_is_not() {
    let server = TestServer::with_limits(|limits| limits.json_bytes = 100_000).await;
    let bomb = format!("{{\"default_branch\": \"{}\"}}", "x".repeat(20 << 20));
    let bomb = gzip(&bomb);
    assert!(bomb.len() < 50_000);
    let request = server
        .request(Method::POST, "/repos", &Token::new("a", &["repo:write"]))
        .header("content-encoding", "gzip")
        .header("content-type", "application/json");
    let refused = server.send(request.body(bomb)).await.expect(413);
    assert!(refused.error().contains("100000"), "{}", refused.error());
}

#[tokio::test]
async fn a_malformed_glob_is_named() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x[1]", "1").await;
    for (field, glob) in [
        ("include_globs", "src/[a-"),
        ("exclude_globs", "[[:nothing:]]"),
        ("include_globs", "back\\"),
    ] {
        let body = json!({ field: ["*.rs", glob] });
        let refused = server
            .post("/repos/archive", &Token::read("a"), &body)
            .await
            .expect(400);
        let said = refused.error();
        assert!(
            said.contains(&format!("`{glob}`")) && said.contains(field),
            "{said}"
        );
        let body =
            json!({ "query": { "pattern": "x" }, "file_filters": { "include_globs": [glob] } });
        let refused = server
            .post("/repos/grep", &Token::read("a"), &body)
            .await
            .expect(400);
        assert!(refused.error().contains(glob), "{}", refused.error());
    }
    let body = json!({ "include_globs": ["x\\[1]", "x[[]1[]]"] });
    let request = server.request(Method::POST, "/repos/archive", &Token::read("a"));
    let archive = request.json(&body).send().await.unwrap();
    assert_eq!(archive.status(), 200);
}

#[tokio::test]
async fn what_stands_for_the_organisation_is_no_repository() {
    let server = TestServer::start().await;
    let refused = server
        .post("/repos", &Token::new("org", &["repo:write"]), &json!({}))
        .await
        .expect(400);
    assert!(
        refused.error().contains("whole organisation"),
        "{}",
        refused.error()
    );
    server.create("org/site").await;
}

#[tokio::test]
async fn no_url_is_of_two_namespaces() {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    checkout.commit("x", b"1").await;
    for path in ["a+ephemeral+import", "a+import+ephemeral"] {
        let url = server.git_url(path, &Token::write("a"));
        checkout.git_fails(&["push", "-q", &url, "main"]).await;
    }
    assert_eq!(server.branches("a", "").await, []);
    assert_eq!(server.branches("a", "&ephemeral=true").await, []);
}

/// It is what a name that is no text is shown as, and a character of its own.
#[tokio::test]
async fn a_path_may_hold_the_replacement_character() {
    let server = TestServer::with_repo("a").await;
    let paths = [
        "\u{fffd}",
        "a\u{fffd}b/\u{fffd}.txt",
        "\u{feff}x",
        "\u{10ffff}",
    ];
    let mut body = CommitBody::new("main");
    for path in paths {
        body = body.file(path, path.as_bytes());
    }
    server.commit("a", body.clone()).await.expect(201);
    // As the SDK for Python writes it.
    let escaped = body
        .set("commit_message", json!("again"))
        .text()
        .replace('\u{fffd}', "\\ufffd");
    server
        .commit_with(&Token::write("a"), escaped)
        .await
        .expect(201);
    for path in paths {
        let found = server.file("a", &format!("path={}", encoded(path))).await;
        assert_eq!(found.text().await.unwrap(), path);
    }
    let listed = server
        .get("/repos/files", &Token::read("a"))
        .await
        .expect(200);
    let listed: Vec<_> = listed.body["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(Value::to_string)
        .collect();
    assert_eq!(listed.len(), paths.len(), "{listed:?}");
    let gone = CommitBody::new("main").delete("\u{fffd}");
    server.commit("a", gone).await.expect(201);
    let diff = "--- a/a\u{fffd}b/\u{fffd}.txt\n+++ b/a\u{fffd}b/\u{fffd}.txt\n@@ -1 +1 @@\n-a\u{fffd}b/\u{fffd}.txt\n\\ No newline at end of file\n+changed\n";
    let chunk = json!({ "diff_chunk": { "data": base64(diff), "eof": true } });
    let mut metadata = CommitBody::new("main").metadata;
    metadata.as_object_mut().unwrap().remove("files");
    let lines = format!("{}\n{chunk}\n", json!({ "metadata": metadata }));
    let request = server.request(Method::POST, "/repos/diff-commit", &Token::write("a"));
    server.send(request.body(lines)).await.expect(201);
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
