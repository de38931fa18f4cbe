//! Where blocking code meets sockets and pipes.
//!
//! Every wait looks up a few times a second: it ends when the caller cancels, when the other half of an exchange
//! has ended, and after too long a silence. Bytes in either direction break the silence.

use std::io::{self, Read, Write};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use packhouse_object::Progress;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::runtime::{Builder, Handle};

use super::error::Ended;

/// How often a wait looks up.
const LOOK_UP: Duration = Duration::from_millis(100);

/// The threads that drive sockets and pipes of one remote.
pub(crate) struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    pub(crate) fn start() -> io::Result<Runtime> {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("packhouse-remote")
            .enable_all()
            .build()
            .map(|runtime| Runtime(Some(runtime)))
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.0
            .as_ref()
            .expect("it is taken only when it is dropped")
            .handle()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Waiting is not allowed everywhere where a remote may be dropped.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// How one conversation waits. Clones share what they see.
#[derive(Clone)]
pub(crate) struct Edge<'p> {
    runtime: Arc<Runtime>,
    idle: Duration,
    progress: &'p dyn Progress,
    stopped: Arc<AtomicBool>,
    /// Counts what moves in either direction.
    activity: Arc<AtomicU64>,
}

impl<'p> Edge<'p> {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        idle: Duration,
        progress: &'p dyn Progress,
    ) -> Edge<'p> {
        Edge {
            runtime,
            idle,
            progress,
            stopped: Arc::default(),
            activity: Arc::default(),
        }
    }

    /// Another that nothing has stopped, for what outlives an exchange.
    pub(crate) fn fresh(&self) -> Edge<'p> {
        Edge::new(self.runtime.clone(), self.idle, self.progress)
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.runtime.handle()
    }

    /// Ends all waits of this conversation.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Notes that something moved.
    pub(crate) fn moved(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether waiting should end, for code that waits by other means.
    pub(crate) fn check(&self) -> Result<(), Ended> {
        if self.progress.cancelled() {
            return Err(Ended::Cancelled);
        }
        match self.stopped.load(Ordering::SeqCst) {
            true => Err(Ended::Stopped),
            false => Ok(()),
        }
    }

    /// Waits for `work` as long as nothing speaks against it.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Ended> {
        self.wait_within(self.idle, work)
    }

    /// As [`Edge::wait`], with another patience.
    pub(crate) fn wait_within<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Ended> {
        self.check()?;
        self.handle().block_on(async {
            let mut work = pin!(work);
            let mut seen = self.activity.load(Ordering::Relaxed);
            let mut since = Instant::now();
            loop {
                if let Ok(done) = tokio::time::timeout(LOOK_UP, &mut work).await {
                    self.moved();
                    return Ok(done);
                }
                self.check()?;
                let now = self.activity.load(Ordering::Relaxed);
                if now != seen {
                    (seen, since) = (now, Instant::now());
                }
                if since.elapsed() >= patience {
                    return Err(Ended::TimedOut);
                }
            }
        })
    }
}

/// Reads what the other side sends.
pub(crate) struct EdgeReader<'p> {
    inner: Box<dyn AsyncRead + Send + Unpin>,
    edge: Edge<'p>,
}

impl<'p> EdgeReader<'p> {
    pub(crate) fn new(
        inner: impl AsyncRead + Send + Unpin + 'static,
        edge: &Edge<'p>,
    ) -> EdgeReader<'p> {
        EdgeReader {
            inner: Box::new(inner),
            edge: edge.clone(),
        }
    }
}

impl Read for EdgeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.edge.wait(self.inner.read(buffer))?
    }
}

/// Writes to the other side.
pub(crate) struct EdgeWriter<'p> {
    inner: Box<dyn AsyncWrite + Send + Unpin>,
    edge: Edge<'p>,
}

impl<'p> EdgeWriter<'p> {
    pub(crate) fn new(
        inner: impl AsyncWrite + Send + Unpin + 'static,
        edge: &Edge<'p>,
    ) -> EdgeWriter<'p> {
        EdgeWriter {
            inner: Box::new(inner),
            edge: edge.clone(),
        }
    }
}

impl Write for EdgeWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.edge.wait(self.inner.write(bytes))?
    }

    fn flush(&mut self) -> io::Result<()> {
        self.edge.wait(self.inner.flush())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cancelled;

    impl Progress for Cancelled {
        fn cancelled(&self) -> bool {
            true
        }
    }

    fn edge(idle: Duration, progress: &dyn Progress) -> Edge<'_> {
        Edge::new(Arc::new(Runtime::start().unwrap()), idle, progress)
    }

    #[test]
    fn silence_ends_a_wait() {
        let edge = edge(Duration::from_millis(300), &());
        let ended = edge.wait(std::future::pending::<()>());
        assert_eq!(ended, Err(Ended::TimedOut));
    }

    #[test]
    fn movement_elsewhere_is_no_silence() {
        let edge = edge(Duration::from_millis(400), &());
        let other = edge.clone();
        let moving = std::thread::spawn(move || {
            for _ in 0..8 {
                std::thread::sleep(Duration::from_millis(150));
                other.moved();
            }
            other.stop();
        });
        assert_eq!(edge.wait(std::future::pending::<()>()), Err(Ended::Stopped));
        moving.join().unwrap();
    }

    #[test]
    fn a_cancelled_wait_does_not_begin() {
        let edge = edge(Duration::from_secs(60), &Cancelled);
        assert_eq!(edge.wait(std::future::ready(1)), Err(Ended::Cancelled));
    }
}
