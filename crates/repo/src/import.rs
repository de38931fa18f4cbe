//! Copying a repository on disk into one that is empty.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use packhouse_object::{FinishedPack, NewObject, ObjectId, Progress, Received, RefName};

use crate::change::{Change, RefEdit};
use crate::directory::{OpenError, SkippedRef, Source, SourceError};
use crate::error::{PublishError, RepoError};
use crate::export::{CopyError, Small, copy_reachable};
use crate::repository::Repository;

/// What was imported, and what was not.
#[derive(Clone, Debug)]
pub struct ImportReport {
    /// Refs made.
    pub refs: u64,
    /// Objects copied.
    pub objects: u64,
    /// The branch that `HEAD` of the source names; `None` if it names a commit.
    pub source_head: Option<RefName>,
    /// The default branch of the target, which stays what it was.
    pub default_branch: RefName,
    /// Refs of the source that were left out, each with the reason.
    pub skipped: Vec<SkippedRef>,
}

impl ImportReport {
    /// Whether the target's default branch is another than the source's.
    pub fn default_branch_differs(&self) -> bool {
        self.source_head.as_ref() != Some(&self.default_branch)
    }
}

/// A repository was not imported. The target is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The target has refs.
    #[error("the repository to import into is not empty: it has ref `{name}`")]
    NotEmpty {
        /// One of them.
        name: RefName,
    },
    /// The source's history is cut off.
    #[error("`{}` is a shallow clone, whose history is not complete", path.display())]
    Shallow {
        /// The source.
        path: PathBuf,
    },
    /// A ref of the source names an object that is not there.
    #[error("ref `{name}` points to {target}, which is missing")]
    Broken {
        /// The ref.
        name: RefName,
        /// The missing object.
        target: ObjectId,
    },
    /// The objects could not be copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Source or target could not be read or written.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl From<SourceError> for ImportError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Open(error) => ImportError::Open(error),
            SourceError::Repo(error) => ImportError::Repo(error),
        }
    }
}

/// Objects and refs on their way.
struct Loaded {
    packs: Vec<FinishedPack>,
    small: Vec<NewObject>,
    objects: u64,
    refs: Vec<(RefName, ObjectId)>,
    source_head: Option<RefName>,
    skipped: Vec<SkippedRef>,
}

/// Copies all refs of the repository at `dir`, which may be that of a working copy, and what they reach,
/// into `target`, which must have no refs. All of it becomes visible at once.
pub async fn import(
    dir: &Path,
    target: &Repository,
    who: &str,
    progress: Arc<dyn Progress + Send>,
) -> Result<ImportReport, ImportError> {
    let view = target.view().await?;
    refuse_refs(view.refs().iter().next().map(|(name, _)| name))?;
    let (dir, quarantine) = (dir.to_owned(), target.quarantine_dir().to_owned());
    let base = view.database().clone();
    let loading = tokio::task::spawn_blocking(move || load(&dir, &quarantine, &base, &*progress));
    let loaded = loading.await.map_err(|_| RepoError::Stopped)??;

    let (refs, small) = (loaded.refs.clone(), loaded.small);
    let published = target.publish(who, loaded.packs, move |view| {
        refuse_refs(view.refs().iter().next().map(|(name, _)| name))?;
        let edit = |(name, id): &(RefName, ObjectId)| RefEdit {
            name: name.clone(),
            old: None,
            new: Some(*id),
            message: "import".to_owned(),
        };
        let change = Change {
            objects: small.clone(),
            edits: refs.iter().map(edit).collect(),
        };
        Ok::<_, ImportError>((change, ()))
    });
    let ((), view) = published.await.map_err(|error| match error {
        PublishError::Refused(error) => error,
        PublishError::Repo(error) => ImportError::Repo(error),
    })?;
    Ok(ImportReport {
        refs: loaded.refs.len() as u64,
        objects: loaded.objects,
        source_head: loaded.source_head,
        default_branch: view.head().clone(),
        skipped: loaded.skipped,
    })
}

fn refuse_refs(name: Option<&RefName>) -> Result<(), ImportError> {
    match name {
        Some(name) => Err(ImportError::NotEmpty { name: name.clone() }),
        None => Ok(()),
    }
}

fn load(
    dir: &Path,
    quarantine: &Path,
    base: &packhouse_object::Database,
    progress: &dyn Progress,
) -> Result<Loaded, ImportError> {
    let source = Source::open(dir)?;
    if source.shallow {
        return Err(ImportError::Shallow {
            path: dir.to_owned(),
        });
    }
    let mut skipped = source.skipped;
    let mut refs = Vec::new();
    for (name, value) in source.view.refs().iter() {
        if source.view.symbolic_refs().contains_key(name) {
            let reason =
                "it stands for another ref, which is imported under its own name".to_owned();
            skipped.push(SkippedRef {
                name: name.as_bstr().to_owned(),
                reason,
            });
        } else if source
            .view
            .database()
            .contains(&value.target)
            .map_err(RepoError::from)?
        {
            refs.push((name.clone(), value.target));
        } else {
            return Err(ImportError::Broken {
                name: name.clone(),
                target: value.target,
            });
        }
    }
    let mut loaded = Loaded {
        packs: Vec::new(),
        small: Vec::new(),
        objects: 0,
        refs,
        source_head: source.head,
        skipped,
    };
    if loaded.refs.is_empty() {
        return Ok(loaded);
    }
    let wants = loaded.refs.iter().map(|(_, target)| *target).collect();
    match copy_reachable(
        source.view.database(),
        wants,
        quarantine,
        base,
        Small::AsObjects,
        progress,
    )? {
        Received::Small(objects) => {
            loaded.objects = objects.len() as u64;
            loaded.small = objects;
        }
        Received::Large(finished) => {
            loaded.objects = finished.objects;
            loaded.packs.push(finished);
        }
    }
    Ok(loaded)
}
