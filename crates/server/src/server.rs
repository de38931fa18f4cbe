//! Starting what the server needs, and stopping without breaking what is under way.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use packhouse_bucket::BucketError;
use packhouse_catalog::{Catalog, CatalogError};
use packhouse_repo::{Hosted, HostedOptions, RepoError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::events::Wakes;
use crate::jobs::{JobHandler, JobQueue, Jobs, RepackHandler, SweepHandler};
use crate::listening::{Listening, bind};
use crate::metrics::Metrics;
use crate::rest::openapi_document;
use crate::router::router;
use crate::ssh::{HostKeyError, SshDoor};
use crate::state::{AppState, Background, EventState, Front};
use crate::tls::{self, TlsError};
use crate::upstream::{PushLook, SyncHandler, Upstreams};
use crate::webhooks::Webhooks;

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
    /// The key by which SSH clients know the server could not be used.
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    /// A counter could not be registered.
    #[error("could not set up metrics")]
    Metrics(#[from] prometheus::Error),
    /// The client that sends webhooks could not be made.
    #[error("could not set up webhooks")]
    Webhooks(#[from] reqwest::Error),
    /// The client that asks upstreams could not be made.
    #[error("could not set up HTTP")]
    Http(#[source] reqwest::Error),
    /// The cache could not be used.
    #[error("could not use the cache")]
    Cache(#[from] packhouse_client::cache::CacheError),
}

/// A running server. Dropping it stops it at once; [`Server::shutdown`] lets requests finish.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
    ssh: Option<SshDoor>,
    is_tls: bool,
    jobs: Jobs,
    hosted: Arc<Hosted>,
    webhooks: Webhooks,
    waking: JoinHandle<()>,
    pushing: JoinHandle<()>,
    stopping: CancellationToken,
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
        options.repo_bytes = config.limits.repo_bytes;
        options.org_bytes = config.limits.org_bytes;
        options.file_bytes = Some(config.limits.file_bytes);
        let hosted = Hosted::open(options)?;
        let listener = bind(config.listen).await?;

        let metrics = Arc::new(Metrics::new()?);
        let limits = config.limits;
        let mut upstreams = config.upstreams;
        upstreams.limits = limits.of_pack(upstreams.limits);
        let upstreams = Upstreams::new(upstreams, config.egress);
        let (clock, poll) = (config.jobs.clock.clone(), config.jobs.poll);
        let queue = JobQueue::new(hosted.catalog().clone(), config.jobs);
        let is_tls = tls.is_some();
        let openapi = Bytes::from(openapi_document());
        let catalog = hosted.catalog();
        let webhooks = Webhooks::start(
            catalog.clone(),
            config.egress,
            config.webhooks,
            metrics.webhooks.clone(),
        )?;
        let (wakes, changes) = (Arc::new(Wakes::default()), catalog.changes());
        let stopping = CancellationToken::new();
        let events = EventState {
            egress: config.egress,
            webhooks: webhooks.handle(),
            wakes: wakes.clone(),
            stopping: stopping.clone(),
        };
        let ended = stopping.clone();
        let waking = tokio::spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = wakes.run(changes) => {}
            }
        });
        let look = PushLook {
            catalog: catalog.clone(),
            queue: queue.clone(),
            every: poll,
        };
        let pushing = tokio::spawn(look.run(catalog.changes(), stopping.clone()));
        let background = Background {
            jobs: queue.clone(),
            sweep: config.sweep.options.clone(),
            upstreams: upstreams.clone(),
            events,
        };
        let state = AppState::new(
            hosted.clone(),
            background,
            limits.clone(),
            metrics.clone(),
            Front {
                public_base: config.public_base,
                trusted_proxies: config.trusted_proxies,
                is_tls,
            },
            openapi,
        );
        // One for each kind of jobs.
        let handlers: Vec<Arc<dyn JobHandler>> = vec![
            Arc::new(SyncHandler {
                hosted: hosted.clone(),
                upstreams,
                clock,
            }),
            Arc::new(SweepHandler {
                hosted: hosted.clone(),
                options: config.sweep.options,
            }),
            Arc::new(RepackHandler {
                hosted: hosted.clone(),
            }),
        ];
        let mut jobs = Jobs::start(&queue, handlers, metrics.jobs());
        jobs.sweep_every(&queue, config.sweep.every);
        jobs.repack_when_due(&queue, hosted.clone());
        let ssh = match &config.ssh {
            Some(ssh) => Some(SshDoor::open(ssh, &config.data_dir, state.clone()).await?),
            None => None,
        };
        let listening = Listening::on(listener, router(state), &limits, metrics, tls)?;
        Ok(Server {
            listening,
            ssh,
            is_tls,
            jobs,
            hosted,
            webhooks,
            waking,
            pushing,
            stopping,
        })
    }

    /// Where the server listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.listening.local_addr()
    }

    /// Where the server takes SSH connections, and the fingerprint of its host key, if it does.
    pub fn ssh(&self) -> Option<(SocketAddr, &str)> {
        let ssh = self.ssh.as_ref()?;
        Some((ssh.local_addr(), ssh.fingerprint()))
    }

    /// Scheme and address, as in `http://127.0.0.1:8080`.
    pub fn url(&self) -> String {
        format!(
            "{}://{}",
            if self.is_tls { "https" } else { "http" },
            self.local_addr()
        )
    }

    /// The storage engine, for whoever runs in the same process.
    pub fn hosted(&self) -> &Arc<Hosted> {
        &self.hosted
    }

    /// Stops listening, lets requests under way finish for as long as the limits say, then closes everything.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        let ssh = async {
            if let Some(ssh) = self.ssh {
                ssh.shutdown().await;
            }
        };
        tokio::join!(self.listening.shutdown(), ssh, self.webhooks.shutdown());
        self.jobs.shutdown().await;
        if let Err(error) = self.waking.await {
            tracing::error!(%error, "what wakes event streams ended badly");
        }
        if let Err(error) = self.pushing.await {
            tracing::error!(%error, "what asks for pushes to upstreams ended badly");
        }
        self.hosted.shutdown().await;
    }
}
