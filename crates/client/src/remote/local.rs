//! A repository on this machine, opened directly.

use std::path::Path;
use std::sync::Arc;

use packhouse_object::{ObjectId, Progress, ReceiveLimits, Received, Wanted};
use packhouse_repo::store::{Store, StoreError, StoreOptions};
use packhouse_repo::{CopyError, View, copy_objects};

use super::error::RemoteError;
use super::protocol::{FetchRequest, PushReport, PushRequest, PushStatus, common};
use super::refs::{RemoteRef, RemoteRefs};
use crate::mirror::publish::{Moves, publish};

/// A repository to fetch from. Nothing is written to it.
pub(super) struct LocalSource {
    store: Store,
    view: Arc<View>,
}

impl LocalSource {
    pub(super) fn open(path: &Path) -> Result<LocalSource, RemoteError> {
        let options = StoreOptions {
            read_only: true,
            ..StoreOptions::default()
        };
        let store = open(path, options)?;
        let view = store.view().map_err(RemoteError::local(path))?;
        Ok(LocalSource { store, view })
    }

    pub(super) fn refs(&self) -> Result<RemoteRefs, RemoteError> {
        refs_of(&self.store, &self.view)
    }

    pub(super) fn fetch(
        &self,
        request: &FetchRequest<'_>,
        limits: &ReceiveLimits,
        progress: &dyn Progress,
    ) -> Result<Received, RemoteError> {
        check_complete(&self.store)?;
        let theirs = self.view.database();
        let wanted = Wanted {
            wants: request.wants.clone(),
            haves: common(request.database, &request.haves, theirs)?,
            include_tags: Vec::new(),
            thin: true,
        };
        copy_objects(
            theirs,
            &wanted,
            request.quarantine,
            request.database,
            limits,
            progress,
        )
        .map_err(copy_error)
    }
}

/// A repository to push to.
pub(super) struct LocalTarget {
    store: Store,
    view: Arc<View>,
}

impl LocalTarget {
    pub(super) fn open(path: &Path) -> Result<LocalTarget, RemoteError> {
        let store = open(path, StoreOptions::default())?;
        let view = store.view().map_err(RemoteError::local(path))?;
        Ok(LocalTarget { store, view })
    }

    pub(super) fn refs(&self) -> Result<RemoteRefs, RemoteError> {
        refs_of(&self.store, &self.view)
    }

    /// An error if it takes no push at all.
    pub(super) fn check_writable(&self) -> Result<(), RemoteError> {
        let checked = self.store.check_writable();
        checked.map_err(RemoteError::local(self.store.path()))
    }

    /// All refs move or none: a ref that was moved by somebody else meanwhile keeps all where they are.
    pub(super) fn push(
        &self,
        request: &PushRequest<'_>,
        limits: &ReceiveLimits,
        progress: &dyn Progress,
    ) -> Result<PushReport, RemoteError> {
        let view = &self.view;
        let tips: Vec<ObjectId> = view.refs().iter().map(|(_, value)| value.target).collect();
        let wanted = Wanted {
            wants: request.edits.iter().filter_map(|edit| edit.new).collect(),
            haves: common(view.database(), &tips, request.database)?,
            include_tags: Vec::new(),
            thin: true,
        };
        let received = match wanted.wants.is_empty() {
            true => None,
            false => Some(
                copy_objects(
                    request.database,
                    &wanted,
                    self.store.quarantine_dir(),
                    view.database(),
                    limits,
                    progress,
                )
                .map_err(copy_error)?,
            ),
        };
        let moves = Moves {
            edits: request.edits,
            message: "push",
        };
        let moved = publish(&self.store, received, &moves)
            .map_err(RemoteError::local(self.store.path()))?;
        let statuses = request.edits.iter().map(|edit| match &moved {
            Ok(()) => PushStatus::Ok,
            Err(stale) if *stale == edit.name => {
                PushStatus::Rejected("it was moved by somebody else".to_owned())
            }
            Err(_) => PushStatus::Rejected("atomic push failure".to_owned()),
        });
        Ok(PushReport {
            statuses: statuses.collect(),
            atomic: true,
        })
    }
}

fn open(path: &Path, options: StoreOptions) -> Result<Store, RemoteError> {
    Store::open(path, options).map_err(|error| {
        let not_found = |reason: &str| RemoteError::RepositoryNotFound {
            url: path.display().to_string(),
            reason: reason.to_owned(),
        };
        match &error {
            StoreError::NotFound { .. } => not_found("there is nothing; not a git repository"),
            StoreError::Open(packhouse_repo::directory::OpenError::NoRepository { .. }) => {
                not_found("it is not a git repository")
            }
            _ => RemoteError::local(path)(error),
        }
    })
}

/// An error if the history of a repository on this machine was cut off.
pub(crate) fn check_complete(store: &Store) -> Result<(), RemoteError> {
    let shallow = store.path().join("shallow");
    match shallow.metadata().is_ok_and(|file| file.len() > 0) {
        false => Ok(()),
        true => Err(RemoteError::Shallow {
            url: store.path().display().to_string(),
        }),
    }
}

fn refs_of(store: &Store, view: &View) -> Result<RemoteRefs, RemoteError> {
    let refs = view.refs().iter().map(|(name, value)| RemoteRef {
        name: name.clone(),
        target: value.target,
        peeled: value.peeled,
    });
    let current = store
        .branches()
        .current_name()
        .map_err(RemoteError::local(store.path()))?;
    let head_ref = current.and_then(|name| packhouse_object::RefName::branch(&name).ok());
    let head = match &head_ref {
        Some(name) => view.refs().get(name).map(|found| found.target),
        None => detached_head(store),
    };
    Ok(RemoteRefs {
        refs: refs.collect(),
        head,
        head_ref,
        symbolic: view.symbolic_refs().clone(),
        damaged: view.damaged_refs().to_vec(),
        skipped: Vec::new(),
    })
}

/// The commit in `HEAD`, where that names no branch.
fn detached_head(store: &Store) -> Option<ObjectId> {
    let text = std::fs::read(store.path().join("HEAD")).ok()?;
    ObjectId::from_hex(text.trim_ascii_end()).ok()
}

pub(crate) fn copy_error(error: CopyError) -> RemoteError {
    use packhouse_object::{ReadError, ReceiveError, WritePackError};
    match error {
        CopyError::Read(error) => error.into(),
        CopyError::Receive(ReceiveError::Cancelled)
        | CopyError::Write(WritePackError::Read(ReadError::Cancelled)) => RemoteError::Cancelled,
        CopyError::Write(error) => RemoteError::Send(error),
        CopyError::Receive(error) => RemoteError::Receive(error),
        CopyError::Pipe(error) => RemoteError::Start(error),
    }
}
