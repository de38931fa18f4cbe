//! Events as they happen: server-sent events (HTML, section 9.2), taken up again where they broke off.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use futures::Stream;
use futures::stream::{BoxStream, StreamExt};
use packhouse_api::paths;
use reqwest::header::{ACCEPT, HeaderName, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;

use super::call::{Call, Caller};
use super::error::HostedError;

/// Where a stream goes on.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How long to wait before asking again, if the server does not say.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that the server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The largest event.
const EVENT_BYTES: usize = 4 << 20;

/// Something that happened to a repository.
#[derive(Clone, Debug, PartialEq)]
pub struct HostedEvent {
    /// Its id: `events` goes on after it.
    pub id: String,
    /// What happened: `push`, `repo.created` and so on.
    pub kind: String,
    /// The same body that webhooks get.
    pub data: Value,
}

/// Events in their order, without an end.
///
/// A connection that breaks is made again and misses nothing. The stream ends after an error: the server refused, or it
/// could not be reached for as long as the client's [`super::RetryPolicy`] is patient.
pub struct EventStream(BoxStream<'static, Result<HostedEvent, HostedError>>);

impl EventStream {
    pub(super) fn new(
        caller: Caller,
        scopes: &'static [&'static str],
        after: Option<&str>,
    ) -> EventStream {
        let reader = Reader {
            caller,
            scopes,
            last: after.map(str::to_owned),
            pause: PAUSE,
            open: None,
            is_new: true,
        };
        let events = futures::stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.next().await {
                Ok(event) => Some((Ok(event), Some(reader))),
                Err(error) => Some((Err(error), None)),
            }
        });
        EventStream(events.boxed())
    }
}

impl Stream for EventStream {
    type Item = Result<HostedEvent, HostedError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_next_unpin(context)
    }
}

struct Reader {
    caller: Caller,
    scopes: &'static [&'static str],
    /// Id of the last event, or where the stream began.
    last: Option<String>,
    pause: Duration,
    open: Option<(Response, Duration, Parser)>,
    is_new: bool,
}

impl Reader {
    async fn next(&mut self) -> Result<HostedEvent, HostedError> {
        loop {
            let (response, silence, parser) = match &mut self.open {
                Some(open) => open,
                none => {
                    if !std::mem::take(&mut self.is_new) {
                        tokio::time::sleep(self.pause).await;
                    }
                    let mut call = Call::new(Method::GET, paths::EVENTS, self.scopes);
                    call.headers
                        .insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
                    if let Some(last) = &self.last {
                        let id = HeaderValue::from_str(last).map_err(|_| {
                            HostedError::Invalid("`after` is not the id of an event".to_owned())
                        })?;
                        call.headers.insert(LAST_EVENT_ID, id);
                    }
                    let silence = self.caller.silence(&call);
                    none.insert((self.caller.send(call).await?, silence, Parser::default()))
                }
            };
            if let Some(message) = parser.next() {
                if let Some(pause) = message.retry {
                    self.pause = pause.min(LONGEST_PAUSE);
                }
                if let Some(id) = message.id {
                    self.last = Some(id);
                }
                if !message.data.is_empty() {
                    let data = serde_json::from_str(&message.data)
                        .map_err(|error| self.caller.not_understood("GET /events", error))?;
                    return Ok(HostedEvent {
                        id: self.last.clone().unwrap_or_default(),
                        kind: message.kind,
                        data,
                    });
                }
                continue;
            }
            match self.caller.chunk(response, *silence).await {
                Ok(Some(_)) if parser.buffer.len() > EVENT_BYTES => {
                    return Err(self
                        .caller
                        .not_understood("GET /events", "an event is too large"));
                }
                Ok(Some(piece)) => parser.buffer.extend_from_slice(&piece),
                // Broken off: asked for again.
                Ok(None) | Err(_) => self.open = None,
            }
        }
    }
}

/// Text that is taken apart as it comes.
#[derive(Default)]
struct Parser {
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end.
    searched: usize,
}

#[derive(Debug, Default, PartialEq)]
struct Message {
    id: Option<String>,
    kind: String,
    data: String,
    retry: Option<Duration>,
}

impl Parser {
    /// The next whole message.
    fn next(&mut self) -> Option<Message> {
        let found = self.buffer[self.searched..]
            .windows(2)
            .position(|two| two == b"\n\n");
        let Some(end) = found.map(|position| self.searched + position) else {
            self.searched = self.buffer.len().saturating_sub(1);
            return None;
        };
        self.searched = 0;
        let text = self.buffer.split_to(end + 2);
        let mut message = Message::default();
        for line in String::from_utf8_lossy(&text).lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => message.id = Some(value.to_owned()),
                "event" => message.kind = value.to_owned(),
                "data" if message.data.is_empty() => message.data = value.to_owned(),
                "data" => {
                    message.data.push('\n');
                    message.data.push_str(value);
                }
                "retry" => message.retry = value.parse().ok().map(Duration::from_millis),
                _ => {}
            }
        }
        Some(message)
    }
}

impl std::fmt::Debug for EventStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EventStream")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_however_the_text_is_cut() {
        let text =
            b"retry: 50\nid: 1\n\n: alive\n\nid: 2\nevent: push\ndata: {\"a\":\ndata: 1}\n\n";
        let message = |id: Option<&str>, kind: &str, data: &str, retry: Option<u64>| Message {
            id: id.map(str::to_owned),
            kind: kind.to_owned(),
            data: data.to_owned(),
            retry: retry.map(Duration::from_millis),
        };
        let expected = [
            message(Some("1"), "", "", Some(50)),
            message(None, "", "", None),
            message(Some("2"), "push", "{\"a\":\n1}", None),
        ];
        for size in 1..=text.len() {
            let mut parser = Parser::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                parser.buffer.extend_from_slice(piece);
                while let Some(message) = parser.next() {
                    found.push(message);
                }
            }
            assert_eq!(found, expected, "{size}");
        }
    }
}
