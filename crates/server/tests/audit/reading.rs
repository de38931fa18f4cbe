//! What the log says of a request, to whom, and for how long.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{commit_to, log, org_token, owner};
use crate::support::{Database, TestServer, Token, now, on_both};

on_both!(
    filters_choose_by_who_what_and_when,
    the_log_is_for_those_who_may_see_it,
    entries_go_when_they_have_been_kept_long_enough,
);

async fn filters_choose_by_who_what_and_when(database: &Database) {
    let server = TestServer::with(|config| database.set(config)).await;
    server.create("a").await;
    for number in 0..20 {
        let who = format!("agent-{}", number % 2);
        let token = Token::write("a").with("sub", json!(who));
        let body = commit_to("main", None, "x", &number.to_string());
        server.commit_with(&token, body).await.expect(201);
    }
    let count = async |query: &str| log(&server, "/audit", &org_token(), query).await.len();
    assert_eq!(count("").await, 21);
    assert_eq!(count("&who=agent-1").await, 10);
    assert_eq!(count("&kind=ref.update").await, 19);
    assert_eq!(count("&kind=ref.*&who=agent-0").await, 10);
    assert_eq!(count("&kind=repo.create").await, 1);
    assert_eq!(count("&kind=nothing").await, 0);
    let at = rfc3339;
    assert_eq!(count(&format!("&since={}", at(now() - 60))).await, 21);
    assert_eq!(count(&format!("&since={}", at(now() + 3600))).await, 0);
    assert_eq!(count(&format!("&until={}", at(now() - 60))).await, 0);
    assert_eq!(count(&format!("&until={}", at(now() + 60))).await, 21);
}

/// Seconds since the epoch as a time.
fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().to_string()
}

async fn the_log_is_for_those_who_may_see_it(database: &Database) {
    let server = TestServer::with(|config| database.set(config)).await;
    server.create("a").await;
    server.create("b").await;
    for scopes in [&["git:read"][..], &["git:write"], &["org:read"]] {
        server
            .get("/repos/audit", &Token::new("a", scopes))
            .await
            .expect(403);
    }
    for scopes in [&["git:write"][..], &["repo:write"]] {
        server
            .get("/audit", &Token::new("a", scopes))
            .await
            .expect(403);
    }
    let entries = log(&server, "/repos/audit", &owner("a"), "").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["target"], "a");
    assert_eq!(entries[0]["detail"], json!({ "default_branch": "main" }));
    server
        .get("/repos/audit", &owner("never"))
        .await
        .expect(404);
    server
        .get("/audit?repo=never", &org_token())
        .await
        .expect(404);
    for bad in [
        "cursor=x",
        "cursor=1-2-3",
        "since=yesterday",
        "until=1",
        "limit=x",
    ] {
        server
            .get(&format!("/audit?{bad}"), &org_token())
            .await
            .expect(400);
    }
    let of_b = log(&server, "/repos/audit", &owner("b"), "").await;
    assert_eq!(of_b.len(), 1);
    // A cursor of one log does not open another.
    let page = server
        .get("/audit?limit=1", &org_token())
        .await
        .expect(200)
        .body;
    let cursor = page["next_cursor"].as_str().unwrap();
    server
        .get(&format!("/repos/audit?cursor={cursor}"), &owner("a"))
        .await
        .expect(400);
}

#[tokio::test]
async fn a_request_cannot_claim_another_address() {
    let server = TestServer::start().await;
    let request = server.request(Method::POST, "/repos", &owner("a"));
    let request = request
        .header("x-forwarded-for", "203.0.113.7")
        .header("forwarded", "for=203.0.113.7");
    server.send(request).await.expect(201);
    let entries = log(&server, "/repos/audit", &owner("a"), "").await;
    assert_eq!(entries[0]["address"], "127.0.0.1");
}

#[tokio::test]
async fn a_trusted_proxy_says_where_a_request_is_from() {
    let server = TestServer::with(|config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    for (repo, header, expected) in [
        (
            "a",
            ("x-forwarded-for", "198.51.100.1, 203.0.113.7, 127.0.0.9"),
            "203.0.113.7",
        ),
        (
            "b",
            ("forwarded", "for=203.0.113.8;proto=https"),
            "203.0.113.8",
        ),
        ("c", ("x-forwarded-for", "nobody"), "127.0.0.1"),
        ("d", ("accept", "*/*"), "127.0.0.1"),
    ] {
        let request = server.request(Method::POST, "/repos", &owner(repo));
        server
            .send(request.header(header.0, header.1))
            .await
            .expect(201);
        let entries = log(&server, "/repos/audit", &owner(repo), "").await;
        assert_eq!(entries[0]["address"], expected, "{header:?}");
    }
}

async fn entries_go_when_they_have_been_kept_long_enough(database: &Database) {
    let day = Duration::from_secs(24 * 3600);
    let now_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
    let clock = packhouse_testkit::clock::TestClock::at(i64::try_from(now_ms).unwrap());
    let server = TestServer::with(|config| {
        database.set(config);
        config.sweep.options.keep_audit = Some(day);
        config.sweep.options.clock = std::sync::Arc::new(clock.reader());
    })
    .await;
    server.create("a").await;
    server.put("a", "x", "1").await;
    assert_eq!(log(&server, "/audit", &org_token(), "").await.len(), 2);
    clock.advance(day.as_millis() as i64 + 60_000);
    // Before a sweep comes to them, too.
    assert_eq!(log(&server, "/audit", &org_token(), "").await.len(), 0);
    assert_eq!(log(&server, "/repos/audit", &owner("a"), "").await.len(), 0);
    let hosted = server.server.hosted();
    let options = packhouse_repo::SweepOptions {
        keep_audit: Some(day),
        clock: std::sync::Arc::new(clock.reader()),
        ..Default::default()
    };
    let report = hosted.sweep(&options, &()).await.unwrap();
    assert_eq!(report.audit_entries, 2);
    assert_eq!(hosted.sweep(&options, &()).await.unwrap().audit_entries, 0);
    let all = packhouse_catalog::AuditOf::Org(server.org);
    let start = packhouse_catalog::AuditCursor::START;
    let left = hosted.catalog().audit_log(all, start, 10).await.unwrap();
    assert!(left.iter().all(|entry| entry.address.is_none()), "{left:?}");
    // The branch, and its log, are as they were.
    assert_eq!(server.branches("a", "").await.len(), 1);
}
