//! What a commit cannot hold.

use serde_json::json;

use super::{refused, text};
use crate::support::{CommitBody, TestServer, Token};

#[tokio::test]
async fn malformed_bodies_are_refused_and_nothing_is_stored() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let one = || CommitBody::new("main").announce("f", "id", "100644");
    let chunk = r#"{"blob_chunk":{"content_id":"id","data":"eA==","eof":true}}"#;
    let big = vec![0; (4 << 20) + 1];
    for (what, body, why) in [
        ("an empty body", String::new(), "empty"),
        ("only blank lines", "\n \n\r\n".to_owned(), "empty"),
        ("no JSON", "hello\n".to_owned(), "metadata"),
        ("no metadata", format!("{chunk}\n"), "metadata"),
        (
            "an array instead of the line",
            json!([one().metadata]).to_string(),
            "must be a JSON object",
        ),
        (
            "an array instead of the metadata",
            json!({ "metadata": ["main", "x", { "name": "a", "email": "b" }] }).to_string(),
            "a JSON object",
        ),
        (
            "an array instead of the author",
            CommitBody::new("main")
                .set("author", json!(["a", "b", null]))
                .text(),
            "a JSON object",
        ),
        (
            "an array instead of a file",
            CommitBody::new("main")
                .set("files", json!([["f", "id", "delete", null]]))
                .text(),
            "a JSON object",
        ),
        (
            "an array instead of a chunk line",
            one().line(r#"[["id","eA==",true]]"#).text(),
            "must be a JSON object",
        ),
        (
            "an array instead of a chunk",
            one().line(r#"{"blob_chunk":["id","eA==",true]}"#).text(),
            "a JSON object",
        ),
        (
            "metadata without a branch",
            json!({ "metadata": { "commit_message": "x" } }).to_string(),
            "target_branch",
        ),
        (
            "a file without a path",
            json!({ "metadata": { "files": [{}] } }).to_string(),
            "metadata",
        ),
        (
            "an unknown operation",
            one()
                .set("files", json!([{ "path": "f", "operation": "move" }]))
                .text(),
            "unknown variant `move`",
        ),
        (
            "an unknown mode",
            CommitBody::new("main")
                .file_with_mode("f", "100666", b"")
                .text(),
            "mode",
        ),
        (
            "a folder's mode",
            CommitBody::new("main")
                .file_with_mode("f", "040000", b"")
                .text(),
            "mode",
        ),
        (
            "an unknown content",
            one().line(&chunk.replace("\"id\"", "\"other\"")).text(),
            "unknown `content_id`",
        ),
        ("a content that never comes", one().text(), "never came"),
        (
            "a content without an end",
            one().chunk("id", b"x", false).text(),
            "no last chunk",
        ),
        (
            "a chunk after the end",
            one().chunk("id", b"x", true).chunk("id", b"y", true).text(),
            "after its last",
        ),
        (
            "a chunk after a spooled end",
            one()
                .chunk("id", b"x", false)
                .chunk("id", b"y", true)
                .chunk("id", b"", true)
                .text(),
            "after its last",
        ),
        (
            "a chunk over 4 MiB",
            one().chunk("id", &big, true).text(),
            "4194304",
        ),
        (
            "bad base64",
            one().line(&chunk.replace("eA==", "e!==")).text(),
            "base64",
        ),
        (
            "unpadded base64",
            one().line(&chunk.replace("eA==", "eA")).text(),
            "base64",
        ),
        (
            "bad base64 in a long chunk",
            one()
                .chunk("id", &[0; 200_001], true)
                .text()
                .replace("AAAAA\"", "AA!AA\""),
            "base64",
        ),
        (
            "a chunk without eof",
            one()
                .line(r#"{"blob_chunk":{"content_id":"id","data":""}}"#)
                .text(),
            "eof",
        ),
        (
            "a second metadata line",
            one().line(&json!({ "metadata": {} }).to_string()).text(),
            "blob_chunk",
        ),
        (
            "garbage at the end",
            one().line(chunk).line("garbage").text(),
            "blob_chunk",
        ),
        (
            "garbage after a long chunk",
            one()
                .chunk("id", &[0; 200_000], true)
                .line("garbage")
                .text(),
            "blob_chunk",
        ),
        ("a line cut off", one().text() + &chunk[..30], "blob_chunk"),
        (
            "a long line cut off",
            one().text() + &one().chunk("id", &[0; 200_000], true).lines[0][..150_000],
            "blob_chunk",
        ),
        (
            "content for a deletion",
            CommitBody::new("main")
                .delete("x")
                .chunk("delete x", b"x", true)
                .text(),
            "deletion",
        ),
        (
            "a submodule that is none",
            CommitBody::new("main")
                .file_with_mode("s", "160000", b"x")
                .text(),
            "submodule",
        ),
    ] {
        let answer = server.commit_with(&Token::write("a"), body).await;
        let message = refused(answer, 400, "invalid");
        assert!(message.contains(why), "{what}: {message}");
    }
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
}

#[tokio::test]
async fn names_have_control_characters_as_in_git() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main").file("folder/Icon\r", b"icon");
    server.commit("a", body).await.expect(201);
    let listed = server.get("/repos/files", &Token::read("a")).await;
    assert_eq!(listed.expect(200).body["paths"], json!(["folder/Icon\r"]));
    let file = server.file("a", "path=folder%2FIcon%0D").await;
    assert_eq!(file.bytes().await.unwrap(), "icon");
    let body = CommitBody::new("main").delete("folder/Icon\r");
    server.commit("a", body).await.expect(201);
}

#[tokio::test]
async fn paths_that_git_would_refuse_are_refused() {
    let server = TestServer::with_repo("a").await;
    let head = server
        .commit(
            "a",
            CommitBody::new("main")
                .file("file", b"1")
                .file("folder/x", b"1"),
        )
        .await
        .expect(201);
    let long = format!("{}/x", "x".repeat(256));
    let deep = "x/".repeat(2100) + "x";
    for path in [
        "",
        "/",
        "/abs",
        "a//b",
        "a/",
        "./a",
        "a/.",
        "..",
        "../a",
        "a/../b",
        ".git",
        ".git/config",
        "a/.git/b",
        ".GIT",
        ".Git/x",
        "git~1",
        "GIT~1/x",
        ".git ",
        ".git.",
        ".git::$INDEX_ALLOCATION",
        ".g\u{200c}it",
        "a\u{0}b",
        &long,
        &deep,
    ] {
        let answer = server
            .commit(
                "a",
                CommitBody::new("main").file("ok", b"").file(path, b"x"),
            )
            .await;
        let message = refused(answer, 400, "invalid");
        assert!(message.starts_with("path `"), "{path:?}: {message}");
    }
    let link = CommitBody::new("main").file_with_mode(".gitmodules", "120000", b"x");
    assert!(refused(server.commit("a", link).await, 400, "invalid").contains("symbolic link"));
    for (path, why) in [("file/below", "is a file"), ("folder", "is a folder")] {
        let message = refused(
            server
                .commit("a", CommitBody::new("main").file(path, b"x"))
                .await,
            409,
            "conflict",
        );
        assert!(message.contains(why), "{path}: {message}");
    }
    let twice = CommitBody::new("main")
        .file("f", b"1")
        .announce("f", "other", "100644")
        .chunk("other", b"2", true);
    let message = refused(server.commit("a", twice).await, 400, "invalid");
    assert!(message.contains("twice"), "{message}");
    let missing = CommitBody::new("main").delete("nothing");
    assert!(refused(server.commit("a", missing).await, 400, "invalid").contains("nothing"));
    // A file may take the place of a folder that is deleted in the same commit.
    server
        .commit(
            "a",
            CommitBody::new("main")
                .delete("folder/x")
                .file("folder", b"x"),
        )
        .await
        .expect(201);
    assert_ne!(
        server.branches("a", "").await[0].1,
        text(&head.body["commit"]["commit_sha"])
    );
}

#[tokio::test]
async fn names_and_messages_that_a_commit_cannot_hold_are_refused() {
    let server = TestServer::with_repo("a").await;
    let person = |name: &str, email: &str| json!({ "name": name, "email": email });
    for (field, value, why) in [
        ("target_branch", json!(""), "target_branch"),
        ("target_branch", json!("refs/heads/x"), "target_branch"),
        ("target_branch", json!("a..b"), "target_branch"),
        ("base_branch", json!("refs/heads/x"), "base_branch"),
        ("base_branch", json!("a b"), "base_branch"),
        ("commit_message", json!(" "), "commit_message"),
        ("commit_message", json!("a\u{0}b"), "commit_message"),
        ("author", person("", "a@x"), "author.name"),
        ("author", person("A", " "), "author.email"),
        ("author", person("A <x>", "a@x"), "author.name"),
        ("author", person("A", "a\n@x"), "author.email"),
        ("author", json!({ "name": "A" }), "email"),
        (
            "author",
            json!({ "name": "A", "email": "a", "timestamp": "today" }),
            "author.timestamp",
        ),
        (
            "author",
            json!({ "name": "A", "email": "a", "timestamp": "1969-01-01T00:00:00Z" }),
            "author.timestamp",
        ),
        ("committer", person("A", ""), "committer.email"),
    ] {
        let message = refused(
            server
                .commit("a", CommitBody::new("main").set(field, value.clone()))
                .await,
            400,
            "invalid",
        );
        assert!(message.contains(why), "{field} {value}: {message}");
    }
    assert!(server.branches("a", "").await.is_empty());
}
