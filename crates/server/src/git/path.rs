//! Git's paths: `/{repo}.git/…`, where the repository's id may hold slashes and may stand behind its organisation.

use packhouse_repo::Namespace;
use packhouse_wire::Service;

use super::bundle;

/// What is asked of a repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Endpoint {
    /// `GET info/refs`.
    InfoRefs,
    /// `POST git-upload-pack` or `git-receive-pack`.
    Rpc(Service),
    /// `GET clone.bundle`.
    Bundle,
    /// Below `info/lfs/`.
    Lfs,
    /// Anything else below the repository.
    Other,
}

/// A path below a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct GitPath {
    /// What stands before `.git`, without the suffix that chooses a namespace.
    repo: String,
    /// Whether it is the URL for importing, which takes pushes and answers no fetches.
    pub is_import: bool,
    /// Which refs are meant.
    pub namespace: Namespace,
    /// What is asked for.
    pub endpoint: Endpoint,
}

impl GitPath {
    /// Reads the path of a URL; `None` if it is none of Git's.
    pub(crate) fn parse(path: &str) -> Option<GitPath> {
        let path = decode(path)?;
        let path = path.strip_prefix('/')?;
        let (repo, rest) = path.split_once(".git/")?;
        let endpoint = match rest {
            "info/refs" => Endpoint::InfoRefs,
            bundle::NAME => Endpoint::Bundle,
            rest if rest.starts_with("info/lfs/") => Endpoint::Lfs,
            rest => Service::parse(rest).map_or(Endpoint::Other, Endpoint::Rpc),
        };
        GitPath::of(repo, endpoint)
    }

    fn of(repo: &str, endpoint: Endpoint) -> Option<GitPath> {
        let (repo, is_import) = without_suffix(repo, "+import");
        let (repo, is_ephemeral) = without_suffix(repo, "+ephemeral");
        let is_import = is_import || is_ephemeral && repo.ends_with("+import");
        // What is imported goes to where it is followed: there is no such URL of the ephemeral namespace.
        if is_ephemeral && is_import {
            return None;
        }
        let namespace = if is_ephemeral {
            Namespace::Ephemeral
        } else {
            Namespace::Default
        };
        (!repo.is_empty()).then(|| GitPath {
            repo: repo.to_owned(),
            is_import,
            namespace,
            endpoint,
        })
    }

    /// Reads the path of a command that comes by SSH: `org/repo`, which may have a slash in front, and `.git` behind it.
    /// The rest is as in a URL.
    pub(crate) fn of_command(path: &str, endpoint: Endpoint) -> Option<GitPath> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let repo = path.strip_suffix(".git").unwrap_or(path);
        // In a URL the first `.git/` ends it.
        if repo.contains(".git/") {
            return None;
        }
        GitPath::of(repo, endpoint)
    }

    /// The id of the repository, if this is the path of one of `org` that names its organisation.
    pub(crate) fn id_in(&self, org: &str) -> Option<&str> {
        self.repo
            .strip_prefix(org)
            .and_then(|rest| rest.strip_prefix('/'))
            .filter(|id| !id.is_empty())
    }

    /// The path of its LFS API in a URL. Files of branches of every kind are kept together.
    pub(crate) fn lfs(&self) -> String {
        format!("/{}.git/info/lfs", self.repo)
    }

    /// Whether this is the path of repository `id` of `org`: its id alone, or behind the organisation's name.
    pub(crate) fn names(&self, org: &str, id: &str) -> bool {
        self.repo == id || self.id_in(org) == Some(id)
    }
}

fn without_suffix<'a>(text: &'a str, suffix: &str) -> (&'a str, bool) {
    text.strip_suffix(suffix)
        .map_or((text, false), |text| (text, true))
}

/// Percent-decodes `path`; `None` if what comes out is no text.
fn decode(path: &str) -> Option<String> {
    if !path.contains('%') {
        return Some(path.to_owned());
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            decoded.push((high * 16 + low) as u8);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_command_names_its_organisation() {
        use Namespace::{Default, Ephemeral};
        for (path, id, namespace) in [
            ("acme/site.git", "site", Default),
            ("/acme/site.git", "site", Default),
            ("acme/site", "site", Default),
            ("/acme/team/site/", "team/site", Default),
            ("acme/site+ephemeral.git", "site", Ephemeral),
            ("acme/site%2F.git", "site%2F", Default),
        ] {
            let parsed = GitPath::of_command(path, Endpoint::Rpc(Service::UploadPack)).unwrap();
            assert_eq!(parsed.id_in("acme"), Some(id), "{path}");
            assert_eq!(parsed.namespace, namespace, "{path}");
            assert_eq!(parsed.endpoint, Endpoint::Rpc(Service::UploadPack));
            assert!(parsed.id_in("acm").is_none() && parsed.id_in("other").is_none());
        }
        for bad in [
            "",
            "/",
            ".git",
            "/.git",
            "+ephemeral.git",
            "acme/a.git/b.git",
        ] {
            assert_eq!(
                GitPath::of_command(bad, Endpoint::Rpc(Service::UploadPack)),
                None,
                "{bad}"
            );
        }
        for nobodys in ["acme", "acme/", "//acme/site"] {
            let parsed = GitPath::of_command(nobodys, Endpoint::Rpc(Service::UploadPack));
            assert!(parsed.is_none_or(|path| path.id_in("acme").is_none()));
        }
    }

    #[test]
    fn a_path_names_a_repository_a_namespace_and_what_is_asked() {
        use Namespace::{Default, Ephemeral};
        use Service::{ReceivePack, UploadPack};
        for (path, repo, namespace, endpoint) in [
            ("/a.git/info/refs", "a", Default, Endpoint::InfoRefs),
            (
                "/a/b/c.git/git-upload-pack",
                "a/b/c",
                Default,
                Endpoint::Rpc(UploadPack),
            ),
            (
                "/a+ephemeral.git/git-receive-pack",
                "a",
                Ephemeral,
                Endpoint::Rpc(ReceivePack),
            ),
            (
                "/a+import.git/git-receive-pack",
                "a",
                Default,
                Endpoint::Rpc(ReceivePack),
            ),
            (
                "/a%2Fb%2bc.git/info/refs",
                "a/b+c",
                Default,
                Endpoint::InfoRefs,
            ),
            ("/a.git/HEAD", "a", Default, Endpoint::Other),
            (
                "/api/v1.git/info/refs",
                "api/v1",
                Default,
                Endpoint::InfoRefs,
            ),
            ("/a.git/info/refs/", "a", Default, Endpoint::Other),
        ] {
            let repo = repo.to_owned();
            let is_import = path.contains("+import");
            let expected = GitPath {
                repo,
                is_import,
                namespace,
                endpoint,
            };
            assert_eq!(GitPath::parse(path), Some(expected), "{path}");
        }
        for path in [
            "/",
            "/a",
            "/a.git",
            "/.git/info/refs",
            "/+ephemeral.git/info/refs",
            "/a+ephemeral+import.git/info/refs",
            "/a+import+ephemeral.git/git-receive-pack",
            "/a%zz.git/info/refs",
            "/%ff.git/info/refs",
        ] {
            assert_eq!(GitPath::parse(path), None, "{path}");
        }
    }

    #[test]
    fn an_organisation_may_stand_before_its_repository() {
        let path = GitPath::parse("/acme/site.git/info/refs").unwrap();
        assert!(path.names("acme", "site"));
        assert!(path.names("acme", "acme/site"));
        assert!(path.names("other", "acme/site"));
        assert!(!path.names("other", "site"));
        assert!(!path.names("acm", "e/site"));
    }
}
