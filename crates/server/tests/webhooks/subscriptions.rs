//! Who may have webhooks, how many, and to where.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{of_org, of_repo, server, subscribe, text};
use crate::support::{TestServer, Token};

#[tokio::test]
async fn webhooks_belong_to_a_repository_or_to_the_organisation() {
    let server = server().await;
    for repo in ["a", "b"] {
        server.create(repo).await;
    }
    let url = "https://example.com/hook";
    let of_a = subscribe(&server, &of_repo("a"), json!({ "url": url })).await;
    assert_eq!(of_a["events"], json!(["push"]));
    assert_eq!(of_a["repo_id"], "a");
    let wanted =
        json!({ "url": url, "events": ["push", "repo.*", "push"], "secret": "a secret of ours" });
    let wide = subscribe(&server, &of_org(), wanted).await;
    assert_eq!(wide["events"], json!(["push", "repo.*"]));
    assert_eq!(wide["secret"], "a secret of ours");
    assert!(wide.get("repo_id").is_none());

    let ids = |answer: &Value| -> Vec<String> {
        let hooks = answer["webhooks"].as_array().unwrap();
        assert!(hooks.iter().all(|hook| hook.get("secret").is_none()));
        hooks
            .iter()
            .map(|hook| text(&hook["id"]).to_owned())
            .collect()
    };
    let list = async |query: &str, token: &Token| {
        server
            .get(&format!("/webhooks{query}"), token)
            .await
            .expect(200)
            .body
    };
    let [id_a, id_wide] = [&of_a, &wide].map(|hook| text(&hook["id"]).to_owned());
    let only_a = [id_a.clone()];
    assert_eq!(ids(&list("", &of_repo("a")).await), only_a);
    assert_eq!(ids(&list("", &of_repo("b")).await), [""; 0]);
    let reader = Token::new("org", &["org:read"]);
    let page = list("?limit=1", &reader).await;
    assert_eq!(
        (ids(&page), &page["has_more"]),
        (vec![id_a.clone()], &json!(true))
    );
    let cursor = text(&page["next_cursor"]);
    let page = list(&format!("?cursor={cursor}"), &reader).await;
    assert_eq!(
        (ids(&page), &page["has_more"]),
        (vec![id_wide.clone()], &json!(false))
    );

    // What is of another level, repository or organisation is not there.
    let path = |id: &str| format!("/webhooks/{id}");
    server.get(&path(&id_a), &of_org()).await.expect(200);
    for (id, token) in [(&id_wide, of_repo("a")), (&id_a, of_repo("b"))] {
        let missing = server.get(&path(id), &token).await.expect(404);
        assert_eq!(missing.code(), "webhook_not_found");
        server
            .delete(&path(id), &token, &json!({}))
            .await
            .expect(404);
    }
    for id in ["0", "x", "-1", "99999999999999999999"] {
        server.get(&path(id), &of_org()).await.expect(404);
    }
    // Reading does not change anything.
    let refused = server.delete(&path(&id_wide), &reader, &json!({})).await;
    assert!(refused.expect(403).error().contains("org:write"));
    server
        .post("/webhooks", &Token::write("a"), &json!({ "url": url }))
        .await
        .expect(403);
    server
        .post("/webhooks", &of_repo("c"), &json!({ "url": url }))
        .await
        .expect(404);
    for id in [&id_a, &id_wide] {
        server
            .delete(&path(id), &of_org(), &json!({}))
            .await
            .expect(200);
        server
            .delete(&path(id), &of_org(), &json!({}))
            .await
            .expect(404);
    }
    assert_eq!(ids(&list("", &of_org()).await), [""; 0]);
}

#[tokio::test]
async fn what_cannot_be_delivered_to_is_refused() {
    let server = TestServer::with_repo("a").await;
    for (url, reason) in [
        ("http://127.0.0.1:8080/", "private network"),
        ("http://[::ffff:10.0.0.1]/", "private network"),
        ("http://0x7f000001/", "private network"),
        ("http://169.254.169.254/latest/meta-data", "private network"),
        ("ftp://example.com/", "scheme"),
        ("https://user:password@example.com/", "password"),
        ("example.com/hook", "relative URL"),
        ("", "relative URL"),
        (
            &format!("https://example.com/{}", "x".repeat(2000)),
            "too long",
        ),
    ] {
        let refused = server
            .post("/webhooks", &of_repo("a"), &json!({ "url": url }))
            .await
            .expect(400);
        assert!(refused.error().contains(reason), "{}", refused.error());
    }
    let url = "https://example.com/";
    for (body, reason) in [
        (json!({}), "url"),
        (json!({ "url": url, "events": [] }), "empty"),
        (
            json!({ "url": url, "events": ["pull_request"] }),
            "`pull_request`",
        ),
        (json!({ "url": url, "secret": "short" }), "secret"),
    ] {
        let refused = server
            .post("/webhooks", &of_repo("a"), &body)
            .await
            .expect(400);
        assert!(refused.error().contains(reason), "{}", refused.error());
    }
    let listed = server.get("/webhooks", &of_repo("a")).await.expect(200);
    assert_eq!(listed.body["webhooks"], json!([]));
    for _ in 0..50 {
        subscribe(&server, &of_repo("a"), json!({ "url": url })).await;
    }
    let refused = server
        .post("/webhooks", &of_repo("a"), &json!({ "url": url }))
        .await;
    assert!(refused.expect(409).error().contains("50"));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_created_at_once_do_not_pass_the_bound() {
    let server = Arc::new(TestServer::with_repo("a").await);
    for token in [of_repo("a"), of_org()] {
        let mut creations = tokio::task::JoinSet::new();
        for _ in 0..80 {
            let (server, token) = (server.clone(), token.clone());
            creations.spawn(async move {
                let body = json!({ "url": "https://example.com/" });
                server.post("/webhooks", &token, &body).await.status
            });
        }
        let answers = creations.join_all().await;
        let created = answers.iter().filter(|status| **status == 201).count();
        let refused = answers.iter().filter(|status| **status == 409).count();
        assert_eq!((created, refused), (50, 30));
    }
}
