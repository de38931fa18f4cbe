//! An object as it is read, and one that is about to be stored.

use bytes::Bytes;

use crate::{CollisionError, ObjectId, ObjectKind, hash_object};

/// An object's kind and size, known without reading its content.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct ObjectHeader {
    /// What it is.
    pub kind: ObjectKind,
    /// Its size in bytes, inflated.
    pub size: u64,
}

/// An object in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its content.
    pub data: Bytes,
}

impl Object {
    /// The object's kind and size.
    pub fn header(&self) -> ObjectHeader {
        ObjectHeader {
            kind: self.kind,
            size: self.data.len() as u64,
        }
    }
}

/// An object with its id, not stored yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// The hash of kind and content.
    pub id: ObjectId,
    /// What it is.
    pub kind: ObjectKind,
    /// Its content.
    pub data: Bytes,
}

impl NewObject {
    /// Hashes the content, which must not be a collision attack.
    pub fn new(kind: ObjectKind, data: impl Into<Bytes>) -> Result<NewObject, CollisionError> {
        let data = data.into();
        let id = hash_object(kind, &data)?;
        Ok(NewObject { id, kind, data })
    }
}
