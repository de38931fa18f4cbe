//! What is done with each request.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use packhouse_api::ErrorCode;
use packhouse_client::Secret;
use packhouse_client::cache::{
    Cache, CacheError, CallOptions, CallerKey, CancelToken, Served, ServedCopy,
};
use packhouse_wire::{
    CountCache, FetchOptions, Service, Version, WantRules, advertise_upload_pack, upload_pack,
};

use super::CacheProxyOptions;
use super::answer::{
    Outcome, Unreachable, from_here, no_large_files, redirected, relayed, unreachable, warn,
};
use super::ask::{NoAnswer, Upstreams, is_down, is_refusal};
use super::body::{Bodies, HeldBody};
use super::metrics::ProxyMetrics;
use super::path::{Asked, Target};
use super::proof::holds;
use super::request::{Objects, Wish};
use super::source::CopySource;
use super::trust::{ANSWER_BYTES, Trust};
use crate::error::{ApiError, chain};
use crate::git::{Encoding, ended};
use crate::server::StartError;
use crate::state::COUNT_CACHE_BYTES;
use crate::stream::written_by;
use crate::turns::{TurnFor, Turns};

const REFS: &str = "application/x-git-upload-pack-advertisement";
const RESULT: &str = "application/x-git-upload-pack-result";
const WISH: &[u8] = b"application/x-git-upload-pack-request";

/// Callers for whom copies are brought at a time. They wait on threads, of which there are some hundreds.
const BRINGING: usize = 256;

/// The state of a proxy.
pub(super) struct Proxy {
    options: CacheProxyOptions,
    served: Arc<Served>,
    upstreams: Upstreams,
    trust: Trust,
    bodies: Bodies,
    bringing: Turns,
    fetches: Turns,
    counts: Arc<CountCache>,
    metrics: ProxyMetrics,
    stop: CancelToken,
}

/// One request, read and found to be one that may be asked.
struct Call {
    target: Target,
    headers: HeaderMap,
    authorization: Option<Secret>,
    caller: CallerKey,
    version: Version,
}

type Answered = Result<(Outcome, Response), ApiError>;

/// Answers a request.
pub(super) async fn serve(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    if let "/metrics" | "/healthz" = request.uri().path() {
        return proxy.about_itself(request.uri().path());
    }
    let (route, answered) = proxy.answer(request).await;
    let (outcome, response) = match answered {
        Ok(answered) => answered,
        Err(error) => (Outcome::Refused, error.into_git_response()),
    };
    proxy.metrics.answered(route, outcome);
    outcome.mark(response)
}

impl Proxy {
    pub(super) fn new(
        cache: &Cache,
        options: CacheProxyOptions,
        stop: CancelToken,
    ) -> Result<Proxy, StartError> {
        let limits = &options.limits;
        let turns = |kind, what, all| Turns::new(kind, what, limits.turns_of_anyone(all), None);
        let certificates = cache.config().remote.extra_certificates.as_deref();
        Ok(Proxy {
            upstreams: Upstreams::new(options.egress, certificates)?,
            served: Arc::new(cache.served(options.egress)?),
            trust: Trust::new(options.trust),
            bodies: Bodies::new(
                options.limits.fetch_request_bytes,
                options.limits.queue_wait,
            ),
            bringing: turns("bring", "fetches that wait for an upstream", BRINGING),
            fetches: turns("fetch", "fetches", options.limits.fetches),
            counts: Arc::new(CountCache::new(COUNT_CACHE_BYTES)),
            metrics: ProxyMetrics::new()?,
            options,
            stop,
        })
    }

    fn about_itself(&self, path: &str) -> Response {
        if path == "/healthz" {
            return from_here("text/plain; charset=utf-8", Body::from("ok\n"));
        }
        match self.metrics.render() {
            Ok(text) => from_here("text/plain; version=0.0.4", Body::from(text)),
            Err(error) => ApiError::internal(error).into_git_response(),
        }
    }

    /// What is asked, and the answer.
    async fn answer(&self, request: Request) -> (&'static str, Answered) {
        let parsed = Target::parse(request.uri().path(), &self.options.allow);
        let (target, asked) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => return ("none", Err(error)),
        };
        match asked {
            Asked::InfoRefs => ("info_refs", self.info_refs(target, request).await),
            Asked::Rpc(Service::UploadPack) => {
                ("upload_pack", self.upload_pack(target, request).await)
            }
            Asked::Rpc(Service::ReceivePack) => ("receive_pack", Err(no_pushes(&target))),
            Asked::Lfs => ("lfs", Ok((Outcome::Refused, no_large_files(&target)))),
            Asked::Other => ("other", Err(not_smart())),
        }
    }

    fn call(&self, target: Target, headers: HeaderMap) -> Result<Call, ApiError> {
        let mut sent = headers.get_all(AUTHORIZATION).iter();
        let authorization = match (sent.next(), sent.next()) {
            (None, _) => None,
            (Some(value), None) => {
                let text = value.to_str().map_err(|_| bad_credentials())?;
                Some(Secret::new(text))
            }
            _ => return Err(bad_credentials()),
        };
        let caller = self
            .served
            .caller(target.url.as_str(), authorization.as_ref())
            .map_err(|error| ApiError::invalid(error.to_string()))?;
        let version = headers.get("git-protocol");
        let version = Version::from_header(version.and_then(|value| value.to_str().ok()));
        Ok(Call {
            target,
            headers,
            authorization,
            caller,
            version,
        })
    }

    async fn info_refs(&self, target: Target, request: Request) -> Answered {
        expect_method(&request, Method::GET, "GET")?;
        match request.uri().query() {
            Some("service=git-upload-pack") => {}
            Some("service=git-receive-pack") => return Err(no_pushes(&target)),
            _ => return Err(not_smart()),
        }
        let call = self.call(target, request.into_parts().0.headers)?;
        let now = Instant::now();
        if call.version == Version::V2
            && let Some(answer) = self.trust.answered(&call.caller, now)
        {
            return Ok((Outcome::Hit, from_here(REFS, Body::from(answer))));
        }
        let why = match self.upstreams.refs(&call.target, &call.headers).await {
            Ok(answer) if is_down(answer.status()) => Unreachable::Failing(answer),
            Ok(answer) if answer.status().is_success() => {
                let kind = answer.headers().get(CONTENT_TYPE);
                if kind.map(HeaderValue::as_bytes) != Some(REFS.as_bytes()) {
                    return Err(ApiError::new(
                        ErrorCode::NotSupported,
                        format!("{} does not speak Git's smart protocol", call.target.url),
                    ));
                }
                self.trust.let_in(&call.caller);
                let response = self.remember(&call, now, answer).await?;
                return Ok((Outcome::Relayed, response));
            }
            Ok(answer) if answer.status().is_redirection() => {
                return Ok((Outcome::Relayed, redirected(&call.target, &answer)?));
            }
            Ok(answer) => return self.pass_on(&call, answer).await,
            Err(NoAnswer::Refused(error)) => return Err(error),
            Err(NoAnswer::Down(reason, status)) => Unreachable::Silent(reason, status),
        };
        self.without_upstream(call, None, why).await
    }

    /// Passes an answer on that lets the caller in, and keeps it if it is one without refs.
    async fn remember(
        &self,
        call: &Call,
        asked: Instant,
        mut answer: reqwest::Response,
    ) -> Result<Response, ApiError> {
        let broken = |error: reqwest::Error| {
            ApiError::unavailable(format!("the upstream broke off: {}", error.without_url()))
        };
        let mut begin = BytesMut::new();
        let mut is_whole = false;
        while begin.len() <= ANSWER_BYTES && !is_whole {
            match answer.chunk().await.map_err(broken)? {
                Some(chunk) => begin.extend_from_slice(&chunk),
                None => is_whole = true,
            }
        }
        let begin = begin.freeze();
        if is_whole {
            if call.version == Version::V2 && is_version_2(&begin) {
                self.trust.answer(call.caller.clone(), begin.clone(), asked);
            }
            return Ok(from_here(REFS, Body::from(begin)));
        }
        let rest = relayed(answer).into_body().into_data_stream();
        let first = futures::stream::iter([Ok::<Bytes, axum::Error>(begin)]);
        let body = futures::StreamExt::chain(first, rest);
        Ok(from_here(REFS, Body::from_stream(body)))
    }

    async fn upload_pack(&self, target: Target, request: Request) -> Answered {
        expect_method(&request, Method::POST, "POST")?;
        let kind = request.headers().get(CONTENT_TYPE);
        if kind.map(HeaderValue::as_bytes) != Some(WISH) {
            return Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                "the body has to be application/x-git-upload-pack-request",
            ));
        }
        let encoding = Encoding::of(request.headers())?;
        let (parts, body) = request.into_parts();
        let call = self.call(target, parts.headers)?;
        let body = self.bodies.read(body, encoding).await?;
        let wish = Wish::of(call.version, &body.bytes);
        if let Wish::Objects(objects) = &wish
            && let Some((outcome, copy)) = self.find(&call, objects).await?
        {
            let response = self.pack(&call, copy, body).await?;
            return Ok((outcome, response));
        }
        let sent = self
            .upstreams
            .upload_pack(&call.target, &call.headers, body.bytes.clone())
            .await;
        let why = match sent {
            Ok(answer) if is_down(answer.status()) => Unreachable::Failing(answer),
            Ok(answer) if answer.status().is_redirection() => {
                return Err(redirected(&call.target, &answer).err().unwrap_or_else(|| {
                    ApiError::new(
                        ErrorCode::NotSupported,
                        "the upstream sends its callers elsewhere; ask for the refs first",
                    )
                }));
            }
            Ok(answer) => return self.pass_on(&call, answer).await,
            Err(NoAnswer::Refused(error)) => return Err(error),
            Err(NoAnswer::Down(reason, status)) => Unreachable::Silent(reason, status),
        };
        self.without_upstream(call, Some((wish, body)), why).await
    }

    /// An answer as the upstream gave it. A refusal ends what was remembered of the caller.
    async fn pass_on(&self, call: &Call, answer: reqwest::Response) -> Answered {
        if is_refusal(answer.status()) {
            self.trust.forget(&call.caller);
            if call.authorization.is_none() {
                if answer.status() == StatusCode::UNAUTHORIZED {
                    self.trust.ask_who(call.caller.clone(), Instant::now());
                }
                let (served, url) = (self.served.clone(), call.target.url.clone());
                let forgotten = blocking(move || served.forget_public(url.as_str())).await?;
                forgotten.map_err(ApiError::internal)?;
            }
        }
        Ok((Outcome::Relayed, relayed(answer)))
    }

    /// The copy that has all that the caller wants and may have, if there is one: as it is if the upstream has listed it
    /// to this caller just before, else as the upstream lists it now.
    async fn find(
        &self,
        call: &Call,
        objects: &Objects,
    ) -> Result<Option<(Outcome, Arc<ServedCopy>)>, ApiError> {
        let listed = self.trust.listed(&call.caller, Instant::now());
        let turn = self.bringing.take(&TurnFor::anyone()).await?;
        let work = Bringing {
            served: self.served.clone(),
            url: call.target.url.to_string(),
            authorization: call.authorization.clone(),
            objects: objects.clone(),
            stop: self.stop.clone(),
        };
        let found = blocking(move || {
            let found = match work.is_worth_it() {
                Ok(true) => work.find(listed.as_deref()).map(Some),
                Ok(false) => Ok(None),
                Err(error) => Err(error),
            };
            drop(turn);
            found
        })
        .await?;
        let found = match found {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(None),
            Err(CacheError::Cancelled) => {
                return Err(ApiError::unavailable("the cache is shutting down"));
            }
            Err(error) => {
                // The upstream says itself what it thinks of the caller.
                tracing::info!(url = %call.target.url, %error, "no copy for this caller");
                return Ok(None);
            }
        };
        if found.was_asked {
            if found.copy.was_fetched() {
                self.metrics.fetched();
            }
            let asked = found
                .copy
                .age()
                .and_then(|age| Instant::now().checked_sub(age));
            if let Some(asked) = asked {
                let digest = found.copy.digest().to_owned();
                self.trust.list(call.caller.clone(), digest, asked);
            }
        }
        let outcome = match found.was_asked && found.copy.was_fetched() {
            true => Outcome::Miss,
            false => Outcome::Hit,
        };
        Ok(found.holds.then_some((outcome, found.copy)))
    }

    /// The answer to a fetch from a copy.
    async fn pack(
        &self,
        call: &Call,
        copy: Arc<ServedCopy>,
        body: HeldBody,
    ) -> Result<Response, ApiError> {
        let turn = self.fetches.take(&TurnFor::anyone()).await?;
        let (version, counts) = (call.version, self.counts.clone());
        let answer = written_by(move |out| {
            let source = CopySource::new(copy);
            let mut input = &body.bytes[..];
            let options = FetchOptions {
                counts: Some(counts),
                ..offered()
            };
            let served = upload_pack(version, &mut input, &source, out, &options);
            drop((turn, body));
            ended(served)
        });
        Ok(from_here(RESULT, answer))
    }

    /// What can be answered while the upstream cannot: the last copy, to a caller who may have it.
    async fn without_upstream(
        &self,
        call: Call,
        asked: Option<(Wish, HeldBody)>,
        why: Unreachable,
    ) -> Answered {
        let listed = self.trust.listed(&call.caller, Instant::now());
        let (served, url) = (self.served.clone(), call.target.url.to_string());
        let objects = match &asked {
            Some((Wish::Objects(objects), _)) => Some(objects.clone()),
            _ => None,
        };
        let is_other = matches!(&asked, Some((Wish::Other, _)));
        let stop = self.stop.clone();
        let copy = blocking(move || {
            let copy = served.last(&url, &cancelled_by(&stop))?;
            let copy = copy.filter(|copy| !is_other && may_have(copy, listed.as_deref()));
            Ok::<_, CacheError>(copy.filter(|copy| match &objects {
                Some(objects) => holds(copy, objects).unwrap_or(false),
                None => true,
            }))
        })
        .await?;
        let Ok(Some(copy)) = copy else {
            let is_anonymous = call.authorization.is_none() && asked.is_none();
            if is_anonymous && self.trust.asked_who(&call.caller, Instant::now()) {
                // Clients say who they are only when they are asked to, and a copy may be for this one.
                return Err(ApiError::new(
                    ErrorCode::Unauthorized,
                    format!(
                        "{} cannot be reached; its last copy is for callers whom it let in just before",
                        call.target.url
                    ),
                ));
            }
            if let Unreachable::Silent(reason, _) = &why {
                tracing::warn!(url = %call.target.url, reason, "the upstream cannot be reached");
            }
            return Ok((Outcome::Refused, unreachable(&call.target, &why)));
        };
        tracing::warn!(url = %call.target.url, asked_at = %copy.asked_at(), "the upstream cannot be reached: its last state is served");
        let copy = Arc::new(copy);
        let mut response = match asked {
            Some((_, body)) => self.pack(&call, copy.clone(), body).await?,
            None => {
                let (source, version) = (CopySource::new(copy.clone()), call.version);
                let body = written_by(move |out| {
                    advertise_upload_pack(version, &source, &offered(), out)
                        .map_err(io::Error::other)
                });
                from_here(REFS, body)
            }
        };
        warn(&mut response, &copy);
        Ok((Outcome::Stale, response))
    }
}

/// What is served from a copy: no more than [`Wish`] understands.
fn offered() -> FetchOptions {
    FetchOptions {
        wants: WantRules::advertised_only(),
        object_info: false,
        ..FetchOptions::default()
    }
}

/// Finding a copy, on a thread that may block.
struct Bringing {
    served: Arc<Served>,
    url: String,
    authorization: Option<Secret>,
    objects: Objects,
    stop: CancelToken,
}

struct Found {
    copy: Arc<ServedCopy>,
    /// Whether it has all that is wanted, and that may be had.
    holds: bool,
    /// Whether the upstream listed it to this caller now.
    was_asked: bool,
}

impl Bringing {
    /// Who asks for a part does not wait for the whole repository to come: a part is served where there is a copy already.
    fn is_worth_it(&self) -> Result<bool, CacheError> {
        Ok(!self.objects.is_part || self.served.has_mirror(&self.url)?)
    }

    fn find(&self, listed: Option<&str>) -> Result<Found, CacheError> {
        let call = cancelled_by(&self.stop);
        // A ref that is wanted by its name is wanted where it is now.
        let still_listed = listed.filter(|_| self.objects.want_refs.is_empty());
        // A copy that cannot be read is made again when the upstream is asked.
        if let Some(listed) = still_listed
            && let Ok(Some(copy)) = self.served.last(&self.url, &call)
            && copy.digest() == listed
            && self.held_by(&copy)
        {
            return Ok(Found {
                copy: Arc::new(copy),
                holds: true,
                was_asked: false,
            });
        }
        // What is served while the upstream does not work is served at once.
        let has_other = || {
            let last = self.served.last(&self.url, &call).ok().flatten();
            last.is_some_and(|copy| may_have(&copy, listed) && self.held_by(&copy))
        };
        let authorization = self.authorization.as_ref();
        let copy = self
            .served
            .bring_unless(&has_other, &self.url, authorization, &call)?;
        Ok(Found {
            holds: self.held_by(&copy),
            copy,
            was_asked: true,
        })
    }

    fn held_by(&self, copy: &ServedCopy) -> bool {
        holds(copy, &self.objects).unwrap_or_else(|error| {
            tracing::warn!(
                url = self.url,
                error = chain(&error),
                "a copy cannot be read"
            );
            false
        })
    }
}

/// Whether a caller may have a copy though the upstream cannot be asked.
fn may_have(copy: &ServedCopy, listed: Option<&str>) -> bool {
    copy.is_public() || listed == Some(copy.digest())
}

fn cancelled_by(stop: &CancelToken) -> CallOptions<'_> {
    CallOptions {
        cancel: Some(stop),
        progress: None,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let span = tracing::Span::current();
    Ok(tokio::task::spawn_blocking(move || span.in_scope(work)).await?)
}

/// Whether an advertisement is one of version 2, which names no refs; a line that announces the service may stand
/// before it.
fn is_version_2(answer: &[u8]) -> bool {
    const ANNOUNCED: &[u8] = b"001e# service=git-upload-pack\n0000";
    let rest = answer.strip_prefix(ANNOUNCED).unwrap_or(answer);
    rest.starts_with(b"000eversion 2\n")
}

fn expect_method(request: &Request, method: Method, allow: &'static str) -> Result<(), ApiError> {
    match request.method() == method {
        true => Ok(()),
        false => Err(ApiError::method_not_allowed(allow)),
    }
}

fn bad_credentials() -> ApiError {
    ApiError::invalid("a request has one header `Authorization`, which is text, or none")
}

fn no_pushes(target: &Target) -> ApiError {
    ApiError::new(
        ErrorCode::Forbidden,
        format!(
            "this cache is read-only; push to {}: git config --global url.{1}/.pushInsteadOf {1}/ sends pushes there",
            target.url,
            target.url.origin().ascii_serialization()
        ),
    )
}

fn not_smart() -> ApiError {
    ApiError::new(
        ErrorCode::RouteNotFound,
        "only fetches by Git's smart protocol are served here; files of a repository, as old clients and browsers ask for, are not",
    )
}
