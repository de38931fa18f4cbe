//! What a commit makes of its branch, its files and its people.

use serde_json::json;

use super::{ZEROS, refused, text};
use crate::support::{CommitBody, TestServer, Token};

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
