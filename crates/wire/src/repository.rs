//! Fetches from and pushes to a repository of the `repo` crate.
//!
//! A client sees one [`Namespace`]: the default one without what is below `refs/namespaces/`, or the
//! ephemeral one with the common part of its names taken away. Objects are shared by both.

use std::error::Error;
use std::io::{self, Read};
use std::sync::Arc;

use packhouse_object::{
    Database, ObjectId, Progress, ReceiveError, ReceiveLimits, Received, RefName, receive_pack,
};
use packhouse_repo::{
    self as repo, Namespace, Push, RefPolicy, RepoError, Repository, View, is_storage_full,
};
use tokio::runtime::Handle;

use crate::sink::{Command, CommandStatus, Messages, Sink, SinkError, UnpackError};
use crate::source::{RefLine, Source};

/// What a pack may have at least, though there is no room left: one without objects has 32 bytes.
const EMPTY_PACK_BYTES: u64 = 512;

const NAMESPACES: &[u8] = b"refs/namespaces/";

/// One namespace of a view, to fetch from.
#[derive(Clone, Debug)]
pub struct ViewSource {
    view: Arc<View>,
    namespace: Namespace,
}

/// What clients of `namespace` see of `view`.
pub fn source_of(view: Arc<View>, namespace: Namespace) -> ViewSource {
    ViewSource { view, namespace }
}

impl ViewSource {
    fn get(&self, name: &[u8]) -> Option<ObjectId> {
        if is_hidden(name) {
            return None;
        }
        let stored = stored_name(self.namespace, name)?;
        self.view.refs().get(&stored).map(|entry| entry.target)
    }
}

impl Source for ViewSource {
    /// The default branch. The ephemeral namespace has no `HEAD` of its own: there it is the branch of the
    /// same name, so that a clone checks it out where it exists.
    fn head(&self) -> Option<RefName> {
        let head = self.view.head();
        (!self.view.is_valueless(head.as_bytes())).then(|| head.clone())
    }

    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        self.get(name)
    }

    fn visit(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = self.namespace.prefix().as_bytes();
        let stored_prefix = [before, prefix].concat();
        for (name, entry) in self.view.refs().prefixed(&stored_prefix) {
            let name = &name.as_bytes()[before.len()..];
            if !is_hidden(name) {
                visitor(RefLine {
                    name,
                    id: entry.target,
                    peeled: entry.peeled,
                })?;
            }
        }
        Ok(())
    }

    fn visit_listed(
        &self,
        prefix: &[u8],
        visitor: &mut dyn FnMut(RefLine<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = self.namespace.prefix().as_bytes();
        let stored_prefix = [before, prefix].concat();
        for (name, entry) in self.view.listed(&stored_prefix) {
            let name = &name[before.len()..];
            if !is_hidden(name) {
                visitor(RefLine::listed(name, entry))?;
            }
        }
        Ok(())
    }

    fn symbolic_target(&self, name: &[u8]) -> Option<RefName> {
        let symbolic = self.view.symbolic_refs();
        if symbolic.is_empty() {
            return None;
        }
        let target = symbolic.get(&stored_name(self.namespace, name)?)?;
        RefName::parse(target.strip_prefix(self.namespace.prefix())?).ok()
    }

    fn database(&self) -> &Database {
        self.view.database()
    }

    fn shallow(&self) -> &[ObjectId] {
        self.view.shallow_commits()
    }

    fn namespace(&self) -> &[u8] {
        self.namespace.prefix().as_bytes()
    }
}

impl<'a> RefLine<'a> {
    /// The line of a ref as [`View::listed`] has it.
    pub fn listed(name: &'a [u8], entry: Option<&repo::Ref>) -> RefLine<'a> {
        match entry {
            Some(entry) => RefLine {
                name,
                id: entry.target,
                peeled: entry.peeled,
            },
            None => RefLine::valueless(name),
        }
    }
}

/// Names that no client of either namespace sees or sets.
fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(NAMESPACES)
}

/// What a client's name is called in the store.
fn stored_name(namespace: Namespace, name: &[u8]) -> Option<RefName> {
    RefName::parse([namespace.prefix().as_bytes(), name].concat()).ok()
}

/// Who pushes, where to, and what that may cost.
pub struct PushTarget {
    /// The repository.
    pub repository: Repository,
    /// The namespace the client sees.
    pub namespace: Namespace,
    /// What the caller may do to refs, by their names in the store.
    pub policy: Arc<dyn RefPolicy>,
    /// Who pushes, for the reflog.
    pub who: String,
    /// What the pack may cost.
    pub limits: ReceiveLimits,
}

/// Accepts one push into a repository. Its calls block, so it belongs on a thread that may.
pub struct RepositorySink {
    target: PushTarget,
    source: ViewSource,
    runtime: Handle,
    received: Option<Received>,
}

/// A sink for one push. `view` is what connectivity is checked against; `runtime` runs the publishing.
pub fn sink_of(target: PushTarget, view: Arc<View>, runtime: Handle) -> RepositorySink {
    let source = source_of(view, target.namespace);
    RepositorySink {
        target,
        source,
        runtime,
        received: None,
    }
}

impl Sink for RepositorySink {
    fn find(&self, name: &[u8]) -> Option<ObjectId> {
        self.source.get(name)
    }

    fn contains(&self, id: ObjectId) -> bool {
        // What cannot be read is not there for this purpose, which is the choice of a message.
        self.source.database().contains(&id).unwrap_or(false)
    }

    fn unpack(
        &mut self,
        input: &mut dyn Read,
        shallow: &[ObjectId],
        progress: &dyn Progress,
    ) -> Result<(), UnpackError> {
        let quota = self.runtime.block_on(self.target.repository.quota());
        let quota = quota.map_err(unpack_failed)?;
        let mut limits = self.target.limits.clone();
        // All of a pack counts, so more of it need not come; one that adds nothing has a few bytes all the same.
        let room = quota.map(|quota| quota.left_bytes().max(EMPTY_PACK_BYTES));
        if let Some(room) = room {
            limits.pack_bytes = limits.pack_bytes.min(room);
        }
        let dir = self.target.repository.quarantine_dir();
        let received = receive_pack(input, dir, self.source.database(), &limits, progress)
            .map_err(|error| match (error, quota) {
                (ReceiveError::PackTooLarge { limit }, Some(quota)) if Some(limit) == room => {
                    let more = quota.with(limit.saturating_add(1));
                    UnpackError::Bad(more.map_or_else(|over| over.to_string(), |_| String::new()))
                }
                (error, _) => unpack_error(error, shallow),
            })?;
        self.received = Some(received);
        Ok(())
    }

    fn publish(
        &mut self,
        commands: Vec<Command>,
        atomic: bool,
        _: &dyn Messages,
    ) -> Result<Vec<CommandStatus>, SinkError> {
        let mut statuses = vec![CommandStatus::rejected("funny refname"); commands.len()];
        let mut stored = Vec::with_capacity(commands.len());
        let mut places = Vec::with_capacity(commands.len());
        for (place, command) in commands.iter().enumerate() {
            // A name may become too long by its prefix.
            if let Some(name) = stored_name(self.target.namespace, command.name.as_bytes()) {
                stored.push(repo::Command {
                    name,
                    old: command.old,
                    new: command.new,
                });
                places.push(place);
            }
        }
        if atomic && stored.len() < commands.len() {
            for place in places {
                statuses[place] = CommandStatus::rejected("atomic push failure");
            }
            return Ok(statuses);
        }
        let push = Push {
            commands: stored,
            received: self.received.take(),
            atomic,
            policy: self.target.policy.clone(),
            who: self.target.who.clone(),
        };
        let published = self.runtime.block_on(self.target.repository.receive(push));
        let published = match published {
            Ok(published) => published,
            Err(RepoError::OverQuota(over)) => {
                let rejected = CommandStatus::Rejected {
                    reason: "over quota".to_owned(),
                    detail: Some(over.to_string()),
                };
                return Ok(vec![rejected; commands.len()]);
            }
            Err(error @ RepoError::Vanished { .. }) => {
                let rejected = CommandStatus::Rejected {
                    reason: "missing necessary objects".to_owned(),
                    detail: Some(error.to_string()),
                };
                return Ok(vec![rejected; commands.len()]);
            }
            Err(error) => return Err(publish_failed(error)),
        };
        for (place, status) in places.into_iter().zip(published) {
            statuses[place] = status_of(&commands[place], status);
        }
        Ok(statuses)
    }
}

/// The store says in one text why a ref did not move; git prints the long ones on a line of their own.
fn status_of(command: &Command, status: repo::CommandStatus) -> CommandStatus {
    let reason = match status {
        repo::CommandStatus::Ok => return CommandStatus::Ok,
        repo::CommandStatus::Rejected(reason) => reason,
    };
    if reason.starts_with("cannot lock ref ") || reason.starts_with("cannot update ref ") {
        return CommandStatus::Rejected {
            reason: "failed to update ref".to_owned(),
            detail: Some(reason),
        };
    }
    let detail = (reason == "deletion of the current branch prohibited")
        .then(|| format!("refusing to delete the current branch: {}", command.name));
    CommandStatus::Rejected { reason, detail }
}

fn unpack_failed(error: impl std::error::Error + Send + Sync + 'static) -> UnpackError {
    match is_storage_full(&error) {
        true => UnpackError::Full(Box::new(error)),
        false => UnpackError::Internal(Box::new(error)),
    }
}

/// Whatever was the cause: a push that may have been stored is not told as one that was not.
fn publish_failed(error: RepoError) -> SinkError {
    if error.is_unconfirmed() {
        return SinkError::unconfirmed(Box::new(error));
    }
    match is_storage_full(&error) {
        true => SinkError::full(Box::new(error)),
        false => SinkError::internal(Box::new(error)),
    }
}

/// A bad pack is the client's to hear about; what went wrong in here is not.
fn unpack_error(error: ReceiveError, shallow: &[ObjectId]) -> UnpackError {
    let is_cut = match &error {
        ReceiveError::MissingObject { named_by, .. } => shallow.contains(named_by),
        ReceiveError::MissingObjects { .. } => !shallow.is_empty(),
        _ => false,
    };
    match error {
        _ if is_cut => UnpackError::Shallow,
        ReceiveError::Base(_) | ReceiveError::Storage(_) | ReceiveError::Cancelled => {
            unpack_failed(error)
        }
        error => UnpackError::Bad(with_reasons(&error)),
    }
}

/// The message of an error with those of what caused it.
fn with_reasons(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};
    use std::sync::Arc;

    use packhouse_catalog::CatalogError;

    use super::*;

    fn full() -> Arc<sqlx::Error> {
        Arc::new(sqlx::Error::Io(io::Error::from(ErrorKind::StorageFull)))
    }

    #[test]
    fn a_push_that_may_have_been_stored_is_not_told_as_one_that_was_not() {
        let unconfirmed = || RepoError::Catalog(CatalogError::Unconfirmed { source: full() });
        for error in [unconfirmed(), RepoError::Shared(Arc::new(unconfirmed()))] {
            let told = publish_failed(error).told();
            assert!(told.contains("may have been updated"), "{told}");
        }
        let source = full();
        let rolled_back = RepoError::Catalog(CatalogError::Database { source });
        let told = publish_failed(RepoError::Shared(Arc::new(rolled_back))).told();
        assert!(told.contains("no room left"), "{told}");
        assert_eq!(publish_failed(RepoError::Stopped).told(), "internal error");
    }
}
