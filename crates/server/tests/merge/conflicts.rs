//! Merges in conflict, and how what is in conflict is shown.

use serde_json::json;

use super::{merge, preview, request, with};
use crate::support::{Checkout, CommitBody, TestServer, Token};

#[tokio::test]
async fn a_merge_in_conflict_says_where_and_stores_nothing() {
    let server = TestServer::with_repo("a").await;
    let base = server.put("a", "dir/x", "1\n").await;
    let body = CommitBody::new("topic")
        .set("base_branch", json!("main"))
        .file("dir/x", b"3\n")
        .file("added", b"there\n")
        .file("fine", b"1\n");
    server.commit("a", body).await.expect(201);
    let body = CommitBody::new("main")
        .file("dir/x", b"2\n")
        .file("added", b"here\n");
    server.commit("a", body).await.expect(201);
    let before = server.branches("a", "").await;
    for squash in [false, true] {
        let body = with(request("topic", "main"), "squash", json!(squash));
        let refused = merge(&server, body).await.expect(409);
        assert_eq!(refused.code(), "merge_conflict");
        assert_eq!(refused.body["conflict_paths"], json!(["added", "dir/x"]));
        assert_eq!(refused.body["merge_base_sha"], base);
        assert!(refused.error().contains("`dir/x`"), "{}", refused.body);
    }
    // The other way round it is the same.
    let refused = merge(&server, request("main", "topic")).await.expect(409);
    assert_eq!(refused.body["conflict_paths"], json!(["added", "dir/x"]));
    assert_eq!(server.branches("a", "").await, before);

    let shown = preview(
        &server,
        "source_branch=topic&target_branch=main&include_content=true",
    );
    let shown = shown.await.expect(200).body;
    assert_eq!(shown["status"], "conflicted");
    assert_eq!(shown["result"], "merge_commit");
    assert_eq!(shown["conflict_paths"], json!(["added", "dir/x"]));
    assert_eq!(shown["filtered_conflicts"], json!([]));
    let conflict = &shown["conflicts"][1];
    assert_eq!(conflict["path"], "dir/x");
    assert_eq!(conflict["kind"], "content");
    for (side, content) in [
        ("base", "1\n"),
        ("ours", "2\n"),
        ("theirs", "3\n"),
        ("result", "<<<<<<< main\n2\n=======\n3\n>>>>>>> topic\n"),
    ] {
        assert_eq!(conflict[side]["content"], content, "{side}");
        assert_eq!(conflict[side]["binary"], false);
        assert_eq!(conflict[side]["truncated"], false);
        assert_eq!(conflict[side]["oid"].as_str().unwrap().len(), 40);
    }
    let nothing = &shown["conflicts"][0]["base"];
    assert_eq!(*nothing, json!({ "truncated": false, "binary": false }));
    let bare = preview(&server, "source_branch=topic&target_branch=main")
        .await
        .expect(200);
    assert!(bare.body["conflicts"][0]["ours"].get("content").is_none());
    assert!(bare.body["conflicts"][0]["ours"].get("oid").is_some());
}

#[tokio::test]
async fn large_and_binary_sides_are_shown_in_part_or_not() {
    let server = TestServer::with_repo("a").await;
    let long = |first: &str| format!("{first}\n{}", "ä line of text\n".repeat(30_000));
    let files = |word: &str| {
        let mut body = CommitBody::new("main")
            .file("binary", format!("\0{word}").as_bytes())
            .file("latin", [word.as_bytes(), b"\xe4"].concat().as_slice())
            .file("long", long(word).as_bytes());
        for number in 0..120 {
            body = body.file(&format!("many/{number:03}"), format!("{word}\n").as_bytes());
        }
        body
    };
    server.commit("a", files("base")).await.expect(201);
    let body = files("there")
        .set("target_branch", json!("topic"))
        .set("base_branch", json!("main"));
    server.commit("a", body).await.expect(201);
    server.commit("a", files("here")).await.expect(201);
    let shown = preview(
        &server,
        "source_branch=topic&target_branch=main&include_content=true",
    );
    let shown = shown.await.expect(200).body;
    assert_eq!(shown["conflict_paths"].as_array().unwrap().len(), 123);
    let conflicts = shown["conflicts"].as_array().unwrap();
    let filtered = shown["filtered_conflicts"].as_array().unwrap();
    assert_eq!((conflicts.len(), filtered.len()), (100, 23));
    assert_eq!(filtered[0]["reason"], "max_conflict_files_exceeded");
    let of = |path: &str| conflicts.iter().find(|one| one["path"] == path).unwrap();
    assert_eq!(of("binary")["ours"]["binary"], true);
    assert!(of("binary")["ours"].get("content").is_none());
    assert_eq!(of("latin")["theirs"]["binary"], true);
    let ours = &of("long")["ours"];
    assert_eq!(ours["truncated"], true);
    let content = ours["content"].as_str().unwrap();
    assert!(long("here").starts_with(content) && content.len() > 200_000);
}

/// Two branches that merged each other and decided the same conflict in two ways, so that their common ancestor is itself
/// a merge in conflict; then one deletes the file and the other changes it.
async fn crossed() -> TestServer {
    let server = TestServer::with_repo("a").await;
    let checkout = Checkout::init().await;
    let resolve = async |other: &str, text: &[u8]| {
        checkout.git_fails(&["merge", "-q", other]).await;
        std::fs::write(checkout.path().join("f"), text).unwrap();
        checkout
            .git(&["commit", "-q", "-a", "-m", "resolved"])
            .await;
    };
    checkout.commit("f", b"1\n2\n3\n").await;
    checkout.commit("k", b"k\n").await;
    checkout.git(&["branch", "theirs"]).await;
    checkout.commit("f", b"1\n2o\n3\n").await;
    checkout.git(&["branch", "ours-1"]).await;
    checkout.git(&["checkout", "-q", "theirs"]).await;
    checkout.commit("f", b"1\n2t\n3\n").await;
    checkout.git(&["branch", "theirs-1"]).await;
    resolve("ours-1", b"1\n2t\n3\n").await;
    checkout.commit("f", b"1\n2t\n3\n4\n").await;
    checkout.git(&["checkout", "-q", "main"]).await;
    resolve("theirs-1", b"1\n2o\n3\n").await;
    checkout.git(&["rm", "-q", "f"]).await;
    checkout.git(&["commit", "-q", "-m", "gone"]).await;
    let url = server.git_url("a", &Token::write("a"));
    checkout.git(&["push", "-q", &url, "main", "theirs"]).await;
    server
}

#[tokio::test]
async fn a_conflict_shows_the_base_that_crossing_merges_have() {
    let server = crossed().await;
    for with_content in [false, true] {
        let query =
            format!("source_branch=theirs&target_branch=main&include_content={with_content}");
        let found = preview(&server, &query).await.expect(200).body;
        assert_eq!(found["status"], "conflicted");
        assert_eq!(found["conflict_paths"], json!(["f"]));
        let base = &found["conflicts"][0]["base"];
        assert!(base["oid"].is_string(), "{found}");
        if with_content {
            let text = base["content"].as_str().unwrap();
            assert!(text.contains("2o") && text.contains("2t"), "{text}");
        }
    }
    let merged = merge(&server, request("theirs", "main")).await.expect(409);
    assert_eq!(merged.body["conflict_paths"], json!(["f"]));
}
