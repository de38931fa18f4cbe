//! Deltas as `gitformat-pack(5)` describes them: instructions that make one content of another.

use std::collections::HashMap;

/// Stretches shorter than this are not looked for.
const BLOCK: usize = 16;
/// So many places of the same block are tried.
const PLACES_MAX: usize = 8;
/// The most that one instruction copies, and inserts.
const COPY_MAX: usize = 0x10000;
const INSERT_MAX: usize = 0x7f;

/// A delta that makes `target` of `base`, unless it would be longer than `max_len`.
pub(super) fn delta(base: &[u8], target: &[u8], max_len: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    write_size(base.len(), &mut out);
    write_size(target.len(), &mut out);
    let blocks = index(base);
    // What is at `open..at` is in no copy yet.
    let (mut open, mut at) = (0, 0);
    while at < target.len() {
        let Some(copy) = longest(base, target, at, open, &blocks) else {
            at += 1;
            continue;
        };
        insert(&target[open..copy.to], &mut out);
        write_copies(copy.from, copy.len, &mut out);
        at = copy.to + copy.len;
        open = at;
        if out.len() > max_len {
            return None;
        }
    }
    insert(&target[open..], &mut out);
    (out.len() <= max_len).then_some(out)
}

/// Where each block of the base is.
fn index(base: &[u8]) -> HashMap<&[u8], Vec<usize>> {
    let mut blocks: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (number, block) in base.chunks_exact(BLOCK).enumerate() {
        let places = blocks.entry(block).or_default();
        if places.len() < PLACES_MAX {
            places.push(number * BLOCK);
        }
    }
    blocks
}

/// A stretch that both have.
struct Copy {
    from: usize,
    to: usize,
    len: usize,
}

/// The longest stretch around a place, not further back than `open`.
fn longest(
    base: &[u8],
    target: &[u8],
    at: usize,
    open: usize,
    blocks: &HashMap<&[u8], Vec<usize>>,
) -> Option<Copy> {
    let places = blocks.get(target.get(at..at + BLOCK)?)?;
    let copies = places.iter().map(|&from| {
        let ahead = base[from..].iter().zip(&target[at..]);
        let ahead = ahead.take_while(|(a, b)| a == b).count();
        let back = base[..from].iter().rev().zip(target[open..at].iter().rev());
        let back = back.take_while(|(a, b)| a == b).count();
        Copy {
            from: from - back,
            to: at - back,
            len: ahead + back,
        }
    });
    copies.max_by_key(|copy| copy.len)
}

fn insert(bytes: &[u8], out: &mut Vec<u8>) {
    for piece in bytes.chunks(INSERT_MAX) {
        out.push(piece.len() as u8);
        out.extend_from_slice(piece);
    }
}

fn write_copies(mut from: usize, mut len: usize, out: &mut Vec<u8>) {
    while len > 0 {
        let piece = len.min(COPY_MAX);
        write_copy(from, piece, out);
        from += piece;
        len -= piece;
    }
}

/// One instruction: which bytes of offset and size follow, then those that are not 0.
fn write_copy(from: usize, len: usize, out: &mut Vec<u8>) {
    let instruction = out.len();
    out.push(0x80);
    let offset = (from as u32).to_le_bytes();
    // No size stands for the largest.
    let size = (len % COPY_MAX) as u16;
    for (bit, byte) in offset.into_iter().chain(size.to_le_bytes()).enumerate() {
        if byte != 0 {
            out[instruction] |= 1 << bit;
            out.push(byte);
        }
    }
}

fn write_size(mut size: usize, out: &mut Vec<u8>) {
    while size > 0x7f {
        out.push(size as u8 | 0x80);
        size >>= 7;
    }
    out.push(size as u8);
}
