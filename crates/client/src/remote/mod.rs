//! A Git repository elsewhere: listing its refs, fetching from it, pushing to it.
//!
//! A [`Remote`] is reached through a local path or `file://` (directly, without a process), `http://` and `https://`
//! (smart HTTP), `ssh://` (by the system's program) or `git://`. Fetches speak version 2 of the protocol where the
//! other side does, else 0 or 1; pushes speak 0 or 1, as all of Git does.
//!
//! ```no_run
//! use packhouse_client::remote::{FetchRequest, Remote, RemoteOptions};
//! # fn fetch(database: &packhouse_object::Database, quarantine: &std::path::Path)
//! # -> Result<(), packhouse_client::RemoteError> {
//! let remote = Remote::open("https://example.com/project.git", RemoteOptions::default())?;
//! let refs = remote.refs(&())?;
//! let wants = refs.refs.iter().map(|entry| entry.target).collect();
//! let request = FetchRequest { wants, haves: Vec::new(), database, quarantine };
//! let received = remote.fetch(&request, &())?;
//! # Ok(())
//! # }
//! ```

mod connection;
mod conversation;
mod daemon;
mod edge;
mod error;
mod http;
mod links;
mod local;
mod options;
mod protocol;
mod refs;
mod ssh;
mod url;

use std::sync::Arc;

use packhouse_object::{Progress, Received};
use packhouse_wire::{Service, Version};

pub use connection::{FetchConnection, PushConnection, ServerMemory};
pub use error::RemoteError;
pub use links::Links;
pub use options::{
    ExtraHeader, Messages, Proxy, RemoteOptions, SshCommand, SshOptions, SshVariant,
};
pub use protocol::{FetchRequest, PushEdit, PushReport, PushRequest, PushStatus};
pub use refs::{RemoteRef, RemoteRefs};
pub use url::RemoteUrl;

pub(crate) use error::with_reasons;
pub(crate) use http::{LargeFile, TakeFile};
pub(crate) use local::{check_complete, copy_error};
pub(crate) use url::without_query;

use conversation::Conversation;
use edge::Edge;
use error::Failures;
use url::Place;

/// A repository elsewhere. Opening one connects to nothing yet; every call is a conversation of its own.
pub struct Remote {
    url: RemoteUrl,
    options: RemoteOptions,
    links: Arc<Links>,
}

impl Remote {
    /// The repository at `url`, which may be a local path.
    pub fn open(url: &str, options: RemoteOptions) -> Result<Remote, RemoteError> {
        Ok(Remote::at(RemoteUrl::parse(url)?, options))
    }

    /// The repository at a URL that is parsed already.
    pub fn at(url: RemoteUrl, options: RemoteOptions) -> Remote {
        Remote::linked(url, options, Arc::default())
    }

    /// As [`Remote::at`], with what others use too.
    pub fn linked(url: RemoteUrl, options: RemoteOptions, links: Arc<Links>) -> Remote {
        Remote {
            url,
            options,
            links,
        }
    }

    /// Where it is.
    pub fn url(&self) -> &RemoteUrl {
        &self.url
    }

    /// How it is talked to.
    pub fn options(&self) -> &RemoteOptions {
        &self.options
    }

    /// All its refs. Fails where there is no repository.
    pub fn refs(&self, progress: &dyn Progress) -> Result<RemoteRefs, RemoteError> {
        let mut connection = self.connect_to_fetch(progress)?;
        Ok(std::mem::take(&mut connection.refs))
    }

    /// Gets the objects that are wanted, checked; `None` if nothing is wanted. Nothing becomes visible yet.
    pub fn fetch(
        &self,
        request: &FetchRequest<'_>,
        progress: &dyn Progress,
    ) -> Result<Option<Received>, RemoteError> {
        if request.wants.is_empty() {
            return Ok(None);
        }
        self.connect_to_fetch(progress)?.fetch(request)
    }

    /// Moves refs of the other side, with the objects they need. Refs that it does not move are no error: see
    /// [`PushReport::statuses`].
    pub fn push(
        &self,
        request: &PushRequest<'_>,
        progress: &dyn Progress,
    ) -> Result<PushReport, RemoteError> {
        self.connect_to_push(progress)?.push(request)
    }

    /// Connects, lists refs, and waits for what is wanted of them.
    pub fn connect_to_fetch<'p>(
        &self,
        progress: &'p dyn Progress,
    ) -> Result<FetchConnection<'p>, RemoteError> {
        match self.local_path() {
            Some(path) => FetchConnection::local(path, self.options.clone(), progress),
            None => {
                let conversation = self.converse(Service::UploadPack, Version::V2, progress)?;
                FetchConnection::open(conversation, self.options.clone(), progress)
            }
        }
    }

    /// As [`Remote::connect_to_fetch`], but asks an HTTP server for its refs at once, which takes one request, as it did
    /// what `memory` says the last time. One that does not any more is not asked in another way.
    pub(crate) fn connect_as_before<'p>(
        &self,
        memory: &ServerMemory,
        progress: &'p dyn Progress,
    ) -> Result<FetchConnection<'p>, RemoteError> {
        let Place::Http(url) = &self.url.place else {
            return self.connect_to_fetch(progress);
        };
        let failures = Failures {
            url: self.url.to_string(),
        };
        let edge = Edge::new(self.links.runtime()?, self.options.idle_timeout, progress);
        let conversation = http::HttpClient::new(url, &self.options, failures, &self.links)?
            .resume(Service::UploadPack, memory.asks_who, edge)?;
        FetchConnection::open_again(conversation, memory, self.options.clone(), progress)
    }

    /// Connects, lists the refs that can be moved, and waits for how they are to be.
    pub fn connect_to_push<'p>(
        &self,
        progress: &'p dyn Progress,
    ) -> Result<PushConnection<'p>, RemoteError> {
        match self.local_path() {
            Some(path) => PushConnection::local(path, self.options.clone(), progress),
            None => {
                let conversation = self.converse(Service::ReceivePack, Version::V0, progress)?;
                PushConnection::open(conversation, self.options.clone(), progress)
            }
        }
    }

    /// Gets files of Git LFS from an HTTP server. Those that it does not have are left out; others have none.
    pub(crate) fn large_files(
        &self,
        files: &[LargeFile],
        progress: &dyn Progress,
        take: &mut TakeFile<'_>,
    ) -> Result<(), RemoteError> {
        let Place::Http(url) = &self.url.place else {
            return Ok(());
        };
        let failures = Failures {
            url: self.url.to_string(),
        };
        let edge = Edge::new(self.links.runtime()?, self.options.idle_timeout, progress);
        http::HttpClient::new(url, &self.options, failures, &self.links)?
            .large_files(files, &edge, take)
    }

    /// The folder it is in, if folders are allowed.
    fn local_path(&self) -> Option<&std::path::Path> {
        let path = self.url.local_path();
        path.filter(|_| self.options.egress.is_none())
    }

    fn converse<'p>(
        &self,
        service: Service,
        version: Version,
        progress: &'p dyn Progress,
    ) -> Result<Conversation<'p>, RemoteError> {
        let failures = Failures {
            url: self.url.to_string(),
        };
        let options = &self.options;
        if options.egress.is_some() && !matches!(self.url.place, Place::Http(_)) {
            return Err(RemoteError::NotAllowed {
                url: failures.url,
                reason: "only HTTP and HTTPS are allowed".to_owned(),
            });
        }
        let edge = Edge::new(self.links.runtime()?, options.idle_timeout, progress);
        match &self.url.place {
            Place::Http(url) => http::HttpClient::new(url, options, failures, &self.links)?
                .connect(service, version, edge),
            Place::Ssh(host) => ssh::connect(host, service, version, options, failures, edge),
            Place::Daemon(host) => {
                let patience = options.connect_timeout;
                daemon::connect(host, service, version, patience, failures, edge)
            }
            Place::Local(_) => unreachable!("a folder is opened, not talked to"),
        }
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Remote").field(&self.url).finish()
    }
}
