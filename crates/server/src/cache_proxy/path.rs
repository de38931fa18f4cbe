//! Which repository of which upstream a path names.
//!
//! A path has one reading or none: what another program might decode, cut or join differently is refused.

use std::fmt;
use std::str::FromStr;

use packhouse_api::ErrorCode;
use packhouse_wire::Service;
use reqwest::Url;

use crate::error::ApiError;

/// A host that may be an upstream: `example.com` with any port, or `example.com:8443` with this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    port: Option<u16>,
}

/// What is no [`AllowedHost`].
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is no host; write it as example.com or example.com:8443")]
pub struct BadHost(String);

impl FromStr for AllowedHost {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<AllowedHost, BadHost> {
        let bad = || BadHost(text.escape_debug().to_string());
        let url = authority_url("http", text).ok_or_else(bad)?;
        let has_port = !text.ends_with(']') && text.contains(':') && !text.ends_with(':');
        let host = url.host_str().ok_or_else(bad)?.to_owned();
        let port = has_port.then(|| url.port_or_known_default()).flatten();
        Ok(AllowedHost { host, port })
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl AllowedHost {
    fn is(&self, url: &Url) -> bool {
        url.host_str() == Some(&self.host)
            && self
                .port
                .is_none_or(|port| url.port_or_known_default() == Some(port))
    }
}

/// What is asked of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// `info/refs`.
    InfoRefs,
    /// `git-upload-pack` or `git-receive-pack`.
    Rpc(Service),
    /// Something of Git LFS.
    Lfs,
    /// A file, as the dumb protocol reads them, or anything else.
    Other,
}

/// A repository at an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Its URL.
    pub(super) url: Url,
}

impl Target {
    /// Reads the path of a request.
    pub(super) fn parse(path: &str, allow: &[AllowedHost]) -> Result<(Target, Asked), ApiError> {
        let (scheme, rest) = path
            .strip_prefix('/')
            .and_then(|path| path.split_once('/'))
            .ok_or_else(no_route)?;
        if !matches!(scheme, "http" | "https") {
            return Err(no_route());
        }
        let (authority, rest) = rest.split_once('/').ok_or_else(no_route)?;
        let base = authority_url(scheme, authority).ok_or_else(|| {
            ApiError::invalid("the second part of the path is no host of an upstream; no user or password goes there")
        })?;
        if !allow.is_empty() && !allow.iter().any(|allowed| allowed.is(&base)) {
            return Err(ApiError::new(
                ErrorCode::Forbidden,
                format!("{authority} is none of the hosts that this cache is for (--allow)"),
            ));
        }
        let (repository, asked) = split(rest);
        check_parts(repository)?;
        let mut url = base;
        url.set_path(repository);
        match url.path().strip_prefix('/') == Some(repository) {
            true => Ok((Target { url }, asked)),
            false => Err(bad_path()),
        }
    }

    /// The URL of something below the repository.
    pub(super) fn below(&self, tail: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{tail}", self.url.path()));
        url
    }

    /// Where the same place of this upstream is on this server, if `url` is one of this upstream.
    pub(super) fn path_here(&self, url: &Url) -> Option<String> {
        if url.origin() != self.url.origin() || !url.username().is_empty() {
            return None;
        }
        let query = url.query().map(|query| format!("?{query}"));
        let authority = match (url.host_str()?, url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let (path, query) = (url.path(), query.unwrap_or_default());
        Some(format!("/{}/{authority}{path}{query}", url.scheme()))
    }
}

/// The URL of a host with a port, if `authority` is just that, in the one way to write it.
fn authority_url(scheme: &str, authority: &str) -> Option<Url> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    if authority.is_empty() || !authority.bytes().all(is_plain) {
        return None;
    }
    let url = Url::parse(&format!("{scheme}://{authority}/")).ok()?;
    let host = url.host_str()?;
    let rest = authority.to_ascii_lowercase();
    let rest = rest.strip_prefix(host)?;
    let port = rest.strip_prefix(':').map(str::parse::<u16>);
    match (rest, port) {
        ("", _) | (_, Some(Ok(_))) if !host.ends_with('.') => Some(url),
        _ => None,
    }
}

/// The repository's part of a path, and what is asked of it.
fn split(path: &str) -> (&str, Asked) {
    if let Some(repository) = path.strip_suffix("/info/refs") {
        return (repository, Asked::InfoRefs);
    }
    for service in [Service::UploadPack, Service::ReceivePack] {
        let repository = path.strip_suffix(service.as_str());
        if let Some(repository) = repository.and_then(|path| path.strip_suffix('/')) {
            return (repository, Asked::Rpc(service));
        }
    }
    match path.find("/info/lfs/") {
        Some(at) => (&path[..at], Asked::Lfs),
        None => (path, Asked::Other),
    }
}

/// Refuses what is not the same path to every program that reads it.
fn check_parts(path: &str) -> Result<(), ApiError> {
    for part in path.split('/') {
        let decoded: Vec<u8> = percent_encoding::percent_decode_str(part).collect();
        let mut escapes = part.split('%').skip(1);
        let is_bad = decoded.is_empty()
            || decoded == b"."
            || decoded == b".."
            || decoded
                .iter()
                .any(|byte| byte.is_ascii_control() || b"/\\".contains(byte))
            || !escapes.all(|rest| {
                let digits = rest.as_bytes().get(..2);
                digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            });
        if is_bad {
            return Err(bad_path());
        }
    }
    Ok(())
}

fn bad_path() -> ApiError {
    ApiError::invalid(
        "the path names no repository: no part of it may be empty, `.` or `..`, or hold an encoded slash, a backslash or a control character",
    )
}

fn no_route() -> ApiError {
    ApiError::new(
        ErrorCode::RouteNotFound,
        "this is a cache of Git repositories; the path is the scheme, the host and the path of a repository's URL, such as /https/github.com/OWNER/REPOSITORY.git",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<(String, Asked), u16> {
        match Target::parse(path, &[]) {
            Ok((target, asked)) => Ok((target.url.to_string(), asked)),
            Err(error) => Err(error.code().http_status()),
        }
    }

    #[test]
    fn a_path_names_an_upstream_a_repository_and_what_is_asked() {
        for (path, url, asked) in [
            (
                "/https/github.com/a/b.git/info/refs",
                "https://github.com/a/b.git",
                Asked::InfoRefs,
            ),
            (
                "/http/127.0.0.1:8080/b/git-upload-pack",
                "http://127.0.0.1:8080/b",
                Asked::Rpc(Service::UploadPack),
            ),
            (
                "/https/Example.com:443/~me/@scope/b%20c/git-receive-pack",
                "https://example.com/~me/@scope/b%20c",
                Asked::Rpc(Service::ReceivePack),
            ),
            (
                "/https/[2001:db8::1]:8443/b/info/lfs/objects/batch",
                "https://[2001:db8::1]:8443/b",
                Asked::Lfs,
            ),
            (
                "/https/h.example/b/HEAD",
                "https://h.example/b/HEAD",
                Asked::Other,
            ),
        ] {
            assert_eq!(parse(path), Ok((url.to_owned(), asked)), "{path}");
        }
    }

    #[test]
    fn what_has_more_than_one_reading_is_refused() {
        for path in [
            "/https/h.example/../x/info/refs",
            "/https/h.example/a/..%2fx/info/refs",
            "/https/h.example/a/%2e%2e/x/info/refs",
            "/https/h.example/a/%2E/x/info/refs",
            "/https/h.example/a//x/info/refs",
            "/https/h.example//info/refs",
            "/https/h.example/a%2Fb/info/refs",
            "/https/h.example/a%5cb/info/refs",
            "/https/h.example/a%00b/info/refs",
            "/https/h.example/a%0ab/info/refs",
            "/https/h.example/a%zz/info/refs",
            "/https/h.example/a%/info/refs",
            "/https/me:pw@h.example/a/info/refs",
            "/https/me%40h.example/a/info/refs",
            "/https/h.example:99999/a/info/refs",
            "/https/h.example:/a/info/refs",
            "/https/h.example./a/info/refs",
            "/https/127.1/a/info/refs",
            "/https/0x7f.0.0.1/a/info/refs",
            "/https/2130706433/a/info/refs",
            "/https//a/info/refs",
        ] {
            assert_eq!(parse(path), Err(400), "{path}");
        }
        for path in [
            "/",
            "/https",
            "/https/h.example",
            "/file/h.example/etc/info/refs",
            "/file///etc/info/refs",
            "/ssh/h.example/a/info/refs",
            "/HTTPS/h.example/a/info/refs",
            "/metrics2/x/y",
        ] {
            assert_eq!(parse(path), Err(404), "{path}");
        }
    }

    #[test]
    fn only_hosts_that_are_allowed_are_upstreams() {
        let allow: Vec<AllowedHost> = ["github.com", "Git.example:8443"]
            .map(|host| host.parse().unwrap())
            .to_vec();
        for (path, is_allowed) in [
            ("/https/github.com/a/b/info/refs", true),
            ("/http/GitHub.com:81/a/b/info/refs", true),
            ("/https/git.example:8443/a/info/refs", true),
            ("/https/git.example/a/info/refs", false),
            ("/https/github.com.evil.example/a/info/refs", false),
            ("/https/evilgithub.com/a/info/refs", false),
        ] {
            assert_eq!(Target::parse(path, &allow).is_ok(), is_allowed, "{path}");
        }
        for bad in [
            "",
            "https://github.com",
            "a/b",
            "me@host",
            "*.example",
            "a:x",
        ] {
            assert!(bad.parse::<AllowedHost>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_place_of_the_same_upstream_has_a_path_here() {
        let (target, _) = Target::parse("/http/h.example:81/a/info/refs", &[]).unwrap();
        let here = |url: &str| target.path_here(&Url::parse(url).unwrap());
        assert_eq!(
            here("http://h.example:81/b/info/refs?service=git-upload-pack"),
            Some("/http/h.example:81/b/info/refs?service=git-upload-pack".to_owned())
        );
        for url in [
            "http://h.example/a",
            "https://h.example:81/a",
            "http://other.example:81/a",
            "http://me@h.example:81/a",
        ] {
            assert_eq!(here(url), None, "{url}");
        }
    }
}
