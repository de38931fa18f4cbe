//! Taking SSH connections, watching over them, and ending them.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::HashAlg;
use russh::server::{Config, Handle, run_stream};
use russh::{Disconnect, MethodKind, MethodSet, Preferred, SshId, kex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::addresses::Addresses;
use super::client::{Client, Standing};
use super::host_key::host_key;
use super::metrics::SshMetrics;
use super::severed::Severed;
use super::{HostKeyError, SshConfig};
use crate::config::Limits;
use crate::listening::{ACCEPT_PAUSE, bind};
use crate::server::StartError;
use crate::stalled::Unstalled;
use crate::state::AppState;

/// How long a refused key is answered after it came: whoever tries many does not try them faster.
const REJECTION: Duration = Duration::from_millis(100);

/// Bytes that a client may send on a channel before it is given room for more. They are on their way, not in memory.
const WINDOW_BYTES: u32 = 2 << 20;

/// Largest packet of data, as OpenSSH has it.
const PACKET_BYTES: u32 = 32 << 10;

/// Packets of a channel, and words to a client, that may wait.
const QUEUE: usize = 8;

/// How often a client that says nothing is asked whether it is there, and how often it may leave that unanswered.
const ALIVE: (Duration, usize) = (Duration::from_secs(30), 4);

/// Time in which a client that was told to go, or whose last command has ended, closes the connection itself.
const LINGER: Duration = Duration::from_secs(2);

/// How a session's key is agreed on. All of it is cheap for the server: a stranger may ask for it.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::EXTENSION_SUPPORT_AS_SERVER,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
];

/// What all connections share.
pub(super) struct Shared {
    pub(super) state: AppState,
    pub(super) metrics: SshMetrics,
    config: Arc<Config>,
    addresses: Addresses,
    /// No new commands.
    stop: CancellationToken,
    /// No commands at all.
    kill: CancellationToken,
}

/// Git over SSH on an address. Dropping it ends every connection at once; [`SshDoor::shutdown`] lets commands under way
/// finish.
#[derive(Debug)]
pub(crate) struct SshDoor {
    local_addr: SocketAddr,
    fingerprint: String,
    stop: CancellationToken,
    kill: CancellationToken,
    accepting: JoinHandle<()>,
    connections: TaskTracker,
    patience: Duration,
}

impl SshDoor {
    /// Listens, and serves the repositories of `state`.
    pub(crate) async fn open(
        config: &SshConfig,
        data_dir: &std::path::Path,
        state: AppState,
    ) -> Result<SshDoor, StartError> {
        let (given, folder) = (config.host_key.clone(), data_dir.to_owned());
        let key = tokio::task::spawn_blocking(move || host_key(given.as_deref(), &folder))
            .await
            .map_err(|error| HostKeyError::File {
                path: data_dir.to_owned(),
                source: error.into(),
            })
            .flatten()?;
        let listener = bind(config.listen).await?;
        let local_addr = listener.local_addr().map_err(|source| StartError::Listen {
            address: config.listen,
            source,
        })?;
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let limits = &state.limits;
        let (slots, patience) = (
            Arc::new(Semaphore::new(limits.ssh.connections)),
            limits.shutdown,
        );
        let shared = Shared {
            config: Arc::new(protocol(key, limits)),
            addresses: Addresses::new(limits.ssh.connections_per_address),
            metrics: state.metrics.ssh().clone(),
            stop: CancellationToken::new(),
            kill: CancellationToken::new(),
            state,
        };
        let (stop, kill, connections) =
            (shared.stop.clone(), shared.kill.clone(), TaskTracker::new());
        let accepting = accept(Arc::new(shared), listener, slots, connections.clone());
        Ok(SshDoor {
            local_addr,
            fingerprint,
            stop,
            kill,
            accepting: tokio::spawn(accepting),
            connections,
            patience,
        })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The fingerprint of the host key, as clients show it.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Stops listening, lets commands under way finish for as long as the limits say, then closes everything.
    pub(crate) async fn shutdown(mut self) {
        self.stop.cancel();
        let _ = (&mut self.accepting).await;
        self.connections.close();
        if timeout(self.patience, self.connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.connections.len(),
                "closing SSH connections with commands under way"
            );
            self.kill.cancel();
            self.connections.wait().await;
        }
    }
}

impl Drop for SshDoor {
    fn drop(&mut self) {
        self.stop.cancel();
        self.kill.cancel();
    }
}

fn protocol(key: russh::keys::PrivateKey, limits: &Limits) -> Config {
    Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-Packhouse")),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: REJECTION,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        window_size: WINDOW_BYTES,
        maximum_packet_size: PACKET_BYTES,
        channel_buffer_size: QUEUE,
        event_buffer_size: QUEUE,
        preferred: Preferred {
            kex: Cow::Borrowed(KEX),
            ..Preferred::default()
        },
        max_auth_attempts: limits.ssh.attempts,
        // Whoever runs nothing is watched over here.
        inactivity_timeout: None,
        keepalive_interval: Some(ALIVE.0),
        keepalive_max: ALIVE.1,
        ..Config::default()
    }
}

async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
) {
    loop {
        // The slot first: without one, connections wait in the listen queue, where they cost nothing here.
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = shared.stop.cancelled() => return,
            next = next => next,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept an SSH connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(place) = shared.addresses.take(peer.ip()) else {
            tracing::debug!(%peer, "too many SSH connections from one address");
            shared.metrics.login("crowded");
            continue;
        };
        let shared = shared.clone();
        connections.spawn(async move {
            shared.metrics.connections.inc();
            connection(&shared, stream, peer).await;
            shared.metrics.connections.dec();
            drop((place, slot));
        });
    }
}

/// Serves one connection to its end, with everything that it caused.
async fn connection(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let began = Instant::now();
    let _ = stream.set_nodelay(true);
    let cut = shared.kill.child_token();
    let limits = &shared.state.limits;
    let stream = Severed::new(
        Unstalled::new(stream, limits.write_idle),
        cut.clone(),
        shared.metrics.received.clone(),
        shared.metrics.sent.clone(),
    );
    let (standing, watched) = watch::channel(Standing::default());
    let tasks = TaskTracker::new();
    let client = Client::new(
        shared.clone(),
        peer.ip().to_canonical(),
        standing,
        tasks.clone(),
    );
    let starting = run_stream(shared.config.clone(), stream, client);
    let greeting = tokio::select! {
        started = timeout_at(began + limits.ssh.login, starting) => started.ok(),
        () = shared.stop.cancelled() => None,
    };
    match greeting {
        Some(Ok(mut session)) => {
            let handle = session.handle();
            let was_in = watched.clone();
            let ended = tokio::select! {
                ended = &mut session => Some(ended),
                why = over(shared, watched, began) => {
                    dismiss(&handle, why).await;
                    timeout(LINGER, &mut session).await.ok()
                }
            };
            let ended = match ended {
                Some(ended) => ended,
                None => {
                    cut.cancel();
                    session.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "SSH connection broke");
            }
            if !was_in.borrow().is_in {
                shared.metrics.login("refused");
            }
        }
        Some(Err(error)) => {
            tracing::debug!(%peer, %error, "no SSH client");
            shared.metrics.login("refused");
        }
        None => {
            tracing::debug!(%peer, "SSH connection said nothing");
            shared.metrics.login("refused");
        }
    }
    tasks.close();
    tasks.wait().await;
    tracing::trace!(%peer, "SSH connection ended");
}

/// Waits until a connection should end by the server's will, and says why.
async fn over(
    shared: &Shared,
    mut standing: watch::Receiver<Standing>,
    began: Instant,
) -> &'static str {
    let limits = &shared.state.limits.ssh;
    loop {
        let Standing {
            is_in,
            running,
            ended,
        } = *standing.borrow_and_update();
        let (until, why) = match (is_in, running) {
            (false, _) => (began + limits.login, "it took too long to log in"),
            (true, 0) => (Instant::now() + limits.idle, "nothing was asked for"),
            (true, _) => {
                // Commands have limits of their own.
                match standing.changed().await {
                    Ok(()) => continue,
                    Err(_) => return std::future::pending().await,
                }
            }
        };
        // A client whose last command has ended closes the connection itself. Told to go before it has read how the
        // command ended, OpenSSH reports the connection and not the command.
        let stopping = async {
            shared.stop.cancelled().await;
            if let Some(ended) = ended {
                sleep_until(ended + LINGER).await;
            }
        };
        tokio::select! {
            changed = standing.changed() => match changed {
                Ok(()) => {}
                // The session is ending by itself.
                Err(_) => return std::future::pending().await,
            },
            () = sleep_until(until) => return why,
            () = stopping => return "the server is stopping",
        }
    }
}

/// Tells a client to go.
async fn dismiss(handle: &Handle, why: &str) {
    let told = handle.disconnect(
        Disconnect::ByApplication,
        format!("packhouse: {why}"),
        String::new(),
    );
    // A client that lets nothing through is cut off in a moment.
    let _ = timeout(LINGER, told).await;
}
