//! A repository on disk that is only read, of any age and form: what `import` copies from.

use std::path::Path;
use std::sync::Arc;

use packhouse_object::RefName;

use super::backend::Directory;
use super::error::OpenError;
use super::layout::{Accept, Layout};
use super::ref_map::SkippedRef;
use crate::error::RepoError;
use crate::view::View;

/// A repository that is read. Nothing is written to it, not even temporary files.
pub(crate) struct Source {
    /// What is in it.
    pub(crate) view: Arc<View>,
    /// The branch that `HEAD` names; `None` if it names a commit.
    pub(crate) head: Option<RefName>,
    /// Refs that are not in the view.
    pub(crate) skipped: Vec<SkippedRef>,
    /// Whether history was cut off by a shallow clone.
    pub(crate) shallow: bool,
}

/// A source was not opened.
#[derive(Debug)]
pub(crate) enum SourceError {
    Open(OpenError),
    Repo(RepoError),
}

impl Source {
    /// Opens a bare repository or that of a working copy.
    pub(crate) fn open(path: &Path) -> Result<Source, SourceError> {
        let layout = Layout::find(path, Accept::WorkingCopies).map_err(SourceError::Open)?;
        let shallow = layout.shallow;
        let unknown = RefName::branch("main").expect("the name is valid");
        let directory = Directory::open_source(layout, unknown);
        let view = directory.read_view().map_err(SourceError::Repo)?;
        let detached = directory
            .head_is_detached()
            .map_err(|error| SourceError::Repo(error.into()))?;
        let head = (!detached).then(|| view.head().clone());
        Ok(Source {
            skipped: directory.skipped(),
            view,
            head,
            shallow,
        })
    }
}
