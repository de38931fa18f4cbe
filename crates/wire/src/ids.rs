//! Object ids as the protocol spells them.

use packhouse_object::{HashKind, ObjectId};

/// An id of exactly the repository's length, in hexadecimal digits.
pub fn parse_id(hex: &[u8]) -> Option<ObjectId> {
    (hex.len() == HashKind::Sha1.len_in_hex())
        .then(|| ObjectId::from_hex(hex).ok())
        .flatten()
}

/// The same, with the zero id read as "does not exist".
pub fn parse_target(hex: &[u8]) -> Option<Option<ObjectId>> {
    parse_id(hex).map(|id| (!id.is_null()).then_some(id))
}
