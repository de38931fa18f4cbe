//! `GIT binary patch`: a content, or how to make it of the other, deflated and in letters.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::delta::delta;

/// Bytes in a line.
const LINE_BYTES: usize = 52;

const DIGITS: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// Writes a patch that can be applied in either direction.
pub(super) fn write_binary_patch(old: &[u8], new: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"GIT binary patch\n");
    write_direction(old, new, out);
    write_direction(new, old, out);
}

/// What makes `to` of `from`: a delta where that is shorter.
fn write_direction(from: &[u8], to: &[u8], out: &mut Vec<u8>) {
    let literal = deflated(to);
    let both = !from.is_empty() && !to.is_empty();
    let delta = both.then(|| delta(from, to, literal.len())).flatten();
    let deflated_delta = delta.as_ref().map(|delta| deflated(delta));
    let (word, size, bytes) = match (&delta, &deflated_delta) {
        (Some(delta), Some(bytes)) if bytes.len() < literal.len() => ("delta", delta.len(), bytes),
        _ => ("literal", to.len(), &literal),
    };
    out.extend(format!("{word} {size}\n").bytes());
    for line in bytes.chunks(LINE_BYTES) {
        write_line(line, out);
    }
    out.push(b'\n');
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("a vector takes all bytes")
}

/// A letter for the length, then five digits for each four bytes.
fn write_line(bytes: &[u8], out: &mut Vec<u8>) {
    let len = bytes.len() as u8;
    out.push(match len {
        ..=26 => b'A' + len - 1,
        _ => b'a' + len - 27,
    });
    for group in bytes.chunks(4) {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let mut number = u32::from_be_bytes(padded);
        let mut digits = [0; 5];
        for digit in digits.iter_mut().rev() {
            *digit = DIGITS[(number % 85) as usize];
            number /= 85;
        }
        out.extend_from_slice(&digits);
    }
    out.push(b'\n');
}
