//! Restoring: a new commit whose files are those of an earlier one.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Checkout, CommitBody, TestServer, Token};

const ROUTE: &str = "/repos/restore-commit";

fn metadata(target: &str) -> Value {
    json!({ "metadata": {
        "target_branch": "main", "target_commit_sha": target, "commit_message": "Go back",
        "author": { "name": "Ann", "email": "ann@example.com" },
    }})
}

fn with(target: &str, field: &str, value: Value) -> Value {
    let mut body = metadata(target);
    body["metadata"][field] = value;
    body
}

/// A repository with two commits on `main`, and their ids.
async fn two_commits() -> (TestServer, String, String) {
    let server = TestServer::with_repo("a").await;
    let first = server.put("a", "one.txt", "1\n").await;
    let body = CommitBody::new("main")
        .file("one.txt", b"changed\n")
        .file("sub/two.txt", b"2\n");
    let second = server.commit("a", body).await.expect(201);
    let second = second.body["commit"]["commit_sha"].as_str().unwrap();
    (server, first, second.to_owned())
}

async fn restore(server: &TestServer, body: &Value) -> Answer {
    server.post(ROUTE, &Token::write("a"), body).await
}

#[tokio::test]
async fn the_files_are_those_of_the_earlier_commit_and_history_goes_on() {
    let (server, first, second) = two_commits().await;
    let made = restore(&server, &metadata(&first)).await.expect(201).body;
    let (commit, result) = (&made["commit"], &made["result"]);
    assert_eq!(commit["target_branch"], "main");
    assert_eq!(commit["blob_count"], 0);
    assert!(commit["pack_bytes"].as_u64().unwrap() > 0);
    assert_eq!(result["old_sha"], json!(second));
    assert_eq!(result["new_sha"], commit["commit_sha"]);
    assert_eq!(
        (&result["status"], &result["message"]),
        (&json!("ok"), &json!(""))
    );

    let url = server.git_url("a", &Token::read("a"));
    let clone = Checkout::clone(&url, &[]).await;
    let log = clone.git(&["log", "--format=%P %T %an %s", "-1"]).await;
    let tree = clone
        .git(&["rev-parse", &format!("{first}^{{tree}}")])
        .await;
    assert_eq!(log, format!("{second} {tree} Ann Go back"));
    assert_eq!(commit["tree_sha"], json!(tree));
    assert_eq!(clone.git(&["ls-files"]).await, "one.txt");
    clone.git(&["fsck", "--full", "--strict"]).await;
}

#[tokio::test]
async fn one_line_of_newline_delimited_json_is_as_good_as_json() {
    let (server, first, _) = two_commits().await;
    let mut body = with(
        &first,
        "committer",
        json!({ "name": "Cy", "email": "cy@example.com" }),
    );
    body["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("commit_message");
    let request = server
        .request(Method::POST, ROUTE, &Token::write("a"))
        .header("content-type", "application/x-ndjson")
        .body(format!("{body}\n"));
    server.send(request).await.expect(201);
    let found = server
        .get("/repos/commit?sha=main", &Token::read("a"))
        .await
        .expect(200);
    let commit = &found.body["commit"];
    let expected = format!("Restore \"a change\"\n\nThe files are those of commit {first}.");
    assert_eq!(commit["message"], json!(expected));
    assert_eq!(
        (&commit["author_name"], &commit["committer_name"]),
        (&json!("Ann"), &json!("Cy"))
    );
}

#[tokio::test]
async fn the_newer_names_of_fields_mean_the_same() {
    let (server, first, second) = two_commits().await;
    let body = json!({ "metadata": {
        "target_branch": "main", "base_ref": first, "expected_target_sha": second,
        "target_is_ephemeral": false, "author": { "name": "Ann", "email": "ann@example.com" },
    }});
    restore(&server, &body).await.expect(201);
    let body = with("main~2", "expected_head_sha", json!("main"));
    restore(&server, &body).await.expect(201);
    assert_eq!(
        server.file("a", "path=one.txt").await.text().await.unwrap(),
        "1\n"
    );
}

#[tokio::test]
async fn ephemeral_branches_are_restored_too() {
    let (server, first, _) = two_commits().await;
    let preview = CommitBody::new("preview")
        .set("base_branch", json!("main"))
        .set("ephemeral", json!(true))
        .file("three.txt", b"3\n");
    server.commit("a", preview).await.expect(201);
    let mut body = with(&first, "ephemeral", json!(true));
    body["metadata"]["target_branch"] = json!("preview");
    restore(&server, &body).await.expect(201);
    let file = server
        .file("a", "path=one.txt&ref=preview&ephemeral=true")
        .await;
    assert_eq!(file.text().await.unwrap(), "1\n");
    assert_eq!(server.branches("a", "").await.len(), 1);
}

#[tokio::test]
async fn a_moved_head_is_told_and_nothing_happens() {
    let (server, first, second) = two_commits().await;
    let refused = restore(&server, &with(&first, "expected_head_sha", json!(first)))
        .await
        .expect(409);
    assert_eq!(refused.code(), "head_moved");
    assert_eq!(refused.body["commit"], Value::Null);
    let result = &refused.body["result"];
    assert_eq!(result["status"], "precondition_failed");
    assert_eq!(
        (&result["old_sha"], &result["new_sha"]),
        (&json!(second), &json!(""))
    );
    assert_eq!(
        server.branches("a", "").await,
        [("main".to_owned(), second)]
    );
}

#[tokio::test]
async fn what_cannot_be_restored_is_named() {
    let (server, first, second) = two_commits().await;
    let missing = "1".repeat(40);
    let tree = {
        let found = server
            .commit("a", CommitBody::new("main"))
            .await
            .expect(201);
        found.body["commit"]["tree_sha"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let head = server.branches("a", "").await;
    for (body, status, code, text) in [
        (metadata(&missing), 404, "ref_not_found", missing.as_str()),
        (metadata(&tree), 404, "ref_not_found", tree.as_str()),
        (metadata("nowhere"), 404, "ref_not_found", "`nowhere`"),
        (metadata(" "), 400, "invalid", "`target_commit_sha`"),
        (
            with(&first, "target_branch", json!("other")),
            404,
            "ref_not_found",
            "other",
        ),
        (
            with(&first, "target_branch", json!("refs/heads/main")),
            400,
            "invalid",
            "`target_branch`",
        ),
        (
            with(&first, "author", json!({ "name": "", "email": "x" })),
            400,
            "invalid",
            "`author.name`",
        ),
        (
            with(&first, "commit_message", json!("a\0b")),
            400,
            "invalid",
            "`commit_message`",
        ),
        (
            with(&first, "expected_head_sha", json!("nowhere")),
            400,
            "invalid",
            "`nowhere`",
        ),
        (json!({}), 400, "invalid", "metadata"),
        (json!([]), 400, "invalid", "object"),
    ] {
        let refused = restore(&server, &body).await.expect(status);
        assert_eq!(refused.code(), code, "{body}");
        assert!(
            refused.error().contains(text),
            "{body}: {}",
            refused.error()
        );
        assert_eq!(refused.body["result"]["success"], false);
    }
    let reader = server
        .post(ROUTE, &Token::read("a"), &metadata(&first))
        .await
        .expect(403);
    assert_eq!(reader.body["result"]["status"], "forbidden");
    let guarded = Token::write("a").with("refs", json!([["main", ["no-push"]]]));
    let denied = server
        .post(ROUTE, &guarded, &metadata(&first))
        .await
        .expect(403);
    assert_eq!(denied.code(), "policy_denied");
    assert_ne!(head, [("main".to_owned(), second)]);
    assert_eq!(server.branches("a", "").await, head);
}
