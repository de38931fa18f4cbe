//! SSH keys over the API.

use packhouse_catalog::NewSshKey;
use serde_json::{Value, json};

use crate::support::{Answer, SshUser, TestServer, Token, encoded, now};

fn org(scopes: &[&str]) -> Token {
    Token::new("org", scopes)
}

async fn add(server: &TestServer, token: &Token, user: &SshUser, more: Value) -> Answer {
    let mut body = json!({ "public_key": format!("{} a comment", user.public.line()) });
    body.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    server.post("/ssh-keys", token, &body).await
}

fn path(user: &SshUser) -> String {
    format!("/ssh-keys/{}", encoded(user.public.fingerprint()))
}

#[tokio::test]
async fn a_key_is_registered_listed_and_revoked() {
    let server = TestServer::with_repo("a").await;
    let (all, one) = (SshUser::new().await, SshUser::new().await);
    let admin = org(&["org:write", "git:write"]);
    let end = "2090-01-31T12:00:00Z";
    let more = json!({ "user": "Ann", "scopes": ["git:read"], "expires_at": end });
    let added = add(&server, &admin, &all, more).await.expect(201).body;
    let created = added["created_at"].clone();
    let expected = json!({
        "fingerprint": all.public.fingerprint(), "public_key": all.public.line(), "user": "Ann",
        "scopes": ["git:read"], "created_at": created, "expires_at": end,
    });
    assert_eq!(added, expected);
    let again = add(&server, &admin, &all, json!({})).await.expect(409);
    assert_eq!(again.code(), "conflict");

    // Whoever may delete a repository registers keys for it, and sees no others.
    let owner = Token::new("a", &["repo:write", "git:write"]);
    let added = add(&server, &owner, &one, json!({})).await.expect(201).body;
    assert_eq!(added["repo_id"], "a");
    assert_eq!(added["scopes"], json!(["git:read", "git:write"]));
    let fingerprints = async |token: &Token| {
        let listed = server.get("/ssh-keys", token).await.expect(200).body;
        let keys = listed["ssh_keys"].as_array().unwrap().iter();
        let mut keys: Vec<String> = keys
            .map(|key| key["fingerprint"].as_str().unwrap().to_owned())
            .collect();
        keys.sort();
        keys
    };
    let mut both = [all.public.fingerprint(), one.public.fingerprint()].map(str::to_owned);
    both.sort();
    assert_eq!(fingerprints(&org(&["org:read"])).await, both);
    assert_eq!(fingerprints(&owner).await, [one.public.fingerprint()]);
    let missing = server.delete(&path(&all), &owner, &json!({})).await;
    assert_eq!(missing.expect(404).code(), "ssh_key_not_found");

    let revoked = server.delete(&path(&one), &owner, &json!({})).await;
    assert_eq!(
        revoked.expect(200).body["fingerprint"],
        one.public.fingerprint()
    );
    server
        .delete(&path(&one), &owner, &json!({}))
        .await
        .expect(404);
    server
        .delete(&path(&all), &admin, &json!({}))
        .await
        .expect(200);
    assert!(fingerprints(&admin).await.is_empty());
}

#[tokio::test]
async fn keys_come_in_pages() {
    let server = TestServer::start().await;
    for at in 0..5 {
        let key = NewSshKey {
            fingerprint: format!("SHA256:{at}/+"),
            public_key: "ssh-ed25519 AAAA".to_owned(),
            user: None,
            repo: None,
            scopes: "git:read".to_owned(),
            // Those that have ended are there until they are revoked.
            expires_at_ms: Some(now() * 1000 - 1),
        };
        server.admit(key).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("/ssh-keys?limit=2&cursor={}", encoded(&cursor));
        let page = server
            .get(&page, &org(&["org:read"]))
            .await
            .expect(200)
            .body;
        let keys = page["ssh_keys"].as_array().unwrap();
        seen.extend(keys.iter().map(|key| key["fingerprint"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(
        json!(seen),
        json!([
            "SHA256:0/+",
            "SHA256:1/+",
            "SHA256:2/+",
            "SHA256:3/+",
            "SHA256:4/+"
        ])
    );
    let revoked = format!("/ssh-keys/{}", encoded("SHA256:0/+"));
    server
        .delete(&revoked, &org(&["org:write"]), &json!({}))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_key_may_do_no_more_than_the_token_that_registers_it() {
    let server = TestServer::with_repo("a").await;
    server.create("b").await;
    let user = SshUser::new().await;
    let with_policy =
        Token::new("a", &["repo:write", "git:write"]).with("refs", json!([["main", ["no-push"]]]));
    for (token, more) in [
        (org(&["org:write"]), json!({})),
        (org(&["org:read", "git:write"]), json!({})),
        (
            org(&["org:write", "git:read"]),
            json!({ "scopes": ["git:write"] }),
        ),
        (Token::new("a", &["git:write"]), json!({})),
        (
            Token::new("a", &["repo:write"]),
            json!({ "scopes": ["git:read"] }),
        ),
        (
            Token::new("a", &["repo:write", "git:write"]),
            json!({ "repo_id": "b" }),
        ),
        (with_policy, json!({})),
    ] {
        let refused = add(&server, &token, &user, more).await.expect(403);
        assert_eq!(refused.code(), "forbidden", "{}", refused.body);
    }
    let admin = org(&["org:write", "git:write"]);
    for more in [
        json!({ "user": "" }),
        json!({ "user": "a\nb" }),
        json!({ "scopes": [] }),
        json!({ "scopes": ["org:write"] }),
        json!({ "expires_at": "tomorrow" }),
        json!({ "expires_at": "2001-01-01T00:00:00Z" }),
        json!({ "public_key": "ssh-rsa AAAA" }),
    ] {
        add(&server, &admin, &user, more).await.expect(400);
    }
    add(&server, &admin, &user, json!({ "repo_id": "none" }))
        .await
        .expect(404);
    let added = add(&server, &admin, &user, json!({ "repo_id": "b" })).await;
    assert_eq!(added.expect(201).body["repo_id"], "b");
}
