//! Binary diffs: deflated data in base 85, whole or as a delta.

use bstr::ByteSlice;
use flate2::{Decompress, FlushDecompress, Status};

use super::PatchError;
use super::image::MAX_FILE_BYTES;
use super::text::{Lines, PatchText};

/// The longest line of base 85: a length, and 52 bytes in groups of four that take five characters each.
const MAX_LINE_BYTES: u64 = 1 + 65 + 1;

/// The half of a binary diff that leads from the old content to the new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BinaryHunk {
    /// The line of the patch that says what it is.
    pub line: u64,
    /// Where its data begins.
    at: u64,
    /// Whether it is a delta.
    pub is_delta: bool,
    /// How many bytes it has when it is inflated.
    len: u64,
}

/// Whether the line before which `lines` stands begins a binary diff with data.
pub(super) const START: &[u8] = b"GIT binary patch\n";

impl BinaryHunk {
    /// Reads a binary diff behind its first line: the half that leads forward, and the one back, which is optional and
    /// only looked at. All of the data is checked, and no more of it than `left` bytes, from which it is taken.
    pub(super) fn scan(lines: &mut Lines<'_>, left: &mut u64) -> Result<BinaryHunk, PatchError> {
        let number = lines.number;
        let forward = half(lines, left)?;
        let forward = forward.ok_or_else(|| {
            PatchError::malformed(number, "`literal` or `delta` is expected here")
        })?;
        half(lines, left)?;
        Ok(forward)
    }

    /// The inflated data.
    pub(super) fn read(&self, text: &PatchText) -> Result<Vec<u8>, PatchError> {
        let mut data = Vec::with_capacity(self.len as usize);
        let mut lines = Lines::new(text, self.at, self.line + 1);
        inflate(&mut lines, self.len, |piece| data.extend_from_slice(piece))?;
        Ok(data)
    }
}

fn half(lines: &mut Lines<'_>, left: &mut u64) -> Result<Option<BinaryHunk>, PatchError> {
    let number = lines.number;
    let Some(first) = lines.peek()?.filter(|line| line.len <= MAX_LINE_BYTES) else {
        return Ok(None);
    };
    let content = lines.content(&first)?;
    let (is_delta, rest) = match (
        content.strip_prefix(b"delta "),
        content.strip_prefix(b"literal "),
    ) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Ok(None),
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let len = std::str::from_utf8(&rest[..digits])
        .ok()
        .and_then(|digits| digits.parse().ok());
    let len: u64 = len.ok_or_else(|| PatchError::malformed(number, "the size is no number"))?;
    if len > MAX_FILE_BYTES {
        return Err(PatchError::TooLarge {
            line: number,
            what: format!(
                "the binary data has more than {MAX_FILE_BYTES} bytes; commit the file instead"
            ),
        });
    }
    *left = left.checked_sub(len).ok_or_else(|| PatchError::TooLarge {
        line: number,
        what: "the binary data of the patch is too large; commit the files instead".to_owned(),
    })?;
    lines.pass(&first);
    let hunk = BinaryHunk {
        line: number,
        at: lines.at,
        is_delta,
        len,
    };
    inflate(lines, len, |_| {})?;
    Ok(Some(hunk))
}

/// Hands the inflated data to `take`, piece by piece, and goes on behind the empty line that ends it.
fn inflate(lines: &mut Lines<'_>, len: u64, mut take: impl FnMut(&[u8])) -> Result<(), PatchError> {
    let mut inflater = Decompress::new(true);
    let mut out = vec![0; 32 << 10];
    let mut is_ended = false;
    loop {
        let number = lines.number;
        let corrupt = || PatchError::malformed(number, "the binary data is corrupt");
        let line = lines
            .peek()?
            .filter(|line| line.len <= MAX_LINE_BYTES)
            .ok_or_else(corrupt)?;
        let content = lines.content(&line)?;
        lines.pass(&line);
        if &content[..] == b"\n" {
            let whole = is_ended && inflater.total_out() == len;
            return if whole { Ok(()) } else { Err(corrupt()) };
        }
        let mut group = [0; 52];
        let data = line_data(&content, &mut group).ok_or_else(corrupt)?;
        let mut rest = data;
        while !rest.is_empty() && !is_ended {
            let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
            let status = inflater.decompress(rest, &mut out, FlushDecompress::None);
            let status = status.map_err(|_| corrupt())?;
            let taken = (inflater.total_in() - before_in) as usize;
            let made = (inflater.total_out() - before_out) as usize;
            if inflater.total_out() > len {
                return Err(corrupt());
            }
            take(&out[..made]);
            rest = &rest[taken..];
            is_ended = status == Status::StreamEnd;
            if taken == 0 && made == 0 && !is_ended {
                return Err(corrupt());
            }
        }
        // What did not fit into `out` is still in the inflater.
        while !is_ended {
            let before_out = inflater.total_out();
            let status = inflater.decompress(&[], &mut out, FlushDecompress::None);
            let made = (inflater.total_out() - before_out) as usize;
            if inflater.total_out() > len {
                return Err(corrupt());
            }
            take(&out[..made]);
            match status {
                Ok(Status::StreamEnd) => is_ended = true,
                Ok(_) if made > 0 => {}
                // It waits for the next line.
                Ok(_) => break,
                Err(_) => return Err(corrupt()),
            }
        }
    }
}

/// The bytes that one line of base 85 holds.
fn line_data<'a>(line: &[u8], out: &'a mut [u8; 52]) -> Option<&'a [u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (&length, digits) = line.split_first()?;
    let len = match length {
        b'A'..=b'Z' => usize::from(length - b'A') + 1,
        b'a'..=b'z' => usize::from(length - b'a') + 27,
        _ => return None,
    };
    if digits.is_empty() || digits.len() % 5 != 0 || len.div_ceil(4) != digits.len() / 5 {
        return None;
    }
    for (group, out) in digits.chunks_exact(5).zip(out.chunks_exact_mut(4)) {
        let value = group.iter().try_fold(0u32, |value, digit| {
            let digit = u32::try_from(DIGITS.find_byte(*digit)?).ok()?;
            value.checked_mul(85)?.checked_add(digit)
        })?;
        out.copy_from_slice(&value.to_be_bytes());
    }
    Some(&out[..len])
}

const DIGITS: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_base_85_are_those_of_git() {
        let mut out = [0; 52];
        assert_eq!(
            line_data(b"HcmV?d00001\n", &mut out).unwrap(),
            [0x78, 1, 3, 0, 0, 0, 0, 1]
        );
        for bad in [
            "",
            "\n",
            "A\n",
            "A0000\n",
            "E00000\n",
            "A000000\n",
            "A0000\"\n",
            "D~~~~~\n",
            "100000\n",
            "A00000",
        ] {
            assert_eq!(line_data(bad.as_bytes(), &mut out), None, "{bad}");
        }
    }
}
