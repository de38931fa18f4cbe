//! Ref policies of tokens, on every way to move a ref.

use serde_json::{Value, json};

use crate::support::{Checkout, CommitBody, TestServer, Token};

fn with_policy(refs: Value) -> Token {
    Token::write("a").with("refs", refs)
}

#[tokio::test]
async fn no_push_closes_a_branch_to_the_api() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let token = with_policy(json!([
        ["main", ["no-push"]],
        ["open/*", []],
        ["*", ["no-push"]]
    ]));
    for branch in ["main", "other"] {
        let body = CommitBody::new(branch)
            .set("base_branch", json!("main"))
            .file("x", b"2");
        let refused = server.commit_with(&token, body.text()).await.expect(403);
        assert_eq!(refused.code(), "policy_denied");
        assert_eq!(refused.body["result"]["status"], "forbidden");
        assert_eq!(refused.body["result"]["branch"], branch);
        assert!(refused.error().contains("denied by policy"));
        let body =
            json!({ "base_ref": head, "target_branch": branch, "target_is_ephemeral": true });
        let refused = server
            .post("/repos/branches/create", &token, &body)
            .await
            .expect(403);
        assert!(refused.error().contains("denied by policy"));
    }
    let open = CommitBody::new("open/x")
        .set("base_branch", json!("main"))
        .file("x", b"2");
    server.commit_with(&token, open.text()).await.expect(201);
    let delete = json!({ "name": "open/x" });
    let none = with_policy(json!([])).with("ops", json!(["no-push"]));
    server
        .delete("/repos/branches", &none, &delete)
        .await
        .expect(403);
    server
        .delete("/repos/branches", &token, &delete)
        .await
        .expect(200);
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
}

#[tokio::test]
async fn no_force_push_allows_what_loses_nothing() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    let token = with_policy(json!([["*", ["no-force-push"]]]));
    let url = server.git_url("a", &token);
    let checkout = Checkout::clone(&url, &[]).await;
    checkout.commit("x", b"2").await;
    checkout.git(&["push", "-q", "origin", "main"]).await;
    checkout
        .git(&["commit", "-q", "--amend", "-m", "amended"])
        .await;
    let refused = checkout
        .git_fails(&["push", "--force", "origin", "main"])
        .await;
    assert!(refused.contains("force push denied by policy"), "{refused}");
    server
        .commit_with(&token, CommitBody::new("main").file("y", b"1").text())
        .await
        .expect(201);
}

#[tokio::test]
async fn what_cannot_be_enforced_is_refused() {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    let token = with_policy(json!([["*", ["verify-sig"]]]));
    let checkout = Checkout::clone(&server.git_url("a", &token), &[]).await;
    checkout.commit("x", b"2").await;
    let refused = checkout.git_fails(&["push", "origin", "main"]).await;
    assert!(refused.contains("denied by policy"), "{refused}");
}
