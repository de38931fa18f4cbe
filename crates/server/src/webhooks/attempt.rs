//! Sending one event to one receiver, once.

use std::time::{Duration, Instant};

use packhouse_catalog::{Delivery, DeliveryState, Event, Hook};
use packhouse_client::Egress;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Client, Response, Url};

use super::options::{Clock, millis};
use super::{delivery_id, signature};
use crate::error::chain;
use crate::events::{Message, format_id};

/// The most of an answer's body that is read and kept.
const ANSWER_BYTES: usize = 2048;

/// Connections to one receiver that are kept for the next event.
const IDLE_CONNECTIONS: usize = 32;

/// Sends events.
#[derive(Debug)]
pub(super) struct Sender {
    client: Client,
    egress: Egress,
}

impl Sender {
    pub(super) fn new(egress: Egress, timeout: Duration) -> Result<Sender, reqwest::Error> {
        let client = egress
            .http_client()
            .timeout(timeout)
            .connect_timeout(timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()?;
        Ok(Sender { client, egress })
    }

    /// Sends `event` as `message` to `hook`. The state of what is returned says whether the receiver took it.
    pub(super) async fn send(
        &self,
        hook: &Hook,
        event: &Event,
        message: &Message,
        clock: &Clock,
    ) -> Delivery {
        let (at_ms, began) = (clock.now_ms(), Instant::now());
        let outcome = self.post(hook, event, message, at_ms).await;
        let (status, response, error) = match outcome {
            Ok((status, response)) => (Some(status), response, None),
            Err(error) => (None, None, Some(error)),
        };
        let is_taken = status.is_some_and(|status| (200..300).contains(&status));
        Delivery {
            generation: event.position.generation,
            ordinal: event.position.ordinal,
            state: if is_taken {
                DeliveryState::Delivered
            } else {
                DeliveryState::Retrying
            },
            attempts: 1,
            at_ms,
            took_ms: millis(began.elapsed()),
            status,
            response,
            error,
        }
    }

    async fn post(
        &self,
        hook: &Hook,
        event: &Event,
        message: &Message,
        at_ms: i64,
    ) -> Result<(u16, Option<String>), String> {
        let url = Url::parse(&hook.url).map_err(|_| "the URL is not valid".to_owned())?;
        self.egress
            .check_url(&url)
            .map_err(|error| error.to_string())?;
        let headers = headers(hook, event, message, at_ms)
            .ok_or_else(|| "the event fits in no header".to_owned())?;
        let request = self
            .client
            .post(url)
            .headers(headers)
            .body(message.body.clone());
        // The URL may hold a password: it is in no message.
        let response = request
            .send()
            .await
            .map_err(|error| chain(&error.without_url()))?;
        let status = response.status().as_u16();
        Ok((status, beginning(response).await))
    }
}

fn headers(hook: &Hook, event: &Event, message: &Message, at_ms: i64) -> Option<HeaderMap> {
    let value = |text: &str| HeaderValue::from_str(text).ok();
    let signature = signature::sign(&hook.secret, at_ms.div_euclid(1000), &message.body);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static("Pierre-Webhook/1.0"));
    headers.insert("x-pierre-event", value(&message.kind)?);
    headers.insert("x-pierre-signature", value(&signature)?);
    headers.insert(
        "x-packhouse-delivery",
        value(&delivery_id(hook.id, event.position))?,
    );
    headers.insert("x-packhouse-event", value(&format_id(event.position))?);
    Some(headers)
}

/// The beginning of an answer's body. One that breaks off is an answer all the same.
async fn beginning(mut response: Response) -> Option<String> {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            _ => break,
        }
    }
    bytes.truncate(ANSWER_BYTES);
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(&bytes).into_owned())
}
