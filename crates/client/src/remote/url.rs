//! Where a remote is, and how it is reached.

mod shown;

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::ByteSlice;
use percent_encoding::{percent_decode, percent_decode_str};
use reqwest::Url;

use super::RemoteError;
use crate::credentials::Credential;
pub(crate) use shown::without_query;
use shown::{scp_shown, without_password, without_ssh_password, wrong_shown};

/// A remote's address, checked. `Display` and `Debug` leave out the password.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    pub(crate) place: Place,
    shown: String,
}

/// The ways to reach a remote.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder on this machine.
    Local(PathBuf),
    /// `http://` or `https://`, with what stands in it.
    Http(Url),
    /// `ssh://`.
    Ssh(Host),
    /// `git://`.
    Daemon(Host),
}

/// A host and a path on it, decoded.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) user: Option<String>,
    pub(crate) name: String,
    pub(crate) port: Option<u16>,
    pub(crate) path: String,
}

impl RemoteUrl {
    /// A folder on this machine.
    pub(crate) fn of_folder(path: &Path) -> RemoteUrl {
        local(path.to_owned(), &path.display().to_string())
    }

    /// Reads a path, or a URL of one of the schemes `file`, `http`, `https`, `ssh`, `git+ssh`, `ssh+git` and `git`.
    ///
    /// `host:path` is refused: it means different things to different programs.
    pub fn parse(text: &str) -> Result<RemoteUrl, RemoteError> {
        if text.is_empty() {
            return Err(bad("the URL is empty".to_owned()));
        }
        if text.contains(['\0', '\n', '\r']) {
            return Err(bad("a URL cannot contain line breaks or NUL".to_owned()));
        }
        let Some((scheme, rest)) = scheme_of(text) else {
            if is_scp_style(text) {
                return Err(bad(format!(
                    "scp-style URL not supported: '{}'; use the ssh:// format instead",
                    scp_shown(text)
                )));
            }
            return Ok(local(PathBuf::from(text), text));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "file" => file(text, rest.as_bytes()),
            "http" | "https" => http(text),
            "ssh" | "git+ssh" | "ssh+git" => {
                let host = host(text, rest)?;
                Ok(RemoteUrl {
                    shown: without_password(text),
                    place: Place::Ssh(host),
                })
            }
            "git" => {
                let host = host(text, rest)?;
                Ok(RemoteUrl {
                    shown: without_password(text),
                    place: Place::Daemon(host),
                })
            }
            _ => Err(bad(format!(
                "'{}': a URL begins with file, http, https, ssh or git",
                wrong_shown(text)
            ))),
        }
    }

    /// As [`parse`](RemoteUrl::parse), of what need not be UTF-8: a path is any bytes, as is what stands behind `file://`.
    pub fn parse_os(text: &OsStr) -> Result<RemoteUrl, RemoteError> {
        if let Some(text) = text.to_str() {
            return RemoteUrl::parse(text);
        }
        let shown = text.to_string_lossy();
        // What is replaced in it does not decide which kind it is.
        let of_shown = RemoteUrl::parse(&shown)?;
        if of_shown.local_path().is_none() {
            return Err(bad(format!("'{of_shown}': a URL is UTF-8")));
        }
        match scheme_of(&shown) {
            None => Ok(local(PathBuf::from(text), &shown)),
            Some((scheme, _)) => {
                let rest = &text.as_bytes()[scheme.len() + "://".len()..];
                file(&shown, rest)
            }
        }
    }

    /// `user@host:path` or `host:path`, taken apart, which is SSH; the path begins at the user's home.
    pub(crate) fn of_scp(text: &str, host: &str, path: &str) -> Result<RemoteUrl, RemoteError> {
        let (user, name) = match host.rsplit_once('@') {
            Some((user, name)) => (Some(user.to_owned()), name),
            None => (None, host),
        };
        let is_password =
            |(before, rest): (&str, &str)| !before.contains('/') || rest.contains(':');
        let has_password = user.as_ref().is_some_and(|user| user.contains(':'))
            || path.rsplit_once('@').is_some_and(is_password);
        if has_password {
            return Err(bad(format!(
                "'{}': a password before the host is not taken, as SSH has no use for it; leave it out, or use https://",
                scp_shown(text)
            )));
        }
        let host = Host {
            user: user.filter(|user| !user.is_empty()),
            name: name.to_owned(),
            port: None,
            path: path.to_owned(),
        };
        match host.problem() {
            Some(problem) => Err(bad(format!("'{text}': {problem}"))),
            None => Ok(RemoteUrl {
                place: Place::Ssh(host),
                shown: text.to_owned(),
            }),
        }
    }

    /// The URL as it may be stored, and what proves who the caller is, if it was in there. Users of SSH stay: they say
    /// whose home it is.
    pub(crate) fn without_credential(self) -> (RemoteUrl, Option<Credential>) {
        match self.place {
            Place::Http(url) => {
                let (base, user, credential) = super::http::taken_apart(&url);
                // Some hosts take a token in the place of the user.
                let credential = credential.or_else(|| Some(Credential::basic(user?, "")));
                let url = RemoteUrl {
                    shown: base.to_string(),
                    place: Place::Http(base),
                };
                (url, credential)
            }
            Place::Ssh(_) | Place::Daemon(_) => {
                let shown = without_ssh_password(&self.shown);
                (RemoteUrl { shown, ..self }, None)
            }
            Place::Local(_) => (self, None),
        }
    }

    /// The same for ways to write one place that are known to mean the same: host and scheme in lower case, no port where
    /// it is the scheme's own, no slash at the end, no user of HTTP.
    ///
    /// Users of SSH stay apart, and so does no user; and of paths of SSH, those below a home from those of the whole machine,
    /// which have two slashes. `repo.git` is not `repo`: where folders are served both may be there. On
    /// [forges](is_forge) all of these are one.
    pub(crate) fn canonical(&self) -> String {
        let host = |scheme: &str, host: &Host, port: u16| {
            let name = host.name.to_ascii_lowercase();
            let is_forge = scheme == "ssh" && is_forge(&name);
            let user = match host.user.as_deref() {
                Some(user) if !(is_forge && user == "git") => format!("{user}@"),
                _ => String::new(),
            };
            let port = match host.port {
                Some(found) if found != port => format!(":{found}"),
                _ => String::new(),
            };
            let home = host.remote_path();
            // A home's own way to be written, where SSH has paths that begin there.
            let home = home.strip_prefix("~/").unwrap_or(home);
            let path = without_end(home.trim_start_matches('/'), is_forge);
            let root = match home.starts_with('/') && !is_forge {
                true => "/",
                false => "",
            };
            format!("{scheme}://{user}{name}{port}/{root}{path}")
        };
        match &self.place {
            Place::Local(path) => format!("file://{}", path.display()),
            Place::Http(url) => {
                let port = url.port().map_or(String::new(), |port| format!(":{port}"));
                let name = url.host_str().unwrap_or("");
                let path = without_end(url.path().trim_start_matches('/'), is_forge(name));
                format!("{}://{name}{port}/{path}", url.scheme())
            }
            Place::Ssh(at) => host("ssh", at, 22),
            Place::Daemon(at) => host("git", at, 9418),
        }
    }

    /// Whether both are on one server: same scheme, host and port of HTTP.
    pub(crate) fn is_same_server(&self, other: &RemoteUrl) -> bool {
        match (&self.place, &other.place) {
            (Place::Http(one), Place::Http(other)) => one.origin() == other.origin(),
            _ => false,
        }
    }

    /// Whether it is reached through a program that the person has set up.
    pub(crate) fn is_ssh(&self) -> bool {
        matches!(self.place, Place::Ssh(_))
    }

    /// The folder, if the remote is one on this machine.
    pub fn local_path(&self) -> Option<&Path> {
        match &self.place {
            Place::Local(path) => Some(path),
            _ => None,
        }
    }
}

impl From<&Path> for RemoteUrl {
    fn from(path: &Path) -> RemoteUrl {
        local(path.to_owned(), &path.display().to_string())
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({:?})", self.shown)
    }
}

fn bad(reason: String) -> RemoteError {
    RemoteError::BadUrl { reason }
}

fn local(path: PathBuf, shown: &str) -> RemoteUrl {
    RemoteUrl {
        place: Place::Local(path),
        shown: shown.to_owned(),
    }
}

/// Splits `scheme://rest`.
fn scheme_of(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some((scheme, rest))
}

/// Git's rule: a colon before any slash. One letter before it is a drive.
fn is_scp_style(text: &str) -> bool {
    let Some(colon) = text.find(':') else {
        return false;
    };
    let before = &text[..colon];
    let is_drive = cfg!(windows) && before.len() == 1;
    !is_drive && !before.contains('/') && !before.is_empty()
}

fn file(text: &str, rest: &[u8]) -> Result<RemoteUrl, RemoteError> {
    let path = rest.strip_prefix(b"localhost").unwrap_or(rest);
    if !path.starts_with(b"/") {
        return Err(bad(format!("'{text}' names no absolute path")));
    }
    let path: Vec<u8> = percent_decode(path).collect();
    match path.to_path() {
        Ok(path) if !path.as_os_str().as_encoded_bytes().contains(&0) => {
            Ok(local(path.to_owned(), text))
        }
        _ => Err(bad(format!("'{text}' names no path"))),
    }
}

fn http(text: &str) -> Result<RemoteUrl, RemoteError> {
    let shown = without_password(text);
    let url = Url::parse(text)
        .map_err(|error| bad(format!("'{}' is no URL: {error}", wrong_shown(text))))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad(format!(
            "'{shown}': a query or fragment is not supported"
        )));
    }
    Ok(RemoteUrl {
        place: Place::Http(url),
        shown,
    })
}

fn host(text: &str, rest: &str) -> Result<Host, RemoteError> {
    let shown = wrong_shown(text);
    let refuse = |what: &str| Err(bad(format!("'{shown}': {what}")));
    let Some(slash) = rest.find('/') else {
        return refuse("the URL has no path");
    };
    let (authority, path) = rest.split_at(slash);
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, authority)) => (Some(user), authority),
        None => (None, authority),
    };
    let (name, port) = match authority.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((name, "")) => (name, None),
            Some((name, port)) => (name, port.strip_prefix(':')),
            None => return refuse("the address has no `]`"),
        },
        None => match authority.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (authority, None),
        },
    };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => match port.parse() {
            Ok(port) => Some(port),
            Err(_) => return refuse("the port is no number"),
        },
        None => None,
    };
    // A password would have to be typed in anyway: ssh takes none.
    let user = user.map(|user| user.split(':').next().unwrap_or(user));
    let decoded = |part: &str| percent_decode_str(part).decode_utf8().map(Into::into);
    let (Ok(name), Ok(path), Ok(user)) =
        (decoded(name), decoded(path), user.map(decoded).transpose())
    else {
        return refuse("the URL is not text");
    };
    let host = Host {
        user: user.filter(|user: &String| !user.is_empty()),
        name,
        port,
        path,
    };
    match host.problem() {
        Some(problem) => refuse(problem),
        None => Ok(host),
    }
}

impl Host {
    /// What makes it unfit to be passed on: a program must not take a part of it for an option or a line of its own.
    fn problem(&self) -> Option<&'static str> {
        let parts = [Some(&self.name), Some(&self.path), self.user.as_ref()];
        if self.name.is_empty() {
            return Some("the URL has no host");
        }
        if parts
            .iter()
            .flatten()
            .any(|part| part.contains(|c: char| c.is_control()))
        {
            return Some("control characters are not allowed");
        }
        if self.name.starts_with('-')
            || self.user.as_ref().is_some_and(|user| user.starts_with('-'))
        {
            return Some("a host or user cannot begin with `-`");
        }
        if self.remote_path().starts_with('-') {
            return Some("a path cannot begin with `-`");
        }
        None
    }

    /// The path as the other side is asked for it: `/~user/…` begins at that user's home.
    pub(crate) fn remote_path(&self) -> &str {
        match self.path.strip_prefix('/') {
            Some(home) if home.starts_with('~') => home,
            _ => &self.path,
        }
    }
}

/// Hosts that have no folders behind them: one user of SSH for all, one repository for a path however it begins, and
/// the same with `.git` at its end.
fn is_forge(name: &str) -> bool {
    const FORGES: [&str; 5] = [
        "github.com",
        "gitlab.com",
        "bitbucket.org",
        "codeberg.org",
        "gitea.com",
    ];
    FORGES.contains(&name)
}

/// A path without what makes no difference at its end.
fn without_end(path: &str, is_forge: bool) -> &str {
    let path = path.trim_end_matches('/');
    match is_forge {
        true => path.strip_suffix(".git").unwrap_or(path),
        false => path,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host_of(text: &str) -> Host {
        match RemoteUrl::parse(text).unwrap().place {
            Place::Ssh(host) | Place::Daemon(host) => host,
            _ => panic!("{text} names no host"),
        }
    }

    fn refusal(text: &str) -> String {
        RemoteUrl::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn paths_are_paths() {
        for path in ["/a/b.git", "a/b", "./a:b", "../x", "a/b:c", ":x"] {
            assert_eq!(
                RemoteUrl::parse(path).unwrap().local_path(),
                Some(Path::new(path))
            );
        }
        for url in [
            "file:///a/b%20c",
            "file://localhost/a/b%20c",
            "FILE:///a/b c",
        ] {
            assert_eq!(
                RemoteUrl::parse(url).unwrap().local_path(),
                Some(Path::new("/a/b c"))
            );
        }
        assert!(refusal("file://elsewhere/a").contains("no absolute path"));
    }

    #[test]
    fn paths_are_any_bytes() {
        let os = |bytes: &'static [u8]| OsStr::from_bytes(bytes);
        for (text, path) in [
            (&b"/a/\xff.git"[..], &b"/a/\xff.git"[..]),
            (b"\xff", b"\xff"),
            (b"a/\xff:b", b"a/\xff:b"),
            (b"file:///a%20b/\xff", b"/a b/\xff"),
            (b"FILE://localhost/\xff", b"/\xff"),
            (b"/plain", b"/plain"),
        ] {
            let url = RemoteUrl::parse_os(os(text)).unwrap();
            assert_eq!(url.local_path(), Some(Path::new(os(path))));
        }
        for text in [
            &b"host:\xff"[..],
            b"\xff:path",
            b"https://me:secret@host/\xff",
            b"ssh://host/\xff",
            b"git://host/\xff",
            b"ftp://host/\xff",
            b"file://elsewhere/\xff",
            b"/a\n\xff",
        ] {
            let words = RemoteUrl::parse_os(os(text)).unwrap_err().to_string();
            assert!(!words.contains("secret"), "{words}");
        }
    }

    #[test]
    fn scp_style_is_refused_in_the_words_people_know() {
        for text in ["host:path", "git@github.com:a/b.git", "[::1]:x"] {
            let words = refusal(text);
            assert!(
                words.starts_with("scp-style URL not supported: "),
                "{words}"
            );
            assert!(words.contains("ssh:// format"), "{words}");
        }
    }

    #[test]
    fn hosts_and_paths_are_taken_apart() {
        let host = host_of("ssh://git@example.com:2222/a%20b.git");
        assert_eq!(host.user.as_deref(), Some("git"));
        assert_eq!((host.name.as_str(), host.port), ("example.com", Some(2222)));
        assert_eq!(host.path, "/a b.git");
        assert_eq!(host_of("ssh://h/~me/x").remote_path(), "~me/x");
        let host = host_of("git://[::1]:9419/x");
        assert_eq!((host.name.as_str(), host.port), ("::1", Some(9419)));
    }

    #[test]
    fn what_could_be_an_option_or_a_line_of_its_own_is_refused() {
        for text in [
            "ssh://-oProxyCommand=touch%20x/path",
            "ssh://-l@host/path",
            "ssh://%2doProxyCommand=x/path",
            "git://host/a%0ahost=b",
            "ssh://host/a\nb",
            "ssh:///path",
            "ssh://host",
            "ext://sh -c x",
            "",
        ] {
            assert!(RemoteUrl::parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_refused(rest: String) {
            for scheme in ["", "file://", "https://", "ssh://", "git://"] {
                let _ = RemoteUrl::parse(&format!("{scheme}{rest}"));
            }
        }
    }
}
