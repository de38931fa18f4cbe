//! Tags over the API, and as `git` sees them.

use serde_json::{Value, json};

use crate::support::{Checkout, TestServer, Token};

async fn listed(server: &TestServer, query: &str) -> Value {
    let path = format!("/repos/tags{query}");
    server.get(&path, &Token::read("a")).await.expect(200).body
}

async fn create(server: &TestServer, name: &str, target: &str) -> crate::support::Answer {
    let body = json!({ "name": name, "target": target });
    server.post("/repos/tags", &Token::write("a"), &body).await
}

#[tokio::test]
async fn tags_are_created_listed_read_by_git_and_deleted() {
    let server = TestServer::with_repo("a").await;
    let first = server.put("a", "x", "1").await;
    let second = server.put("a", "x", "2").await;
    for (name, target) in [("v2", &second), ("v1", &first), ("release/1", &first)] {
        let made = create(&server, name, target).await.expect(200);
        assert_eq!(
            made.body,
            json!({ "name": name, "sha": target, "message": "tag created" })
        );
    }
    let all = listed(&server, "").await;
    assert_eq!(all["has_more"], false);
    let names: Vec<&str> = all["tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["release/1", "v1", "v2"]);
    assert_eq!(all["tags"][2]["sha"], second);

    let page = listed(&server, "?limit=2").await;
    assert_eq!(page["has_more"], true);
    let rest = listed(
        &server,
        &format!("?limit=2&cursor={}", page["next_cursor"].as_str().unwrap()),
    )
    .await;
    assert_eq!(rest["tags"], json!([all["tags"][2]]));
    // Any tag's own cursor goes on behind it, even if the tag is gone by then.
    let cursor = all["tags"][0]["cursor"].as_str().unwrap();

    let clone = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    assert_eq!(clone.git(&["cat-file", "-t", "v1"]).await, "commit");
    assert_eq!(clone.git(&["rev-parse", "v1"]).await, first);

    let gone = server
        .delete(
            "/repos/tags",
            &Token::write("a"),
            &json!({ "name": "release/1" }),
        )
        .await
        .expect(200);
    assert_eq!(gone.body["name"], "release/1");
    assert_eq!(
        listed(&server, &format!("?cursor={cursor}")).await["tags"][0]["name"],
        "v1"
    );
    let again = server
        .delete(
            "/repos/tags",
            &Token::write("a"),
            &json!({ "name": "release/1" }),
        )
        .await
        .expect(404);
    assert!(again.error().contains("release/1"));
}

#[tokio::test]
async fn annotated_tags_show_the_commit_they_stand_for() {
    let server = TestServer::with_repo("a").await;
    let commit = server.put("a", "x", "1").await;
    let clone = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    clone.git(&["tag", "-a", "-m", "one", "annotated"]).await;
    clone.git(&["push", "-q", "origin", "annotated"]).await;
    let object = clone.git(&["rev-parse", "annotated"]).await;
    create(&server, "plain", &commit).await.expect(200);
    let all = listed(&server, "").await;
    assert_eq!(all["tags"][0]["sha"], commit);
    assert_eq!(all["tags"][0]["tag_object_sha"], object);
    assert_eq!(all["tags"][1]["sha"], commit);
    assert!(all["tags"][1].get("tag_object_sha").is_none());
    let found = server
        .get("/repos/tag?name=annotated", &Token::read("a"))
        .await
        .expect(200);
    assert_eq!(found.body["tag"], all["tags"][0]);
    server
        .get("/repos/tag?name=nothing", &Token::read("a"))
        .await
        .expect(404);
    // A tag is of a commit, and a tag object is none; `ref` takes whatever names a commit.
    create(&server, "of-a-tag", &object).await.expect(400);
    let body = json!({ "name": "by-ref", "ref": "annotated" });
    let made = server.post("/repos/tags", &Token::write("a"), &body).await;
    assert_eq!(made.expect(200).body["sha"], commit);
}

#[tokio::test]
async fn what_cannot_be_tagged_is_refused_and_nothing_is_stored() {
    let server = TestServer::with_repo("a").await;
    let commit = server.put("a", "x", "1").await;
    create(&server, "v1", &commit).await.expect(200);
    let other = server.put("a", "x", "2").await;
    for (name, target, status) in [
        ("v1", other.as_str(), 409),
        ("v1", commit.as_str(), 409),
        ("v1/sub", &commit, 409),
        ("new", &"1".repeat(40), 404),
        ("new", "main", 400),
        ("new", &commit.to_uppercase(), 400),
        ("new", &commit[..12], 400),
        ("new", " ", 400),
        ("refs/tags/new", &commit, 400),
        ("-new", &commit, 400),
        ("a..b", &commit, 400),
        ("", &commit, 400),
    ] {
        let answer = create(&server, name, target).await;
        assert_eq!(answer.status, status, "{name} {target} {}", answer.body);
    }
    let names = listed(&server, "").await;
    assert_eq!(names["tags"].as_array().unwrap().len(), 1);
    assert_eq!(names["tags"][0]["sha"], commit);
    for cursor in ["123:main", "..", "a%20b"] {
        server
            .get(&format!("/repos/tags?cursor={cursor}"), &Token::read("a"))
            .await
            .expect(400);
    }
}

#[tokio::test]
async fn policies_and_scopes_hold_for_tags() {
    let server = TestServer::with_repo("a").await;
    let commit = server.put("a", "x", "1").await;
    let body = json!({ "name": "v1", "target": commit });
    server
        .post("/repos/tags", &Token::read("a"), &body)
        .await
        .expect(403);
    let frozen = Token::write("a").with("refs", json!([["refs/tags/*", ["no-push"]]]));
    let refused = server.post("/repos/tags", &frozen, &body).await.expect(403);
    assert_eq!(refused.code(), "policy_denied");
    let elsewhere = Token::write("a").with("refs", json!([["main", ["no-push"]]]));
    server
        .post("/repos/tags", &elsewhere, &body)
        .await
        .expect(200);
    server
        .delete("/repos/tags", &frozen, &json!({ "name": "v1" }))
        .await
        .expect(403);
    server
        .delete("/repos/tags", &Token::read("a"), &json!({ "name": "v1" }))
        .await
        .expect(403);
    // A token may force what it may push: deleting a tag is no forced push of a branch.
    let no_force = Token::write("a").with("refs", json!([["*", ["no-force-push"]]]));
    server
        .delete("/repos/tags", &no_force, &json!({ "name": "v1" }))
        .await
        .expect(200);
}

#[tokio::test]
async fn tags_of_trees_and_blobs_say_what_they_are_of() {
    let server = TestServer::with_repo("a").await;
    let commit = server.put("a", "x", "1").await;
    let clone = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    clone.git(&["tag", "of-tree", "HEAD^{tree}"]).await;
    clone
        .git(&["tag", "-a", "-m", "b", "of-blob", "HEAD:x"])
        .await;
    clone.git(&["tag", "of-commit"]).await;
    clone
        .git(&["tag", "-a", "-m", "t", "of-tag", "of-blob"])
        .await;
    clone.git(&["push", "-q", "origin", "--tags"]).await;
    let all = listed(&server, "").await;
    let tags = all["tags"].as_array().unwrap();
    let shown: Vec<_> = tags
        .iter()
        .map(|tag| {
            (
                tag["name"].as_str().unwrap(),
                tag["sha"].as_str().unwrap(),
                tag["target_type"].as_str(),
            )
        })
        .collect();
    let [tree, blob] = [
        clone.git(&["rev-parse", "HEAD^{tree}"]).await,
        clone.git(&["rev-parse", "HEAD:x"]).await,
    ];
    assert_eq!(
        shown,
        [
            ("of-blob", blob.as_str(), Some("blob")),
            ("of-commit", commit.as_str(), None),
            ("of-tag", blob.as_str(), Some("blob")),
            ("of-tree", tree.as_str(), Some("tree")),
        ]
    );
    let found = server
        .get("/repos/tag?name=of-tree", &Token::read("a"))
        .await;
    assert_eq!(found.expect(200).body["tag"], tags[3]);
    // They are no revisions.
    for path in [
        "/repos/commits?ref=of-tree",
        "/repos/files?ref=of-blob",
        "/repos/commit?sha=of-tree",
    ] {
        let refused = server.get(path, &Token::read("a")).await;
        assert!(
            matches!(refused.status, 400 | 404),
            "{path}: {}",
            refused.body
        );
    }
}
