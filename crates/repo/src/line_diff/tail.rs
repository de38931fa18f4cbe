//! Leaving out a common end of two texts before they are cut into lines.

/// Git compares ends in blocks of this size.
const BLOCK_BYTES: usize = 1024;

/// Both texts without the blocks that their ends have in common, but with the rest of the line in
/// which the common blocks begin.
pub(super) fn without_common_tail<'a>(a: &'a [u8], b: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let blocks = a
        .rchunks_exact(BLOCK_BYTES)
        .zip(b.rchunks_exact(BLOCK_BYTES));
    let common = blocks.take_while(|(a, b)| a == b).count() * BLOCK_BYTES;
    let tail = &a[a.len() - common..];
    let line_rest = tail
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(common, |at| at + 1);
    let cut = common - line_rest;
    (&a[..a.len() - cut], &b[..b.len() - cut])
}
