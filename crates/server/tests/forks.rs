//! Forks and snapshots over the API.

use serde_json::{Value, json};

use crate::support::{Answer, Checkout, CommitBody, Key, TestServer, Token};

fn base(name: &str, more: Value) -> Value {
    let mut base = json!({
        "provider": "code", "owner": "acme", "name": name, "operation": "fork",
        "auth": { "token": Token::read(name).text() },
    });
    let fields = base.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({ "base_repo": base })
}

async fn create(server: &TestServer, id: &str, body: Value) -> Answer {
    server
        .post("/repos", &Token::new(id, &["repo:write"]), &body)
        .await
}

async fn clone(server: &TestServer, id: &str) -> Checkout {
    Checkout::clone(&server.git_url(id, &Token::read(id)), &[]).await
}

/// A repository with two commits on `main`, a branch and a tag.
async fn source() -> (TestServer, String, String) {
    let server = TestServer::with_repo("source").await;
    let first = server.put("source", "a.txt", "one").await;
    let second = server.put("source", "b.txt", "two").await;
    let branch = json!({ "base_ref": first, "target_branch": "feature/x" });
    server
        .post("/repos/branches/create", &Token::write("source"), &branch)
        .await
        .expect(200);
    let ephemeral =
        json!({ "base_ref": first, "target_branch": "scratch", "target_is_ephemeral": true });
    server
        .post(
            "/repos/branches/create",
            &Token::write("source"),
            &ephemeral,
        )
        .await
        .expect(200);
    (server, first, second)
}

#[tokio::test]
async fn a_fork_has_every_branch_and_goes_its_own_way() {
    let (server, first, second) = source().await;
    create(&server, "fork", base("source", json!({})))
        .await
        .expect(201);
    let expected = [
        ("feature/x".to_owned(), first.clone()),
        ("main".to_owned(), second.clone()),
    ];
    assert_eq!(server.branches("fork", "").await, expected);
    assert!(server.branches("fork", "&ephemeral=true").await.is_empty());
    let own = server.put("fork", "c.txt", "three").await;
    server.put("source", "d.txt", "four").await;
    assert_eq!(server.branches("fork", "").await[1].1, own);
    assert_ne!(server.branches("source", "").await[1].1, own);
    assert_eq!(server.file("fork", "path=d.txt").await.status(), 404);

    // The source may go at once: the fork is cloned as it was.
    server
        .delete(
            "/repos/delete",
            &Token::new("source", &["repo:write"]),
            &json!({}),
        )
        .await
        .expect(200);
    let checkout = clone(&server, "fork").await;
    assert_eq!(checkout.git(&["fsck", "--full", "--strict"]).await, "");
    let log = checkout.git(&["log", "--format=%H"]).await;
    assert_eq!(log.lines().collect::<Vec<_>>(), [own, second, first]);
}

#[tokio::test]
async fn a_fork_may_begin_at_a_branch_or_a_commit() {
    let (server, first, second) = source().await;
    create(
        &server,
        "at-ref",
        base("source", json!({ "ref": "feature/x" })),
    )
    .await
    .expect(201);
    assert_eq!(
        server.branches("at-ref", "").await,
        [("main".to_owned(), first.clone())]
    );
    // The commit counts more than the ref.
    let mut body = base("source", json!({ "ref": "main", "sha": first }));
    body["default_branch"] = json!("trunk");
    create(&server, "at-sha", body).await.expect(201);
    assert_eq!(
        server.branches("at-sha", "").await,
        [("trunk".to_owned(), first.clone())]
    );
    let found = server
        .get("/repo", &Token::read("at-sha"))
        .await
        .expect(200);
    assert_eq!(found.body["default_branch"], "trunk");
    // A default branch that the source does not have begins at the source's.
    let mut body = base("source", json!({}));
    body["default_branch"] = json!("develop");
    create(&server, "develop", body).await.expect(201);
    let branches = server.branches("develop", "").await;
    assert!(branches.contains(&("develop".to_owned(), second)));
    assert_eq!(branches.len(), 3);
}

#[tokio::test]
async fn a_snapshot_has_one_commit_with_the_same_files() {
    let (server, _, second) = source().await;
    let mut body = base("source", json!({ "operation": "snapshot" }));
    body["initial_commit"] =
        json!({ "message": "Begin", "author": { "name": "Ann", "email": "ann@example.com" } });
    create(&server, "snapshot", body).await.expect(201);
    let commits = server
        .get("/repos/commits", &Token::read("snapshot"))
        .await
        .expect(200);
    let commits = commits.body["commits"].as_array().unwrap();
    assert_eq!(commits.len(), 1);
    assert_eq!(commits[0]["message"], "Begin");
    assert_eq!(commits[0]["author_name"], "Ann");
    assert_eq!(commits[0]["parent_shas"], json!([]));
    let checkout = clone(&server, "snapshot").await;
    let tree = checkout.git(&["rev-parse", "HEAD^{tree}"]).await;
    let original = clone(&server, "source").await;
    let tree_of_second = format!("{second}^{{tree}}");
    let expected = original.git(&["rev-parse", &tree_of_second]).await;
    assert_eq!(tree, expected);
    server.put("snapshot", "more.txt", "more").await;
    // Without saying anything.
    create(
        &server,
        "plain",
        base(
            "source",
            json!({ "operation": "snapshot", "ref": "feature/x" }),
        ),
    )
    .await
    .expect(201);
    assert_eq!(server.file("plain", "path=b.txt").await.status(), 404);
    assert_eq!(server.file("plain", "path=a.txt").await.status(), 200);
}

#[tokio::test]
async fn what_cannot_be_forked_is_refused_and_makes_no_repository() {
    let (server, first, _) = source().await;
    server.create("empty").await;
    let other = |token: Token| json!({ "auth": { "token": token.text() } });
    let cases = [
        (base("source", json!({ "auth": null })), 401, "auth.token"),
        (
            base("source", json!({ "auth": { "token": "x.y.z" } })),
            401,
            "auth.token",
        ),
        (
            base(
                "source",
                other(Token::read("source").signed_by(Key::OtherEs256)),
            ),
            401,
            "auth.token",
        ),
        (base("source", other(Token::read("empty"))), 403, "source"),
        (
            base("source", other(Token::new("source", &["repo:write"]))),
            403,
            "git:read",
        ),
        (base("nothing", json!({})), 404, "nothing"),
        (base("source", json!({ "ref": "no-such" })), 404, "no-such"),
        (base("source", json!({ "sha": "0".repeat(40) })), 404, "000"),
        (base("empty", json!({ "ref": "main" })), 404, "main"),
        (
            base("source", json!({ "operation": "mirror" })),
            400,
            "mirror",
        ),
    ];
    for (body, status, part) in cases {
        let refused = create(&server, "new", body.clone()).await.expect(status);
        assert!(
            refused.error().contains(part),
            "{}: {body}",
            refused.error()
        );
    }
    let mut body = base("source", json!({}));
    body["initial_commit"] = json!({ "message": "x" });
    create(&server, "new", body).await.expect(400);
    let mut body = base("source", json!({}));
    body["default_branch"] = json!("feature");
    create(&server, "new", body).await.expect(409);
    create(&server, "empty", base("source", json!({})))
        .await
        .expect(409);
    server.get("/repo", &Token::read("new")).await.expect(404);

    // An empty repository can be forked; so can one again that was forked before.
    create(&server, "new", base("empty", json!({})))
        .await
        .expect(201);
    assert!(server.branches("new", "").await.is_empty());
    create(&server, "newer", base("source", json!({})))
        .await
        .expect(201);
    create(&server, "newest", base("newer", json!({ "sha": first })))
        .await
        .expect(201);
    assert_eq!(server.branches("newest", "").await.len(), 1);
}

/// The bytes of a large source are listed by its forks and not stored again.
#[tokio::test]
async fn a_fork_writes_nothing_to_the_bucket() {
    let server = TestServer::with_repo("source").await;
    let noise: Vec<u8> = (0..3_u32 << 18)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    server
        .commit("source", CommitBody::new("main").file("noise", &noise))
        .await
        .expect(201);
    let bucket = server.folder.path().join("bucket");
    let before = files_below(&bucket);
    assert!(!before.is_empty());
    for number in 0..20 {
        create(
            &server,
            &format!("fork-{number}"),
            base("source", json!({})),
        )
        .await
        .expect(201);
    }
    assert_eq!(files_below(&bucket), before);
    let read = server.file("fork-19", "path=noise").await;
    assert_eq!(read.bytes().await.unwrap(), noise);
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_fork_of_another_owners_repository_is_refused() {
    let (server, ..) = source().await;
    let refused = create(&server, "fork", base("source", json!({ "owner": "other" })))
        .await
        .expect(403);
    assert!(refused.error().contains("`base_repo.owner` is `other`"));
    server.get("/repo", &Token::read("fork")).await.expect(404);
    // Whoever names no owner means their own organisation.
    create(&server, "fork", base("source", json!({ "owner": " " })))
        .await
        .expect(201);
}
