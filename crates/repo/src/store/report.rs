//! What an operation changed, or would change.

use bstr::BString;

use super::FileType;

/// The files an operation adds, updates and deletes, and what went wrong on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeReport {
    /// Files that were not there.
    pub add: Vec<FileEntry>,
    /// Files with another content or mode than before.
    pub update: Vec<FileEntry>,
    /// Files that are gone.
    pub delete: Vec<FileEntry>,
    /// Files that were passed over because of an error.
    pub errors: Vec<ChangeError>,
    /// What the caller should know although it is no error.
    pub warnings: Vec<ChangeError>,
}

/// One file of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its path; relative to the destination in reports of copies.
    pub path: BString,
    /// What it is.
    pub file_type: FileType,
    /// Where it came from, in reports of copies.
    pub source: Option<BString>,
}

/// What went wrong with one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeError {
    /// The path.
    pub path: BString,
    /// What went wrong.
    pub error: String,
}

/// What happens to one path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChangeAction {
    /// The path.
    pub path: BString,
    /// What happens to it.
    pub kind: ChangeKind,
}

/// The three things that can happen to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It comes.
    Add,
    /// It changes.
    Update,
    /// It goes.
    Delete,
}

impl ChangeKind {
    /// `add`, `update` or `delete`.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Add => "add",
            ChangeKind::Update => "update",
            ChangeKind::Delete => "delete",
        }
    }
}

impl FileEntry {
    /// A file of this type without a source.
    pub fn new(path: impl Into<BString>, file_type: FileType) -> FileEntry {
        FileEntry {
            path: path.into(),
            file_type,
            source: None,
        }
    }
}

impl ChangeReport {
    /// Whether nothing is added, updated or deleted.
    pub fn in_sync(&self) -> bool {
        self.total() == 0
    }

    /// How many files are added, updated and deleted.
    pub fn total(&self) -> usize {
        self.add.len() + self.update.len() + self.delete.len()
    }

    /// Every change, sorted by path.
    pub fn actions(&self) -> Vec<ChangeAction> {
        let kinds = [
            (&self.add, ChangeKind::Add),
            (&self.update, ChangeKind::Update),
            (&self.delete, ChangeKind::Delete),
        ];
        let mut actions: Vec<ChangeAction> = kinds
            .into_iter()
            .flat_map(|(entries, kind)| {
                entries.iter().map(move |entry| ChangeAction {
                    path: entry.path.clone(),
                    kind,
                })
            })
            .collect();
        actions.sort_unstable();
        actions
    }

    /// Sorts each list by path.
    pub fn sort(&mut self) {
        for list in [&mut self.add, &mut self.update, &mut self.delete] {
            list.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        }
    }

    /// The report, or `None` if it says nothing at all.
    pub fn unless_empty(self) -> Option<ChangeReport> {
        let is_empty = self.in_sync() && self.errors.is_empty() && self.warnings.is_empty();
        (!is_empty).then_some(self)
    }
}
