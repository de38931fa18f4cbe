//! Numbers and truth values as Git writes them, in settings and in the environment.

use bstr::{BStr, ByteSlice};

/// A whole number: decimal, octal behind `0` or hexadecimal behind `0x`, and perhaps with `k`, `m` or `g` at its end.
pub(crate) fn number(text: &BStr) -> Option<i64> {
    let text = text.to_str().ok()?.trim_ascii_start();
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (text, unit) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 1 << 10),
        b'm' => (&text[..text.len() - 1], 1 << 20),
        b'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (lower.as_str(), 10),
    };
    // A second sign would be taken for a part of the number.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    let number = number.checked_mul(unit)?;
    Some(if is_negative { -number } else { number })
}

/// A word for yes or no, or a number, which is one if it is not 0.
pub(super) fn truth(value: &BStr) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"true" | b"yes" | b"on" => Some(true),
        b"false" | b"no" | b"off" | b"" => Some(false),
        _ => {
            let number = i32::try_from(number(value)?).ok()?;
            Some(number != 0)
        }
    }
}
