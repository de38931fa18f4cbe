//! Branches over the API.

use serde_json::{Value, json};

use crate::support::{CommitBody, TestServer, Token};

async fn create(server: &TestServer, body: Value) -> crate::support::Answer {
    server
        .post("/repos/branches/create", &Token::write("a"), &body)
        .await
}

#[tokio::test]
async fn an_empty_repository_has_no_branches() {
    let server = TestServer::with_repo("a").await;
    let listed = server
        .get("/repos/branches?limit=0", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(listed.body, json!({ "branches": [], "has_more": false }));
}

#[tokio::test]
async fn branches_are_created_promoted_and_deleted() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    // As 0.6.1 sends it.
    let made = create(
        &server,
        json!({ "base_branch": "main", "target_branch": "feature/x", "base_is_ephemeral": false, "target_is_ephemeral": true }),
    )
    .await
    .expect(200);
    assert_eq!(made.body["target_branch"], "feature/x");
    assert_eq!(made.body["target_is_ephemeral"], true);
    assert_eq!(made.body["commit_sha"], head);
    assert_eq!(
        server.branches("a", "").await,
        [("main".to_owned(), head.clone())]
    );
    assert_eq!(
        server.branches("a", "&ephemeral=true").await,
        [("feature/x".to_owned(), head.clone())]
    );
    // As 1.17.1 promotes it; the ephemeral branch stays.
    let promoted = json!({ "base_ref": "feature/x", "target_branch": "feature/x", "base_is_ephemeral": true, "target_is_ephemeral": false });
    create(&server, promoted.clone()).await.expect(200);
    create(&server, promoted).await.expect(200);
    assert_eq!(server.branches("a", "").await.len(), 2);
    assert_eq!(server.branches("a", "&ephemeral=true").await.len(), 1);
    // From a commit.
    create(&server, json!({ "base_ref": head, "target_branch": "y" }))
        .await
        .expect(200);

    let delete = |name: &str, ephemeral: bool| json!({ "name": name, "ephemeral": ephemeral });
    let write = Token::write("a");
    let deleted = server
        .delete("/repos/branches", &write, &delete("feature/x", true))
        .await
        .expect(200);
    assert_eq!(deleted.body["name"], "feature/x");
    assert!(server.branches("a", "&ephemeral=true").await.is_empty());
    assert_eq!(
        server
            .delete("/repos/branches", &write, &delete("feature/x", true))
            .await
            .expect(404)
            .code(),
        "ref_not_found"
    );
    let kept = server
        .delete("/repos/branches", &write, &delete("main", false))
        .await
        .expect(409);
    assert!(kept.error().contains("default branch"), "{}", kept.body);
    server
        .delete("/repos/branches", &write, &json!({ "name": "feature/x" }))
        .await
        .expect(200);
    assert_eq!(server.branches("a", "").await.len(), 2);
}

#[tokio::test]
async fn an_existing_branch_only_moves_forward() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    create(
        &server,
        json!({ "base_branch": "main", "target_branch": "b" }),
    )
    .await
    .expect(200);
    let second = server.put("a", "x", "2").await;
    let moved = create(
        &server,
        json!({ "base_branch": "main", "target_branch": "b" }),
    )
    .await
    .expect(200);
    assert_eq!(moved.body["commit_sha"], second);
    server
        .commit("a", CommitBody::new("b").file("y", b"1"))
        .await
        .expect(201);
    let refused = create(
        &server,
        json!({ "base_branch": "main", "target_branch": "b" }),
    )
    .await
    .expect(409);
    assert_eq!(refused.code(), "conflict");
    create(
        &server,
        json!({ "base_branch": "main", "target_branch": "b", "force": true }),
    )
    .await
    .expect(200);
}

#[tokio::test]
async fn what_cannot_be_a_branch_is_refused() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    for target in [
        "",
        " ",
        "a..b",
        "refs/heads/x",
        "-x",
        "a b",
        "x.lock",
        "a//b",
        "/a",
        "HEAD",
        "a~1",
        "a\u{7}",
    ] {
        let answer = create(
            &server,
            json!({ "base_branch": "main", "target_branch": target }),
        )
        .await
        .expect(400);
        assert!(
            answer.error().contains("target_branch"),
            "{target:?}: {}",
            answer.body
        );
    }
    let missing = create(
        &server,
        json!({ "base_branch": "nothing", "target_branch": "x" }),
    )
    .await
    .expect(404);
    assert_eq!(missing.code(), "ref_not_found");
    create(&server, json!({ "target_branch": "x" }))
        .await
        .expect(400);
    create(&server, json!({ "base_branch": "main" }))
        .await
        .expect(400);
    create(&server, json!([])).await.expect(400);
    let nested = create(
        &server,
        json!({ "base_branch": "main", "target_branch": "main/x" }),
    )
    .await
    .expect(409);
    assert!(nested.error().contains("main"), "{}", nested.body);
}

#[tokio::test]
async fn branches_are_listed_oldest_first_in_pages() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    let mut expected = vec!["main".to_owned()];
    for name in ["z", "m", "a"] {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        create(
            &server,
            json!({ "base_branch": "main", "target_branch": name }),
        )
        .await
        .expect(200);
        expected.push(name.to_owned());
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let listed = server
            .get(
                &format!("/repos/branches?limit=1{cursor}"),
                &Token::read("a"),
            )
            .await
            .expect(200);
        let branch = &listed.body["branches"][0];
        found.push(branch["name"].as_str().unwrap().to_owned());
        if listed.body["has_more"] == false {
            assert!(listed.body.get("next_cursor").is_none());
            break;
        }
        // The cursor of an item and of the page are the same.
        assert_eq!(listed.body["next_cursor"], branch["cursor"]);
        cursor = format!("&cursor={}", branch["cursor"].as_str().unwrap());
    }
    assert_eq!(found, expected);
    server
        .get("/repos/branches?cursor=nonsense", &Token::read("a"))
        .await
        .expect(400);
    server
        .get("/repos/branches?ephemeral=maybe", &Token::read("a"))
        .await
        .expect(400);
}
