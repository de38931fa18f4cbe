//! Paths as Git prints them.

use bstr::BStr;

/// A path behind a prefix (`a/`), in quotes with C's escapes if it has bytes that need them
/// (`core.quotePath`).
pub(crate) fn quoted(prefix: &str, path: &BStr) -> Vec<u8> {
    let mut out = prefix.as_bytes().to_vec();
    if !path.iter().any(|byte| needs_escape(*byte)) {
        out.extend_from_slice(path);
        return out;
    }
    out.insert(0, b'"');
    for byte in path.iter() {
        escape(*byte, &mut out);
    }
    out.push(b'"');
    out
}

fn needs_escape(byte: u8) -> bool {
    !matches!(byte, b' '..0x7f) || byte == b'"' || byte == b'\\'
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let letter = match byte {
        b'"' | b'\\' => byte,
        0x07 => b'a',
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0b => b'v',
        0x0c => b'f',
        b'\r' => b'r',
        byte if needs_escape(byte) => {
            out.extend(format!("\\{byte:03o}").bytes());
            return;
        }
        byte => {
            out.push(byte);
            return;
        }
    };
    out.extend([b'\\', letter]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_odd_names_are_quoted() {
        let quoted = |path: &str| String::from_utf8(quoted("b/", path.into())).unwrap();
        assert_eq!(quoted("with space"), "b/with space");
        assert_eq!(quoted("tab\t\"é\\"), "\"b/tab\\t\\\"\\303\\251\\\\\"");
        assert_eq!(quoted("\u{1}\u{7f}"), "\"b/\\001\\177\"");
    }
}
