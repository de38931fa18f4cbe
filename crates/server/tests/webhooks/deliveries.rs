//! What arrives, and what becomes of what does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use packhouse_server::{Clock, Config, Egress};
use packhouse_testkit::clock::TestClock;
use reqwest::Method;
use serde_json::{Value, json};

use super::{deliveries, of_org, of_repo, quick, server, subscribe, text};
use crate::support::{Checkout, Receiver, TestServer, Token, now};

#[tokio::test]
async fn commits_and_pushes_arrive_signed_and_in_order() {
    let server = server().await;
    server.create("team/site").await;
    let mut receiver = Receiver::start().await;
    let made = subscribe(
        &server,
        &of_repo("team/site"),
        json!({ "url": receiver.url() }),
    )
    .await;
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("whsec_"));

    let first = server.put("team/site", "a", "1").await;
    let push = receiver.next().await;
    assert!(push.is_signed_with(secret));
    assert_eq!(push.header("x-pierre-event"), "push");
    assert_eq!(push.header("user-agent"), "Pierre-Webhook/1.0");
    assert_eq!(push.header("content-type"), "application/json");
    let body = push.json();
    let zeros = "0".repeat(40);
    assert_eq!(
        body,
        json!({
            "repository": { "id": "team/site", "url": "team/site" }, "ref": "refs/heads/main",
            "before": zeros, "after": first, "customer_id": "acme", "pushed_at": body["pushed_at"],
        })
    );

    let checkout = Checkout::clone(
        &server.git_url("team/site", &Token::write("team/site")),
        &[],
    )
    .await;
    for args in [
        &["commit", "-q", "--allow-empty", "-m", "one"][..],
        &["tag", "one"],
        &["push", "-q", "origin", "main", "one"],
        &["push", "-q", "origin", ":one"],
    ] {
        checkout.git(args).await;
    }
    let mut seen = vec![];
    for _ in 0..3 {
        let push = receiver.next().await.json();
        let ends = |field| match text(&push[field]) {
            id if id == zeros => "none",
            id if id == first => "first",
            _ => "second",
        };
        seen.push((text(&push["ref"]).to_owned(), ends("before"), ends("after")));
    }
    // One event for each ref; those of one push in the order it named them.
    let expected = [
        ("refs/heads/main".to_owned(), "first", "second"),
        ("refs/tags/one".to_owned(), "none", "second"),
        ("refs/tags/one".to_owned(), "second", "none"),
    ];
    assert_eq!(seen, expected);

    // Ephemeral branches are told by their full name.
    let body = json!({
        "base_branch": "main", "target_branch": "try", "base_is_ephemeral": false, "target_is_ephemeral": true,
    });
    server
        .post("/repos/branches/create", &Token::write("team/site"), &body)
        .await
        .expect(200);
    let push = receiver.next().await.json();
    assert_eq!(push["ref"], "refs/namespaces/ephemeral/refs/heads/try");
}

#[tokio::test]
async fn a_name_of_this_machine_is_not_connected_to() {
    let mut receiver = Receiver::start().await;
    let server = TestServer::with(|config| {
        quick(config);
        config.egress = Egress::PublicOnly;
    })
    .await;
    server.create("a").await;
    let url = receiver.url().replace("127.0.0.1", "localhost");
    let made = subscribe(&server, &of_repo("a"), json!({ "url": url })).await;
    server.put("a", "x", "1").await;
    let log = deliveries(&server, &of_repo("a"), text(&made["id"]), |log| {
        !log.is_empty()
    })
    .await;
    let failure = text(&log[0]["failure"]);
    assert!(failure.contains("private network"), "{failure}");
    assert!(!failure.contains("hush"), "{failure}");
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn what_fails_is_tried_again_and_what_follows_waits() {
    let server = server().await;
    server.create("a").await;
    server.create("b").await;
    let mut receiver = Receiver::with(|number| Some(if number % 3 == 2 { 200 } else { 503 })).await;
    let made = subscribe(&server, &of_org(), json!({ "url": receiver.url() })).await;
    let mut wanted = vec![];
    for number in 0..4 {
        wanted.push(server.put("a", "x", &number.to_string()).await);
    }
    let (mut taken, mut ids) = (vec![], vec![]);
    while taken.len() < wanted.len() {
        let received = receiver.next().await;
        ids.push(received.header("x-packhouse-delivery").to_owned());
        if received.status == 200 {
            taken.push(received.after());
        }
    }
    assert_eq!(taken, wanted);
    assert_eq!(ids.len(), 3 * wanted.len());
    // Every attempt has the id of the one before it until it succeeds.
    assert!(
        ids.chunks(3)
            .all(|same| same[0] == same[1] && same[1] == same[2])
    );
    let log = deliveries(&server, &of_org(), text(&made["id"]), |log| {
        log.len() == 4 && log.iter().all(|row| row["state"] == "delivered")
    })
    .await;
    for row in &log {
        assert_eq!(
            (&row["attempts"], &row["response_status"]),
            (&json!(3), &json!(200))
        );
        assert_eq!(
            (&row["event"], &row["repo_id"]),
            (&json!("push"), &json!("a"))
        );
        assert_eq!(row["response_body"], "got it");
        let sent: Value = serde_json::from_str(text(&row["request_body"])).unwrap();
        assert_eq!(sent["ref"], "refs/heads/main");
    }
    let pages = server
        .get(
            &format!("/webhooks/{}/deliveries?limit=3", text(&made["id"])),
            &of_org(),
        )
        .await
        .expect(200)
        .body;
    assert_eq!(pages["has_more"], true);
    let rest = server
        .get(
            &format!(
                "/webhooks/{}/deliveries?cursor={}",
                text(&made["id"]),
                text(&pages["next_cursor"])
            ),
            &of_org(),
        )
        .await
        .expect(200)
        .body;
    assert_eq!(rest["deliveries"].as_array().unwrap(), &log[3..]);
}

#[tokio::test]
async fn a_receiver_that_never_answers_holds_up_nobody_else() {
    let server = TestServer::with(|config| {
        quick(config);
        config.webhooks.timeout = Duration::from_millis(200);
    })
    .await;
    server.create("a").await;
    let mut silent = Receiver::with(|_| None).await;
    let mut other = Receiver::start().await;
    let closed = json!({ "url": "http://127.0.0.1:9/" });
    let dead = subscribe(&server, &of_repo("a"), closed).await;
    let made = subscribe(&server, &of_repo("a"), json!({ "url": silent.url() })).await;
    subscribe(&server, &of_repo("a"), json!({ "url": other.url() })).await;
    let sha = server.put("a", "x", "1").await;
    assert_eq!(other.next().await.after(), sha);
    assert_eq!(silent.next().await.after(), sha);
    assert_eq!(silent.next().await.after(), sha);
    for hook in [&made, &dead] {
        let log = deliveries(&server, &of_repo("a"), text(&hook["id"]), |log| {
            !log.is_empty()
        })
        .await;
        assert_eq!(log[0]["state"], "retrying");
        assert!(log[0].get("response_status").is_none());
        assert!(!text(&log[0]["failure"]).contains("127.0.0.1"), "no URL");
    }
    let metrics = format!("{}/metrics", server.url());
    let metrics = server
        .http
        .get(metrics)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    for line in [
        "packhouse_webhook_attempts_total{outcome=\"delivered\"} 1",
        "packhouse_webhook_attempts_total{outcome=\"given_up\"} 0",
        "packhouse_webhook_delay_seconds_count 1",
        "packhouse_webhook_queues ",
        "packhouse_webhook_overdue_seconds ",
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
}

#[tokio::test]
async fn after_a_day_an_event_is_given_up_and_the_queue_goes_on() {
    let clock = TestClock::at(now() * 1000);
    let reader = clock.reader();
    let server = TestServer::with(|config| {
        quick(config);
        config.webhooks.clock = Clock::new(reader);
        config.webhooks.first_retry = Duration::from_secs(60);
        config.webhooks.longest_retry = Duration::from_secs(3600);
    })
    .await;
    server.create("a").await;
    let mut receiver = Receiver::with(|number| Some(if number < 3 { 500 } else { 200 })).await;
    let made = subscribe(&server, &of_repo("a"), json!({ "url": receiver.url() })).await;
    let lost = server.put("a", "x", "1").await;
    let kept = server.put("a", "x", "2").await;
    assert_eq!(receiver.next().await.after(), lost);
    // The pause is not over.
    clock.advance(29_000);
    assert!(receiver.is_silent().await);
    clock.advance(24 * 3_600_000);
    assert_eq!(receiver.next().await.after(), lost);
    // That it waited for a day does not count against the next one.
    assert_eq!(receiver.next().await.after(), kept);
    assert!(receiver.is_silent().await);
    clock.advance(61_000);
    assert_eq!(receiver.next().await.after(), kept);
    let log = deliveries(&server, &of_repo("a"), text(&made["id"]), |log| {
        log.len() == 2 && log.iter().all(|row| row["state"] != "retrying")
    })
    .await;
    let states: Vec<_> = log.iter().map(|row| text(&row["state"])).collect();
    assert_eq!(states, ["delivered", "failed"]);

    // A person may send it again all the same.
    let path = format!(
        "/webhooks/{}/deliveries/{}/redeliver",
        text(&made["id"]),
        text(&log[1]["id"])
    );
    let again = server
        .post(&path, &of_repo("a"), &json!({}))
        .await
        .expect(200)
        .body;
    assert_eq!(
        (&again["state"], &again["attempts"]),
        (&json!("delivered"), &json!(3))
    );
    let received = receiver.next().await;
    assert_eq!(received.after(), lost);
    assert_eq!(received.header("x-packhouse-delivery"), text(&log[1]["id"]));
    for wrong in ["1-2-3-4", "x", "1-2-3"] {
        let path = format!(
            "/webhooks/{}/deliveries/{wrong}/redeliver",
            text(&made["id"])
        );
        let missing = server
            .post(&path, &of_repo("a"), &json!({}))
            .await
            .expect(404);
        assert_eq!(missing.code(), "delivery_not_found");
    }
}

#[tokio::test]
async fn another_server_goes_on_where_one_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let config = || {
        let mut config = Config::embedded(folder.path());
        quick(&mut config);
        config
    };
    let mut receiver = Receiver::with(|number| Some(if number < 3 { 500 } else { 200 })).await;
    let url = receiver.url();
    let shared = folder.path().to_owned();
    let server = TestServer::with(move |config| {
        quick(config);
        config.data_dir.clone_from(&shared);
        config.catalog_url = Config::embedded(&shared).catalog_url;
        config.bucket_url = Config::embedded(&shared).bucket_url;
        // It fails, and would wait long before the next attempt.
        config.webhooks.first_retry = Duration::from_millis(400);
    })
    .await;
    server.create("a").await;
    subscribe(&server, &of_repo("a"), json!({ "url": url })).await;
    let mut wanted = vec![];
    for number in 0..3 {
        wanted.push(server.put("a", "x", &number.to_string()).await);
    }
    receiver.next().await;
    server.server.shutdown().await;
    let other = packhouse_server::Server::start(config()).await.unwrap();
    let mut taken = vec![];
    while taken.len() < 3 {
        let received = receiver.next().await;
        if received.status == 200 {
            taken.push(received.after());
        }
    }
    assert_eq!(taken, wanted);
    other.shutdown().await;
}

#[tokio::test]
async fn a_deleted_webhook_is_told_nothing_more() {
    let server = server().await;
    server.create("a").await;
    let mut receiver = Receiver::start().await;
    let made = subscribe(&server, &of_repo("a"), json!({ "url": receiver.url() })).await;
    server.put("a", "x", "1").await;
    receiver.next().await;
    let path = format!("/webhooks/{}", text(&made["id"]));
    let request = server.request(Method::DELETE, &path, &of_repo("a"));
    server.send(request).await.expect(200);
    server.put("a", "x", "2").await;
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn a_deleted_webhook_is_not_retried() {
    let server = server().await;
    server.create("a").await;
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = attempts.clone();
    let refuse = move |number| {
        counted.store(number, Ordering::SeqCst);
        Some(500)
    };
    let mut receiver = Receiver::with(refuse).await;
    let made = subscribe(&server, &of_repo("a"), json!({ "url": receiver.url() })).await;
    server.put("a", "x", "1").await;
    for _ in 0..3 {
        receiver.next().await;
    }
    let path = format!("/webhooks/{}", text(&made["id"]));
    let request = server.request(Method::DELETE, &path, &of_repo("a"));
    server.send(request).await.expect(200);
    let before = attempts.load(Ordering::SeqCst);
    // Longer than several pauses between attempts.
    tokio::time::sleep(Duration::from_millis(800)).await;
    let late = attempts.load(Ordering::SeqCst) - before;
    // One may have begun before.
    assert!(late <= 1, "{late} attempts after the deletion");
}
