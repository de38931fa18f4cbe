//! Taking connections and ending them: the rules that every server here follows, whatever it serves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::Request;
use http::header::EXPECT;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::body::{BodyRules, RequestBody};
use crate::config::Limits;
use crate::metrics::Metrics;
use crate::server::StartError;
use crate::stalled::Unstalled;

/// How long to wait after the operating system had no file descriptor left for a new connection.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often an idle HTTP/2 connection is asked whether its client is there.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Requests one HTTP/2 connection may have under way.
const HTTP2_STREAMS: u32 = 100;

/// What one HTTP/1 connection may have read ahead; also the largest head of a request.
const HTTP1_BUFFER_BYTES: usize = 128 << 10;

/// Largest head of an HTTP/2 request: a token with many ref rules has several kilobytes.
const HEADER_BYTES: u32 = 64 << 10;

/// A router that answers on an address. Dropping it ends every request at once; [`Listening::shutdown`] lets those
/// under way finish.
#[derive(Debug)]
pub struct Listening {
    local_addr: SocketAddr,
    stop: CancellationToken,
    kill: CancellationToken,
    accepting: JoinHandle<()>,
    connections: TaskTracker,
    patience: Duration,
}

impl Listening {
    /// Listens on `address`, without encryption, and lets `router` answer within `limits`.
    ///
    /// # Errors
    ///
    /// The address is taken or not ours.
    pub async fn start(
        address: SocketAddr,
        router: Router,
        limits: &Limits,
    ) -> Result<Listening, StartError> {
        let listener = bind(address).await?;
        Listening::on(listener, router, limits, Arc::new(Metrics::new()?), None)
    }

    /// The same on a listener that is there, with encryption if `tls` is given.
    pub(crate) fn on(
        listener: TcpListener,
        router: Router,
        limits: &Limits,
        metrics: Arc<Metrics>,
        tls: Option<TlsAcceptor>,
    ) -> Result<Listening, StartError> {
        let local_addr = listener.local_addr().map_err(|source| StartError::Listen {
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            source,
        })?;
        let acceptor = Acceptor {
            router,
            tls,
            rules: Arc::new(BodyRules::new(limits, metrics.clone())),
            builder: Arc::new(connection_builder(limits)),
            slots: Arc::new(Semaphore::new(limits.connections)),
            handshake: limits.handshake,
            header: limits.header,
            write_idle: limits.write_idle,
            metrics,
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            connections: TaskTracker::new(),
        };
        let (stop, kill, connections) = (
            acceptor.stop.clone(),
            acceptor.kill.clone(),
            acceptor.connections.clone(),
        );
        Ok(Listening {
            local_addr,
            stop,
            kill,
            accepting: tokio::spawn(acceptor.accept(listener)),
            connections,
            patience: limits.shutdown,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops listening, lets requests under way finish for as long as the limits say, then closes everything.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        let _ = (&mut self.accepting).await;
        self.connections.close();
        if tokio::time::timeout(self.patience, self.connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.connections.len(),
                "closing connections with requests under way"
            );
            self.kill.cancel();
            self.connections.wait().await;
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop.cancel();
        self.kill.cancel();
    }
}

/// A listener on `address`.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| StartError::Listen { address, source })
}

fn connection_builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HTTP1_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING)
        .adaptive_window(true)
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_header_list_size(HEADER_BYTES);
    builder
}

/// Takes connections and serves each in a task of its own.
#[derive(Clone)]
struct Acceptor {
    router: Router,
    tls: Option<TlsAcceptor>,
    rules: Arc<BodyRules>,
    builder: Arc<auto::Builder<TokioExecutor>>,
    slots: Arc<Semaphore>,
    handshake: Duration,
    header: Duration,
    write_idle: Duration,
    metrics: Arc<Metrics>,
    /// No new requests.
    stop: CancellationToken,
    /// No requests at all.
    kill: CancellationToken,
    connections: TaskTracker,
}

impl Acceptor {
    async fn accept(self, listener: TcpListener) {
        loop {
            // The slot first: without one, connections wait in the listen queue, where they cost nothing here.
            let next = async {
                let slot = self.slots.clone().acquire_owned().await;
                (slot, listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                () = self.stop.cancelled() => return,
                next = next => next,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let this = self.clone();
            self.connections.spawn(async move {
                this.metrics.connections.inc();
                tokio::select! {
                    () = this.kill.cancelled() => {}
                    () = this.clone().connection(stream, peer) => {}
                }
                this.metrics.connections.dec();
                tracing::trace!(%peer, "connection ended");
                drop(slot);
            });
        }
    }

    async fn connection(self, stream: TcpStream, peer: SocketAddr) {
        // Answers are written whole; waiting for more to send along only delays them.
        let _ = stream.set_nodelay(true);
        let stream = Unstalled::new(stream, self.write_idle);
        let Some(tls) = self.tls.clone() else {
            return self.serve(stream, peer).await;
        };
        match tokio::time::timeout(self.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream, peer).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
    ) {
        let Acceptor {
            router,
            rules,
            builder,
            stop,
            header,
            ..
        } = self;
        let has_begun = Arc::new(AtomicBool::new(false));
        let begins = has_begun.clone();
        let service = service_fn(move |request| {
            begins.store(true, Ordering::Relaxed);
            let mut request = with_rules(request, &rules);
            request.extensions_mut().insert(ConnectInfo(peer));
            router.clone().oneshot(request)
        });
        // Hyper watches the head of a request, but not for its first byte.
        let silent = async {
            tokio::time::sleep(header).await;
            if has_begun.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = silent => return tracing::debug!("connection sent no request"),
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "connection broke");
        }
    }
}

/// The request with its body under the rules of [`RequestBody`].
fn with_rules(request: Request<Incoming>, rules: &Arc<BodyRules>) -> Request<Body> {
    let awaits_continue = request
        .headers()
        .get(EXPECT)
        .is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    request.map(|incoming| {
        if incoming.is_end_stream() {
            Body::empty()
        } else {
            Body::new(RequestBody::new(incoming, awaits_continue, rules.clone()))
        }
    })
}
