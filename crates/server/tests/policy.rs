//! Ref policies of tokens, on every way to move a ref.

use packhouse_catalog::NewSshKey;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Checkout, CommitBody, SshUser, TestServer, Token, encoded};

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

/// A policy that lets some ref not move closes what moves refs whose names the caller does not say.
#[tokio::test]
async fn what_moves_all_refs_asks_for_all_of_them() {
    let server = TestServer::with_repo("a").await;
    let head = server.put("a", "x", "1").await;
    let denied = |answer: Answer| {
        let refused = answer.expect(403);
        assert_eq!(refused.code(), "policy_denied");
        assert!(
            refused.error().contains("denied by policy"),
            "{:?}",
            refused.body
        );
    };
    let rules = [
        json!([["main", ["no-push"]], ["*", []]]),
        json!([["main", ["no-such-rule"]]]),
    ];
    let verify = json!([["main", ["verify-sig"]]]);
    let no_force = json!([["*", ["no-force-push"]]]);
    let scopes = ["repo:write", "git:write"];
    let token = |id: &str, refs: &Value| Token::new(id, &scopes).with("refs", refs.clone());
    let fork = json!({ "base_repo": {
        "provider": "code", "owner": "acme", "name": "a", "auth": { "token": Token::read("a").text() },
    } });
    let follow = json!({ "base_repo": {
        "provider": "git", "url": "https://git.invalid/a.git",
    } });
    for refs in rules.iter().chain([&verify]) {
        denied(server.post("/repos", &token("b", refs), &fork).await);
        denied(server.post("/repos", &token("b", refs), &follow).await);
    }
    for refs in rules.iter().chain([&verify, &no_force]) {
        let token = token("a", refs);
        let one = json!({ "ref": "open" });
        for body in [json!({}), one] {
            denied(server.post("/repos/pull-upstream", &token, &body).await);
        }
        let login = json!({ "repo_id": "a", "password": "p" });
        denied(server.post("/repos/git-credentials", &token, &login).await);
        let login = json!({ "id": "x", "password": "p" });
        let put = server.request(Method::PUT, "/repos/git-credentials", &token);
        denied(server.send(put.json(&login)).await);
        let on = json!({ "push_through": true });
        let change = server.request(Method::PATCH, "/repos/base", &token);
        denied(server.send(change.json(&on)).await);
    }
    for refs in &rules {
        denied(
            server
                .delete("/repos/delete", &token("a", refs), &json!({}))
                .await,
        );
    }
    assert_eq!(server.branches("a", "").await, [("main".to_owned(), head)]);
    // What loses nothing may be made and what may be deleted may go, all of it.
    server
        .post("/repos", &token("b", &no_force), &fork)
        .await
        .expect(201);
    server
        .post("/repos", &token("c", &rules[0]), &json!({}))
        .await
        .expect(201);
    server
        .delete("/repos/delete", &token("a", &verify), &json!({}))
        .await
        .expect(200);
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
    let token = with_policy(json!([["*", ["no-such-rule"]]]));
    let checkout = Checkout::clone(&server.git_url("a", &token), &[]).await;
    checkout.commit("x", b"2").await;
    let refused = checkout.git_fails(&["push", "origin", "main"]).await;
    assert!(refused.contains("denied by policy"), "{refused}");
}

/// A server with an unsigned commit on `main` and a key that signs; a checkout whose commits that key signs, and whose
/// pushes to all but `open/…` must be signed.
async fn signing() -> (TestServer, SshUser, Checkout, Token) {
    let server = TestServer::with_repo("a").await;
    server.put("a", "x", "1").await;
    let signer = SshUser::new().await;
    let scopes = "git:sign".to_owned();
    server
        .admit(NewSshKey {
            scopes,
            ..signer.key()
        })
        .await;
    let token = with_policy(json!([["open/*", []], ["*", ["verify-sig"]]]));
    let checkout = Checkout::clone(&server.git_url("a", &token), &[]).await;
    signer.sign_in(&checkout).await;
    (server, signer, checkout, token)
}

fn unsigned(refused: &str, commit: &str) -> bool {
    // A terminal's width is not known, so `git` breaks no line.
    refused.contains(&format!(
        "push denied by policy: commit {commit}: it is not signed"
    ))
}

#[tokio::test]
async fn a_push_of_signed_commits_is_taken_and_of_others_refused() {
    let (server, signer, checkout, _) = signing().await;
    // What was there before need not be signed.
    checkout.commit("x", b"2").await;
    let signed = checkout.commit("x", b"3").await;
    let both = "HEAD:refs/heads/new";
    checkout.git(&["push", "-q", "origin", "main", both]).await;
    checkout.git(&["tag", "v1"]).await;
    checkout.git(&["push", "-q", "origin", "v1"]).await;

    checkout.git(&["config", "commit.gpgSign", "false"]).await;
    let plain = checkout.commit("x", b"4").await;
    checkout.git(&["config", "commit.gpgSign", "true"]).await;
    checkout.commit("x", b"5").await;
    for target in ["main", "HEAD:refs/heads/other", "HEAD:refs/tags/v2"] {
        let refused = checkout.git_fails(&["push", "origin", target]).await;
        assert!(unsigned(&refused, &plain), "{refused}");
    }
    // Nobody can sign a folder.
    let tree = checkout.git(&["rev-parse", "HEAD^{tree}"]).await;
    let folder = format!("{tree}:refs/tags/folder");
    let refused = checkout.git_fails(&["push", "origin", &folder]).await;
    assert!(refused.contains("a tree has no signature"), "{refused}");
    assert_eq!(
        server.branches("a", "").await,
        [
            ("main".to_owned(), signed.clone()),
            ("new".to_owned(), signed.clone())
        ]
    );

    // A key that nobody registered for signing, one that comes in, and one that is revoked.
    let (stranger, comes_in) = (SshUser::new().await, SshUser::new().await);
    server.admit(comes_in.key()).await;
    for other in [&stranger, &comes_in] {
        checkout.git(&["reset", "-q", "--hard", &signed]).await;
        other.sign_in(&checkout).await;
        checkout.commit("x", b"6").await;
        let refused = checkout.git_fails(&["push", "origin", "main"]).await;
        assert!(refused.contains("not registered for signing"), "{refused}");
    }
    checkout.git(&["reset", "-q", "--hard", &signed]).await;
    signer.sign_in(&checkout).await;
    checkout.commit("x", b"7").await;
    let admin = Token::new("org", &["org:write"]);
    let key = format!("/ssh-keys/{}", encoded(signer.public.fingerprint()));
    server.delete(&key, &admin, &json!({})).await.expect(200);
    let refused = checkout.git_fails(&["push", "origin", "main"]).await;
    assert!(refused.contains("not registered for signing"), "{refused}");
    // Going away brings nothing.
    checkout.git(&["push", "-q", "origin", ":new"]).await;
}

#[tokio::test]
async fn unsigned_commits_come_to_a_covered_ref_by_no_other_way() {
    let (server, _signer, checkout, token) = signing().await;
    let main = checkout.git(&["rev-parse", "HEAD"]).await;
    checkout.git(&["config", "commit.gpgSign", "false"]).await;
    let plain = checkout.commit("x", b"2").await;
    let open = "HEAD:refs/heads/open/plain";
    checkout.git(&["push", "-q", "origin", open]).await;
    let denied = async |path: &str, body: Value| {
        let refused = server.post(path, &token, &body).await.expect(403);
        assert_eq!(refused.code(), "policy_denied");
        refused.error().to_owned()
    };
    let branch = json!({ "base_ref": plain, "target_branch": "other" });
    let forward = json!({ "base_ref": plain, "target_branch": "main" });
    for branch in [branch, forward] {
        let refused = denied("/repos/branches/create", branch).await;
        assert!(unsigned(&refused, &plain), "{refused}");
    }
    let tag = json!({ "name": "v1", "target": plain });
    assert!(unsigned(&denied("/repos/tags", tag).await, &plain));
    let merge = |source: &str, strategy: &str| {
        json!({
            "source_branch": source, "target_branch": "main", "strategy": strategy, "commit_message": "m",
            "author": { "name": "Ann", "email": "ann@example.com" },
        })
    };
    let refused = denied("/repos/merge", merge("open/plain", "ff_only")).await;
    assert!(unsigned(&refused, &plain), "{refused}");
    // What the server makes is not signed.
    let refused = denied("/repos/merge", merge("open/plain", "merge")).await;
    assert!(refused.contains("that the server makes"), "{refused}");
    let commit = CommitBody::new("main").file("x", b"3").text();
    server.commit_with(&token, commit).await.expect(403);
    let pick = json!({ "target_branch": "main", "commit": plain });
    denied("/repos/cherry-pick", pick).await;
    let note = json!({ "sha": main, "note": "n" });
    server.post("/repos/notes", &token, &note).await.expect(403);
    assert_eq!(server.branches("a", "").await.len(), 2);

    // What is signed comes by all of them.
    checkout.git(&["reset", "-q", "--hard", &main]).await;
    checkout.git(&["config", "commit.gpgSign", "true"]).await;
    let signed = checkout.commit("x", b"4").await;
    let open = "HEAD:refs/heads/open/signed";
    checkout.git(&["push", "-q", "origin", open]).await;
    for (path, body) in [
        (
            "/repos/branches/create",
            json!({ "base_ref": signed, "target_branch": "other" }),
        ),
        ("/repos/tags", json!({ "name": "v1", "target": signed })),
        ("/repos/merge", merge("open/signed", "ff_only")),
    ] {
        server.post(path, &token, &body).await.expect(200);
    }
    let heads = server.branches("a", "").await;
    assert!(heads.contains(&("main".to_owned(), signed)), "{heads:?}");
}
