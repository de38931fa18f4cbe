//! Hashing objects: SHA-1 with collision detection, over Git's header and the content.

use crate::{HashKind, ObjectId, ObjectKind};

/// The content was made to collide with another object's (SHAttered and its relatives).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} of {size} bytes is a SHA-1 collision attack")]
pub struct CollisionError {
    /// What the object claims to be.
    pub kind: ObjectKind,
    /// Its size in bytes.
    pub size: u64,
}

/// The id of the object of this kind and content.
pub fn hash_object(kind: ObjectKind, data: &[u8]) -> Result<ObjectId, CollisionError> {
    let mut hasher = ObjectHasher::new(kind, data.len() as u64);
    hasher.update(data);
    hasher.finish()
}

/// Hashes an object that arrives in pieces.
///
/// The pieces must add up to the size given at the start: it is part of what is hashed.
#[derive(Clone)]
pub struct ObjectHasher {
    hasher: gix_hash::Hasher,
    kind: ObjectKind,
    size: u64,
    left: u64,
}

impl ObjectHasher {
    /// Begins an object of `size` bytes.
    pub fn new(kind: ObjectKind, size: u64) -> Self {
        let mut hasher = gix_hash::hasher(HashKind::Sha1);
        let (header, len) = object_header(kind, size);
        hasher.update(&header[..len]);
        ObjectHasher {
            hasher,
            kind,
            size,
            left: size,
        }
    }

    /// Adds the next piece of the content.
    pub fn update(&mut self, data: &[u8]) {
        self.left = self.left.wrapping_sub(data.len() as u64);
        self.hasher.update(data);
    }

    /// The id, once all content was added.
    pub fn finish(self) -> Result<ObjectId, CollisionError> {
        debug_assert_eq!(self.left, 0, "the pieces add up to the announced size");
        let ObjectHasher {
            hasher, kind, size, ..
        } = self;
        hasher
            .try_finalize()
            .map_err(|_| CollisionError { kind, size })
    }
}

impl std::fmt::Debug for ObjectHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ObjectHasher({} of {} bytes, {} to come)",
            self.kind, self.size, self.left
        )
    }
}

/// Room for the longest header: `commit`, a space, 20 digits, NUL.
pub(crate) const HEADER_ROOM: usize = 32;

/// Git's header `<kind> <size>\0` and its length.
pub(crate) fn object_header(kind: ObjectKind, size: u64) -> ([u8; HEADER_ROOM], usize) {
    // By hand: every object has one.
    let mut header = [0; HEADER_ROOM];
    let word = kind.as_str().as_bytes();
    header[..word.len()].copy_from_slice(word);
    header[word.len()] = b' ';
    let start = word.len() + 1;
    let end = start + size.checked_ilog10().map_or(1, |log| log as usize + 1);
    let mut rest = size;
    for digit in header[start..end].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (header, end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ids() {
        assert!(hash_object(ObjectKind::Blob, b"").unwrap().is_empty_blob());
        assert!(hash_object(ObjectKind::Tree, b"").unwrap().is_empty_tree());
        let id = hash_object(ObjectKind::Blob, b"hello\n").unwrap();
        assert_eq!(id.to_string(), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn headers_are_those_of_git() {
        for kind in ObjectKind::ALL {
            for size in [0, 1, 9, 10, 99, 100, 12_345_678_901, u64::MAX - 1, u64::MAX] {
                let (header, len) = object_header(kind, size);
                assert_eq!(header[..len], *format!("{kind} {size}\0").as_bytes());
            }
        }
    }

    #[test]
    fn pieces_hash_like_the_whole() {
        let mut hasher = ObjectHasher::new(ObjectKind::Tag, 10);
        hasher.update(b"0123");
        hasher.update(b"456789");
        assert_eq!(hasher.finish(), hash_object(ObjectKind::Tag, b"0123456789"));
    }
}
