//! A remote that listens: its refs are known, and it waits for what is wanted of it.

use std::path::Path;

use packhouse_object::{Progress, Received};
use packhouse_wire::Version;
use serde::{Deserialize, Serialize};

use super::conversation::Conversation;
use super::local::{LocalSource, LocalTarget};
use super::protocol::{self, Advertisement, FetchRequest, PushReport, PushRequest};
use super::{RemoteError, RemoteOptions, RemoteRefs};

/// What an HTTP server said of itself, so that it need not be asked again. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMemory {
    /// What it can do, in version 2 of the protocol.
    capabilities: Vec<String>,
    /// Whether it had to be told who asks.
    pub(super) asks_who: bool,
}

/// A remote that can be fetched from, once.
pub struct FetchConnection<'p> {
    pub(super) refs: RemoteRefs,
    options: RemoteOptions,
    progress: &'p dyn Progress,
    from: From<'p>,
}

enum From<'p> {
    Elsewhere(Box<Conversation<'p>>, Box<Advertisement>),
    Here(LocalSource),
}

impl<'p> FetchConnection<'p> {
    pub(super) fn open(
        mut conversation: Conversation<'p>,
        options: RemoteOptions,
        progress: &'p dyn Progress,
    ) -> Result<FetchConnection<'p>, RemoteError> {
        let advertisement = advertised(&mut conversation, &options)?;
        FetchConnection::with(conversation, advertisement, options, progress)
    }

    /// With what the server said another time.
    pub(super) fn open_again(
        conversation: Conversation<'p>,
        memory: &ServerMemory,
        options: RemoteOptions,
        progress: &'p dyn Progress,
    ) -> Result<FetchConnection<'p>, RemoteError> {
        let advertisement = Advertisement::remembered(&memory.capabilities);
        FetchConnection::with(conversation, advertisement, options, progress)
    }

    fn with(
        mut conversation: Conversation<'p>,
        mut advertisement: Advertisement,
        options: RemoteOptions,
        progress: &'p dyn Progress,
    ) -> Result<FetchConnection<'p>, RemoteError> {
        let refs = match advertisement.version {
            Version::V2 => protocol::ls_refs(&mut conversation, &advertisement, &options)
                .map_err(|error| conversation.explain(error))?,
            _ => std::mem::take(&mut advertisement.refs),
        };
        Ok(FetchConnection {
            refs,
            options,
            progress,
            from: From::Elsewhere(Box::new(conversation), Box::new(advertisement)),
        })
    }

    pub(super) fn local(
        path: &Path,
        options: RemoteOptions,
        progress: &'p dyn Progress,
    ) -> Result<FetchConnection<'p>, RemoteError> {
        let source = LocalSource::open(path)?;
        Ok(FetchConnection {
            refs: source.refs()?,
            options,
            progress,
            from: From::Here(source),
        })
    }

    /// What to remember of the server, to ask it in one request the next time, if that is of use.
    pub fn memory(&self) -> Option<ServerMemory> {
        let From::Elsewhere(conversation, advertisement) = &self.from else {
            return None;
        };
        let http = conversation.http_requests()?;
        let capabilities = advertisement.to_remember()?;
        http.is_at_home().then(|| ServerMemory {
            capabilities,
            asks_who: http.was_asked_who(),
        })
    }

    /// The refs of the remote.
    pub fn refs(&self) -> &RemoteRefs {
        &self.refs
    }

    /// With room for so many bytes, if it has not less already.
    pub(crate) fn limited_to(mut self, pack_bytes: u64) -> FetchConnection<'p> {
        let limits = &mut self.options.limits;
        limits.pack_bytes = limits.pack_bytes.min(pack_bytes);
        // Those that become loose objects are not deltas of each other any more.
        limits.small_object_bytes = limits.small_object_bytes.min(pack_bytes);
        self
    }

    /// The most bytes that a pack may have.
    pub(crate) fn pack_bytes_max(&self) -> u64 {
        self.options.limits.pack_bytes
    }

    /// Gets the objects that are wanted, checked; `None` if nothing is wanted. Nothing becomes visible yet.
    pub fn fetch(mut self, request: &FetchRequest<'_>) -> Result<Option<Received>, RemoteError> {
        if request.wants.is_empty() {
            return Ok(None);
        }
        let (options, progress) = (&self.options, self.progress);
        let received = match &mut self.from {
            From::Here(source) => source.fetch(request, &options.limits, progress)?,
            From::Elsewhere(conversation, advertisement) => {
                protocol::fetch(conversation, advertisement, request, options, progress)
                    .map_err(|error| conversation.explain(error))?
            }
        };
        Ok(Some(received))
    }
}

impl Drop for FetchConnection<'_> {
    fn drop(&mut self) {
        if let From::Elsewhere(conversation, _) = &mut self.from {
            conversation.farewell();
        }
    }
}

/// A remote that can be pushed to, once.
pub struct PushConnection<'p> {
    refs: RemoteRefs,
    options: RemoteOptions,
    progress: &'p dyn Progress,
    to: To<'p>,
}

enum To<'p> {
    Elsewhere(Box<Conversation<'p>>, Box<Advertisement>),
    Here(LocalTarget),
}

impl<'p> PushConnection<'p> {
    pub(super) fn open(
        mut conversation: Conversation<'p>,
        options: RemoteOptions,
        progress: &'p dyn Progress,
    ) -> Result<PushConnection<'p>, RemoteError> {
        let advertisement = advertised(&mut conversation, &options)?;
        if advertisement.version == Version::V2 {
            return Err(conversation
                .failures
                .not_git("it answers a push in version 2"));
        }
        Ok(PushConnection {
            refs: advertisement.refs.clone(),
            options,
            progress,
            to: To::Elsewhere(Box::new(conversation), Box::new(advertisement)),
        })
    }

    pub(super) fn local(
        path: &Path,
        options: RemoteOptions,
        progress: &'p dyn Progress,
    ) -> Result<PushConnection<'p>, RemoteError> {
        let target = LocalTarget::open(path)?;
        Ok(PushConnection {
            refs: target.refs()?,
            options,
            progress,
            to: To::Here(target),
        })
    }

    /// The refs of the remote that it lets be seen.
    pub fn refs(&self) -> &RemoteRefs {
        &self.refs
    }

    /// Whether the remote can promise to move all refs or none.
    pub fn can_be_atomic(&self) -> bool {
        match &self.to {
            To::Here(_) => true,
            To::Elsewhere(_, advertisement) => advertisement.can("atomic"),
        }
    }

    /// An error if the remote is known to take no push at all. One elsewhere says so when it is pushed to.
    pub fn check_writable(&self) -> Result<(), RemoteError> {
        match &self.to {
            To::Here(target) => target.check_writable(),
            To::Elsewhere(..) => Ok(()),
        }
    }

    /// Moves refs, with the objects they need.
    pub fn push(mut self, request: &PushRequest<'_>) -> Result<PushReport, RemoteError> {
        if request.edits.is_empty() {
            return Ok(PushReport {
                statuses: Vec::new(),
                atomic: self.can_be_atomic(),
            });
        }
        let (options, progress) = (&self.options, self.progress);
        match &mut self.to {
            To::Here(target) => target.push(request, &options.limits, progress),
            To::Elsewhere(conversation, advertisement) => {
                protocol::push(conversation, advertisement, request, options, progress)
                    .map_err(|error| conversation.explain(error))
            }
        }
    }
}

impl Drop for PushConnection<'_> {
    fn drop(&mut self) {
        if let To::Elsewhere(conversation, _) = &mut self.to {
            conversation.farewell();
        }
    }
}

fn advertised(
    conversation: &mut Conversation<'_>,
    options: &RemoteOptions,
) -> Result<Advertisement, RemoteError> {
    let failures = conversation.failures.clone();
    let over_http = conversation.is_stateless();
    Advertisement::read(
        conversation.reader(),
        over_http,
        options.refs_max,
        &failures,
    )
    .map_err(|error| conversation.explain(error))
}
