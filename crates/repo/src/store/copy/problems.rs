//! Errors about single files, which end a copy or are collected.

use bstr::BString;

use crate::store::{ChangeError, StoreError, StoreErrorKind};

/// What went wrong so far.
pub(super) struct Problems {
    ignore: bool,
    errors: Vec<ChangeError>,
}

impl Problems {
    pub(super) fn new(ignore: bool) -> Problems {
        Problems {
            ignore,
            errors: Vec::new(),
        }
    }

    /// The value, or `None` if an error about `path` was collected. Others are returned.
    pub(super) fn check<T>(
        &mut self,
        path: impl Into<BString>,
        result: Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if self.ignore && is_about_one_file(&error) => {
                self.errors.push(ChangeError {
                    path: path.into(),
                    error: error.to_string(),
                });
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How many were collected.
    pub(super) fn count(&self) -> usize {
        self.errors.len()
    }

    /// The collected errors.
    pub(super) fn into_errors(self) -> Vec<ChangeError> {
        self.errors
    }

    /// The error for a copy in which nothing succeeded; none if nothing went wrong.
    pub(super) fn all_failed(&self) -> Option<StoreError> {
        let listed: Vec<String> = self
            .errors
            .iter()
            .map(|error| format!("{}: {}", error.path, error.error))
            .collect();
        (!listed.is_empty()).then(|| StoreError::Failed {
            reason: format!("All files failed to copy: {}", listed.join("; ")),
        })
    }
}

/// Whether the copy can go on without the file.
fn is_about_one_file(error: &StoreError) -> bool {
    use StoreErrorKind::*;
    let foreign = matches!(
        error,
        StoreError::Repo(_) | StoreError::Open(_) | StoreError::ReadOnly { .. }
    );
    let kind = error.kind();
    !foreign
        && matches!(
            kind,
            NotFound | Exists | IsADirectory | NotADirectory | Permission | Os | Value
        )
}
