//! A channel for code that blocks: what the client says as a `Read`, what it is told as a `Write`.
//!
//! The library hands over what arrives through a short queue of the channel and stops reading the connection while that
//! is full, so somebody has to empty it at all times: it also carries words that are no data, such as the client's room
//! for more. [`Inbound`] does, and keeps the data in a queue that is as short. So a client that sends faster than it is
//! read is slowed down by its network, and one that reads too slowly stops the thread that writes.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use russh::server::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::patience::{Pace, Patience};

/// Pieces of data that may wait to be read, of a packet's size each.
const PIECES: usize = 4;

/// What a client says that has seen what it wanted to see, in all versions of the protocol.
const NOTHING: &[u8] = b"0000";

/// Bytes gathered before they are sent: one packet.
const PACKET_BYTES: usize = 32 << 10;

/// What the client does with a channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    /// It has said that nothing more comes.
    has_ended: Arc<AtomicBool>,
    /// It has closed the channel, or is gone altogether.
    gone: CancellationToken,
    /// The same for code that looks now and then.
    cancelled: Arc<AtomicBool>,
}

impl Client {
    /// Set when it is gone.
    pub(super) fn cancelled(&self) -> Arc<AtomicBool> {
        self.cancelled.clone()
    }

    /// Waits until it is gone.
    pub(super) async fn gone(&self) {
        self.gone.cancelled().await;
    }
}

/// The client's data, from a task that empties the channel.
#[derive(Debug)]
pub(super) struct Inbound {
    /// What was waited for and is to be read first.
    first: Bytes,
    data: mpsc::Receiver<Bytes>,
    client: Client,
    /// Ends the task: the library tells a channel nothing more that was closed from here.
    _in_use: DropGuard,
}

impl Inbound {
    /// Data of the channel that `feed` empties, and that task, which ends with the data or the channel.
    pub(super) fn of(
        channel: ChannelReadHalf,
    ) -> (Inbound, impl Future<Output = ()> + Send + 'static) {
        let (sender, data) = mpsc::channel(PIECES);
        let client = Client::default();
        let over = CancellationToken::new();
        let inbound = Inbound {
            first: Bytes::new(),
            data,
            client: client.clone(),
            _in_use: over.clone().drop_guard(),
        };
        let feed = async move {
            over.run_until_cancelled(feed(channel, sender, client))
                .await;
        };
        (inbound, feed)
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits up to `idle` for the client to ask for something, which stays to be read. `false`: it wants nothing more, and
    /// has said so, if only by ending.
    pub(super) async fn has_begun(&mut self, idle: Duration) -> io::Result<bool> {
        while self.first.is_empty() {
            match tokio::time::timeout(idle, self.data.recv()).await {
                Ok(Some(piece)) => self.first = piece,
                Ok(None) if self.client.has_ended.load(Ordering::Acquire) => return Ok(false),
                Ok(None) => return Err(gone()),
                Err(_) => return Err(silent()),
            }
        }
        Ok(&*self.first != NOTHING)
    }

    /// Throws away what still comes, until the client ends or is gone.
    pub(super) async fn drain(&mut self, mut bytes: u64) {
        while let Some(piece) = self.data.recv().await {
            bytes = bytes.saturating_sub(piece.len() as u64);
            if bytes == 0 {
                return;
            }
        }
    }

    /// The data for code that blocks, from a client that has to keep to a pace.
    pub(super) fn reader<'i>(&'i mut self, pace: Pace, runtime: &'i Handle) -> ChannelReader<'i> {
        ChannelReader {
            piece: std::mem::take(&mut self.first),
            inbound: self,
            runtime,
            patience: Patience::new(pace),
        }
    }
}

async fn feed(mut channel: ChannelReadHalf, sender: mpsc::Sender<Bytes>, client: Client) {
    let mut sender = Some(sender);
    loop {
        match channel.wait().await {
            Some(ChannelMsg::Data { data }) => {
                if let Some(open) = &sender
                    && open.send(data).await.is_err()
                {
                    // Nobody reads any more.
                    sender = None;
                }
            }
            Some(ChannelMsg::Eof) => {
                client.has_ended.store(true, Ordering::Release);
                sender = None;
            }
            Some(ChannelMsg::Close) | None => {
                client.cancelled.store(true, Ordering::Relaxed);
                client.gone.cancel();
                return;
            }
            Some(_) => {}
        }
    }
}

/// See [`Inbound::reader`]. Only for threads that may block.
pub(super) struct ChannelReader<'i> {
    inbound: &'i mut Inbound,
    piece: Bytes,
    runtime: &'i Handle,
    patience: Patience,
}

impl Read for ChannelReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let (next, left) = (self.inbound.data.recv(), self.patience.left());
            let since = Instant::now();
            let next = self
                .runtime
                .block_on(async { tokio::time::timeout(left, next).await });
            self.patience.waited(since.elapsed());
            match next {
                Ok(Some(piece)) => {
                    self.patience.received(piece.len());
                    self.piece = piece;
                }
                Ok(None) if self.inbound.client.has_ended.load(Ordering::Acquire) => return Ok(0),
                Ok(None) => return Err(gone()),
                Err(_) => return Err(silent()),
            }
        }
        let len = out.len().min(self.piece.len());
        out[..len].copy_from_slice(&self.piece.split_to(len));
        Ok(len)
    }
}

/// What the client is told. Sent when a packet is full, and on `flush`; only for threads that may block.
pub(super) struct ChannelWriter<'c> {
    channel: &'c ChannelWriteHalf<Msg>,
    client: Client,
    gathered: BytesMut,
    runtime: &'c Handle,
    patience: Duration,
}

impl<'c> ChannelWriter<'c> {
    /// Writes to `channel` of `client`, who has `patience` to take each packet.
    pub(super) fn new(
        channel: &'c ChannelWriteHalf<Msg>,
        client: Client,
        runtime: &'c Handle,
        patience: Duration,
    ) -> ChannelWriter<'c> {
        ChannelWriter {
            channel,
            client,
            gathered: BytesMut::new(),
            runtime,
            patience,
        }
    }
}

impl Write for ChannelWriter<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let room = PACKET_BYTES.saturating_sub(self.gathered.len()).max(1);
        let len = data.len().min(room);
        self.gathered.extend_from_slice(&data[..len]);
        if self.gathered.len() >= PACKET_BYTES {
            self.flush()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let packet = self.gathered.split().freeze();
        self.runtime.block_on(async {
            tokio::select! {
                sent = tokio::time::timeout(self.patience, self.channel.data_bytes(packet)) => match sent {
                    Ok(Ok(())) => Ok(()),
                    Ok(Err(_)) => Err(gone()),
                    Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client stopped reading")),
                },
                () = self.client.gone.cancelled() => Err(gone()),
            }
        })
    }
}

fn silent() -> io::Error {
    let text = "the client said nothing for too long, or too little";
    io::Error::new(io::ErrorKind::TimedOut, text)
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone")
}
