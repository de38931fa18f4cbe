//! What holds for all merges: namespaces, the policies of refs, and turns.

use std::sync::Arc;

use serde_json::json;

use super::{diverged, merge, preview, put, request, with};
use crate::support::{TestServer, Token};

#[tokio::test]
async fn both_namespaces_can_be_merged() {
    let (server, [_, ours, theirs]) = diverged().await;
    let copy =
        json!({ "base_ref": "topic", "target_branch": "draft", "target_is_ephemeral": true });
    let create = "/repos/branches/create";
    server
        .post(create, &Token::write("a"), &copy)
        .await
        .expect(200);
    merge(&server, request("draft", "main")).await.expect(404);
    let body = with(request("main", "draft"), "target_is_ephemeral", json!(true));
    let merged = merge(&server, body).await.expect(200).body;
    assert_eq!(merged["target"]["ephemeral"], true);
    assert_eq!(merged["target"]["old_sha"], theirs);
    let body = with(request("draft", "main"), "source_is_ephemeral", json!(true));
    let body = with(body, "strategy", json!("ff_prefer"));
    let forward = merge(&server, body).await.expect(200).body;
    assert_eq!(forward["result"], "fast_forward");
    assert_eq!(forward["target"]["old_sha"], ours);
    let query = "source_branch=draft&source_is_ephemeral=true&target_branch=main";
    assert_eq!(
        preview(&server, query).await.expect(200).body["result"],
        "no_op"
    );
}

#[tokio::test]
async fn ref_policies_hold_for_merges() {
    let (server, [_, ours, _]) = diverged().await;
    let token = Token::write("a").with("refs", json!([["main", ["no-push"]]]));
    let refused = server
        .post("/repos/merge", &token, &request("topic", "main"))
        .await
        .expect(403);
    assert_eq!(refused.code(), "policy_denied");
    let heads = server.branches("a", "").await;
    assert!(heads.contains(&("main".to_owned(), ours)));
    let token = Token::write("a").with("refs", json!([["main", ["no-force-push"]]]));
    server
        .post("/repos/merge", &token, &request("topic", "main"))
        .await
        .expect(200);
}

#[tokio::test]
async fn merges_into_one_branch_at_once_lose_nothing() {
    const CLIENTS: usize = 16;
    const ROUNDS: usize = 4;
    let server = Arc::new(TestServer::with_repo("a").await);
    server.put("a", "start", "1\n").await;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let server = server.clone();
        clients.push(tokio::spawn(async move {
            for round in 0..ROUNDS {
                let branch = format!("topic-{client}-{round}");
                put(&server, &branch, &format!("{client}/{round}"), "1\n").await;
                let body = with(request(&branch, "main"), "strategy", json!("ff_prefer"));
                merge(&server, body).await.expect(200);
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let listed = server
        .get("/repos/files?ref=main", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(
        listed.body["paths"].as_array().unwrap().len(),
        1 + CLIENTS * ROUNDS
    );
    for client in 0..CLIENTS {
        let query = format!("source_branch=topic-{client}-0&target_branch=main");
        assert_eq!(
            preview(&server, &query).await.expect(200).body["result"],
            "no_op"
        );
    }
}

#[tokio::test]
async fn merges_take_turns_and_have_bounds() {
    let server = TestServer::with_limits(|limits| limits.merged_bytes = 100).await;
    server.create("a").await;
    let lines = "a line of twenty by\n".repeat(6);
    server.put("a", "x", &format!("1\n{lines}1\n")).await;
    let theirs = put(&server, "topic", "x", &format!("1\n{lines}2\n")).await;
    server.put("a", "x", &format!("2\n{lines}1\n")).await;
    let shown = preview(&server, "source_branch=topic&target_branch=main").await;
    let merged = merge(&server, request("topic", "main")).await;
    let pick = json!({ "commit": theirs, "target_branch": "main" });
    let writer = Token::write("a");
    let picked = server.post("/repos/cherry-pick", &writer, &pick).await;
    for refused in [shown, merged, picked] {
        let refused = refused.expect(413);
        assert_eq!(refused.code(), "too_large");
        let told = refused.error();
        assert!(told.contains("100 bytes"), "{told}");
    }
    // What both sides changed is counted alone for a merge: the file itself may be larger.
    put(&server, "other", "z", "z\n").await;
    merge(&server, request("other", "main")).await.expect(200);
    let turns = "packhouse_turn_wait_seconds_count{kind=\"merge\"}";
    assert_eq!(server.metric(turns).await, Some(3.0));
}
