//! Webhooks.

mod deliveries;
mod redeliveries;
mod subscriptions;

use std::time::Duration;

use packhouse_server::{Config, Egress};
use serde_json::{Value, json};

use crate::support::{Receiver, TestServer, Token};

/// A server that delivers to loopback, and is quick about it.
async fn server() -> TestServer {
    TestServer::with(quick).await
}

fn quick(config: &mut Config) {
    config.egress = Egress::Any;
    config.webhooks.poll = Duration::from_millis(20);
    config.webhooks.first_retry = Duration::from_millis(20);
    config.webhooks.longest_retry = Duration::from_millis(100);
}

fn of_repo(repo: &str) -> Token {
    Token::new(repo, &["repo:write"])
}

fn of_org() -> Token {
    Token::new("org", &["org:write"])
}

async fn subscribe(server: &TestServer, token: &Token, body: Value) -> Value {
    server
        .post("/webhooks", token, &body)
        .await
        .expect(201)
        .body
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// The log of a webhook, once `enough` says it is complete.
async fn deliveries(
    server: &TestServer,
    token: &Token,
    id: &str,
    enough: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    for _ in 0..500 {
        let path = format!("/webhooks/{id}/deliveries");
        let listed = server.get(&path, token).await.expect(200).body;
        let listed = listed["deliveries"].as_array().unwrap().clone();
        if enough(&listed) {
            return listed;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the log never was as expected");
}

/// A webhook of the repository `a` whose first event was delivered, and the path that delivers it once more.
async fn delivered_once(server: &TestServer, receiver: &mut Receiver) -> (String, String) {
    server.create("a").await;
    let made = subscribe(server, &of_repo("a"), json!({ "url": receiver.url() })).await;
    let id = text(&made["id"]);
    server.put("a", "x", "1").await;
    receiver.next().await;
    let log = deliveries(server, &of_repo("a"), id, |log| !log.is_empty()).await;
    let delivery = text(&log[0]["id"]);
    let path = format!("/webhooks/{id}/deliveries/{delivery}/redeliver");
    (id.to_owned(), path)
}
