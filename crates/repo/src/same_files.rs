//! Whether two commits have the same at a path. For Git that is a question of files: an empty folder is nothing, so making one
//! changes nothing, and neither does taking it away. Changed-path filters are made by that rule too.

use std::ops::ControlFlow;

use packhouse_object::{Database, ObjectId, ReadError, diff_trees};

/// Compares what is at one path of several trees.
#[derive(Clone, Debug)]
pub(crate) struct SameFiles {
    database: Database,
    /// Whether there may be folders without files. Hardly ever, since Git makes none.
    has_empty_folders: bool,
}

/// What is at a path, if it is a folder; else `None`, for files too.
pub(crate) type FolderAt = Option<ObjectId>;

impl SameFiles {
    pub(crate) fn of(database: &Database) -> Result<SameFiles, ReadError> {
        Ok(SameFiles {
            database: database.clone(),
            has_empty_folders: database.stores_empty_tree()?,
        })
    }

    /// Whether what is not quite the same at two places, folders or nothing at all, has the same files.
    pub(crate) fn in_folders(&self, one: FolderAt, other: FolderAt) -> Result<bool, ReadError> {
        if !self.has_empty_folders {
            return Ok(false);
        }
        let mut is_same = true;
        let compared = diff_trees(&self.database, one, other, &mut |_| {
            is_same = false;
            ControlFlow::Break(())
        });
        match compared {
            // Such folders are not looked through.
            Err(ReadError::TreeTooDeep { .. }) => Ok(false),
            compared => compared.map(|()| is_same),
        }
    }
}
