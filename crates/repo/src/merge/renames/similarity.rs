//! How much two files have in common, as Git counts it.

use std::collections::HashMap;
use std::sync::Arc;

use packhouse_object::{Database, MAX_IN_MEMORY, ObjectId, ObjectKind, ReadError};

use crate::merge::blob::is_file;
use crate::merge::is_binary;
use crate::merge::stages::Stage;

/// Files that are the same.
pub(super) const ALIKE: u64 = 60_000;
/// The least that makes two files one that was renamed: half.
pub(super) const HALF: u64 = ALIKE / 2;

/// A stretch of a file ends with its line, or after so many bytes.
const STRETCH_BYTES: u32 = 64;
/// Stretches are known by a remainder of this.
const HASHES: u32 = 107_927;
/// What the fingerprints of one merge may take, in bytes. Past that no more files are compared.
const KEPT_BYTES: u64 = 256 << 20;
/// What may be read for them, in bytes.
const READ_BYTES: u64 = 4 << 30;

/// The stretches of a file: how many bytes there are of each, in the order of their hashes.
type Fingerprint = Arc<Vec<(u32, u32)>>;

/// The fingerprints of files, made when they are needed.
pub(in crate::merge) struct Fingerprints<'a> {
    database: &'a Database,
    max_bytes: u64,
    sizes: HashMap<ObjectId, u64>,
    made: HashMap<ObjectId, Fingerprint>,
    kept_bytes: u64,
    read_bytes: u64,
}

impl<'a> Fingerprints<'a> {
    /// Of files up to `max_bytes`; larger ones are like no other.
    pub(in crate::merge) fn new(database: &'a Database, max_bytes: u64) -> Fingerprints<'a> {
        Fingerprints {
            database,
            max_bytes: max_bytes.min(MAX_IN_MEMORY),
            sizes: HashMap::new(),
            made: HashMap::new(),
            kept_bytes: 0,
            read_bytes: 0,
        }
    }

    /// How alike two files are, at most [`ALIKE`]; 0 if that cannot be `least`.
    pub(super) fn compare(&mut self, old: Stage, new: Stage, least: u64) -> Result<u64, ReadError> {
        if !is_file(old.0) || !is_file(new.0) {
            return Ok(0);
        }
        let (old_size, new_size) = (self.size(old.1)?, self.size(new.1)?);
        let (larger, smaller) = (old_size.max(new_size), old_size.min(new_size));
        let sizes_differ = larger * (ALIKE - least) < (larger - smaller) * ALIKE;
        if sizes_differ || larger > self.max_bytes || new_size == 0 {
            return Ok(0);
        }
        let (Some(old), Some(new)) = (self.of(old.1, old_size)?, self.of(new.1, new_size)?) else {
            return Ok(0);
        };
        Ok(common_bytes(&old, &new) * ALIKE / larger)
    }

    fn size(&mut self, id: ObjectId) -> Result<u64, ReadError> {
        if let Some(size) = self.sizes.get(&id) {
            return Ok(*size);
        }
        let header = self.database.header(&id)?;
        let size = header.ok_or(ReadError::NotFound { id })?.size;
        self.sizes.insert(id, size);
        Ok(size)
    }

    fn of(&mut self, id: ObjectId, size: u64) -> Result<Option<Fingerprint>, ReadError> {
        if let Some(made) = self.made.get(&id) {
            return Ok(Some(made.clone()));
        }
        if self.kept_bytes > KEPT_BYTES || self.read_bytes > READ_BYTES {
            return Ok(None);
        }
        let data = self.database.bytes_of(id, ObjectKind::Blob)?;
        let made = Arc::new(fingerprint(&data));
        self.kept_bytes += 128 + made.len() as u64 * 8;
        self.read_bytes += size;
        self.made.insert(id, made.clone());
        Ok(Some(made))
    }
}

fn fingerprint(data: &[u8]) -> Vec<(u32, u32)> {
    let is_text = !is_binary(data);
    let mut stretches: HashMap<u32, u32> = HashMap::new();
    let (mut low, mut high, mut length) = (0u32, 0u32, 0u32);
    for (at, byte) in data.iter().enumerate() {
        if is_text && *byte == b'\r' && data.get(at + 1) == Some(&b'\n') {
            continue;
        }
        let before = low;
        low = (low << 7) ^ (high >> 25);
        high = (high << 7) ^ (before >> 25);
        low = low.wrapping_add(u32::from(*byte));
        length += 1;
        if length < STRETCH_BYTES && *byte != b'\n' {
            continue;
        }
        let hash = low.wrapping_add(high.wrapping_mul(0x61)) % HASHES;
        *stretches.entry(hash).or_default() += length;
        (low, high, length) = (0, 0, 0);
    }
    // The rest behind the last stretch does not count, as in Git.
    let mut sorted: Vec<(u32, u32)> = stretches.into_iter().collect();
    sorted.sort_unstable();
    sorted
}

fn common_bytes(old: &[(u32, u32)], new: &[(u32, u32)]) -> u64 {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    let mut common = 0;
    while let (Some((old_hash, old_bytes)), Some((new_hash, new_bytes))) = (old.peek(), new.peek())
    {
        match old_hash.cmp(new_hash) {
            std::cmp::Ordering::Less => drop(old.next()),
            std::cmp::Ordering::Greater => drop(new.next()),
            std::cmp::Ordering::Equal => {
                common += u64::from(*old_bytes.min(new_bytes));
                old.next();
                new.next();
            }
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_bytes_are_those_of_common_stretches() {
        let of = |text: &str| fingerprint(text.as_bytes());
        let (a, b) = (of("one\ntwo\nthree\n"), of("two\r\nthree\r\nfour\r\n"));
        assert_eq!(common_bytes(&a, &b), 10);
        assert_eq!(common_bytes(&a, &a), 14);
        assert_eq!(common_bytes(&a, &of("")), 0);
        // What is behind the last line break counts only by whole stretches.
        assert_eq!(common_bytes(&of("one\ntw"), &of("one\ntw")), 4);
        let long = "x".repeat(130);
        assert_eq!(common_bytes(&of(&long), &of(&long)), 128);
    }
}
