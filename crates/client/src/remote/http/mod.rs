//! Smart HTTP: an advertisement, then single requests that each bring all they need.

mod body;
mod discover;
mod large_files;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use packhouse_wire::{AGENT, Service, Version};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    USER_AGENT,
};
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};
use tokio_util::io::StreamReader;

use super::conversation::Conversation;
use super::edge::{Edge, EdgeReader};
use super::error::{Ended, Failures, with_reasons};
use super::options::Proxy;
use super::url::without_query;
use super::{Links, RemoteError, RemoteOptions};
use crate::credentials::{Credential, CredentialSource};
use crate::egress::{Egress, EgressError};
use crate::retry_after::retry_after;
use body::BodyWriter;
pub(crate) use large_files::{LargeFile, TakeFile};

/// The most of an error page that is read and quoted.
const QUOTED_BYTES: usize = 400;

/// One HTTP server, and who we are to it.
#[derive(Clone)]
pub(crate) struct HttpClient {
    client: Client,
    /// Without user and password.
    base: Url,
    credential: Option<Credential>,
    /// The user of a URL that has no password.
    user: Option<String>,
    source: Option<Arc<dyn CredentialSource>>,
    egress: Option<Egress>,
    redirects_max: u32,
    /// Besides those of the protocol.
    extra: HeaderMap,
    /// Whether the repository is not where its URL says.
    redirected: bool,
    failures: Failures,
}

impl HttpClient {
    pub(crate) fn new(
        url: &Url,
        options: &RemoteOptions,
        failures: Failures,
        links: &Links,
    ) -> Result<HttpClient, RemoteError> {
        let client = links.http(|| make_client(options))?;
        let (base, user, credential) = taken_apart(url);
        Ok(HttpClient {
            client,
            extra: extra_headers(options, &base)?,
            base,
            credential,
            user,
            source: options.credentials.clone(),
            egress: options.egress,
            redirects_max: options.redirects_max,
            redirected: false,
            failures,
        })
    }

    /// Asks for the advertisement of `service`.
    pub(crate) fn connect<'p>(
        &self,
        service: Service,
        version: Version,
        edge: Edge<'p>,
    ) -> Result<Conversation<'p>, RemoteError> {
        let mut client = self.clone();
        let response = client.discover(service, version, &edge)?;
        let failures = client.failures.clone();
        let advertisement = reader_of(response, &edge);
        let conversation = HttpConversation {
            client,
            service,
            version,
        };
        Ok(Conversation::http(
            failures,
            edge,
            advertisement,
            conversation,
        ))
    }

    /// A conversation in version 2 whose first answer is known already.
    pub(crate) fn resume<'p>(
        mut self,
        service: Service,
        asks_who: bool,
        edge: Edge<'p>,
    ) -> Result<Conversation<'p>, RemoteError> {
        self.check_egress(&self.base)?;
        if asks_who && self.credential.is_none() {
            let mut url = joined(&self.base, "info/refs");
            url.set_query(Some(&format!("service={}", service.as_str())));
            self.credential = self.ask(&url);
        }
        let failures = self.failures.clone();
        let nothing = EdgeReader::new(tokio::io::empty(), &edge);
        let conversation = HttpConversation {
            client: self,
            service,
            version: Version::V2,
        };
        Ok(Conversation::http(failures, edge, nothing, conversation))
    }

    fn headers(&self, version: Version) -> HeaderMap {
        let mut headers = self.extra.clone();
        // Some hosts answer programs called `git/…` only.
        let agent = HeaderValue::from_str(&format!("git/2.47 ({AGENT})"));
        headers.insert(USER_AGENT, agent.expect("the version is plain text"));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if version == Version::V2 {
            headers.insert("git-protocol", HeaderValue::from_static("version=2"));
        }
        if let Some(credential) = &self.credential
            && let Ok(mut value) = HeaderValue::from_str(&credential.authorization())
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    /// Refuses a URL whose address may not be connected to. Names are judged when they are resolved.
    fn check_egress(&self, url: &Url) -> Result<(), RemoteError> {
        let Some(egress) = self.egress else {
            return Ok(());
        };
        egress
            .check_url(url)
            .map_err(|error| self.not_allowed(&error))
    }

    fn not_allowed(&self, error: &EgressError) -> RemoteError {
        RemoteError::NotAllowed {
            url: self.failures.url.clone(),
            reason: error.to_string(),
        }
    }

    /// What a request that got no answer comes to.
    fn unanswered(&self, error: reqwest::Error) -> RemoteError {
        // The URL in it may be one that a server sent us to.
        let error = error.without_url();
        if let Some(refusal) = egress_error(&error) {
            return self.not_allowed(refusal);
        }
        let url = self.failures.url.clone();
        if error.is_connect() {
            return match error.is_timeout() {
                true => RemoteError::TimedOut { url },
                false => RemoteError::Connect {
                    url,
                    source: error.into(),
                },
            };
        }
        self.failures.io(&error)
    }

    fn ended(&self, ended: Ended) -> RemoteError {
        self.failures.io(&std::io::Error::from(ended))
    }

    /// What an answer that is no success comes to.
    fn refusal(&self, response: Response, edge: &Edge<'_>) -> RemoteError {
        let url = self.failures.url.clone();
        let status = response.status();
        let reason = |response| {
            let words = quoted(response, edge);
            match words.is_empty() {
                true => status.to_string(),
                false => words,
            }
        };
        match status {
            StatusCode::UNAUTHORIZED => RemoteError::AuthenticationFailed { url },
            StatusCode::FORBIDDEN => RemoteError::AccessDenied {
                url,
                reason: reason(response),
            },
            StatusCode::NOT_FOUND | StatusCode::GONE => RemoteError::RepositoryNotFound {
                url,
                reason: status.to_string(),
            },
            status if status.is_redirection() => RemoteError::Redirect {
                url,
                target: location_shown(&response),
                reason: "only the first request of a conversation may be redirected",
            },
            status => RemoteError::Status {
                url,
                status: status.as_u16(),
                retry_after: response
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|value| retry_after(value.to_str().ok()?)),
            },
        }
    }

    fn check_type(&self, response: &Response, expected: &str) -> Result<(), RemoteError> {
        let found = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        let found = found.split(';').next().unwrap_or("").trim();
        match found.eq_ignore_ascii_case(expected) {
            true => Ok(()),
            false => Err(self.failures.not_git(format!(
                "the answer is of type '{}', not '{expected}'",
                found.escape_debug()
            ))),
        }
    }
}

fn make_client(options: &RemoteOptions) -> Result<Client, RemoteError> {
    // The HTTP client is built without cryptography of its own. Whoever installed some before us has what we need.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = match options.egress {
        Some(egress) => egress.http_client(),
        None => Client::builder()
            .redirect(redirect::Policy::none())
            .referer(false),
    }
    .connect_timeout(options.connect_timeout);
    let bad = |what: &str, error: &reqwest::Error| RemoteError::BadUrl {
        reason: format!("{what}: {}", with_reasons(error)),
    };
    builder = match &options.proxy {
        _ if options.egress.is_some() => builder,
        Proxy::Environment => builder,
        Proxy::None => builder.no_proxy(),
        Proxy::Url(url) => builder
            .proxy(reqwest::Proxy::all(url.as_str()).map_err(|error| bad("bad proxy", &error))?),
    };
    if let Some(pem) = &options.extra_certificates {
        let certificates =
            Certificate::from_pem_bundle(pem).map_err(|error| bad("bad certificates", &error))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder
        .build()
        .map_err(|error| bad("could not prepare HTTP", &error))
}

/// The headers of the options that are for this URL.
fn extra_headers(options: &RemoteOptions, base: &Url) -> Result<HeaderMap, RemoteError> {
    let mut headers = HeaderMap::new();
    for header in &options.extra_headers {
        if !covers(&header.url_prefix, base.as_str()) {
            continue;
        }
        let name = HeaderName::try_from(&header.name);
        let value = HeaderValue::from_str(header.value.reveal());
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(RemoteError::BadUrl {
                reason: format!("'{}' is no header of HTTP", header.name.escape_debug()),
            });
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

/// Whether a URL is `prefix` or below it. `https://a.b` is not the beginning of `https://a.bc`.
fn covers(prefix: &str, url: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let rest = url.strip_prefix(prefix);
    prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One service of a server, behind the place where its advertisement was found.
pub(crate) struct HttpConversation {
    client: HttpClient,
    service: Service,
    version: Version,
}

impl HttpConversation {
    /// Whether the server was found where its URL says.
    pub(crate) fn is_at_home(&self) -> bool {
        !self.client.redirected
    }

    /// Whether the server had to be told who asks.
    pub(crate) fn was_asked_who(&self) -> bool {
        self.client.credential.is_some()
    }

    /// A request body that is written while it is sent.
    pub(crate) fn body<'p>(edge: &Edge<'p>) -> (BodyWriter<'p>, reqwest::Body) {
        body::channel(edge)
    }

    /// Sends one request; the answer is read as it comes.
    pub(crate) fn post<'p>(
        &self,
        body: reqwest::Body,
        edge: &Edge<'p>,
    ) -> Result<EdgeReader<'p>, RemoteError> {
        let client = &self.client;
        let service = self.service.as_str();
        let mut headers = client.headers(self.version);
        for (name, kind) in [(CONTENT_TYPE, "request"), (ACCEPT, "result")] {
            let value = HeaderValue::from_str(&format!("application/x-{service}-{kind}"));
            headers.insert(name, value.expect("a service's name is plain text"));
        }
        let request = client
            .client
            .post(joined(&client.base, service))
            .headers(headers)
            .body(body);
        let response = edge
            .wait(request.send())
            .map_err(|ended| client.ended(ended))?
            .map_err(|error| client.unanswered(error))?;
        if !response.status().is_success() {
            return Err(client.refusal(response, edge));
        }
        client.check_type(&response, &format!("application/x-{service}-result"))?;
        Ok(reader_of(response, edge))
    }
}

/// The refusal to connect to an address, if that is what went wrong.
fn egress_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e EgressError> {
    let mut next = Some(error);
    while let Some(error) = next {
        let found = error.downcast_ref::<EgressError>();
        if found.is_some_and(|found| matches!(found, EgressError::Refused { .. })) {
            return found;
        }
        next = error.source();
    }
    None
}

fn reader_of<'p>(response: Response, edge: &Edge<'p>) -> EdgeReader<'p> {
    let pieces = response
        .bytes_stream()
        .map_err(|error| std::io::Error::other(error.without_url()))
        .boxed();
    EdgeReader::new(StreamReader::new(pieces), edge)
}

/// `tail` below the repository's URL.
fn joined(base: &Url, tail: &str) -> Url {
    let mut url = base.clone();
    let path = format!("{}/{tail}", base.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

/// The URL without user and password, and these.
pub(crate) fn taken_apart(url: &Url) -> (Url, Option<String>, Option<Credential>) {
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let user = (!url.username().is_empty()).then(|| decoded(url.username()));
    let password = url.password().map(decoded);
    let mut base = url.clone();
    // Only URLs that cannot have them refuse, and then there are none.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    match (user, password) {
        (user, Some(password)) => {
            let credential = Credential::basic(user.unwrap_or_default(), password);
            (base, None, Some(credential))
        }
        (user, None) => (base, user, None),
    }
}

fn location(response: &Response) -> Option<String> {
    let value = response.headers().get(reqwest::header::LOCATION)?;
    Some(value.to_str().ok()?.to_owned())
}

/// Where an answer sends us, as it may be shown: without what may be a secret.
fn location_shown(response: &Response) -> String {
    let target = location(response).and_then(|target| response.url().join(&target).ok());
    target.map_or_else(String::new, |target| {
        let (target, ..) = taken_apart(&target);
        without_query(target.as_str()).to_owned()
    })
}

/// The beginning of an error page, if it is plain text.
fn quoted(mut response: Response, edge: &Edge<'_>) -> String {
    let is_text = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("text/plain"));
    let mut text = Vec::new();
    while is_text && text.len() < QUOTED_BYTES {
        match edge.wait(response.chunk()) {
            Ok(Ok(Some(chunk))) => text.extend_from_slice(&chunk),
            _ => break,
        }
    }
    text.truncate(QUOTED_BYTES);
    super::protocol::shown(&text).trim().to_owned()
}
