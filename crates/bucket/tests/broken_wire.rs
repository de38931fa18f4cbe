//! A TCP relay that breaks connections, on a schedule that never changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::task::JoinHandle;

/// Bytes that each connection in turn carries, up and down together, before it is cut: at once, within the head of an
/// answer, within a large body; and some that last.
const BUDGETS: [u64; 6] = [0, 9_000_000, 300, 4_000_000, 12_000_000, 1_000];

/// Relays connections to a server until it is dropped.
pub(crate) struct BrokenWire {
    address: String,
    broken: Arc<AtomicU64>,
    relay: JoinHandle<()>,
}

impl BrokenWire {
    pub(crate) async fn start(server: &str) -> BrokenWire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let broken = Arc::new(AtomicU64::new(0));
        let server = server.to_owned();
        let count = broken.clone();
        let relay = tokio::spawn(async move {
            for budget in BUDGETS.into_iter().cycle() {
                let (client, _) = listener.accept().await.unwrap();
                let (server, count) = (server.clone(), count.clone());
                tokio::spawn(async move {
                    if carry(client, &server, budget).await {
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        BrokenWire {
            address,
            broken,
            relay,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Connections cut so far.
    pub(crate) fn broken(&self) -> u64 {
        self.broken.load(Ordering::Relaxed)
    }
}

impl Drop for BrokenWire {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

/// Carries one connection; returns whether it was cut before its ends had enough of it.
async fn carry(client: TcpStream, server: &str, budget: u64) -> bool {
    if budget == 0 {
        return true;
    }
    let server = TcpStream::connect(server).await.unwrap();
    let left = AtomicU64::new(budget);
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        cut = copy(client_read, server_write, &left) => cut,
        cut = copy(server_read, client_write, &left) => cut,
    }
}

async fn copy(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, left: &AtomicU64) -> bool {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        let before = left.fetch_sub(
            (read as u64).min(left.load(Ordering::Relaxed)),
            Ordering::Relaxed,
        );
        let carried = before.min(read as u64) as usize;
        if to.write_all(&buffer[..carried]).await.is_err() {
            return false;
        }
        if carried < read {
            return true;
        }
    }
}
