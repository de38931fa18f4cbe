//! What an open cache has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use packhouse_object::ProcessLocal;
use reqwest::Url;

use super::flight::Flights;
use super::lock::{FileLock, Sharing};
use super::record::{EntryRecord, Index, Known};
use super::root::Root;
use super::settings::Settings;
use super::source::{Source, Upstream};
use super::trash::Weights;
use super::{CacheConfig, CacheError, CallOptions, Entry, mend_index, note};
use crate::credentials::{Credential, CredentialSource};
use crate::remote::{ExtraHeader, Links, Remote, RemoteOptions};

/// An open cache.
pub(super) struct Inner {
    pub(super) root: Root,
    pub(super) index: Index,
    pub(super) config: CacheConfig,
    pub(super) settings: Settings,
    process: ProcessLocal<InProcess>,
}

/// What a process that is forked off does not take over: threads, and work of threads.
#[derive(Default)]
struct InProcess {
    links: Arc<Links>,
    flights: Flights<Entry>,
    /// The entries as they were read last: of thousands few change between two looks.
    known: Mutex<Option<Known>>,
    weights: Mutex<Weights>,
    /// What proved who the caller was, by the mirror it was given for. In memory only.
    given: Mutex<HashMap<String, Given>>,
}

/// A credential that stood in a URL, for the server it was given for.
#[derive(Clone)]
struct Given {
    url: Url,
    credential: Credential,
}

impl Inner {
    pub(super) fn open(mut config: CacheConfig) -> Result<Inner, CacheError> {
        let settings = Settings::of(&config)?;
        config.submodules = settings.submodules.unwrap_or(config.submodules);
        let root = Root::open(&config.root)?;
        let index = mend_index::open(&root)?;
        index.reserve.put_by();
        Ok(Inner {
            root,
            index,
            config,
            settings,
            process: ProcessLocal::new(),
        })
    }

    pub(super) fn flights(&self) -> &Flights<Entry> {
        &self.process().flights
    }

    /// All entries in the order of their names, and what everything takes.
    pub(super) fn entries(&self) -> Result<(Arc<Vec<EntryRecord>>, u64), CacheError> {
        let kept = &self.process().known;
        let lock = || kept.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits for another's look.
        let before = lock().clone();
        let (known, bytes) = self.index.overview(before.as_ref())?;
        let entries = known.entries.clone();
        *lock() = Some(known);
        Ok((entries, bytes.saturating_add(self.trash_bytes())))
    }

    /// What everything takes.
    pub(super) fn bytes(&self) -> Result<u64, CacheError> {
        Ok(self.index.bytes()?.saturating_add(self.trash_bytes()))
    }

    /// What the trees take that were replaced and are still there.
    pub(super) fn trash_bytes(&self) -> u64 {
        // Of an entry that has a tree there is a note.
        self.trash_bytes_beside(&|entry_id| note::is_there(&self.root, entry_id))
    }

    /// As [`Inner::trash_bytes`], when only those entries are left that `stays` says.
    pub(super) fn trash_bytes_beside(&self, stays: &dyn Fn(&str) -> bool) -> u64 {
        let weights = self.process().weights.lock();
        let mut weights = weights.unwrap_or_else(PoisonError::into_inner);
        weights.total(&self.root, stays)
    }

    fn process(&self) -> &InProcess {
        self.process.get_or_init(InProcess::default)
    }

    /// Keeps a mirror from being removed, though no entry may need it yet.
    pub(super) fn using(&self, key: &str, call: &CallOptions<'_>) -> Result<FileLock, CacheError> {
        FileLock::take(&self.root.lock("use", key), Sharing::Shared, call)
    }

    /// How trees are made: one that was made in another manner is made again.
    pub(super) fn manner(&self) -> String {
        let CacheConfig {
            submodules, lfs, ..
        } = self.config;
        format!("{submodules} {lfs} {:?}", self.settings.tree)
    }

    /// Keeps what stood in the URL of a source, as long as this process lives.
    pub(super) fn keep_credential(&self, source: &Source) {
        let (Some(upstream), Some(credential)) = (source.upstream(), &source.credential) else {
            return;
        };
        let Ok(url) = Url::parse(&upstream.url.to_string()) else {
            return;
        };
        let given = Given {
            url,
            credential: credential.clone(),
        };
        let all = self.process().given.lock();
        let mut all = all.unwrap_or_else(PoisonError::into_inner);
        all.insert(upstream.key.clone(), given);
    }

    /// How a remote is talked to.
    pub(super) fn options_for(&self, upstream: &Upstream) -> RemoteOptions {
        let given = self.process().given.lock();
        let given = given.unwrap_or_else(PoisonError::into_inner);
        let sources = self.config.credentials.iter().cloned();
        let known = Sources {
            given: given.get(&upstream.key).cloned(),
            sources: sources
                .chain(self.config.remote.credentials.clone())
                .collect(),
        };
        let is_empty = known.given.is_none() && known.sources.is_empty();
        let mut options = self.settings.remote.clone();
        options.credentials = (!is_empty).then(|| Arc::new(known) as Arc<dyn CredentialSource>);
        if upstream.is_foreign {
            options.extra_headers.retain(ExtraHeader::names_a_server);
        }
        options
    }

    pub(super) fn remote(&self, upstream: &Upstream) -> Remote {
        self.remote_with(upstream, self.options_for(upstream))
    }

    pub(super) fn remote_with(&self, upstream: &Upstream, options: RemoteOptions) -> Remote {
        Remote::linked(upstream.url.clone(), options, self.process().links.clone())
    }
}

/// All who may know credentials for a URL.
struct Sources {
    given: Option<Given>,
    sources: Vec<Arc<dyn CredentialSource>>,
}

impl CredentialSource for Sources {
    fn find(&self, url: &str, user: Option<&str>) -> Option<Credential> {
        let is_for =
            |given: &&Given| Url::parse(url).is_ok_and(|url| url.origin() == given.url.origin());
        match self.given.as_ref().filter(is_for) {
            Some(given) => Some(given.credential.clone()),
            None => self
                .sources
                .iter()
                .find_map(|source| source.find(url, user)),
        }
    }

    fn approve(&self, url: &str, credential: &Credential) {
        for source in &self.sources {
            source.approve(url, credential);
        }
    }

    fn reject(&self, url: &str, credential: &Credential) {
        for source in &self.sources {
            source.reject(url, credential);
        }
    }
}
