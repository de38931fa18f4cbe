//! A conversation with one service of a remote, over a connection that stays or in single requests.

use std::io::{self, BufWriter, Write};

use packhouse_object::WritePackError;
use packhouse_wire::pktline::PacketReader;

use super::RemoteError;
use super::edge::{Edge, EdgeReader, EdgeWriter};
use super::error::Failures;
use super::http::HttpConversation;
use super::ssh::Process;

/// Sent at once.
const BUFFER_BYTES: usize = 64 << 10;

/// One service of a remote that listens.
pub(crate) struct Conversation<'p> {
    pub(crate) failures: Failures,
    edge: Edge<'p>,
    reader: PacketReader<'p>,
    way: Way<'p>,
}

enum Way<'p> {
    Stream {
        /// `None` once everything is said.
        writer: Option<EdgeWriter<'p>>,
        process: Option<Process<'p>>,
    },
    Http(HttpConversation),
}

/// What writes a request.
pub(crate) type WriteRequest<'a> =
    Box<dyn FnOnce(&mut (dyn Write + Send)) -> Result<(), WritePackError> + Send + 'a>;

impl<'p> Conversation<'p> {
    pub(crate) fn stream(
        failures: Failures,
        edge: Edge<'p>,
        reader: EdgeReader<'p>,
        writer: EdgeWriter<'p>,
        process: Option<Process<'p>>,
    ) -> Conversation<'p> {
        Conversation {
            failures,
            edge,
            reader: PacketReader::new(reader),
            way: Way::Stream {
                writer: Some(writer),
                process,
            },
        }
    }

    pub(crate) fn http(
        failures: Failures,
        edge: Edge<'p>,
        advertisement: EdgeReader<'p>,
        http: HttpConversation,
    ) -> Conversation<'p> {
        Conversation {
            failures,
            edge,
            reader: PacketReader::new(advertisement),
            way: Way::Http(http),
        }
    }

    /// Whether the other side forgets everything between two requests.
    pub(crate) fn is_stateless(&self) -> bool {
        matches!(self.way, Way::Http(_))
    }

    /// The requests that it consists of, if it does.
    pub(crate) fn http_requests(&self) -> Option<&HttpConversation> {
        match &self.way {
            Way::Http(http) => Some(http),
            Way::Stream { .. } => None,
        }
    }

    /// What the other side says: first its advertisement, then its answers.
    pub(crate) fn reader(&mut self) -> &mut PacketReader<'p> {
        &mut self.reader
    }

    /// Sends a small request. The answer is read afterwards.
    pub(crate) fn send(&mut self, request: Vec<u8>) -> Result<(), RemoteError> {
        match &mut self.way {
            Way::Http(http) => {
                let answer = http.post(request.into(), &self.edge)?;
                self.reader = PacketReader::new(answer);
                Ok(())
            }
            Way::Stream { writer, .. } => {
                let writer = writer.as_mut().expect("nothing follows the last request");
                let sent = writer.write_all(&request).and_then(|()| writer.flush());
                sent.map_err(|error| self.failures.io(&error))
            }
        }
    }

    /// Sends the last request, of any size, while the answer is read.
    pub(crate) fn exchange<T>(
        &mut self,
        write: WriteRequest<'_>,
        read: impl FnOnce(&mut PacketReader<'p>) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let edge = self.edge.clone();
        let (wrote, answer) = match &mut self.way {
            Way::Http(http) => {
                let (mut body, stream) = HttpConversation::body(&edge);
                std::thread::scope(|scope| {
                    let writing = scope.spawn(move || {
                        let wrote = write(&mut body);
                        body.end(wrote.is_ok());
                        wrote
                    });
                    let answer = http.post(stream, &edge).and_then(|answer| {
                        self.reader = PacketReader::new(answer);
                        read(&mut self.reader)
                    });
                    edge.stop();
                    (join(writing), answer)
                })
            }
            Way::Stream { writer, .. } => {
                let writer = writer.take().expect("nothing follows the last request");
                let reader = &mut self.reader;
                std::thread::scope(|scope| {
                    let stop = edge.clone();
                    let writing = scope.spawn(move || {
                        let mut out = BufWriter::with_capacity(BUFFER_BYTES, writer);
                        let wrote = write(&mut out).and_then(|()| Ok(out.flush()?));
                        // The other side may go on answering after it stopped reading, but not after our failure.
                        if wrote.as_ref().is_err_and(is_ours) {
                            stop.stop();
                        }
                        // The connection ends with both halves; dropping this one says that nothing follows.
                        (out.into_parts().0, wrote)
                    });
                    let answer = read(reader);
                    edge.stop();
                    let (writer, wrote) = join(writing);
                    drop(writer);
                    (wrote, answer)
                })
            }
        };
        match (wrote, answer) {
            (Err(error), _) if is_ours(&error) => Err(self.failures.send(error)),
            (_, answer) => answer,
        }
    }

    /// Turns a connection that ended unexpectedly into what the program at our end says about it.
    pub(crate) fn explain(&mut self, error: RemoteError) -> RemoteError {
        match (&mut self.way, &error) {
            (
                Way::Stream {
                    process: Some(process),
                    writer,
                },
                RemoteError::Broken { .. } | RemoteError::NotGit { .. },
            ) => {
                drop(writer.take());
                process.explain(&self.failures).unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Says that nothing is wanted any more, where the other side waits for it.
    pub(crate) fn farewell(&mut self) {
        if let Way::Stream { writer, .. } = &mut self.way
            && let Some(mut writer) = writer.take()
        {
            // Whoever is gone already does not mind.
            let _ = writer.write_all(b"0000").and_then(|()| writer.flush());
        }
    }
}

fn join<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Whether writing failed for a reason of our own, not because the other side stopped reading.
fn is_ours(error: &WritePackError) -> bool {
    !matches!(error, WritePackError::Write(_))
}

/// What is written when the other side is gone.
pub(crate) fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}
