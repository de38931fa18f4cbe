//! Names as they are typed: an organisation, and a repository of one.

use std::fmt;
use std::str::FromStr;

/// Longest name of an organisation.
const MAX_ORG_BYTES: usize = 64;

/// Longest name of a repository.
const MAX_REPO_BYTES: usize = 255;

/// First parts of the server's own paths; an organisation of that name would hide behind them.
const RESERVED: [&str; 4] = ["api", "healthz", "readyz", "metrics"];

/// The name of an organisation: a token's `iss`, and the first part of `/{org}/{repo}.git`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OrgName(String);

impl OrgName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OrgName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for OrgName {
    type Err = String;

    fn from_str(text: &str) -> Result<OrgName, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if text.is_empty() || text.len() > MAX_ORG_BYTES {
            Err(format!(
                "an organisation's name has 1 to {MAX_ORG_BYTES} characters"
            ))
        } else if !text.chars().all(allowed) {
            Err("an organisation's name consists of letters, digits, `-`, `_` and `.`".to_owned())
        } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            Err("an organisation's name starts with a letter or a digit".to_owned())
        } else if RESERVED.contains(&text) {
            Err(format!("`{text}` is a path of the server itself"))
        } else {
            Ok(OrgName(text.to_owned()))
        }
    }
}

/// A repository: `org/name`, where the name may contain slashes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct RepoSpec {
    /// Its organisation.
    pub(crate) org: OrgName,
    /// Its id within the organisation.
    pub(crate) name: String,
}

impl fmt::Display for RepoSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.name)
    }
}

impl FromStr for RepoSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<RepoSpec, String> {
        let (org, name) = text
            .split_once('/')
            .ok_or("a repository is written ORG/NAME")?;
        check_repo_name(name)?;
        Ok(RepoSpec {
            org: org.parse()?,
            name: name.to_owned(),
        })
    }
}

/// What a token is for: a repository of the organisation that signs it, by its id, or the word `org` for calls that
/// concern no single one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct TokenRepo(String);

impl TokenRepo {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TokenRepo {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<TokenRepo, &'static str> {
        check_repo_name(text)?;
        Ok(TokenRepo(text.to_owned()))
    }
}

/// Refuses what the server would not create, since no Git URL could name it. `tests/sdk/test_cli.py` holds the two
/// to the same answers.
fn check_repo_name(name: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@+/".contains(&byte);
    if name.len() > MAX_REPO_BYTES {
        Err("the repository's name is too long")
    } else if !name.bytes().all(allowed) {
        Err("a repository's name consists of letters, digits and -_.~@+/")
    } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        Err("a part of the repository's name is empty, `.` or `..`")
    } else if name.split('/').any(|part| part.ends_with(".git"))
        || name.ends_with("+ephemeral")
        || name.ends_with("+import")
    {
        Err("`.git`, `+ephemeral` and `+import` have a meaning of their own in URLs")
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_keeps_the_slashes_of_its_name() {
        let spec: RepoSpec = "acme/team/site".parse().unwrap();
        assert_eq!(
            (spec.org.as_str(), spec.name.as_str()),
            ("acme", "team/site")
        );
        assert_eq!(spec.to_string(), "acme/team/site");
    }

    #[test]
    fn names_that_cannot_be_paths_are_refused() {
        for bad in ["", ".hidden", "-flag", "a b", "a/b", "api", &"x".repeat(65)] {
            assert!(bad.parse::<OrgName>().is_err(), "{bad}");
        }
        for bad in [
            "acme",
            "acme/",
            "/name",
            "acme/a//b",
            "acme/../b",
            "acme/a.git",
            "acme/a+import",
            "acme/a b",
        ] {
            assert!(bad.parse::<RepoSpec>().is_err(), "{bad}");
        }
        for bad in [
            "",
            "x.git",
            "a/../b",
            "a+ephemeral",
            "/a",
            "a/",
            "a b",
            &"x".repeat(256),
        ] {
            assert!(bad.parse::<TokenRepo>().is_err(), "{bad}");
        }
        for good in ["org", "a", "team/site", "a+b@c~d"] {
            assert_eq!(good.parse::<TokenRepo>().unwrap().as_str(), good);
        }
    }
}
