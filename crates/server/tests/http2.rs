//! HTTP/2: with prior knowledge on a plain connection, and chosen by ALPN over TLS.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use packhouse_server::TlsFiles;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{TestServer, Token};

/// A connection of HTTP/2, in which each stream is given room for `window` bytes.
async fn connect(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    window: u32,
) -> SendRequest<Body> {
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(window)
        .initial_connection_window_size(16 << 20)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection);
    sender
}

async fn get(sender: &mut SendRequest<Body>, path: &str, token: &Token) -> Response<Incoming> {
    sender.ready().await.unwrap();
    let request = Request::get(format!("http://localhost{path}"))
        .header("authorization", format!("Bearer {}", token.text()))
        .body(Body::empty())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    answer
}

async fn text(answer: Response<Incoming>) -> String {
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn an_answer_that_is_not_read_holds_up_no_other_of_its_connection() {
    let server = TestServer::with_repo("a").await;
    let large: String = (0..900_000).map(|at| format!("{at:08}\n")).collect();
    server.put("a", "large", &large).await;
    let stream = TcpStream::connect(server.server.local_addr())
        .await
        .unwrap();
    let mut sender = connect(stream, 64 << 10).await;
    let token = Token::read("a");
    let unread = get(&mut sender, "/api/v1/repos/file?path=large", &token).await;
    assert_eq!(unread.status(), 200);
    for _ in 0..50 {
        let branches = get(&mut sender, "/api/v1/repos/branches", &token).await;
        assert!(text(branches).await.contains("main"));
    }
    assert!(text(unread).await == large);
}

#[tokio::test]
async fn the_protocol_is_chosen_with_the_encryption() {
    let key = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/keys")
            .join(name)
    };
    let files = TlsFiles {
        certificate: key("tls.cert.pem"),
        key: key("tls.key.pem"),
    };
    let server = TestServer::with(|config| config.tls = Some(files)).await;
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(key("tls.cert.pem")).unwrap())
        .unwrap();
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let mut config = rustls::ClientConfig::builder()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        config.alpn_protocols = offered
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let stream = TcpStream::connect(server.server.local_addr())
            .await
            .unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        let stream = connecting.await.unwrap();
        let found = stream.get_ref().1.alpn_protocol();
        assert_eq!(found, chosen.map(str::as_bytes), "{offered:?}");
        if chosen == Some("h2") {
            let mut sender = connect(stream, 64 << 10).await;
            let answer = get(&mut sender, "/healthz", &Token::read("a")).await;
            assert_eq!(text(answer).await, "ok\n");
        }
    }
}

#[tokio::test]
async fn a_connection_has_so_many_requests_at_a_time() {
    let server = TestServer::with_repo("a").await;
    let stream = TcpStream::connect(server.server.local_addr())
        .await
        .unwrap();
    let mut sender = connect(stream, 64 << 10).await;
    let token = Token::read("a");
    // Event streams do not end, so these stay.
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(get(&mut sender, "/api/v1/events", &token).await);
    }
    let ready = tokio::time::timeout(Duration::from_millis(200), async {
        get(&mut sender, "/healthz", &token).await
    });
    assert!(ready.await.is_err(), "a stream too many was answered");
    open.pop();
    let answer = get(&mut sender, "/healthz", &token).await;
    assert_eq!(text(answer).await, "ok\n");
}
