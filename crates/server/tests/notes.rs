//! Notes over the API, and as `git notes` reads, writes and merges them.

use serde_json::{Value, json};

use crate::support::{Answer, Checkout, TestServer, Token};

async fn write(server: &TestServer, body: Value) -> Answer {
    server.post("/repos/notes", &Token::write("a"), &body).await
}

async fn add(server: &TestServer, sha: &str, note: &str) -> Answer {
    write(server, json!({ "sha": sha, "action": "add", "note": note })).await
}

async fn delete(server: &TestServer, body: Value) -> Answer {
    server
        .delete("/repos/notes", &Token::write("a"), &body)
        .await
}

async fn read(server: &TestServer, query: &str) -> Answer {
    let path = format!("/repos/notes?{query}");
    server.get(&path, &Token::read("a")).await
}

async fn fetched(server: &TestServer) -> Checkout {
    let url = server.git_url("a", &Token::write("a"));
    let clone = Checkout::clone(&url, &[]).await;
    clone
        .git(&["fetch", "-q", "origin", "refs/notes/*:refs/notes/*"])
        .await;
    clone
}

#[tokio::test]
async fn notes_are_added_appended_read_and_deleted_as_git_does() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let author = json!({ "name": "Nora", "email": "nora@example.com" });
    let body = json!({ "sha": head, "action": "add", "note": " one \n", "author": author });
    let first = write(&server, body).await.expect(200).body;
    assert_eq!(first["sha"], head);
    assert_eq!(first["target_ref"], "refs/notes/commits");
    assert!(first.get("base_commit").is_none());
    assert_eq!(first["result"], json!({ "success": true, "status": "ok" }));
    let body = json!({ "sha": head, "action": "append", "note": "two\n\nlines" });
    let second = write(&server, body).await.expect(200).body;
    assert_eq!(second["base_commit"], first["new_ref_sha"]);
    let found = read(&server, &format!("sha={head}")).await.expect(200).body;
    assert_eq!(
        found,
        json!({ "sha": head, "note": "one\n\ntwo\n\nlines", "ref_sha": second["new_ref_sha"] })
    );
    assert_eq!(read(&server, "sha=main").await.expect(200).body, found);

    // The same by git, on its own ref.
    let clone = fetched(&server).await;
    clone.git(&["notes", "--ref=own", "add", "-m", "one"]).await;
    clone
        .git(&["notes", "--ref=own", "append", "-m", "two\n\nlines"])
        .await;
    let tree = |name: &str| format!("refs/notes/{name}^{{tree}}");
    let (ours, own) = (tree("commits"), tree("own"));
    assert_eq!(
        clone.git(&["rev-parse", &ours]).await,
        clone.git(&["rev-parse", &own]).await
    );
    let log = ["log", "--format=%an <%ae>: %s", "refs/notes/commits"];
    assert_eq!(
        clone.git(&log).await,
        "Packhouse <packhouse@localhost>: Notes added by 'git notes append'\n\
         Nora <nora@example.com>: Notes added by 'git notes add'"
    );
    assert_eq!(clone.git(&["notes", "show"]).await, "one\n\ntwo\n\nlines");
    clone.git(&["fsck", "--full", "--strict"]).await;

    let gone = delete(&server, json!({ "sha": head }))
        .await
        .expect(200)
        .body;
    assert_eq!(gone["base_commit"], second["new_ref_sha"]);
    read(&server, &format!("sha={head}")).await.expect(404);
    let again = delete(&server, json!({ "sha": head }))
        .await
        .expect(404)
        .body;
    assert_eq!(again["result"]["status"], "not_found");
    assert_eq!(again["base_commit"], gone["new_ref_sha"]);
    let clone = fetched(&server).await;
    assert_eq!(clone.git(&["notes", "list"]).await, "");
    clone.git(&["fsck", "--full", "--strict"]).await;
}

#[tokio::test]
async fn what_git_wrote_is_read_and_what_both_wrote_is_merged() {
    let server = TestServer::with_repo("a").await;
    let first = server.put("a", "x", "1").await;
    let second = server.put("a", "x", "2").await;
    add(&server, &first, "ours").await.expect(200);
    let clone = fetched(&server).await;
    clone.git(&["notes", "add", "-m", "by git", &second]).await;
    clone
        .git(&["push", "-q", "origin", "refs/notes/commits"])
        .await;
    assert_eq!(
        read(&server, &format!("sha={second}"))
            .await
            .expect(200)
            .body["note"],
        "by git"
    );
    // Both go on from there, apart.
    write(
        &server,
        json!({ "sha": first, "action": "append", "note": "more" }),
    )
    .await
    .expect(200);
    clone
        .git(&["notes", "append", "-m", "git again", &second])
        .await;
    clone
        .git(&[
            "fetch",
            "-q",
            "origin",
            "refs/notes/commits:refs/notes/theirs",
        ])
        .await;
    clone.git(&["notes", "merge", "-q", "theirs"]).await;
    assert_eq!(clone.git(&["notes", "show", &first]).await, "ours\n\nmore");
    assert_eq!(
        clone.git(&["notes", "show", &second]).await,
        "by git\n\ngit again"
    );
    clone
        .git(&["push", "-q", "origin", "refs/notes/commits"])
        .await;
    assert_eq!(
        read(&server, &format!("sha={first}"))
            .await
            .expect(200)
            .body["note"],
        "ours\n\nmore"
    );
}

#[tokio::test]
async fn any_object_may_have_a_note_and_what_is_not_there_may_not() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let clone = Checkout::clone(&server.git_url("a", &Token::read("a")), &[]).await;
    let blob = clone.git(&["rev-parse", "HEAD:x"]).await;
    add(&server, &blob, "of a blob").await.expect(200);
    assert_eq!(
        read(&server, &format!("sha={blob}")).await.expect(200).body["note"],
        "of a blob"
    );
    for missing in ["1".repeat(40), "nothing".to_owned()] {
        let refused = add(&server, &missing, "x").await.expect(404).body;
        assert_eq!(refused["result"]["success"], false);
        assert_eq!(refused["result"]["status"], "not_found");
        assert!(refused.get("error").is_none());
    }
    let exists = add(&server, &blob, "again").await.expect(409).body;
    assert_eq!(exists["result"]["status"], "conflict");
    for (body, status) in [
        (json!({ "sha": head, "note": "  " }), 400),
        (json!({ "sha": " ", "note": "x" }), 400),
        (json!({ "sha": head }), 400),
        (
            json!({ "sha": head, "note": "x", "action": "replace" }),
            400,
        ),
        (
            json!({ "sha": head, "note": "x", "ref": "refs/heads/main" }),
            400,
        ),
        (json!({ "sha": head, "note": "x", "ref": "a..b" }), 400),
        (
            json!({ "sha": head, "note": "x", "ref": "commits/below" }),
            409,
        ),
        (
            json!({ "sha": head, "note": "x", "expected_ref_sha": "main" }),
            400,
        ),
        (
            json!({ "sha": head, "note": "x", "author": { "name": "", "email": "x" } }),
            400,
        ),
        (json!([]), 400),
    ] {
        write(&server, body).await.expect(status);
    }
    read(&server, &format!("sha={head}")).await.expect(404);
    read(&server, &format!("sha={head}&ref=refs/tags/x"))
        .await
        .expect(400);
    server
        .post(
            "/repos/notes",
            &Token::read("a"),
            &json!({ "sha": head, "note": "x" }),
        )
        .await
        .expect(403);
}

#[tokio::test]
async fn a_guard_that_does_not_hold_writes_nothing() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let zeros = "0".repeat(40);
    let guarded = |action: &str, expected: &str| json!({ "sha": head, "action": action, "note": "x", "expected_ref_sha": expected });
    let refused = write(&server, guarded("add", &head)).await.expect(409).body;
    assert_eq!(refused["result"]["status"], "precondition_failed");
    let made = write(&server, guarded("add", &zeros))
        .await
        .expect(200)
        .body;
    let tip = made["new_ref_sha"].as_str().unwrap();
    let refused = write(&server, guarded("append", &zeros))
        .await
        .expect(409)
        .body;
    assert_eq!(refused["base_commit"], tip);
    write(&server, guarded("append", tip)).await.expect(200);
    let stale = json!({ "sha": head, "expected_notes_ref_sha": tip });
    delete(&server, stale).await.expect(409);
    assert_eq!(
        read(&server, &format!("object_ref={head}"))
            .await
            .expect(200)
            .body["note"],
        "x\n\nx"
    );
}

#[tokio::test]
async fn notes_refs_of_ones_own_are_listed_unless_the_server_refuses_them() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    for name in ["reviews/a", "notes/reviews/b", "refs/notes/builds"] {
        let body = json!({ "sha": head, "note": name, "notes_ref": name });
        write(&server, body).await.expect(200);
    }
    let list = async |query: &str| {
        let path = format!("/repos/notes/refs{query}");
        server.get(&path, &Token::read("a")).await
    };
    let names = |answer: &Answer| -> Vec<String> {
        let refs = answer.body["refs"].as_array().unwrap();
        refs.iter()
            .map(|one| one["ref"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = list("").await.expect(200);
    assert_eq!(
        names(&all),
        [
            "refs/notes/builds",
            "refs/notes/reviews/a",
            "refs/notes/reviews/b"
        ]
    );
    assert_eq!(all.body["prefix"], "refs/notes/");
    let page = list("?prefix=reviews/&limit=1").await.expect(200);
    assert_eq!(names(&page), ["refs/notes/reviews/a"]);
    assert_eq!(page.body["prefix"], "refs/notes/reviews/");
    let next = page.body["next_cursor"].as_str().unwrap();
    let rest = list(&format!("?prefix=reviews/&cursor={next}"))
        .await
        .expect(200);
    assert_eq!(names(&rest), ["refs/notes/reviews/b"]);
    assert_eq!(rest.body["has_more"], false);
    list("?cursor=refs/heads/main").await.expect(400);
    list("?prefix=refs/heads/").await.expect(400);
    assert_eq!(
        read(&server, &format!("sha={head}&ref=reviews/b"))
            .await
            .expect(200)
            .body["note"],
        "notes/reviews/b"
    );

    let strict = TestServer::with_limits(|limits| limits.custom_notes_refs = false).await;
    strict.create("a").await;
    let head = strict.put("a", "x", "1").await;
    let body = json!({ "sha": head, "note": "x", "ref": "reviews" });
    let refused = write(&strict, body).await.expect(400);
    assert_eq!(refused.error(), "custom notes refs are not enabled");
    strict
        .get("/repos/notes/refs", &Token::read("a"))
        .await
        .expect(400);
    let body = json!({ "sha": head, "note": "x", "ref": "commits" });
    write(&strict, body).await.expect(200);
}

#[tokio::test]
async fn policies_hold_for_notes_and_many_writers_lose_none() {
    let server = TestServer::with_repo("a").await;
    let mut commits = Vec::new();
    for at in 0..16 {
        commits.push(server.put("a", "x", &at.to_string()).await);
    }
    let frozen = Token::write("a").with("refs", json!([["refs/notes/*", ["no-push"]]]));
    let body = json!({ "sha": commits[0], "note": "x" });
    let refused = server
        .post("/repos/notes", &frozen, &body)
        .await
        .expect(403)
        .body;
    assert_eq!(refused["result"]["status"], "forbidden");
    let writes = commits.iter().flat_map(|sha| {
        let body = |n: u32| json!({ "sha": sha, "action": "append", "note": format!("{n}") });
        [body(1), body(2)]
    });
    let answers = futures::future::join_all(writes.map(|body| write(&server, body))).await;
    for answer in answers {
        answer.expect(200);
    }
    for sha in &commits {
        let note = read(&server, &format!("sha={sha}")).await.expect(200).body["note"].clone();
        assert!(note == "1\n\n2" || note == "2\n\n1", "{note}");
    }
    let clone = fetched(&server).await;
    assert_eq!(clone.git(&["notes", "list"]).await.lines().count(), 16);
    clone.git(&["fsck", "--full", "--strict"]).await;
}

#[tokio::test]
async fn a_ref_that_holds_no_notes_is_left_alone() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let clone = Checkout::clone(&server.git_url("a", &Token::write("a")), &[]).await;
    let blob = clone.git(&["rev-parse", "HEAD:x"]).await;
    let push = format!("{blob}:refs/notes/odd");
    clone.git(&["push", "-q", "origin", &push]).await;
    let refused = write(&server, json!({ "sha": head, "note": "x", "ref": "odd" })).await;
    assert_eq!(refused.expect(409).body["base_commit"], blob);
    read(&server, &format!("sha={head}&ref=odd"))
        .await
        .expect(404);
}
