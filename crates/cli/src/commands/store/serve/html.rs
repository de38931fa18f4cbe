//! Lists of folders and refs as pages.

use std::fmt::Write;

use bstr::ByteSlice;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// One line of a list.
pub(super) struct Link {
    /// Where it leads: a path that is not encoded yet.
    pub(super) path: Vec<u8>,
    /// What it is called.
    pub(super) name: Vec<u8>,
}

/// A page with a heading and links.
pub(super) fn page(title: &[u8], links: &[Link]) -> String {
    let title = escaped(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{title}</h1>\n<ul>\n"
    );
    for link in links {
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "<li><a href=\"{}\">{}</a></li>",
            encoded(&link.path),
            escaped(&link.name)
        );
    }
    page.push_str("</ul>\n</body></html>\n");
    page
}

/// Text that means nothing to HTML. What is no UTF-8 is replaced.
fn escaped(text: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char => escaped.push(char),
        }
    }
    escaped
}

/// A path as it stands in a URL, and in an attribute.
pub(super) fn encoded(path: &[u8]) -> String {
    let mut encoded = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// The bytes a path of a URL stands for; `None` if it is encoded wrongly.
pub(super) fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            decoded.push((digit()? * 16 + digit()?) as u8);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_become_markup() {
        let link = Link {
            path: b"/a\"><script>".to_vec(),
            name: b"<b>&\"'".to_vec(),
        };
        let page = page(b"<i>", &[link]);
        assert!(page.contains("href=\"/a%22%3E%3Cscript%3E\""), "{page}");
        assert!(page.contains("&lt;b&gt;&amp;&quot;&#39;"), "{page}");
        assert!(page.contains("<title>&lt;i&gt;</title>"), "{page}");
    }

    #[test]
    fn every_name_survives_a_url() {
        let name: Vec<u8> = (1..=255).collect();
        assert_eq!(decoded(&encoded(&name)).unwrap(), name);
        assert_eq!(decoded("/a%2Fb").unwrap(), b"/a/b");
        assert_eq!(decoded("%4"), None);
        assert_eq!(decoded("%zz"), None);
    }
}
