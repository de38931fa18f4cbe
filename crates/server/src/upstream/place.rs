//! Where an upstream is: from what a request says to one URL, checked.

use packhouse_api::BaseRepo;
use packhouse_client::{Egress, EgressError};
use reqwest::Url;

use super::UpstreamOptions;

/// Longest part of what names an upstream.
const MAX_PART_BYTES: usize = 1024;

/// An upstream that may be followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) provider: String,
    pub(crate) owner: String,
    pub(crate) name: String,
    /// Without user and password.
    pub(crate) url: String,
    pub(crate) auth: Auth,
}

/// How an upstream is told who we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Auth {
    /// Not at all.
    Public,
    /// By the stored credential, if there is one.
    Credential,
    /// By a credential that comes with the request.
    Token,
    /// As a GitHub App.
    GitHubApp,
}

impl Auth {
    /// The word in the catalog: a token is stored, and then it is like every stored credential.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Credential | Self::Token => "credential",
            Self::GitHubApp => "github_app",
        }
    }
}

/// Why an upstream cannot be followed.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PlaceError {
    /// What the request says is no upstream.
    #[error("{0}")]
    Invalid(String),
    /// There is no GitHub App to be.
    #[error(
        "this server is set up with no GitHub App; follow a public repository with `\"auth\": {{\"auth_type\": \"public\"}}`, or bring a token with `\"auth\": {{\"token\": \"…\"}}`"
    )]
    NoGitHubApp,
}

fn invalid(message: impl Into<String>) -> PlaceError {
    PlaceError::Invalid(message.into())
}

/// The host of each provider, if it has one of its own.
fn default_host(provider: &str) -> Option<Option<&'static str>> {
    Some(match provider {
        "github" => Some("github.com"),
        "gitlab" => Some("gitlab.com"),
        "bitbucket" => Some("bitbucket.org"),
        "codeberg" => Some("codeberg.org"),
        "gitea" => Some("gitea.com"),
        "sr.ht" => Some("git.sr.ht"),
        "forgejo" | "git" => None,
        _ => return None,
    })
}

/// Where the upstream is that a request describes.
pub(crate) fn place_of(
    base: &BaseRepo,
    options: &UpstreamOptions,
    egress: Egress,
) -> Result<Place, PlaceError> {
    let provider = base.provider.trim().to_ascii_lowercase();
    let Some(host) = default_host(&provider) else {
        return Err(invalid(format!(
            "`base_repo.provider`: `{}` is not known; use github, gitlab, bitbucket, gitea, forgejo, codeberg, sr.ht, or git with a `url`",
            provider.escape_debug()
        )));
    };
    let auth = auth_of(base, &provider, options)?;
    let (url, owner, name) = match base.url.as_deref() {
        Some(url) if provider == "git" => from_url(url)?,
        Some(_) => return Err(invalid("`base_repo.url` goes with the provider `git`")),
        None => from_parts(base, &provider, host, options)?,
    };
    check(&url, egress)?;
    Ok(Place {
        provider,
        owner,
        name,
        url: url.into(),
        auth,
    })
}

fn auth_of(base: &BaseRepo, provider: &str, options: &UpstreamOptions) -> Result<Auth, PlaceError> {
    let given = base.auth.clone().unwrap_or_default();
    let has_token = given
        .token
        .as_deref()
        .is_some_and(|token| !token.is_empty());
    let auth = match given.auth_type.as_deref() {
        None if has_token => Auth::Token,
        None if provider == "github" => Auth::GitHubApp,
        None | Some("credential") => Auth::Credential,
        Some("public") => Auth::Public,
        Some("token") => Auth::Token,
        Some("github_app") => Auth::GitHubApp,
        Some(other) => {
            return Err(invalid(format!(
                "`base_repo.auth.auth_type`: `{}` is not known; use public, credential, token or github_app",
                other.escape_debug()
            )));
        }
    };
    match auth {
        Auth::Token if !has_token => Err(invalid("`base_repo.auth.token` is missing")),
        Auth::Public | Auth::Credential | Auth::GitHubApp if has_token => Err(invalid(
            "`base_repo.auth.token` goes with the `auth_type` `token`",
        )),
        Auth::GitHubApp if provider != "github" => Err(invalid(
            "`base_repo.auth.auth_type`: `github_app` is for the provider `github`",
        )),
        Auth::GitHubApp if options.github_app.is_none() => Err(PlaceError::NoGitHubApp),
        auth => Ok(auth),
    }
}

fn from_url(text: &str) -> Result<(Url, String, String), PlaceError> {
    // The text is not repeated: it may have a password in it.
    if text.len() > MAX_PART_BYTES * 3 {
        return Err(invalid("`base_repo.url` is too long"));
    }
    let url = Url::parse(text.trim())
        .map_err(|error| invalid(format!("`base_repo.url` is no URL: {error}")))?;
    let parts: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .map(decoded)
        .collect();
    let Some((name, owner)) = parts.split_last() else {
        return Err(invalid("`base_repo.url` names no repository"));
    };
    let name = name.strip_suffix(".git").unwrap_or(name).to_owned();
    Ok((url.clone(), owner.join("/"), name))
}

fn decoded(part: &str) -> String {
    percent_encoding::percent_decode_str(part)
        .decode_utf8_lossy()
        .chars()
        .filter(|c| !c.is_control())
        .collect()
}

fn from_parts(
    base: &BaseRepo,
    provider: &str,
    host: Option<&str>,
    options: &UpstreamOptions,
) -> Result<(Url, String, String), PlaceError> {
    let owner = part(
        "base_repo.owner",
        &base.owner,
        provider == "gitlab" || provider == "git",
    )?;
    let name = part("base_repo.name", &base.name, false)?;
    let name = name.strip_suffix(".git").unwrap_or(&name).to_owned();
    let given = base.upstream_host.as_deref().map(str::trim);
    let root = match given.filter(|host| !host.is_empty()) {
        Some(host) => format!("https://{}", bare_host(host)?),
        None if provider == "github" => options.github_url.trim_end_matches('/').to_owned(),
        None => match host {
            Some(host) => format!("https://{host}"),
            None => {
                return Err(invalid(format!(
                    "`base_repo.upstream_host` is missing: `{provider}` has no host of its own"
                )));
            }
        },
    };
    let mut url = Url::parse(&root)
        .map_err(|error| invalid(format!("`base_repo.upstream_host` is no host: {error}")))?;
    let owner = match provider {
        "sr.ht" if !owner.starts_with('~') => format!("~{owner}"),
        _ => owner,
    };
    {
        let mut path = url
            .path_segments_mut()
            .map_err(|()| invalid("`base_repo.upstream_host` is no host"))?;
        path.pop_if_empty().extend(owner.split('/'));
        match provider {
            "sr.ht" => path.push(&name),
            _ => path.push(&format!("{name}.git")),
        };
    }
    Ok((url, owner, name))
}

fn part(field: &str, text: &str, may_nest: bool) -> Result<String, PlaceError> {
    let text = text.trim();
    let problem = if text.is_empty() {
        "is empty"
    } else if text.len() > MAX_PART_BYTES {
        "is too long"
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "has spaces or control characters in it"
    } else if text.contains(['\\', '?', '#', '@', ':']) || (!may_nest && text.contains('/')) {
        "has a character in it that no name there has"
    } else if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "has a part that is empty, `.` or `..`"
    } else {
        return Ok(text.to_owned());
    };
    Err(invalid(format!("`{field}` {problem}")))
}

/// A host with or without a port, and nothing else of a URL.
fn bare_host(host: &str) -> Result<&str, PlaceError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.len() <= 255 && host.chars().all(allowed) {
        return Ok(host);
    }
    Err(invalid(
        "`base_repo.upstream_host` is a host such as `git.example.com`, without scheme or path",
    ))
}

fn check(url: &Url, egress: Egress) -> Result<(), PlaceError> {
    let is_allowed = match url.scheme() {
        "https" => true,
        // Whoever lets the server reach private networks has hosts there without certificates.
        "http" => egress == Egress::Any,
        _ => false,
    };
    if !is_allowed {
        return Err(invalid(format!(
            "an upstream is reached by `https://`, not by `{}://`",
            url.scheme()
        )));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "a user or password does not belong in `base_repo.url`; use `base_repo.auth`",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid("`base_repo.url` has a query or a fragment"));
    }
    egress.check_url(url).map_err(|error| match error {
        EgressError::Refused { host } => invalid(format!(
            "`{host}` is an address of a private network, which this server does not follow"
        )),
        error => invalid(error.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use packhouse_api::BaseRepoAuth;

    use super::*;

    fn base(provider: &str, owner: &str, name: &str) -> BaseRepo {
        BaseRepo {
            provider: provider.to_owned(),
            owner: owner.to_owned(),
            name: name.to_owned(),
            default_branch: None,
            upstream_host: None,
            url: None,
            operation: None,
            git_ref: None,
            sha: None,
            push_through: None,
            auth: Some(BaseRepoAuth {
                auth_type: Some("public".to_owned()),
                ..BaseRepoAuth::default()
            }),
        }
    }

    fn url_of(base: &BaseRepo) -> Result<String, PlaceError> {
        place_of(base, &UpstreamOptions::default(), Egress::PublicOnly).map(|place| place.url)
    }

    fn at(url: &str) -> BaseRepo {
        BaseRepo {
            url: Some(url.to_owned()),
            ..base("git", "", "")
        }
    }

    #[test]
    fn every_provider_has_its_urls() {
        for (provider, owner, name, expected) in [
            (
                "github",
                "octocat",
                "Hello",
                "https://github.com/octocat/Hello.git",
            ),
            (
                "GitHub",
                "octocat",
                "Hello.git",
                "https://github.com/octocat/Hello.git",
            ),
            ("gitlab", "a/b/c", "d", "https://gitlab.com/a/b/c/d.git"),
            ("bitbucket", "a", "b", "https://bitbucket.org/a/b.git"),
            ("codeberg", "a", "b", "https://codeberg.org/a/b.git"),
            ("gitea", "a", "b", "https://gitea.com/a/b.git"),
            ("sr.ht", "a", "b", "https://git.sr.ht/~a/b"),
            ("sr.ht", "~a", "b", "https://git.sr.ht/~a/b"),
            ("github", "é%", "b", "https://github.com/%C3%A9%25/b.git"),
        ] {
            assert_eq!(url_of(&base(provider, owner, name)).unwrap(), expected);
        }
        let elsewhere = BaseRepo {
            upstream_host: Some("git.example.com:8443".to_owned()),
            ..base("forgejo", "a", "b")
        };
        assert_eq!(
            url_of(&elsewhere).unwrap(),
            "https://git.example.com:8443/a/b.git"
        );
        assert!(url_of(&base("forgejo", "a", "b")).is_err());
        let place = place_of(
            &at("https://example.com/x/y/z.git"),
            &UpstreamOptions::default(),
            Egress::PublicOnly,
        );
        let place = place.unwrap();
        assert_eq!((place.owner.as_str(), place.name.as_str()), ("x/y", "z"));
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        for (provider, owner, name) in [
            ("svn", "a", "b"),
            ("", "a", "b"),
            ("github", "", "b"),
            ("github", "a", ""),
            ("github", "a/b", "c"),
            ("github", "..", "c"),
            ("gitlab", "a//b", "c"),
            ("github", "a", "b?c"),
            ("github", "a", "b c"),
            ("github", "u@evil", "b"),
            ("github", "a\n", "b\0"),
        ] {
            assert!(
                url_of(&base(provider, owner, name)).is_err(),
                "{provider} {owner} {name}"
            );
        }
        for host in [
            "https://x",
            "x/y",
            "u@h",
            "h?x",
            "127.0.0.1",
            "[::1]:80",
            "169.254.169.254",
        ] {
            let base = BaseRepo {
                upstream_host: Some(host.to_owned()),
                ..base("gitlab", "a", "b")
            };
            assert!(url_of(&base).is_err(), "{host}");
        }
        for url in [
            "http://example.com/a.git",
            "git://example.com/a.git",
            "ssh://git@example.com/a.git",
            "file:///etc",
            "/etc",
            "git@github.com:a/b.git",
            "https://me:hunter2@example.com/a.git",
            "https://hunter2@example.com/a.git",
            "https://example.com/a.git?token=hunter2",
            "https://example.com/a.git#hunter2",
            "https://example.com/",
            "https://127.0.0.1/a.git",
            "https://[::ffff:10.0.0.1]/a.git",
            "https://0x7f.1/a.git",
            "https://169.254.169.254/latest/meta-data",
        ] {
            let error = url_of(&at(url)).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let private = place_of(
            &at("http://127.0.0.1:81/a.git"),
            &UpstreamOptions::default(),
            Egress::Any,
        );
        assert!(private.is_ok());
    }

    #[test]
    fn how_to_prove_who_we_are_is_decided_once() {
        let of = |provider: &str, auth: Option<BaseRepoAuth>| {
            let base = BaseRepo {
                auth,
                ..base(provider, "a", "b")
            };
            let base = match provider {
                "forgejo" => BaseRepo {
                    upstream_host: Some("example.com".to_owned()),
                    ..base
                },
                _ => base,
            };
            place_of(&base, &UpstreamOptions::default(), Egress::PublicOnly).map(|place| place.auth)
        };
        let given = |auth_type: Option<&str>, token: Option<&str>| {
            Some(BaseRepoAuth {
                auth_type: auth_type.map(str::to_owned),
                token: token.map(str::to_owned),
                username: None,
            })
        };
        assert_eq!(of("github", None), Err(PlaceError::NoGitHubApp));
        assert_eq!(of("forgejo", None), Ok(Auth::Credential));
        assert_eq!(of("github", given(None, Some("t"))), Ok(Auth::Token));
        assert_eq!(of("github", given(Some("public"), None)), Ok(Auth::Public));
        assert_eq!(
            of("github", given(Some("credential"), None)),
            Ok(Auth::Credential)
        );
        for (auth_type, token) in [("token", None), ("public", Some("t")), ("magic", None)] {
            assert!(
                of("github", given(Some(auth_type), token)).is_err(),
                "{auth_type}"
            );
        }
        assert!(of("gitlab", given(Some("github_app"), None)).is_err());
    }
}
