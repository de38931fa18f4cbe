//! How much of one content is in another, whatever the order.
//!
//! A content is cut into spans: at line breaks, and after 64 bytes. What counts is how many bytes
//! are in spans of each hash; hashes are few enough that Git's scores come out, collisions and all.

use crate::merge::is_binary;

/// The number of hashes: a prime of Git's.
const HASHES: u32 = 107_927;

const SPAN_BYTES_MAX: u32 = 64;

/// Bytes by the hash of their span, in the order of the hashes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans(Box<[(u32, u32)]>);

impl Spans {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many bytes both have.
    pub(crate) fn common(&self, other: &Spans) -> u64 {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut common = 0;
        while let (Some((hash, bytes)), Some((other_hash, other_bytes))) = (a.peek(), b.peek()) {
            if hash == other_hash {
                common += u64::from(*bytes.min(other_bytes));
            }
            if hash <= other_hash {
                a.next();
            }
            if other_hash <= hash {
                b.next();
            }
        }
        common
    }
}

/// Counts the spans of contents, one after the other.
pub(crate) struct SpanCounter {
    /// By hash; all 0 between two contents.
    counts: Vec<u32>,
    /// The hashes whose count is not 0.
    counted: Vec<u32>,
}

impl SpanCounter {
    pub(crate) fn new() -> SpanCounter {
        SpanCounter {
            counts: vec![0; HASHES as usize],
            counted: Vec::new(),
        }
    }

    /// Counts the spans of a content. In a text the CR of a line break does not count.
    ///
    /// A last span that is neither full nor a line does not count, as in Git before 2.44.
    pub(crate) fn count(&mut self, content: &[u8]) -> Spans {
        let is_text = !is_binary(content);
        let (mut first, mut second, mut len) = (0u32, 0u32, 0u32);
        for (at, &byte) in content.iter().enumerate() {
            if is_text && byte == b'\r' && content.get(at + 1) == Some(&b'\n') {
                continue;
            }
            (first, second) = (first << 7 ^ second >> 25, second << 7 ^ first >> 25);
            first = first.wrapping_add(u32::from(byte));
            len += 1;
            if len == SPAN_BYTES_MAX || byte == b'\n' {
                self.add(first.wrapping_add(second.wrapping_mul(0x61)) % HASHES, len);
                (first, second, len) = (0, 0, 0);
            }
        }
        self.finish()
    }

    fn add(&mut self, hash: u32, len: u32) {
        let count = &mut self.counts[hash as usize];
        if *count == 0 {
            self.counted.push(hash);
        }
        *count += len;
    }

    fn finish(&mut self) -> Spans {
        self.counted.sort_unstable();
        let counts = &mut self.counts;
        let spans = self.counted.drain(..);
        Spans(
            spans
                .map(|hash| (hash, std::mem::take(&mut counts[hash as usize])))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(content: &[u8]) -> Spans {
        SpanCounter::new().count(content)
    }

    #[test]
    fn line_breaks_of_either_sort_are_the_same() {
        assert_eq!(spans(b"a\r\nb\r\n"), spans(b"a\nb\n"));
        assert_ne!(spans(b"a\rb\n"), spans(b"ab\n"));
    }

    #[test]
    fn order_does_not_matter_but_number_does() {
        let common = |a: &[u8], b: &[u8]| spans(a).common(&spans(b));
        assert_eq!(common(b"a\nbc\n", b"bc\nx\na\n"), 5);
        assert_eq!(common(b"a\na\na\n", b"a\nb\n"), 2);
    }

    #[test]
    fn what_is_behind_the_last_line_counts_only_by_full_spans() {
        let common = |a: &[u8]| spans(a).common(&spans(a));
        assert_eq!(common(b"one\ntw"), 4);
        assert_eq!(common(&[b'x'; 130]), 128);
        assert_eq!(common(b""), 0);
    }

    #[test]
    fn a_counter_forgets_the_content_before() {
        let mut counter = SpanCounter::new();
        let first = counter.count(b"a\nb\n");
        counter.count(b"b\nc\n");
        assert_eq!(counter.count(b"a\nb\n"), first);
    }
}
