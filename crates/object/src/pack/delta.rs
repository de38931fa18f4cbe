//! Deltas: instructions that make an object out of another.
//!
//! `gitformat-pack(5)`: the sizes of base and result, then instructions that copy a range of the
//! base or insert bytes of their own. Nothing is allocated or copied before the sizes are checked
//! against a limit, and no instruction reaches outside the base or past the result.

use std::io::{self, Read};

use super::entry::shifted;
use super::read_at::ReadAt;

/// The most bytes the two sizes at the start of a delta take.
pub const MAX_SIZES_LEN: usize = 20;

/// A copy instruction without a size copies this much.
const DEFAULT_COPY: u64 = 0x10000;

/// A delta that is malformed or does not fit its base.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The delta ends inside an instruction or a size.
    #[error("the delta is cut short")]
    Truncated,
    /// A size that does not fit 64 bits.
    #[error("a size is too large")]
    Overflow,
    /// The delta was made against another base.
    #[error("the delta is for a base of {expected} bytes, not {found}")]
    BaseSize {
        /// What the delta says.
        expected: u64,
        /// What the base has.
        found: u64,
    },
    /// The result is over the limit.
    #[error("the result of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// What the delta says.
        size: u64,
        /// The most that is allowed.
        limit: u64,
    },
    /// A copy reaches outside the base.
    #[error("a copy of {len} bytes at {offset} reaches outside the base")]
    CopyOutside {
        /// Where in the base it begins.
        offset: u64,
        /// How much it copies.
        len: u64,
    },
    /// Instruction 0 is reserved.
    #[error("an instruction is reserved")]
    Reserved,
    /// The instructions make more or less than the size at the start.
    #[error("the instructions do not make the {expected} bytes they should")]
    ResultSize {
        /// What the delta says.
        expected: u64,
    },
}

/// The sizes at the start of a delta.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct DeltaSizes {
    /// The size of the base in bytes.
    pub base: u64,
    /// The size of the result in bytes.
    pub result: u64,
    /// How many bytes of the delta the two sizes take.
    pub len: usize,
}

/// Reads the sizes at the start of a delta, of which at most [`MAX_SIZES_LEN`] bytes are looked at.
pub fn parse_sizes(delta: &[u8]) -> Result<DeltaSizes, DeltaError> {
    let mut rest = delta;
    let base = size(&mut rest)?;
    let result = size(&mut rest)?;
    Ok(DeltaSizes {
        base,
        result,
        len: delta.len() - rest.len(),
    })
}

fn size(rest: &mut &[u8]) -> Result<u64, DeltaError> {
    let (mut size, mut shift) = (0, 0);
    loop {
        let (&byte, tail) = rest.split_first().ok_or(DeltaError::Truncated)?;
        *rest = tail;
        size |= shifted(byte & 0x7f, shift).map_err(|_| DeltaError::Overflow)?;
        shift += 7;
        if byte & 0x80 == 0 {
            return Ok(size);
        }
    }
}

/// The object that `delta` makes of `base`, if it is of at most `limit` bytes.
pub fn apply(base: &[u8], delta: &[u8], limit: u64) -> Result<Vec<u8>, DeltaError> {
    let mut out = Vec::new();
    apply_into(base, delta, limit, &mut out)?;
    Ok(out)
}

/// Like [`apply`], replacing the content of `out`, whose room is used again.
pub fn apply_into(
    base: &[u8],
    delta: &[u8],
    limit: u64,
    out: &mut Vec<u8>,
) -> Result<(), DeltaError> {
    let sizes = parse_sizes(delta)?;
    let total = check_sizes(sizes, base.len() as u64, limit)?;
    out.clear();
    out.reserve_exact(total);
    let mut rest = &delta[sizes.len..];
    while let Some((&code, tail)) = rest.split_first() {
        rest = tail;
        let piece = if code & 0x80 != 0 {
            let (copy, used) = Copy::decode(code, rest)?;
            rest = &rest[used..];
            let from = copy.range(base.len() as u64)?;
            &base[from.start as usize..from.end as usize]
        } else if code != 0 {
            let (data, tail) = rest
                .split_at_checked(usize::from(code))
                .ok_or(DeltaError::Truncated)?;
            rest = tail;
            data
        } else {
            return Err(DeltaError::Reserved);
        };
        if piece.len() > total - out.len() {
            return Err(DeltaError::ResultSize {
                expected: sizes.result,
            });
        }
        out.extend_from_slice(piece);
    }
    if out.len() == total {
        Ok(())
    } else {
        Err(DeltaError::ResultSize {
            expected: sizes.result,
        })
    }
}

fn check_sizes(sizes: DeltaSizes, base: u64, limit: u64) -> Result<usize, DeltaError> {
    if sizes.base != base {
        return Err(DeltaError::BaseSize {
            expected: sizes.base,
            found: base,
        });
    }
    let too_large = DeltaError::TooLarge {
        size: sizes.result,
        limit,
    };
    if sizes.result > limit {
        return Err(too_large);
    }
    usize::try_from(sizes.result).map_err(|_| too_large)
}

struct Copy {
    offset: u64,
    len: u64,
}

impl Copy {
    /// How many bytes follow the instruction byte `code`.
    fn arguments(code: u8) -> usize {
        (code & 0x7f).count_ones() as usize
    }

    /// The instruction and how many bytes of `rest` it took.
    #[inline]
    fn decode(code: u8, rest: &[u8]) -> Result<(Copy, usize), DeltaError> {
        let used = Copy::arguments(code);
        let arguments = rest.get(..used).ok_or(DeltaError::Truncated)?;
        let (mut offset, mut len, mut at) = (0, 0, 0);
        for bit in 0..4 {
            if code & (1 << bit) != 0 {
                offset |= u64::from(arguments[at]) << (8 * bit);
                at += 1;
            }
        }
        for bit in 0..3 {
            if code & (0x10 << bit) != 0 {
                len |= u64::from(arguments[at]) << (8 * bit);
                at += 1;
            }
        }
        Ok((
            Copy {
                offset,
                len: if len == 0 { DEFAULT_COPY } else { len },
            },
            used,
        ))
    }

    fn range(&self, base: u64) -> Result<std::ops::Range<u64>, DeltaError> {
        // Both are under 2^32: no overflow.
        let end = self.offset + self.len;
        if end > base {
            return Err(DeltaError::CopyOutside {
                offset: self.offset,
                len: self.len,
            });
        }
        Ok(self.offset..end)
    }
}

/// Why a delta could not be applied in pieces.
#[derive(Debug)]
pub(super) enum StreamError {
    /// The delta, the base or the destination could not be read or written.
    Io(io::Error),
    /// The delta is bad.
    Delta(DeltaError),
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        // The reader of the delta ends early: the instructions are at fault, not the disk.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            StreamError::Delta(DeltaError::Truncated)
        } else {
            StreamError::Io(error)
        }
    }
}

impl From<DeltaError> for StreamError {
    fn from(error: DeltaError) -> Self {
        StreamError::Delta(error)
    }
}

/// Applies a delta of any size to a base of any size, in little memory.
///
/// `out` gets the result in pieces. `charge` is told what each copy costs, in bytes, beside those
/// it copies; it may refuse to go on.
pub(super) fn apply_stream(
    base: &dyn ReadAt,
    base_len: u64,
    delta: &mut dyn Read,
    limit: u64,
    charge: &dyn Fn(u64) -> io::Result<()>,
    out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), StreamError> {
    let mut delta = io::BufReader::with_capacity(16 << 10, delta);
    let sizes = stream_sizes(&mut delta)?;
    if sizes.base != base_len {
        return Err(DeltaError::BaseSize {
            expected: sizes.base,
            found: base_len,
        }
        .into());
    }
    if sizes.result > limit {
        return Err(DeltaError::TooLarge {
            size: sizes.result,
            limit,
        }
        .into());
    }
    let mut left = sizes.result;
    let mut piece = vec![0; 64 << 10];
    let mut code = [0];
    while read_some(&mut delta, &mut code)? == 1 {
        let code = code[0];
        if code == 0 {
            return Err(DeltaError::Reserved.into());
        }
        let inserted = u64::from(code);
        let copy = if code & 0x80 != 0 {
            let arguments = &mut piece[..Copy::arguments(code)];
            delta.read_exact(arguments)?;
            Some(Copy::decode(code, arguments)?.0)
        } else {
            None
        };
        let len = copy.as_ref().map_or(inserted, |copy| copy.len);
        left = left.checked_sub(len).ok_or(DeltaError::ResultSize {
            expected: sizes.result,
        })?;
        match copy {
            Some(copy) => {
                charge(COPY_COST)?;
                copy_range(base, copy.range(base_len)?, &mut piece, out)?;
            }
            None => {
                let inserted = &mut piece[..usize::from(code)];
                delta.read_exact(inserted)?;
                out(inserted)?;
            }
        }
    }
    if left == 0 {
        Ok(())
    } else {
        Err(DeltaError::ResultSize {
            expected: sizes.result,
        }
        .into())
    }
}

/// What reading a range of a base on disk costs besides its bytes, in bytes copied in that time.
const COPY_COST: u64 = 4096;

fn copy_range(
    base: &dyn ReadAt,
    range: std::ops::Range<u64>,
    piece: &mut [u8],
    out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let n = piece.len().min((range.end - at) as usize);
        // A base that ends early was cut by somebody: not the delta's fault.
        base.read_exact_at(&mut piece[..n], at)
            .map_err(io::Error::other)?;
        out(&piece[..n])?;
        at += n as u64;
    }
    Ok(())
}

fn stream_sizes(delta: &mut dyn Read) -> Result<DeltaSizes, StreamError> {
    let mut bytes = [0; MAX_SIZES_LEN];
    for len in 1..=MAX_SIZES_LEN {
        delta.read_exact(&mut bytes[len - 1..len])?;
        match parse_sizes(&bytes[..len]) {
            Err(DeltaError::Truncated) => {}
            Ok(sizes) => return Ok(sizes),
            Err(error) => return Err(error.into()),
        }
    }
    Err(DeltaError::Overflow.into())
}

fn read_some(from: &mut dyn Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(out) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pieces(base: &[u8], delta: &[u8], limit: u64) -> Result<Vec<u8>, StreamError> {
        let mut out = Vec::new();
        let free = |_| Ok(());
        let write = &mut |piece: &[u8]| {
            out.extend_from_slice(piece);
            Ok(())
        };
        apply_stream(
            &base,
            base.len() as u64,
            &mut &delta[..],
            limit,
            &free,
            write,
        )?;
        Ok(out)
    }

    /// Deltas good and bad, of every length up to a few instructions.
    fn deltas() -> Vec<Vec<u8>> {
        let pieces: [&[u8]; 8] = [
            &[0x90, 3],
            &[0x91, 2, 4],
            &[0x80],
            &[0xb3, 0, 1, 0, 1],
            &[2, b'x', b'y'],
            &[0],
            &[0x91, 250, 20],
            &[5, b'z'],
        ];
        let mut deltas = vec![vec![]];
        for sizes in [[5, 6], [5, 3], [0, 0]] {
            deltas.push(sizes.to_vec());
        }
        for sizes in [[10, 3], [10, 5], [10, 7], [10, 9], [10, 0]] {
            for a in pieces {
                deltas.push([&sizes, a].concat());
                for b in pieces {
                    deltas.push([&sizes, a, b].concat());
                }
            }
        }
        deltas
    }

    #[test]
    fn a_delta_in_pieces_is_the_delta_in_memory() {
        let base = b"0123456789";
        let mut good = 0;
        for delta in deltas() {
            match (apply(base, &delta, 8), in_pieces(base, &delta, 8)) {
                (Ok(whole), Ok(pieces)) => {
                    good += 1;
                    assert_eq!(whole, pieces);
                }
                // With several things wrong, the one found first may be another.
                (Err(_), Err(StreamError::Delta(_))) => {}
                other => panic!("{delta:?}: {other:?}"),
            }
        }
        assert!(good >= 5, "{good}");
    }

    #[test]
    fn a_large_delta_in_pieces_is_the_delta_in_memory() {
        let base: Vec<u8> = (0..300_000u32)
            .map(|n| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        // 300,000 and 131,076 bytes; two copies of 64 KiB and four bytes.
        let delta = [
            0xe0, 0xa7, 0x12, 0x84, 0x80, 0x08, 0x80, 0x82, 0x40, 4, b'a', b'b', b'c', b'd',
        ];
        let whole = apply(&base, &delta, 1 << 20).unwrap();
        assert_eq!(whole.len(), 131_076);
        assert_eq!(in_pieces(&base, &delta, 1 << 20).unwrap(), whole);
    }

    #[test]
    fn who_charges_for_copies_may_stop_them() {
        let stop = |_| Err(io::Error::other("enough"));
        let result = apply_stream(
            &&b"abc"[..],
            3,
            &mut &[3, 3, 0x90, 3][..],
            3,
            &stop,
            &mut |_| Ok(()),
        );
        assert!(matches!(result, Err(StreamError::Io(_))));
    }
}
