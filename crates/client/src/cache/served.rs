//! Mirrors for callers who are not us: each proves to the remote itself that it may read.
//!
//! What always holds:
//! - the remote is asked with exactly what the caller brought, and with nothing of ours: no provider, no header of the
//!   configuration, no password that stood in a URL;
//! - what a caller gets is the copy whose refs the remote listed to this caller, neither those it listed to another nor
//!   what is kept for checkouts;
//! - a copy's refs are the very refs of which its digest is: both are compared before anybody gets it, as a process may
//!   end after a mirror's refs moved and before its record was written;
//! - callers that bring the same at once share one question, all callers share one fetch;
//! - a mirror that is being read is not removed.

use std::sync::Arc;
use std::time::Duration;

use packhouse_object::{ObjectId, RefName};
use packhouse_repo::{Ref, View};
use ring::{hmac, rand};

use super::flight::Flights;
use super::inner::Inner;
use super::lock::{FileLock, Sharing};
use super::mirror::{self, Offered};
use super::moment::Moment;
use super::record::MirrorRecord;
use super::source::{Source, Upstream, invalid};
use super::{CacheError, CallOptions, note, room, served_mark};
use crate::credentials::Secret;
use crate::egress::Egress;
use crate::remote::{ExtraHeader, Links, Remote, RemoteOptions};

/// Where the engine keeps refs of its own in a mirror.
const OWN_REFS: &[u8] = b"refs/packhouse/";

/// The mirrors of a cache, for callers with credentials of their own.
pub struct Served {
    inner: Arc<Inner>,
    flights: Flights<Arc<ServedCopy>>,
    key: hmac::Key,
    egress: Egress,
    links: Arc<Links>,
}

/// Who asks for what: the same for the same URL and credentials in one [`Served`], and nothing that either could be
/// found out from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallerKey(String);

/// A repository as the remote listed it to one caller. It stays readable while this is held.
#[derive(Debug)]
pub struct ServedCopy {
    mirror: String,
    view: Arc<View>,
    head: Option<RefName>,
    digest: String,
    asked: Moment,
    was_fetched: bool,
    is_public: bool,
    _using: FileLock,
}

impl Served {
    pub(super) fn new(inner: Arc<Inner>, egress: Egress) -> Result<Served, CacheError> {
        let random = rand::SystemRandom::new();
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &random);
        Ok(Served {
            inner,
            flights: Flights::default(),
            egress,
            links: Arc::default(),
            key: key.map_err(|_| CacheError::Config {
                reason: "the system gives no random numbers".to_owned(),
            })?,
        })
    }

    /// Tells callers apart. All ways to write a URL count as one.
    pub fn caller(
        &self,
        url: &str,
        authorization: Option<&Secret>,
    ) -> Result<CallerKey, CacheError> {
        let upstream = self.upstream(url)?;
        Ok(self.key_of(&upstream, authorization))
    }

    /// Asks the remote with the caller's `authorization` (the value of that header), brings the mirror to what it lists,
    /// and returns that. Callers who bring the same share the answer; it is never one to a question asked before they
    /// came, unless it is the very first copy. A remote that breaks off or is too busy is asked once more, after as long as it
    /// says.
    pub fn bring(
        &self,
        url: &str,
        authorization: Option<&Secret>,
        call: &CallOptions<'_>,
    ) -> Result<Arc<ServedCopy>, CacheError> {
        self.bring_unless(&|| false, url, authorization, call)
    }

    /// As [`Served::bring`], but does not wait for a remote that is too busy where the caller `has_other`: a copy that may be
    /// served to this caller at once.
    pub fn bring_unless(
        &self,
        has_other: &dyn Fn() -> bool,
        url: &str,
        authorization: Option<&Secret>,
        call: &CallOptions<'_>,
    ) -> Result<Arc<ServedCopy>, CacheError> {
        let upstream = self.upstream(url)?;
        let key = self.key_of(&upstream, authorization);
        let is_first = !self.inner.root.mirror(&upstream.key).is_dir();
        self.flights.run(&key.0, is_first, call, || {
            let copy = self.ask(has_other, &upstream, authorization, call)?;
            Ok(Arc::new(copy))
        })
    }

    /// Whether there is a copy of this repository, which says nothing about who may have it.
    pub fn has_mirror(&self, url: &str) -> Result<bool, CacheError> {
        let upstream = self.upstream(url)?;
        Ok(self.inner.root.mirror(&upstream.key).is_dir())
    }

    /// The last good copy, whoever it was listed to: see [`ServedCopy::digest`] and [`ServedCopy::is_public`] before
    /// anybody gets anything of it. Nobody is asked.
    pub fn last(
        &self,
        url: &str,
        call: &CallOptions<'_>,
    ) -> Result<Option<ServedCopy>, CacheError> {
        let upstream = self.upstream(url)?;
        let key = &upstream.key;
        let is_there = || self.inner.root.mirror(key).is_dir();
        if !is_there() {
            return Ok(None);
        }
        let using = self.inner.using(key, call)?;
        let lock = self.inner.root.lock("mirror", key);
        let _shared = FileLock::take(&lock, Sharing::Shared, call)?;
        if !is_there() {
            return Ok(None);
        }
        let Some(record) = self.inner.index.mirror(key)? else {
            return Ok(None);
        };
        served_mark::touch(&self.inner, key);
        self.copy(&upstream, record, false, using)
    }

    /// Notes that the remote does not show the repository to everybody any more.
    pub fn forget_public(&self, url: &str) -> Result<(), CacheError> {
        let upstream = self.upstream(url)?;
        served_mark::set_public(&self.inner, &upstream.key, None)
    }

    fn upstream(&self, url: &str) -> Result<Upstream, CacheError> {
        let refused = || invalid(url, "only http and https URLs without a user are served");
        // Nothing else is even looked for: a caller may not learn what is on this machine.
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(refused());
        }
        let source = Source::parse(url, &self.inner.root)?;
        match source.upstream() {
            Some(upstream) if source.credential.is_none() => Ok(upstream.clone()),
            _ => Err(refused()),
        }
    }

    fn key_of(&self, upstream: &Upstream, authorization: Option<&Secret>) -> CallerKey {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(upstream.key.as_bytes());
        // No credentials are something else than empty ones.
        if let Some(authorization) = authorization {
            context.update(b"\n");
            context.update(authorization.reveal().as_bytes());
        }
        let tag = context.sign();
        let digits = tag.as_ref().iter().map(|byte| format!("{byte:02x}"));
        CallerKey(digits.collect())
    }

    fn ask(
        &self,
        has_other: &dyn Fn() -> bool,
        upstream: &Upstream,
        authorization: Option<&Secret>,
        call: &CallOptions<'_>,
    ) -> Result<ServedCopy, CacheError> {
        let inner = &*self.inner;
        let key = &upstream.key;
        let known = inner.index.mirror(key)?;
        let remote = self.remote(upstream, authorization);
        let connect = |known: Option<&MirrorRecord>, may_wait: &dyn Fn() -> bool| {
            let memory = known.and_then(|record| record.server.as_ref());
            mirror::ask_while(may_wait, inner, &remote, memory, call)
        };
        let mut asked = Moment::now();
        // Without the lock: callers with other credentials need not wait for each other's answers.
        let mut connection = connect(known.as_ref(), &|| !has_other())?;
        let mut offered = Offered::of(connection.refs())?;
        // Not before it is known that there is such a repository: strangers may ask for any number of others.
        let using = inner.using(key, call)?;
        let lock = inner.root.lock("mirror", key);
        let _lock = FileLock::take(&lock, Sharing::Exclusive, call)?;
        let place = inner.root.mirror(key);
        let mut known = inner.index.mirror(key)?.filter(|_| place.is_dir());
        if let Some(record) = &known
            && record.refs != offered.digest
            && record.asked.is_since(&asked)
        {
            // Somebody else has asked since: what we heard may be the older answer.
            asked = Moment::now();
            connection = connect(Some(record), &|| false)?;
            offered = Offered::of(connection.refs())?;
        }
        let mut was_fetched = false;
        let server = connection.memory();
        let mut is_as_offered = false;
        if let Some(record) = &known
            && record.refs == offered.digest
        {
            let view = mirror::open(&place).and_then(|store| Ok(store.view()?));
            match view {
                Ok(view) => is_as_offered = mirror::is_as_recorded(&view, record),
                // It cannot be read: it is made again.
                Err(_) => known = None,
            }
        }
        let mut record = mirror::record_of(upstream, known.as_ref(), &asked, &offered);
        record.server = server;
        if !is_as_offered {
            was_fetched = true;
            let again = || connect(None, &|| false);
            mirror::bring_or_make(
                inner,
                &place,
                known.is_some(),
                connection,
                again,
                &offered,
                call,
            )?;
            record.bytes = mirror::size_of(&place);
            if known.is_none() {
                record.completed = Moment::now();
            }
        }
        inner.index.put_mirror(key, &record)?;
        note::of_mirror(&inner.root, key, &record.url);
        let is_new = was_fetched || !served_mark::is_there(inner, key);
        match authorization {
            None => served_mark::set_public(inner, key, Some(&record.refs))?,
            Some(_) => served_mark::make(inner, key)?,
        }
        if is_new {
            room::make_room_for_mirror(inner, key)?;
        }
        let copy = self.copy(upstream, record, was_fetched, using)?;
        copy.ok_or_else(|| CacheError::Config {
            reason: format!(
                "the refs in '{}' are not those that were fetched; something else writes there",
                place.display()
            ),
        })
    }

    fn remote(&self, upstream: &Upstream, authorization: Option<&Secret>) -> Remote {
        let header = authorization.map(|value| ExtraHeader {
            url_prefix: String::new(),
            name: "Authorization".to_owned(),
            value: value.clone(),
        });
        let options = RemoteOptions {
            credentials: None,
            extra_headers: header.into_iter().collect(),
            // Another place is for the caller to go to, with credentials that are meant for it.
            redirects_max: 0,
            egress: Some(self.egress),
            ..self.inner.settings.remote.clone()
        };
        Remote::linked(upstream.url.clone(), options, self.links.clone())
    }

    /// A mirror as its record says it is; `None` if it is not. Its caller has the lock that keeps both together.
    fn copy(
        &self,
        upstream: &Upstream,
        record: MirrorRecord,
        was_fetched: bool,
        using: FileLock,
    ) -> Result<Option<ServedCopy>, CacheError> {
        let place = self.inner.root.mirror(&upstream.key);
        let view = mirror::open(&place)
            .and_then(|store| Ok(store.view()?))
            .map_err(CacheError::mirror(self.inner.root.path()))?;
        if !mirror::is_as_recorded(&view, &record) {
            return Ok(None);
        }
        let head = record.head_branch.as_ref();
        let public = served_mark::public(&self.inner, &upstream.key);
        Ok(Some(ServedCopy {
            mirror: upstream.key.clone(),
            view,
            head: head.and_then(|branch| RefName::parse(format!("refs/heads/{branch}")).ok()),
            is_public: public.as_ref() == Some(&record.refs),
            digest: record.refs,
            asked: record.asked,
            was_fetched,
            _using: using,
        }))
    }
}

impl ServedCopy {
    /// The repository with refs and objects of all kinds, for reading objects; [`ServedCopy::refs`] are those to show.
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// The default branch, if `HEAD` stands for one.
    pub fn head(&self) -> Option<&RefName> {
        self.head.as_ref()
    }

    /// The remote's refs whose names begin with `prefix`, in byte order.
    pub fn refs<'a>(&'a self, prefix: &'a [u8]) -> impl Iterator<Item = (&'a RefName, &'a Ref)> {
        let all = self.view.refs().prefixed(prefix);
        all.filter(|(name, _)| !name.as_bytes().starts_with(OWN_REFS))
    }

    /// The remote's ref of this name.
    pub fn find(&self, name: &[u8]) -> Option<ObjectId> {
        let name = RefName::parse(name).ok()?;
        match name.as_bytes().starts_with(OWN_REFS) {
            true => None,
            false => self.view.refs().get(&name).map(|found| found.target),
        }
    }

    /// All that the remote listed to whoever it was asked for, `HEAD` that stands for no branch included.
    pub fn tips(&self) -> impl Iterator<Item = ObjectId> {
        let detached = RefName::parse(mirror::DETACHED).ok();
        let detached = detached.and_then(|name| self.view.refs().get(&name));
        let shown = self.refs(b"").map(|(_, found)| found);
        shown.chain(detached).map(|found| found.target)
    }

    /// Stands for the repository, by its URL: one that is opened anew, and has other refs by then, has the same.
    pub fn mirror(&self) -> &str {
        &self.mirror
    }

    /// Stands for all refs. A caller to whom the remote has listed refs with this digest may see this copy.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How long ago the remote was asked for these refs; `None` if no clock can tell.
    pub fn age(&self) -> Option<Duration> {
        self.asked.age(&Moment::now())
    }

    /// When the remote had these refs.
    pub fn asked_at(&self) -> jiff::Timestamp {
        self.asked.timestamp()
    }

    /// Whether anything had to be fetched for it.
    pub fn was_fetched(&self) -> bool {
        self.was_fetched
    }

    /// Whether the remote, when it was last asked without credentials, within a week, listed just these refs.
    pub fn is_public(&self) -> bool {
        self.is_public
    }
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Served")
            .field(&self.inner.root.path())
            .finish()
    }
}
