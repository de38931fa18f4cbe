//! Commits over the API: every rule of the route.

use serde_json::{Value, json};

use crate::support::{Answer, CommitBody, TestServer, Token};

const ZEROS: &str = "0000000000000000000000000000000000000000";

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// A refusal of a commit: its own shape, and nothing stored.
#[track_caller]
fn refused(answer: Answer, status: u16, word: &str) -> String {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.body["commit"], Value::Null);
    assert_eq!(answer.body["result"]["success"], false);
    assert_eq!(answer.body["result"]["status"], word, "{}", answer.body);
    assert_eq!(answer.body["result"]["new_sha"], "");
    assert_eq!(answer.body["result"]["message"], answer.error());
    answer.error().to_owned()
}

#[tokio::test]
async fn the_first_commit_creates_the_branch_and_the_next_follows() {
    let server = TestServer::with_repo("a").await;
    let first = server
        .commit("a", CommitBody::new("main").file("a/b.txt", b"hello"))
        .await
        .expect(201);
    let (commit, result) = (&first.body["commit"], &first.body["result"]);
    assert_eq!(
        (text(&commit["target_branch"]), text(&result["branch"])),
        ("main", "main")
    );
    assert_eq!(commit["blob_count"], 1);
    assert!(commit["pack_bytes"].as_u64().unwrap() > 0);
    assert_eq!(
        (text(&result["old_sha"]), &result["new_sha"]),
        (ZEROS, &commit["commit_sha"])
    );
    assert_eq!(
        (&result["success"], text(&result["status"])),
        (&json!(true), "ok")
    );
    assert!(first.body.get("error").is_none());

    let head = text(&commit["commit_sha"]).to_owned();
    let body = CommitBody::new("main")
        .set("expected_head_sha", json!(head))
        .delete("a")
        .file("c", b"");
    let second = server.commit("a", body).await.expect(201);
    assert_eq!(second.body["result"]["old_sha"], head);
    let listed = server
        .get("/repos/files", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(listed.body["paths"], json!(["c"]));
    let only_delete = server
        .commit("a", CommitBody::new("main").delete("c"))
        .await
        .expect(201);
    assert_eq!(only_delete.body["commit"]["blob_count"], 0);
    // A commit that changes nothing is a commit.
    let empty = server
        .commit("a", CommitBody::new("main"))
        .await
        .expect(201);
    assert_eq!(
        empty.body["commit"]["tree_sha"],
        only_delete.body["commit"]["tree_sha"]
    );
}

#[tokio::test]
async fn author_committer_message_and_time_are_kept() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main")
        .file("x", b"1")
        .set("commit_message", json!("Überschrift\n\nBody with \"quotes\"\n\n"))
        .set("author", json!({ "name": " Ann Ümlaut ", "email": "a@x", "timestamp": "2024-02-03T04:05:06+02:00" }))
        .set("committer", json!({ "name": "Bot", "email": "b@x", "timestamp": "2024-02-03T04:05:07Z" }));
    server.commit("a", body).await.expect(201);
    let found = server
        .get("/repos/commit?sha=main", &Token::read("a"))
        .await
        .expect(200);
    let commit = &found.body["commit"];
    assert_eq!(commit["message"], "Überschrift\n\nBody with \"quotes\"\n\n");
    assert_eq!(
        (text(&commit["author_name"]), text(&commit["author_email"])),
        ("Ann Ümlaut", "a@x")
    );
    assert_eq!(
        (text(&commit["committer_name"]), text(&commit["date"])),
        ("Bot", "2024-02-03T04:05:07Z")
    );
}

#[tokio::test]
async fn a_guard_must_name_the_head() {
    let server = TestServer::with_repo("a").await;
    let first = server.put("a", "x", "1").await;
    let second = server.put("a", "x", "2").await;
    let guarded = |head: &str| {
        CommitBody::new("main")
            .file("x", b"3")
            .set("expected_head_sha", json!(head))
    };
    let answer = server.commit("a", guarded(&first)).await;
    assert_eq!(answer.code(), "head_moved");
    assert_eq!(answer.body["result"]["old_sha"], second);
    assert_eq!(answer.body["result"]["branch"], "main");
    refused(answer, 409, "precondition_failed");
    refused(
        server.commit("a", guarded(&"1".repeat(40))).await,
        409,
        "precondition_failed",
    );
    refused(server.commit("a", guarded("nothing")).await, 400, "invalid");
    // A branch's name and an abbreviation do, too; blank is no guard.
    server.commit("a", guarded("main")).await.expect(201);
    server.commit("a", guarded(" ")).await.expect(201);
}

#[tokio::test]
async fn a_new_branch_starts_from_its_base() {
    let server = TestServer::with_repo("a").await;
    // On an empty repository no guard can hold.
    let guarded = CommitBody::new("main").set("expected_head_sha", json!("1".repeat(40)));
    refused(
        server.commit("a", guarded).await,
        409,
        "precondition_failed",
    );
    let head = server.put("a", "x", "1").await;
    let message = refused(
        server
            .commit("a", CommitBody::new("new").file("y", b"1"))
            .await,
        404,
        "not_found",
    );
    assert!(message.contains("new"), "{message}");
    let missing = CommitBody::new("new").set("base_branch", json!("nothing"));
    refused(server.commit("a", missing).await, 404, "not_found");
    let from = |branch: &str| {
        CommitBody::new(branch)
            .set("base_branch", json!("main"))
            .file("y", branch.as_bytes())
    };
    let wrong = from("new").set("expected_head_sha", json!("1".repeat(40)));
    refused(server.commit("a", wrong).await, 409, "precondition_failed");
    let made = server
        .commit("a", from("new").set("expected_head_sha", json!(head)))
        .await
        .expect(201);
    assert_eq!(made.body["result"]["old_sha"], ZEROS);
    // The target exists now: the base is passed over, and the guard is about the target.
    let again = from("new").set(
        "expected_head_sha",
        made.body["commit"]["commit_sha"].clone(),
    );
    server.commit("a", again).await.expect(201);
    let nested = server.commit("a", from("main/x")).await;
    assert!(refused(nested, 409, "conflict").contains("main"));
}

#[tokio::test]
async fn ephemeral_branches_have_names_of_their_own() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    let body = CommitBody::new("main")
        .set("ephemeral", json!(true))
        .set("base_branch", json!("main"))
        .file("y", b"1");
    let made = server.commit("a", body).await.expect(201);
    let next = CommitBody::new("other")
        .set("ephemeral", json!(true))
        .set("base_branch", json!("main"))
        .set("ephemeral_base", json!(true))
        .set(
            "expected_head_sha",
            made.body["commit"]["commit_sha"].clone(),
        );
    server.commit("a", next).await.expect(201);
    assert_eq!(server.branches("a", "&ephemeral=true").await.len(), 2);
    assert_eq!(server.branches("a", "").await.len(), 1);
    let odd = CommitBody::new("z").set("ephemeral_base", json!(true));
    assert!(refused(server.commit("a", odd).await, 400, "invalid").contains("base_branch"));
}

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

#[tokio::test]
async fn chunks_are_put_together_whatever_their_size() {
    let server = TestServer::with_repo("a").await;
    let mib = 1 << 20;
    let data = |len: usize| -> Vec<u8> { (0..len).map(|at| (at * 7 + at / 251) as u8).collect() };
    // The sizes at which the SDKs' chunker does something special.
    let mut body = CommitBody::new("main");
    let sizes = [0, 1, 65_000, 300_000, 4 * mib, 4 * mib + 1, 8 * mib];
    for size in sizes {
        body = body.file(&format!("f{size}"), &data(size));
    }
    // An iterator that ends in an empty piece.
    body = body
        .announce("odd", "odd", "100644")
        .chunk("odd", &data(4 * mib), false)
        .chunk("odd", b"", true);
    // Many small pieces, of two contents in turn.
    body = body
        .announce("left", "left", "100644")
        .announce("right", "right", "100755");
    for at in 0..50u8 {
        body = body
            .chunk("left", &[at], false)
            .chunk("right", &[at, at], false);
    }
    body = body.chunk("left", b"", true).chunk("right", b"!", true);
    let made = server.commit("a", body).await.expect(201);
    assert_eq!(made.body["commit"]["blob_count"], sizes.len() as u64 + 3);
    for size in sizes {
        let found = server
            .file("a", &format!("path=f{size}"))
            .await
            .bytes()
            .await
            .unwrap();
        assert!(found == data(size), "f{size} has {} bytes", found.len());
    }
    assert!(server.file("a", "path=odd").await.bytes().await.unwrap() == data(4 * mib));
    assert_eq!(
        server.file("a", "path=left").await.bytes().await.unwrap(),
        (0..50).collect::<Vec<u8>>()
    );
    assert_eq!(
        server
            .file("a", "path=right")
            .await
            .bytes()
            .await
            .unwrap()
            .len(),
        101
    );
}

#[tokio::test]
async fn other_ways_to_write_the_same_lines_are_understood() {
    let server = TestServer::with_repo("a").await;
    let metadata = json!({ "metadata": {
        "commit_message": "m", "target_branch": " main ", "author": { "email": "a@x", "name": "A", "extra": 1 },
        "committer": null, "expected_head_sha": null, "base_branch": "",
        "files": [
            { "path": "small", "content_id": "blob-1" }, { "content_id": "blob 2 \"ü\"", "path": "large" },
            { "path": "again", "content_id": "blob-1" },
        ],
    } });
    let data: Vec<u8> = (0..600_000usize).map(|at| (at % 249) as u8).collect();
    let encoded = {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(&data)
    };
    for long in [
        // Slashes escaped, ids escaped, keys in another order.
        format!(
            r#"{{"blob_chunk":{{"content_id":"blob 2 \"\u00fc\"","data":"{}","eof":true}}}}"#,
            encoded.replace('/', "\\/")
        ),
        format!(
            r#"{{"blob_chunk":{{"eof":true,"data":"{encoded}","content_id":"blob 2 \"ü\""}}}}"#
        ),
        format!(
            "\t{{ \"blob_chunk\" : {{ \"content_id\" : \"blob 2 \\\"ü\\\"\" , \"data\" : \"{encoded}\" , \"eof\" : true }} }} "
        ),
    ] {
        let body = format!(
            "\n  \n{metadata}\r\n\r\n{{\"blob_chunk\":{{\"eof\":true,\"data\":\"eA==\",\"content_id\":\"blob-1\"}}}}\r\n{}\n{long}",
            " ".repeat(100_000)
        );
        server
            .commit_with(&Token::write("a"), body)
            .await
            .expect(201);
        assert!(server.file("a", "path=large").await.bytes().await.unwrap() == data);
        assert_eq!(
            server.file("a", "path=again").await.text().await.unwrap(),
            "x"
        );
    }
}

#[tokio::test]
async fn a_deletion_may_have_an_empty_content() {
    let server = TestServer::with_repo("a").await;
    server
        .commit("a", CommitBody::new("main").file("x", b"1").file("y", b"1"))
        .await
        .expect(201);
    let body = CommitBody::new("main")
        .delete("x")
        .chunk("delete x", b"", true);
    server.commit("a", body).await.expect(201);
}

#[tokio::test]
async fn modes_are_kept() {
    let server = TestServer::with_repo("a").await;
    let commit = server.put("a", "x", "1").await;
    let body = CommitBody::new("main")
        .file_with_mode("run", "100755", b"#!")
        .file_with_mode("link", "120000", b"x")
        .file_with_mode("sub", "160000", commit.as_bytes());
    server.commit("a", body).await.expect(201);
    let listed = server
        .get("/repos/files", &Token::read("a"))
        .await
        .expect(200);
    let modes: Vec<&str> = listed.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| text(&entry["mode"]))
        .collect();
    assert_eq!(modes, ["120000", "100755", "160000", "100644"]);
}

#[tokio::test]
async fn refusals_before_the_body_have_the_same_shape() {
    let server = TestServer::with_repo("a").await;
    let body = CommitBody::new("main").text();
    refused(
        server.commit_with(&Token::raw("x"), body.clone()).await,
        401,
        "unauthorized",
    );
    refused(
        server.commit_with(&Token::read("a"), body.clone()).await,
        403,
        "forbidden",
    );
    refused(
        server.commit_with(&Token::write("b"), body).await,
        404,
        "not_found",
    );
}

#[tokio::test]
async fn large_metadata_has_a_limit() {
    let server = TestServer::with_limits(|limits| limits.metadata_bytes = 1 << 20).await;
    server.create("a").await;
    let body = |count: usize| {
        let mut body = CommitBody::new("main").chunk("same", b"x", true);
        for at in 0..count {
            body = body.announce(&format!("folder/file-{at:06}"), "same", "100644");
        }
        body
    };
    server.commit("a", body(8_000)).await.expect(201);
    let refusal = server.commit("a", body(20_000)).await;
    assert_eq!(refusal.code(), "too_large");
    refused(refusal, 413, "invalid");
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let server = TestServer::with_limits(|limits| limits.commit_bytes = 1 << 20).await;
    server.create("a").await;
    let large = CommitBody::new("main").file("f", &vec![0; 1 << 20]);
    let refusal = server.commit("a", large).await;
    assert_eq!(refusal.code(), "too_large");
    refused(refusal, 413, "invalid");
}

#[tokio::test]
async fn contents_go_to_a_pack_where_memory_is_short() {
    let server = TestServer::with_limits(|limits| {
        limits.commit_pool_bytes = 0;
        limits.commit_free_bytes = 2_000;
    })
    .await;
    server.create("a").await;
    let mut body = CommitBody::new("main");
    for at in 0..20u8 {
        body = body.file(&format!("f{at}"), &[at; 500]);
    }
    // The same content again, in memory and in the pack.
    body = body.file("again", &[0; 500]).file("last", &[19; 500]);
    server.commit("a", body).await.expect(201);
    for (path, byte) in [("f0", 0), ("f19", 19), ("again", 0), ("last", 19)] {
        let found = server
            .file("a", &format!("path={path}"))
            .await
            .bytes()
            .await
            .unwrap();
        assert_eq!(found, vec![byte; 500], "{path}");
    }
    let stats = server.server.hosted().stats();
    assert_eq!(stats.packs.load(std::sync::atomic::Ordering::Relaxed), 1);
}
