//! Starting, accepting connections, and stopping without breaking what is under way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use packhouse_bucket::BucketError;
use packhouse_catalog::{Catalog, CatalogError};
use packhouse_repo::{Hosted, HostedOptions, RepoError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::body::{BodyRules, RequestBody};
use crate::config::{Config, Limits};
use crate::metrics::Metrics;
use crate::rest::openapi_document;
use crate::router::router;
use crate::stalled::Unstalled;
use crate::state::AppState;
use crate::tls::{self, TlsError};

/// How long to wait after the operating system had no file descriptor left for a new connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often an idle HTTP/2 connection is asked whether its client is there.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// Requests one HTTP/2 connection may have under way.
const HTTP2_STREAMS: u32 = 100;

/// What one HTTP/1 connection may have read ahead; also the largest head of a request.
const HTTP1_BUFFER_BYTES: usize = 128 << 10;

/// Largest head of an HTTP/2 request: a token with many ref rules has several kilobytes.
const HEADER_BYTES: u32 = 64 << 10;

/// The server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A folder could not be made.
    #[error("could not create folder `{path}`")]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The address could not be listened on.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The catalog could not be opened.
    #[error("could not open the catalog")]
    Catalog(#[from] CatalogError),
    /// The bucket could not be opened.
    #[error("could not open the bucket")]
    Bucket(#[from] BucketError),
    /// The engine could not be opened.
    #[error("could not open the repositories")]
    Repo(#[from] RepoError),
    /// The certificate could not be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A counter could not be registered.
    #[error("could not set up metrics")]
    Metrics(#[from] prometheus::Error),
}

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets requests finish.
#[derive(Debug)]
pub struct Server {
    local_addr: SocketAddr,
    is_tls: bool,
    hosted: Arc<Hosted>,
    stop: CancellationToken,
    kill: CancellationToken,
    accepting: JoinHandle<()>,
    connections: TaskTracker,
    patience: Duration,
}

impl Server {
    /// Opens what `config` names and starts to listen.
    pub async fn start(config: Config) -> Result<Server, StartError> {
        let temp_dir = config.data_dir.join("tmp");
        for path in [&config.data_dir, &config.cache_dir, &temp_dir] {
            let failed = |source| StartError::Folder {
                path: path.clone(),
                source,
            };
            tokio::fs::create_dir_all(path).await.map_err(failed)?;
        }
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let catalog = Catalog::open(&config.catalog_url).await?;
        let bucket = packhouse_bucket::open_with(
            &config.bucket_url,
            &packhouse_bucket::Options { s3: config.s3 },
        )?;
        let mut options = HostedOptions::new(catalog, bucket, config.cache_dir, temp_dir);
        options.cache_bytes = config.cache_bytes;
        options.fold = config.fold;
        let hosted = Hosted::open(options)?;
        let address = config.listen;
        let listen = |source| StartError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let local_addr = listener.local_addr().map_err(listen)?;

        let metrics = Arc::new(Metrics::new()?);
        let limits = config.limits;
        let is_tls = tls.is_some();
        let openapi = Bytes::from(openapi_document());
        let state = AppState::new(
            hosted.clone(),
            limits.clone(),
            metrics.clone(),
            config.public_base,
            is_tls,
            openapi,
        );
        let acceptor = Acceptor {
            router: router(state),
            tls,
            rules: Arc::new(BodyRules::new(&limits, metrics.clone())),
            builder: Arc::new(connection_builder(&limits)),
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
        let accepting = tokio::spawn(acceptor.accept(listener));
        Ok(Server {
            local_addr,
            is_tls,
            hosted,
            stop,
            kill,
            accepting,
            connections,
            patience: limits.shutdown,
        })
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Scheme and address, as in `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!(
            "{}://{}",
            if self.is_tls { "https" } else { "http" },
            self.local_addr
        )
    }

    /// The storage engine, for whoever runs in the same process.
    pub fn hosted(&self) -> &Arc<Hosted> {
        &self.hosted
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
        self.hosted.shutdown().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        self.kill.cancel();
    }
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
                    () = this.clone().connection(stream) => {}
                }
                this.metrics.connections.dec();
                tracing::trace!(%peer, "connection ended");
                drop(slot);
            });
        }
    }

    async fn connection(self, stream: TcpStream) {
        // Answers are written whole; waiting for more to send along only delays them.
        let _ = stream.set_nodelay(true);
        let stream = Unstalled::new(stream, self.write_idle);
        let Some(tls) = self.tls.clone() else {
            return self.serve(stream).await;
        };
        match tokio::time::timeout(self.handshake, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(stream).await,
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!("TLS handshake took too long"),
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) {
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
            router.clone().oneshot(with_rules(request, &rules))
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
