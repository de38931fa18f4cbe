//! Where clients find the server.

use std::str::FromStr;

use http::Uri;
use serde::Deserialize;

/// Scheme and host as clients see them, and what path stands in front of all, without a slash at the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PublicUrl(pub(crate) String);

impl FromStr for PublicUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<PublicUrl, String> {
        let uri = text.parse::<Uri>().ok().filter(|uri| {
            let is_http = uri
                .scheme_str()
                .is_some_and(|scheme| scheme == "http" || scheme == "https");
            let has_user = uri
                .authority()
                .is_some_and(|host| host.as_str().contains('@'));
            is_http
                && uri.host().is_some_and(|host| !host.is_empty())
                && !has_user
                && uri.query().is_none()
        });
        match uri {
            Some(_) if !text.contains('#') => Ok(PublicUrl(text.trim_end_matches('/').to_owned())),
            _ => Err("it is no URL such as https://git.example.com".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<PublicUrl, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_scheme_and_host_and_no_more_than_a_path() {
        for (text, expected) in [
            ("https://git.example.com", "https://git.example.com"),
            ("https://git.example.com/", "https://git.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://example.com/git/", "https://example.com/git"),
        ] {
            assert_eq!(text.parse(), Ok(PublicUrl(expected.to_owned())));
        }
        for text in [
            "",
            "git.example.com",
            "ssh://a",
            "https://",
            "https://u:p@a",
            "https://a?b",
            "https://a#b",
        ] {
            assert!(text.parse::<PublicUrl>().is_err(), "{text}");
        }
    }
}
