//! How similar two files are, by the measure of Git's rename detection.

use std::collections::HashMap;

/// The score of two equal files.
pub(super) const MAX_SCORE: u64 = 60_000;

/// Pieces longer than this are cut.
const PIECE_BYTES: usize = 64;

/// Pieces are told apart by their hash alone, which is below this prime.
const HASHES: u32 = 107_927;

/// Git takes a file for binary if there is a NUL in its first bytes.
const BINARY_PROBE_BYTES: usize = 8000;

/// How many bytes of a file are in pieces of each hash. Pieces are lines, or 64 bytes of longer ones.
pub(super) struct Shape(HashMap<u32, u64>);

impl Shape {
    pub(super) fn of(data: &[u8]) -> Shape {
        let probe = &data[..data.len().min(BINARY_PROBE_BYTES)];
        let is_text = !probe.contains(&0);
        let mut pieces = HashMap::new();
        let (mut first, mut second, mut len) = (0u32, 0u32, 0usize);
        for (at, byte) in data.iter().enumerate() {
            // A file keeps its shape when its ends of lines change.
            if is_text && *byte == b'\r' && data.get(at + 1) == Some(&b'\n') {
                continue;
            }
            let old = first;
            first = (first << 7) ^ (second >> 25);
            second = (second << 7) ^ (old >> 25);
            first = first.wrapping_add(u32::from(*byte));
            len += 1;
            if len < PIECE_BYTES && *byte != b'\n' {
                continue;
            }
            let hash = first.wrapping_add(second.wrapping_mul(0x61)) % HASHES;
            *pieces.entry(hash).or_insert(0) += len as u64;
            (first, second, len) = (0, 0, 0);
        }
        Shape(pieces)
    }

    /// How many bytes of this file are in the other too.
    pub(super) fn common_bytes(&self, other: &Shape) -> u64 {
        let in_other = |hash| other.0.get(hash).copied().unwrap_or(0);
        self.0
            .iter()
            .map(|(hash, bytes)| in_other(hash).min(*bytes))
            .sum()
    }
}
