//! What a write wants: new objects and ref edits, which become visible together or not at all.

use packhouse_object::{NewObject, ObjectId, RefName};

/// One ref moved by compare-and-set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefEdit {
    /// The ref.
    pub name: RefName,
    /// Where it must be now; `None`: it must not exist.
    pub old: Option<ObjectId>,
    /// Where it goes; `None`: it is deleted.
    pub new: Option<ObjectId>,
    /// The line the reflog keeps.
    pub message: String,
}

/// The objects and ref edits of one write.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Objects that are not in the view yet. Everything they name is in the view or among them.
    pub objects: Vec<NewObject>,
    /// Ref edits; each `old` is what the view it was prepared on says.
    pub edits: Vec<RefEdit>,
}

impl Change {
    /// The bytes of the new objects, undeflated.
    pub fn object_bytes(&self) -> usize {
        self.objects.iter().map(|object| object.data.len()).sum()
    }
}
