//! A slow link to a server: a relay of TCP connections that adds delay, limits the rate, and counts.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Result;

/// The most that is read at a time; about what a link has under way.
const CHUNK: usize = 16 << 10;

/// What a link is like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    /// From one end to the other and back. That a connection takes one to be made is not imitated.
    pub round_trip: Duration,
    /// Of each direction, over all connections.
    pub bits_per_second: Option<u64>,
}

/// What went over a link so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Bytes from the server.
    pub received: AtomicU64,
    /// Requests for objects, by Git's protocol version 2.
    pub fetches: AtomicU64,
}

/// A link, until it is dropped.
pub(crate) struct Link {
    address: SocketAddr,
    counts: Arc<Counts>,
    closed: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// One direction of a link, which its connections share.
struct Direction {
    delay: Duration,
    bits_per_second: Option<u64>,
    free: Mutex<Instant>,
}

impl Link {
    /// A link to a server, at an address of its own.
    pub(crate) fn to(server: SocketAddr, shape: Shape) -> Result<Link> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (counts, closed) = (
            Arc::new(Counts::default()),
            Arc::new(AtomicBool::new(false)),
        );
        let direction = || {
            Arc::new(Direction {
                delay: shape.round_trip / 2,
                bits_per_second: shape.bits_per_second,
                free: Mutex::new(Instant::now()),
            })
        };
        let (up, down) = (direction(), direction());
        let (counted, ended) = (counts.clone(), closed.clone());
        let accepting = thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(client) = client else { continue };
                let _ = relay(client, server, [&up, &down], &counted);
            }
        });
        Ok(Link {
            address,
            counts,
            closed,
            accepting: Some(accepting),
        })
    }

    /// Where the server is reached over the link.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Starts the two directions of a connection; they end with it.
fn relay(
    client: TcpStream,
    server: SocketAddr,
    [up, down]: [&Arc<Direction>; 2],
    counts: &Arc<Counts>,
) -> Result<()> {
    let server = TcpStream::connect(server)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let asked = counts.clone();
    pump(client.try_clone()?, server.try_clone()?, up, move |chunk| {
        let found = chunk
            .windows(13)
            .filter(|part| part == b"command=fetch")
            .count();
        asked.fetches.fetch_add(found as u64, Ordering::Relaxed);
    });
    let answered = counts.clone();
    pump(server, client, down, move |chunk| {
        answered
            .received
            .fetch_add(chunk.len() as u64, Ordering::Relaxed);
    });
    Ok(())
}

/// Moves bytes as fast as the direction allows, each as late as it says.
fn pump(
    mut from: TcpStream,
    mut to: TcpStream,
    direction: &Arc<Direction>,
    count: impl Fn(&[u8]) + Send + 'static,
) {
    let direction = direction.clone();
    // What is under way is bounded, as it is in a link.
    let (sender, receiver) = mpsc::sync_channel::<(Instant, Vec<u8>)>(64);
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let chunk = &buffer[..length];
            count(chunk);
            if sender
                .send((direction.arrival(length), chunk.to_vec()))
                .is_err()
            {
                return;
            }
        }
    });
    thread::spawn(move || {
        for (arrival, chunk) in receiver {
            thread::sleep(arrival.saturating_duration_since(Instant::now()));
            if to.write_all(&chunk).is_err() {
                return;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

impl Direction {
    /// When that many bytes, sent now, have arrived.
    fn arrival(&self, bytes: usize) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = (*free).max(Instant::now());
        let takes = self.bits_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64)
        });
        *free = begun + takes;
        *free + self.delay
    }
}
