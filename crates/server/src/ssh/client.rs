//! One client: logs in with a key, opens channels, and asks for a command on each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;
use russh::keys::ssh_key::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, ChannelWriteHalf, Pty, Sig};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::channel::Inbound;
use super::command::NO_SHELL;
use super::door::Shared;
use super::run::{Asked, run};
use crate::auth::fingerprint;

/// The environment variable in which `git` says which version of its protocol it speaks.
const GIT_PROTOCOL: &str = "GIT_PROTOCOL";

/// Longest value of it that is kept.
const MAX_PROTOCOL_BYTES: usize = 256;

/// The code of extended data that is for a person (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// `SSH_OPEN_ADMINISTRATIVELY_PROHIBITED` (RFC 4254, section 5.1).
const PROHIBITED: u32 = 1;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Standing {
    /// Whether the client has logged in.
    pub(super) is_in: bool,
    /// Commands that run.
    pub(super) running: usize,
    /// When the last one ended.
    pub(super) ended: Option<Instant>,
}

/// What the library calls for everything that a client does.
pub(super) struct Client {
    shared: Arc<Shared>,
    address: IpAddr,
    /// The key that was offered last and found.
    offered: Option<Arc<str>>,
    /// The key that the client has proved to hold.
    key: Option<Arc<str>>,
    /// Channels on which nothing was asked for yet.
    waiting: HashMap<ChannelId, Waiting>,
    /// Channels that it may still have: each holds one until nothing is left of it, whoever closes it.
    channels: Arc<Semaphore>,
    standing: Arc<watch::Sender<Standing>>,
    tasks: TaskTracker,
}

struct Waiting {
    inbound: Inbound,
    channel: ChannelWriteHalf<Msg>,
    protocol: Option<String>,
    place: OwnedSemaphorePermit,
}

/// Counts as a command that runs until it is dropped.
struct Running(Arc<watch::Sender<Standing>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|standing| {
            standing.running -= 1;
            standing.ended = Some(Instant::now());
        });
    }
}

impl Client {
    /// A client at `address` who has said nothing yet. `tasks` are what it causes.
    pub(super) fn new(
        shared: Arc<Shared>,
        address: IpAddr,
        standing: watch::Sender<Standing>,
        tasks: TaskTracker,
    ) -> Client {
        let channels = Arc::new(Semaphore::new(shared.state.limits.ssh.commands));
        Client {
            shared,
            address,
            offered: None,
            key: None,
            waiting: HashMap::new(),
            channels,
            standing: Arc::new(standing),
            tasks,
        }
    }

    /// Whether some organisation knows the key.
    async fn is_known(&mut self, key: &PublicKey) -> bool {
        let fingerprint = fingerprint(key);
        if self.offered.as_deref() == Some(&*fingerprint) {
            return true;
        }
        let now_ms = Timestamp::now().as_millisecond();
        let catalog = self.shared.state.hosted.catalog();
        match catalog.ssh_key(&fingerprint, now_ms).await {
            Ok(rows) if rows.is_empty() => false,
            Ok(_) => {
                self.offered = Some(fingerprint.into());
                true
            }
            Err(error) => {
                tracing::error!(
                    error = crate::error::chain(&error),
                    "could not read SSH keys"
                );
                false
            }
        }
    }

    /// Refuses what was asked for on a channel, in words for a person, and ends it.
    fn refuse(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        self.waiting.remove(&channel);
        // A request that failed would hide the words behind the client's own.
        session.channel_success(channel)?;
        session.extended_data(channel, STDERR, format!("packhouse: {NO_SHELL}\n"))?;
        session.exit_status_request(channel, 1)?;
        session.eof(channel)?;
        session.close(channel)
    }
}

async fn refuse_open(reply: ChannelOpenHandle) {
    let reason = "Packhouse forwards nothing".to_owned();
    let code = PROHIBITED;
    reply
        .reject(ChannelOpenFailure::Other { code, reason })
        .await;
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(match self.is_known(offer.public_key).await {
            true => Auth::Accept,
            false => Auth::reject(),
        })
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        if !self.is_known(key.public_key).await {
            return Ok(Auth::reject());
        }
        self.key = Some(fingerprint(key.public_key).into());
        self.standing.send_modify(|standing| standing.is_in = true);
        self.shared.metrics.login("accepted");
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Ok(place) = self.channels.clone().try_acquire_owned() else {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        };
        let id = channel.id();
        let (read, write) = channel.split();
        let (inbound, feed) = Inbound::of(read);
        self.tasks.spawn(feed);
        let waiting = Waiting {
            inbound,
            channel: write,
            protocol: None,
            place,
        };
        self.waiting.insert(id, waiting);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _from: &str,
        _from_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        refuse_open(reply).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        _path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        refuse_open(reply).await;
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.waiting.remove(&channel);
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        match self.waiting.get_mut(&channel) {
            Some(waiting) if name == GIT_PROTOCOL && value.len() <= MAX_PROTOCOL_BYTES => {
                waiting.protocol = Some(value.to_owned());
                session.channel_success(channel)
            }
            _ => session.channel_failure(channel),
        }
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let key = self.key.clone();
        let (Some(waiting), Some(fingerprint)) = (self.waiting.remove(&channel), key) else {
            return session.channel_failure(channel);
        };
        session.channel_success(channel)?;
        let asked = Asked {
            command: data.to_vec(),
            protocol: waiting.protocol,
            fingerprint,
            address: self.address.to_string(),
            inbound: waiting.inbound,
            channel: waiting.channel,
        };
        let place = waiting.place;
        self.standing.send_modify(|standing| standing.running += 1);
        let running = Running(self.standing.clone());
        let shared = self.shared.clone();
        self.tasks.spawn(async move {
            run(shared, asked).await;
            drop((running, place));
        });
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.refuse(channel, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.refuse(channel, session)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        _signal: Sig,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_failure(channel)
    }
}
