//! What may be shown of a URL: no password, and nothing else that may be a secret.

use super::scheme_of;

/// `user@host:path` as it may be shown: what has a colon before its `@` was meant to have a password.
pub(super) fn scp_shown(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((before, rest)) if before.contains(':') => format!("***@{rest}"),
        _ => text.to_owned(),
    }
}

/// A URL of SSH, without the password that it cannot have anyway.
pub(super) fn without_ssh_password(shown: &str) -> String {
    shown.replacen(":***@", "@", 1)
}

/// A URL without its query, which may be a secret as much as a password.
pub(crate) fn without_query(text: &str) -> &str {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    &text[..end]
}

/// A URL that cannot be read, as it may be shown: a password in it may have a slash, and is everything before the `@`.
pub(super) fn wrong_shown(text: &str) -> String {
    let shown = without_password(text);
    match (shown.split_once("://"), shown.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
        _ => shown,
    }
}

/// A URL as it may be shown.
pub(super) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = scheme_of(text) else {
        return text.to_owned();
    };
    let (text, rest) = match scheme.to_ascii_lowercase().as_str() {
        // Others have none: these are characters of their paths.
        "ssh" | "git+ssh" | "ssh+git" | "git" | "file" => (text, rest),
        _ => (without_query(text), without_query(rest)),
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else {
        return text.to_owned();
    };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***{}", &rest[at..]),
        // A user alone may be a token.
        None if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") => {
            format!("{scheme}://***{}", &rest[at..])
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::remote::RemoteUrl;

    fn refusal(text: &str) -> String {
        RemoteUrl::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn passwords_are_not_shown() {
        for url in [
            "https://me:secret@example.com/x.git",
            "https://secret@example.com/x.git",
            "ssh://me:secret@example.com/x.git",
        ] {
            let url = RemoteUrl::parse(url).unwrap();
            assert!(!format!("{url} {url:?}").contains("secret"), "{url}");
        }
        assert!(!refusal("ftp://me:secret@example.com/x").contains("secret"));
        assert!(!refusal("https://example.com/x?private_token=secret").contains("secret"));
        assert!(!refusal("ftp://example.com/x?private_token=secret").contains("secret"));
        assert!(!refusal("me:secret@example.com:x").contains("secret"));
        for scheme in ["https", "ssh", "git", "ftp"] {
            let refused = refusal(&format!("{scheme}://me:sec/ret@example.com/x"));
            assert!(!refused.contains("sec/ret"), "{refused}");
            assert!(refused.contains("example.com"), "{refused}");
        }
        for (text, host, path) in [
            ("me:secret@h:a/b", "me", "secret@h:a/b"),
            ("me:sec/ret@h:a/b", "me", "sec/ret@h:a/b"),
            ("[me:secret@h]:a/b", "me:secret@h", "a/b"),
        ] {
            let refused = RemoteUrl::of_scp(text, host, path).unwrap_err().to_string();
            assert!(refused.contains("a password"), "{refused}");
            assert!(!refused.contains("sec"), "{refused}");
        }
        assert!(RemoteUrl::of_scp("me@h:a/b@2", "me@h", "a/b@2").is_ok());
        assert!(!refusal("https://me:secret@exa mple/x").contains("secret"));
    }
}
