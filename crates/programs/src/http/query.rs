//! The query of a URL, read as git reads it.

/// The value of a parameter. Of several the last one counts.
pub(super) fn parameter(query: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let mut rest = query;
    let mut found = None;
    while !rest.is_empty() {
        let key = decoded_until(&mut rest, b"=&");
        let value = decoded_until(&mut rest, b"&");
        if key == name {
            found = Some(value);
        }
    }
    found
}

/// What stands before the first of these bytes, which is passed over.
fn decoded_until(rest: &mut &[u8], ends: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        *rest = after;
        match byte {
            _ if ends.contains(&byte) => break,
            b'+' => decoded.push(b' '),
            b'%' => match escaped(after) {
                Some(byte) => {
                    decoded.push(byte);
                    *rest = &after[2..];
                }
                None => decoded.push(byte),
            },
            _ => decoded.push(byte),
        }
    }
    decoded
}

/// The byte that two digits at the beginning stand for; a zero is none.
fn escaped(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..2)?).ok()?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (byte != 0).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_the_last_counts() {
        let service = |query: &str| {
            parameter(query.as_bytes(), b"service").map(|value| String::from_utf8(value).unwrap())
        };
        for (query, value) in [
            ("service=git-upload-pack", Some("git-upload-pack")),
            ("service=git%2Dupload%2dpack", Some("git-upload-pack")),
            ("%73ervice=a+b", Some("a b")),
            ("service=a&x&service=b=c", Some("a")),
            ("service=a&x=&service=b=c", Some("b=c")),
            ("service", Some("")),
            ("service=%00%zz%2", Some("%00%zz%2")),
            ("services=a", None),
            ("", None),
        ] {
            assert_eq!(service(query).as_deref(), value, "{query}");
        }
    }
}
