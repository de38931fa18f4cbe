//! The bytes of one tail row: the objects of a group of small writes, whole and undeflated.
//!
//! ```text
//! "PHT1"  hash kind (1 byte: 1 = SHA-1)  object count (varint)
//! per object: kind (1 commit, 2 tree, 3 blob, 4 tag)  id (20 bytes)  size (varint)  data
//! CRC-32 of all before it (4 bytes, little endian)
//! ```
//! Varints are little-endian base 128. SQL pages carry no checksum of their own, hence the CRC.

use bytes::{Bytes, BytesMut};
use packhouse_object::{HashKind, NewObject, ObjectId, ObjectKind};

use crate::error::RepoError;

const MAGIC: &[u8; 4] = b"PHT1";
const SHA1: u8 = 1;
const ID_LEN: usize = 20;

/// The most bytes that a row for `objects` has.
pub(crate) fn most_bytes(objects: &[NewObject]) -> usize {
    let sizes = objects.iter().map(|object| object.data.len() + ID_LEN + 12);
    sizes.sum::<usize>() + 20
}

/// The row for `objects`.
pub(crate) fn encode(objects: &[NewObject]) -> Bytes {
    let mut row = BytesMut::with_capacity(most_bytes(objects));
    row.extend_from_slice(MAGIC);
    row.extend_from_slice(&[SHA1]);
    put_varint(&mut row, objects.len() as u64);
    for object in objects {
        row.extend_from_slice(&[kind_code(object.kind)]);
        row.extend_from_slice(object.id.as_slice());
        put_varint(&mut row, object.data.len() as u64);
        row.extend_from_slice(&object.data);
    }
    let crc = crc32fast::hash(&row);
    row.extend_from_slice(&crc.to_le_bytes());
    row.freeze()
}

/// The objects of a row; their data are slices of it.
pub(crate) fn decode(row: &Bytes) -> Result<Vec<NewObject>, RepoError> {
    let body_len = row
        .len()
        .checked_sub(4)
        .ok_or_else(|| damaged("it is too short"))?;
    let crc = u32::from_le_bytes(
        row[body_len..]
            .try_into()
            .expect("four bytes follow the body"),
    );
    if crc32fast::hash(&row[..body_len]) != crc {
        return Err(damaged("its checksum does not match"));
    }
    let mut reader = Reader {
        row,
        at: 0,
        end: body_len,
    };
    if reader.take(4)? != MAGIC.as_slice() || reader.take(1)? != [SHA1].as_slice() {
        return Err(damaged("it has an unknown format"));
    }
    let count = reader.varint()?;
    let mut objects = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(1 << 16));
    for _ in 0..count {
        let kind = kind_of(reader.take(1)?[0])?;
        let id = ObjectId::from_bytes_or_panic(&reader.take(ID_LEN)?);
        debug_assert_eq!(id.kind(), HashKind::Sha1);
        let size = usize::try_from(reader.varint()?).map_err(|_| damaged("a size is too large"))?;
        objects.push(NewObject {
            id,
            kind,
            data: reader.take(size)?,
        });
    }
    if reader.at != reader.end {
        return Err(damaged("bytes follow the last object"));
    }
    Ok(objects)
}

struct Reader<'a> {
    row: &'a Bytes,
    at: usize,
    end: usize,
}

impl Reader<'_> {
    fn take(&mut self, len: usize) -> Result<Bytes, RepoError> {
        let to = self
            .at
            .checked_add(len)
            .filter(|to| *to <= self.end)
            .ok_or_else(|| damaged("it ends early"))?;
        let taken = self.row.slice(self.at..to);
        self.at = to;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, RepoError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged("a number is too long"))
    }
}

fn put_varint(row: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        row.extend_from_slice(&[(value & 0x7f) as u8 | 0x80]);
        value >>= 7;
    }
    row.extend_from_slice(&[value as u8]);
}

fn kind_code(kind: ObjectKind) -> u8 {
    match kind {
        ObjectKind::Commit => 1,
        ObjectKind::Tree => 2,
        ObjectKind::Blob => 3,
        ObjectKind::Tag => 4,
    }
}

fn kind_of(code: u8) -> Result<ObjectKind, RepoError> {
    Ok(match code {
        1 => ObjectKind::Commit,
        2 => ObjectKind::Tree,
        3 => ObjectKind::Blob,
        4 => ObjectKind::Tag,
        _ => return Err(damaged("an object has an unknown kind")),
    })
}

fn damaged(reason: &str) -> RepoError {
    RepoError::Damaged {
        what: "tail row".to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<NewObject> {
        vec![
            NewObject::new(ObjectKind::Blob, Bytes::from_static(b"")).unwrap(),
            NewObject::new(ObjectKind::Blob, Bytes::from(vec![7; 300])).unwrap(),
            NewObject::new(ObjectKind::Tree, Bytes::from_static(b"")).unwrap(),
        ]
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let objects = sample();
        let back = decode(&encode(&objects)).unwrap();
        assert_eq!(back.len(), objects.len());
        for (a, b) in objects.iter().zip(&back) {
            assert_eq!((a.id, a.kind, &a.data), (b.id, b.kind, &b.data));
        }
    }

    #[test]
    fn a_flipped_or_missing_byte_is_found() {
        let row = encode(&sample());
        for at in 0..row.len() {
            let mut bad = row.to_vec();
            bad[at] ^= 1;
            assert!(decode(&Bytes::from(bad)).is_err(), "flip at {at}");
            assert!(decode(&row.slice(..at)).is_err(), "cut at {at}");
        }
    }
}
