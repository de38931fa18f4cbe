//! A receiver of webhooks on loopback, which does what its test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use ring::hmac;
use serde_json::Value;
use tokio::sync::mpsc;

/// What arrived.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What it was answered with.
    pub(crate) status: u16,
}

/// The answer to the nth request; `None`: none, ever.
type Rule = dyn Fn(usize) -> Option<u16> + Send + Sync;

#[derive(Clone)]
struct Shared {
    rule: Arc<Rule>,
    count: Arc<AtomicUsize>,
    received: mpsc::UnboundedSender<Received>,
}

pub(crate) struct Receiver {
    address: SocketAddr,
    received: mpsc::UnboundedReceiver<Received>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Receiver {
        Receiver::with(|_| Some(200)).await
    }

    pub(crate) async fn with(
        rule: impl Fn(usize) -> Option<u16> + Send + Sync + 'static,
    ) -> Receiver {
        let (sender, received) = mpsc::unbounded_channel();
        let shared = Shared {
            rule: Arc::new(rule),
            count: Arc::new(AtomicUsize::new(0)),
            received: sender,
        };
        let router = Router::new().fallback(receive).with_state(shared);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = packhouse_server::Limits::default();
        drop(listener);
        let listening = packhouse_server::Listening::start(address, router, &server)
            .await
            .unwrap();
        let task = tokio::spawn(async move {
            let _listening = listening;
            std::future::pending::<()>().await;
        });
        Receiver {
            address,
            received,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook?key=hush", self.address)
    }

    /// The next request, waited for.
    pub(crate) async fn next(&mut self) -> Received {
        tokio::time::timeout(Duration::from_secs(20), self.received.recv())
            .await
            .expect("nothing arrived")
            .unwrap()
    }

    /// Whether nothing arrives for a while.
    pub(crate) async fn is_silent(&mut self) -> bool {
        let wait = Duration::from_millis(300);
        tokio::time::timeout(wait, self.received.recv())
            .await
            .is_err()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn receive(
    State(shared): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let number = shared.count.fetch_add(1, Ordering::SeqCst);
    let answer = (shared.rule)(number);
    let status = answer.unwrap_or(0);
    let _ = shared.received.send(Received {
        headers,
        body,
        status,
    });
    match answer {
        Some(status) => (StatusCode::from_u16(status).unwrap(), "got it"),
        None => std::future::pending().await,
    }
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Where the ref of a push went.
    pub(crate) fn after(&self) -> String {
        self.json()["after"].as_str().unwrap().to_owned()
    }

    /// Whether it was signed with `secret`, checked as the SDKs do.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let (time, signature) = self.header("x-pierre-signature").split_once(',').unwrap();
        let time = time.strip_prefix("t=").unwrap();
        let signature = signature.strip_prefix("sha256=").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signed = hmac::sign(&key, &[time.as_bytes(), b".", &self.body[..]].concat());
        let hex: String = signed
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        hex == signature
    }
}
