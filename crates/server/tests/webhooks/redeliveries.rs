//! Events that are delivered once more: one by one, or all after one of them.

use std::time::Duration;

use packhouse_server::Clock;
use packhouse_testkit::clock::TestClock;
use serde_json::json;

use super::{delivered_once, deliveries, of_org, of_repo, quick, server, subscribe, text};
use crate::support::{Receiver, TestServer, now};

#[tokio::test]
async fn a_redelivery_is_recorded_though_nobody_waits_for_it() {
    let server = TestServer::with(|config| {
        quick(config);
        config.webhooks.timeout = Duration::from_secs(1);
    })
    .await;
    let mut receiver = Receiver::with(|number| (number == 0).then_some(200)).await;
    let (id, path) = delivered_once(&server, &mut receiver).await;
    let (token, body) = (of_repo("a"), json!({}));
    let left = tokio::time::timeout(
        Duration::from_millis(300),
        server.post(&path, &token, &body),
    );
    assert!(left.await.is_err());
    receiver.next().await;
    let log = deliveries(&server, &token, &id, |log| log[0]["attempts"] == 2).await;
    assert!(log[0]["failure"].is_string(), "{}", log[0]);
}

#[tokio::test]
async fn redeliveries_take_turns() {
    let server = TestServer::with(|config| {
        quick(config);
        config.limits.redeliveries = 1;
        config.limits.queue_wait = Duration::from_millis(100);
    })
    .await;
    let mut receiver = Receiver::with(|number| (number == 0).then_some(200)).await;
    let (_, path) = delivered_once(&server, &mut receiver).await;
    let (token, body) = (of_repo("a"), json!({}));
    let redeliver = || server.post(&path, &token, &body);
    let left = tokio::time::timeout(Duration::from_millis(300), redeliver());
    assert!(left.await.is_err());
    receiver.next().await;
    // The receiver has the first one still, though nobody waits for its answer here.
    let refused = redeliver().await.expect(429);
    assert_eq!(refused.code(), "rate_limited");
    assert!(refused.error().contains("redeliveries"), "{}", refused.body);
}

#[tokio::test]
async fn a_replay_delivers_everything_after_an_event_again() {
    let server = server().await;
    server.create("a").await;
    let mut receiver = Receiver::start().await;
    let made = subscribe(
        &server,
        &of_org(),
        json!({ "url": receiver.url(), "events": ["*"] }),
    )
    .await;
    server.create("b").await;
    let created = receiver.next().await;
    assert_eq!(created.header("x-pierre-event"), "repo.created");
    assert_eq!(created.json()["type"], "repo.created");
    assert_eq!(created.json()["repository"]["id"], "b");
    let (mut wanted, mut events) = (vec![], vec![]);
    for number in 0..3 {
        wanted.push(server.put("a", "x", &number.to_string()).await);
        let received = receiver.next().await;
        assert_eq!(received.after(), wanted[number]);
        events.push(received.header("x-packhouse-event").to_owned());
    }
    let path = format!("/webhooks/{}/replay", text(&made["id"]));
    let replay = async |after: &str| {
        server
            .post(&path, &of_org(), &json!({ "after": after }))
            .await
    };
    replay(&events[0]).await.expect(200);
    let mut again = vec![receiver.next().await.after()];
    if again[0] == wanted[0] {
        // It may begin with the event itself.
        again = vec![receiver.next().await.after()];
    }
    again.push(receiver.next().await.after());
    assert_eq!(again, wanted[1..]);
    // Also what was before the webhook.
    replay("0").await.expect(200);
    let mut kinds = vec![];
    for _ in 0..5 {
        kinds.push(receiver.next().await.header("x-pierre-event").to_owned());
    }
    kinds.sort();
    assert_eq!(
        kinds,
        ["push", "push", "push", "repo.created", "repo.created"]
    );
    for wrong in ["", "x", "1-2"] {
        replay(wrong).await.expect(400);
    }
    assert!(receiver.is_silent().await);
}

#[tokio::test]
async fn replayed_events_are_retried_however_old_they_are() {
    let clock = TestClock::at(now() * 1000);
    let reader = clock.reader();
    let server = TestServer::with(|config| {
        quick(config);
        config.webhooks.clock = Clock::new(reader);
    })
    .await;
    server.create("a").await;
    let mut wanted = vec![];
    for number in 0..3 {
        wanted.push(server.put("a", "x", &number.to_string()).await);
    }
    clock.advance(2 * 24 * 3_600_000);
    let mut receiver = Receiver::with(|number| Some(if number < 3 { 503 } else { 200 })).await;
    let made = subscribe(&server, &of_repo("a"), json!({ "url": receiver.url() })).await;
    let path = format!("/webhooks/{}/replay", text(&made["id"]));
    let everything = json!({ "after": "0" });
    server
        .post(&path, &of_repo("a"), &everything)
        .await
        .expect(200);
    let mut taken = vec![];
    while taken.len() < wanted.len() {
        let received = receiver.next().await;
        if received.status == 200 {
            taken.push(received.after());
        }
    }
    assert_eq!(taken, wanted);
}
