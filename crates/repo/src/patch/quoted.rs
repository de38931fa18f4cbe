//! Names in double quotes with C's escapes, as Git writes those that are not plain.

use bstr::BString;

/// Reads the name that begins `text` with a double quote. Returns it with what stands behind its closing quote; `None`
/// if it is not written as Git writes them.
pub fn unquote(text: &[u8]) -> Option<(BString, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut name = Vec::new();
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        match byte {
            b'"' => return Some((name.into(), rest)),
            b'\\' => {
                let (byte, after) = escaped(rest)?;
                name.push(byte);
                rest = after;
            }
            byte => name.push(byte),
        }
    }
}

fn escaped(text: &[u8]) -> Option<(u8, &[u8])> {
    let (&first, rest) = text.split_first()?;
    let byte = match first {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' | b'"' => first,
        b'0'..=b'3' => {
            let [second @ b'0'..=b'7', third @ b'0'..=b'7', rest @ ..] = rest else {
                return None;
            };
            let digits = [first, *second, *third].map(|digit| digit - b'0');
            return Some((digits[0] << 6 | digits[1] << 3 | digits[2], rest));
        }
        _ => return None,
    };
    Some((byte, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_git() {
        let read = |text: &str| unquote(text.as_bytes()).map(|(name, rest)| (name, rest.to_vec()));
        let (name, rest) = read(r#""a\tb\"\\\303\244" tail"#).unwrap();
        assert_eq!(name, "a\tb\"\\ä");
        assert_eq!(rest, b" tail");
        for bad in ["a", "\"a", r#""\x""#, r#""\400""#, r#""\08""#, "\"\\"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
