//! The text that is blamed, by lines.

use std::ops::Range;

use bytes::Bytes;

/// A text whose lines can be found by number.
pub(super) struct Text {
    data: Bytes,
    /// Where each line starts, and the end of the last one.
    starts: Vec<usize>,
    /// How many letters and digits stand before each line, and in all.
    letters: Vec<usize>,
}

impl Text {
    pub(super) fn new(data: Bytes) -> Text {
        let (mut starts, mut letters) = (vec![0], vec![0]);
        let mut count = 0;
        for (at, byte) in data.iter().enumerate() {
            count += usize::from(byte.is_ascii_alphanumeric());
            if *byte == b'\n' {
                starts.push(at + 1);
                letters.push(count);
            }
        }
        if starts.last() != Some(&data.len()) {
            starts.push(data.len());
            letters.push(count);
        }
        Text {
            data,
            starts,
            letters,
        }
    }

    pub(super) fn line_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// Where a line starts; the end of the text behind the last one.
    pub(super) fn start(&self, line: usize) -> usize {
        let last = self.starts.len() - 1;
        self.starts[line.min(last)]
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.data
    }

    /// The bytes of some lines.
    pub(super) fn lines(&self, lines: Range<usize>) -> &[u8] {
        &self.data[self.start(lines.start)..self.start(lines.end)]
    }

    /// How much lines weigh when it is to be told whether they were moved or look alike by chance.
    pub(super) fn weight(&self, lines: Range<usize>) -> usize {
        let last = self.letters.len() - 1;
        self.letters[lines.end.min(last)] - self.letters[lines.start.min(last)] + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_by_number() {
        let text = Text::new(Bytes::from_static(b"one\n\n2 3"));
        assert_eq!(text.line_count(), 3);
        assert_eq!(text.lines(0..1), b"one\n");
        assert_eq!(text.lines(1..3), b"\n2 3");
        assert_eq!(text.weight(0..3), 6);
        assert_eq!(text.start(9), 8);
        assert_eq!(Text::new(Bytes::new()).line_count(), 0);
        assert_eq!(Text::new(Bytes::from_static(b"a\n")).line_count(), 1);
    }
}
