//! One request: signed, sent, sent again where that is safe, and its answer read within limits.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout, timeout_at};

use super::auth::RefPolicy;
use super::client::Inner;
use super::error::{ApiError, HostedError};
use super::retry::Effect;
use super::upload::Upload;

/// How long the server may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// The same while it writes.
const SILENCE_OF_WRITES: Duration = Duration::from_secs(180);
/// The same while it compares.
pub(super) const SILENCE_OF_DIFFS: Duration = Duration::from_secs(60);
/// The most that is read of an answer in JSON.
const ANSWER_BYTES: usize = 512 << 20;
/// The most that is read of a failure.
const FAILURE_BYTES: usize = 1 << 20;
/// What tells servers of this API which SDK calls.
const AGENT: HeaderName = HeaderName::from_static("code-storage-agent");

/// Calls in the name of one repository, or of the organisation.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) client: Arc<Inner>,
    pub(super) repo: Arc<str>,
    pub(super) ttl_seconds: Option<i64>,
    pub(super) refs: Arc<[RefPolicy]>,
}

/// A request that is not sent yet.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) scopes: &'static [&'static str],
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) effect: Effect,
    pub(super) silence: Duration,
    /// Statuses that are answers although they are not 2xx.
    pub(super) accepted: &'static [u16],
}

/// What is sent.
pub(super) enum Body {
    Empty,
    Json(Bytes),
    /// Lines of JSON; `None` once they are sent and cannot be made again.
    Lines(Option<Upload>),
}

impl Call {
    pub(super) fn new(
        method: Method,
        path: impl Into<String>,
        scopes: &'static [&'static str],
    ) -> Call {
        Call {
            method,
            path: path.into(),
            scopes,
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Body::Empty,
            effect: Effect::Read,
            silence: SILENCE,
            accepted: &[],
        }
    }

    /// With the fields of `query` as the query, those that are set.
    pub(super) fn query(mut self, query: &impl Serialize) -> Result<Call, HostedError> {
        self.query = pairs(query)?;
        Ok(self)
    }

    /// With `body` as JSON.
    pub(super) fn body(mut self, body: &impl Serialize) -> Result<Call, HostedError> {
        let json = serde_json::to_vec(body).map_err(not_json)?;
        self.body = Body::Json(json.into());
        Ok(self)
    }

    /// With `body` as JSON, and it changes something.
    pub(super) fn write(mut self, body: &impl Serialize) -> Result<Call, HostedError> {
        self.effect = Effect::Write;
        self.silence = SILENCE_OF_WRITES;
        self.body(body)
    }

    /// With lines of JSON that are read while they are sent.
    pub(super) fn lines(mut self, upload: Upload) -> Call {
        self.effect = Effect::Write;
        self.silence = SILENCE_OF_WRITES;
        self.body = Body::Lines(Some(upload));
        self
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

impl Caller {
    /// Reads JSON.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        scopes: &'static [&'static str],
        query: &impl Serialize,
    ) -> Result<T, HostedError> {
        self.json(Call::new(Method::GET, path, scopes).query(query)?)
            .await
    }

    /// Sends `call` and reads its answer as JSON.
    pub(super) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, HostedError> {
        let (name, silence) = (call.name(), self.silence(&call));
        let mut response = self.send(call).await?;
        let body = self.read(&mut response, silence, ANSWER_BYTES).await?;
        let body = body.ok_or_else(|| self.not_understood(&name, "it has no end"))?;
        serde_json::from_slice(&body).map_err(|error| self.not_understood(&name, error))
    }

    /// Sends `call`, whose answer says no more than that it is done.
    pub(super) async fn done(&self, call: Call) -> Result<(), HostedError> {
        self.send(call).await.map(drop)
    }

    /// Sends `call`, again and again where that is safe. A status that is not accepted is an error.
    pub(super) async fn send(&self, mut call: Call) -> Result<Response, HostedError> {
        let mut attempt = 1;
        loop {
            let error = match self.attempt(&mut call).await {
                Ok(response) if is_answer(&call, response.status()) => return Ok(response),
                Ok(response) => {
                    let (name, silence) = (call.name(), self.silence(&call));
                    self.failure(name, silence, response).await.into()
                }
                Err(error) => error,
            };
            let sent_for_good = matches!(call.body, Body::Lines(None));
            match self.client.retry.next_pause(attempt, call.effect, &error) {
                Some(pause) if !sent_for_good => tokio::time::sleep(pause).await,
                _ => return Err(error),
            }
            attempt += 1;
        }
    }

    /// The failure that `response` tells.
    async fn failure(&self, name: String, silence: Duration, mut response: Response) -> ApiError {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(&mut response, silence, FAILURE_BYTES).await;
        // The status is known even if nothing more comes.
        let body = body.ok().flatten().unwrap_or_default();
        ApiError::new(status, headers, name, body)
    }

    pub(super) fn silence(&self, call: &Call) -> Duration {
        self.client.silence.unwrap_or(call.silence)
    }

    async fn attempt(&self, call: &mut Call) -> Result<Response, HostedError> {
        let client = &self.client;
        let path = call
            .path
            .strip_prefix(packhouse_api::paths::V1)
            .unwrap_or(&call.path);
        let mut url = Url::parse(&format!("{}{path}", client.api))
            .map_err(|error| HostedError::Invalid(format!("bad URL: {error}")))?;
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        let token = client.token(&self.repo, call.scopes, self.ttl_seconds, &self.refs, &[])?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| HostedError::Invalid("the token is not one line of text".to_owned()))?;
        bearer.set_sensitive(true);
        let mut request = client
            .http
            .request(call.method.clone(), url)
            .headers(call.headers.clone())
            .header(AUTHORIZATION, bearer)
            .header(AGENT, client.agent.as_str());
        let progress = Progress::default();
        match &mut call.body {
            // Some servers want to be told that nothing comes.
            Body::Empty if call.method == Method::POST => request = request.body(""),
            Body::Empty => {}
            Body::Json(json) => {
                request = request
                    .header(CONTENT_TYPE, "application/json")
                    .body(json.clone());
            }
            Body::Lines(lines) => {
                let upload = lines
                    .take()
                    .expect("what is sent for good is not sent again");
                *lines = upload.again();
                let stream = upload.into_stream(progress.clone());
                request = request
                    .header(CONTENT_TYPE, "application/x-ndjson")
                    .body(reqwest::Body::wrap_stream(stream));
            }
        }
        let silence = self.client.silence.unwrap_or(call.silence);
        let sending = request.send();
        tokio::pin!(sending);
        loop {
            let quiet_at = progress.last() + silence;
            match timeout_at(quiet_at, &mut sending).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    return Err(progress.failed().unwrap_or_else(|| self.broken(error)));
                }
                // Some of the body went out meanwhile.
                Err(_) if progress.last() + silence > quiet_at => {}
                Err(_) => return Err(self.silent(silence)),
            }
        }
    }

    /// The body of `response`; `None` if it is larger than `limit`.
    pub(super) async fn read(
        &self,
        response: &mut Response,
        silence: Duration,
        limit: usize,
    ) -> Result<Option<Bytes>, HostedError> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.chunk(response, silence).await? {
            if body.len() + piece.len() > limit {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Some(body.freeze()))
    }

    /// The next piece of the body.
    pub(super) async fn chunk(
        &self,
        response: &mut Response,
        silence: Duration,
    ) -> Result<Option<Bytes>, HostedError> {
        match timeout(silence, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(self.broken(error)),
            Err(_) => Err(self.silent(silence)),
        }
    }

    fn silent(&self, silence: Duration) -> HostedError {
        let host = self.client.host.clone();
        HostedError::TimedOut { host, silence }
    }

    fn broken(&self, error: reqwest::Error) -> HostedError {
        let (host, source) = (self.client.host.clone(), error.without_url());
        match source.is_connect() {
            true => HostedError::Connect { host, source },
            false => HostedError::Broken { host, source },
        }
    }

    pub(super) fn not_understood(&self, request: &str, reason: impl ToString) -> HostedError {
        HostedError::Answer {
            host: self.client.host.clone(),
            request: request.to_owned(),
            reason: reason.to_string(),
        }
    }
}

fn is_answer(call: &Call, status: StatusCode) -> bool {
    status.is_success() || call.accepted.contains(&status.as_u16())
}

/// When something was last sent, and what went wrong with it.
#[derive(Clone)]
pub(super) struct Progress(Arc<Mutex<(Instant, Option<io::Error>)>>);

impl Default for Progress {
    fn default() -> Progress {
        Progress(Arc::new(Mutex::new((Instant::now(), None))))
    }
}

impl Progress {
    pub(super) fn went_on(&self) {
        self.0.lock().0 = Instant::now();
    }

    pub(super) fn fail(&self, error: io::Error) {
        self.0.lock().1 = Some(error);
    }

    fn last(&self) -> Instant {
        self.0.lock().0
    }

    fn failed(&self) -> Option<HostedError> {
        self.0.lock().1.take().map(HostedError::Source)
    }
}

/// A struct as the pairs of a query: lists repeat their name, what is absent is left out.
fn pairs(query: &impl Serialize) -> Result<Vec<(String, String)>, HostedError> {
    let Value::Object(fields) = serde_json::to_value(query).map_err(not_json)? else {
        return Ok(Vec::new());
    };
    let mut pairs = Vec::new();
    for (name, value) in fields {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            match value {
                Value::Null => {}
                Value::String(text) => pairs.push((name.clone(), text)),
                value => pairs.push((name.clone(), value.to_string())),
            }
        }
    }
    Ok(pairs)
}

fn not_json(error: serde_json::Error) -> HostedError {
    HostedError::Invalid(format!("the request is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use packhouse_api::{BranchDiffQuery, ListBranchesQuery};

    #[test]
    fn a_query_has_what_is_set_and_repeats_lists() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs(&ListBranchesQuery::default()).unwrap(), []);
        let query = BranchDiffQuery {
            branch: "a b".to_owned(),
            ephemeral: Some(false),
            path: vec!["x".to_owned(), "y".to_owned()],
            ..BranchDiffQuery::default()
        };
        let mut found = pairs(&query).unwrap();
        found.sort();
        let expected = [
            ("branch", "a b"),
            ("ephemeral", "false"),
            ("path", "x"),
            ("path", "y"),
        ];
        assert_eq!(found, expected.map(|(name, value)| pair(name, value)));
    }
}
