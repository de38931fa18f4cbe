//! URLs of submodules: Git's `check_submodule_url`, as it was in 2.39 and as it is since 2.44.
//!
//! What either refuses is refused here.

use bstr::ByteSlice;

/// Whether a submodule may have this URL.
pub(super) fn is_allowed(url: &[u8]) -> bool {
    if url.starts_with(b"-") {
        return false;
    }
    let (climbs, rest) = leading_dots(url);
    if rest.len() < url.len() {
        // It is appended to an URL of which it could replace the host.
        let replaces = climbs && matches!(rest.first(), Some(b':' | b'/'));
        return !replaces && !has_line_break(url);
    }
    curl_url(url).is_none_or(is_sound)
}

/// Whether the URL begins with `../`, perhaps among `./`, and what follows those.
fn leading_dots(mut url: &[u8]) -> (bool, &[u8]) {
    let mut climbs = false;
    loop {
        url = match url {
            [b'.', b'.', b'/' | b'\\', rest @ ..] => {
                climbs = true;
                rest
            }
            [b'.', b'/' | b'\\', rest @ ..] => rest,
            _ => return (climbs, url),
        };
    }
}

/// The URL that Git would give to its HTTP helper.
fn curl_url(url: &[u8]) -> Option<&[u8]> {
    let schemes: [&[u8]; 4] = [b"http:", b"https:", b"ftp:", b"ftps:"];
    schemes.into_iter().find_map(|scheme| {
        let rest = url.strip_prefix(scheme)?;
        match rest {
            [b':', inner @ ..] => Some(inner),
            [b'/', b'/', ..] => Some(url),
            _ => None,
        }
    })
}

/// Whether a line break is in it once it is decoded. What stands before a colon is not.
fn has_line_break(url: &[u8]) -> bool {
    let scheme = url.find_byte(b':').unwrap_or(0);
    url.contains(&b'\n') || breaks_line(&url[scheme..])
}

fn breaks_line(text: &[u8]) -> bool {
    text.contains(&b'\n') || text.contains_str("%0a") || text.contains_str("%0A")
}

/// Whether Git's `url_normalize` takes the URL, it names a host, and no line break is in it.
fn is_sound(url: &[u8]) -> bool {
    let Some((scheme, rest)) = url.split_once_str(b"://") else {
        return false;
    };
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'-'));
    if !is_scheme || breaks_line(rest) {
        return false;
    }
    let end = rest.find_byteset(b"/?#").unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, site) = authority.split_once_str(b"@").unwrap_or((b"", authority));
    unescape(user).is_some() && is_site(site) && is_path(path)
}

/// Whether it is a host, and perhaps a port.
fn is_site(site: &[u8]) -> bool {
    // The colons of an address are in brackets.
    let colon = site
        .rfind_byteset(b":]")
        .filter(|at| *at > 0 && site[*at] == b':');
    let (host, port) = colon.map_or((site, &b""[..]), |at| (&site[..at], &site[at + 1..]));
    let is_host = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b':' | b']')
    };
    !host.is_empty() && site[0] != b':' && host.iter().all(is_host) && is_port(port)
}

fn is_port(port: &[u8]) -> bool {
    if port.is_empty() {
        return true;
    }
    let number = port.iter().try_fold(0u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    });
    number.is_some_and(|number| (1..=65535).contains(&number))
}

/// Whether no `..` leads out of the path, and what is escaped can be unescaped.
fn is_path(path: &[u8]) -> bool {
    let end = path.find_byteset(b"?#").unwrap_or(path.len());
    let (path, query) = path.split_at(end);
    let mut depth = 0u32;
    for segment in path.strip_prefix(b"/").unwrap_or(path).split_str("/") {
        match unescape(segment).as_deref() {
            None => return false,
            Some(b".") => {}
            Some(b"..") => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            Some(_) => depth += 1,
        }
    }
    unescape(query).is_some()
}

/// The text with what is escaped as it is; `None` if a `%` is not followed by two digits.
fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut pieces = text.split_str("%");
    let mut plain = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        plain.push((digit(digits[0])? << 4 | digit(digits[1])?) as u8);
        plain.extend_from_slice(rest);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_judged_as_gits_newest_judges_them() {
        let good = [
            "",
            "a",
            "./a",
            "../a",
            "../../a:b",
            ".",
            "..",
            "/srv/a.git",
            "git@host:a/b",
            "ssh://-a/b",
            "http://host",
            "https://user:pw@host:80/a/../b?x#y",
            "ftp://[::1]:21/a",
            "http://h:/a",
            "http://h//../a",
            "https::https://host/a",
            "http://h/%41%2f",
            "http://h/a:b",
            "file:///a",
            "http:a",
            "./%0:",
        ];
        for url in good {
            assert!(is_allowed(url.as_bytes()), "{url:?}");
        }
        let bad = [
            "-a",
            "--upload-pack=x",
            "../:a",
            "..//a",
            "./../../:a",
            "..\\:a",
            "./%0a",
            "../a:%0A",
            "./a\nb",
            "http://",
            "http:///a",
            "http://:80/a",
            "http://u@/a",
            "http://a%0ab/",
            "http://h/%0a",
            "http://h/a\nb",
            "http://h/%4",
            "http://h/%zz",
            "http://h/../a",
            "http://h/a/%2e%2E/../b",
            "http://h/./..",
            "http://h:0/",
            "http://h:65536/",
            "http://h:8a/",
            "http://h o/",
            "http://h?%0a",
            "https::a",
            "https::-x",
            "https:::a",
            "https::file:///a",
            "http://%41/",
            "http://u%@h/",
        ];
        for url in bad {
            assert!(!is_allowed(url.as_bytes()), "{url:?}");
        }
    }
}
