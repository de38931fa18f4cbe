//! `.gitattributes`: its size, and the length of its lines.

use std::io::{self, Read};

use bstr::ByteSlice;

use super::{Judge, SpecialFileError};

/// The largest file that Git reads, in bytes: its `ATTR_MAX_FILE_SIZE`.
pub const MAX_ATTRIBUTES_BYTES: u64 = 100 << 20;
/// The longest line that Git reads, in bytes: one less than its `ATTR_MAX_LINE_LENGTH`.
pub const MAX_ATTRIBUTES_LINE_BYTES: usize = 2047;

const PIECE_BYTES: usize = 64 << 10;

pub(super) fn check(
    size: u64,
    content: &mut dyn Read,
    judge: &mut Judge<'_>,
) -> io::Result<Result<(), SpecialFileError>> {
    if size > MAX_ATTRIBUTES_BYTES {
        return Ok(judge(SpecialFileError::AttributesLarge { size }));
    }
    let mut piece = vec![0; PIECE_BYTES.min(size as usize)];
    let mut lines = Lines { line: 1, len: 0 };
    loop {
        let n = match content.read(&mut piece) {
            Ok(0) => return Ok(Ok(())),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        // Git reads up to the first NUL.
        let end = piece[..n].find_byte(0);
        if let Err(error) = lines.take(&piece[..end.unwrap_or(n)]) {
            // There is nothing else to be wrong with it.
            return Ok(judge(error));
        }
        if end.is_some() {
            return Ok(Ok(()));
        }
    }
}

/// Where in the file it is.
struct Lines {
    line: usize,
    /// How much of the line was taken.
    len: usize,
}

impl Lines {
    fn take(&mut self, mut piece: &[u8]) -> Result<(), SpecialFileError> {
        loop {
            let end = piece.find_byte(b'\n');
            self.len += end.unwrap_or(piece.len());
            if self.len > MAX_ATTRIBUTES_LINE_BYTES {
                return Err(SpecialFileError::AttributesLine { line: self.line });
            }
            let Some(end) = end else {
                return Ok(());
            };
            (self.line, self.len) = (self.line + 1, 0);
            piece = &piece[end + 1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte or two at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let n = out.len().min(self.0.len()).min(1 + self.0.len() % 2);
            self.0.read(&mut out[..n])
        }
    }

    fn judge(text: &[u8]) -> Result<(), SpecialFileError> {
        let size = text.len() as u64;
        let whole = check(size, &mut &text[..], &mut Err).unwrap();
        assert_eq!(check(size, &mut Drops(text), &mut Err).unwrap(), whole);
        whole
    }

    #[test]
    fn lines_are_measured_across_pieces() {
        let line = vec![b'a'; MAX_ATTRIBUTES_LINE_BYTES];
        assert_eq!(judge(b""), Ok(()));
        assert_eq!(judge(&line), Ok(()));
        let two = [&line[..], b"\n", &line, b"\n\n"].concat();
        assert_eq!(judge(&two), Ok(()));
        let late = [&two[..], &line, b"a"].concat();
        assert_eq!(
            judge(&late),
            Err(SpecialFileError::AttributesLine { line: 4 })
        );
        let hidden = [&two[..], b"\0", &line, b"a"].concat();
        assert_eq!(judge(&hidden), Ok(()));
    }

    #[test]
    fn a_file_over_gits_limit_is_not_read() {
        let mut never = io::empty().chain(Drops(b"x"));
        let size = MAX_ATTRIBUTES_BYTES + 1;
        assert_eq!(
            check(size, &mut never, &mut Err).unwrap(),
            Err(SpecialFileError::AttributesLarge { size })
        );
    }
}
