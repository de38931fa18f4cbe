//! The settings of Git that apply to a cache.

use std::fs;

use packhouse_object::check::ObjectRules;

use super::{CacheConfig, CacheError};
use crate::credentials::Secret;
use crate::remote::{ExtraHeader, Proxy, RemoteOptions, SshCommand};

/// Sections that working trees get.
const SECTIONS: [&str; 5] = ["user", "author", "committer", "pull", "push"];

/// What the settings come to.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// How remotes are talked to, but for credentials.
    pub(super) remote: RemoteOptions,
    /// What working trees have in their configuration: section, key, value.
    pub(super) tree: Vec<(String, String, String)>,
    /// Whether submodules are part of a copy, if a setting says so.
    pub(super) submodules: Option<bool>,
    /// Names of those that do nothing.
    pub(super) unheeded: Vec<String>,
}

impl Settings {
    pub(super) fn of(config: &CacheConfig) -> Result<Settings, CacheError> {
        let mut settings = Settings {
            remote: config.remote.clone(),
            tree: Vec::new(),
            submodules: None,
            unheeded: Vec::new(),
        };
        for (name, value) in &config.git_config {
            settings.take(name, value)?;
        }
        let rules = &mut settings.remote.limits.rules;
        if *rules == ObjectRules::default() {
            rules.let_old_histories_pass();
        }
        settings.remote.ref_prefixes = ["HEAD", "refs/heads/", "refs/tags/"]
            .map(str::to_owned)
            .to_vec();
        Ok(settings)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), CacheError> {
        let (Some((section, _)), Some((scope, key))) =
            (name.split_once('.'), name.rsplit_once('.'))
        else {
            return Err(wrong(name, "the name of a setting is `section.key`"));
        };
        if value.contains(['\n', '\r', '\0']) {
            return Err(wrong(name, "a value is one line"));
        }
        let section = section.to_ascii_lowercase();
        let key = key.to_ascii_lowercase();
        match (section.as_str(), key.as_str()) {
            ("http", "extraheader") => {
                let prefix = scope.get("http.".len()..).unwrap_or("");
                self.take_header(name, prefix, value)?;
            }
            ("http", "proxy") if scope.eq_ignore_ascii_case("http") => {
                self.remote.proxy = match value {
                    "" => Proxy::None,
                    url => Proxy::Url(url.to_owned()),
                };
            }
            ("http", "sslcainfo") if scope.eq_ignore_ascii_case("http") => {
                let pem =
                    fs::read(value).map_err(|error| wrong(name, &format!("'{value}': {error}")))?;
                self.remote.extra_certificates = Some(pem);
            }
            ("core", "sshcommand") => self.remote.ssh.command = SshCommand::Shell(value.into()),
            ("submodule", "recurse") if scope.eq_ignore_ascii_case("submodule") => {
                self.submodules = Some(is_true(name, value)?);
            }
            ("core", "autocrlf" | "eol") => self.for_trees(&section, &key, value),
            (section, key) if SECTIONS.contains(&section) && is_key(key) => {
                self.for_trees(section, key, value);
            }
            _ => self.unheeded.push(name.to_owned()),
        }
        Ok(())
    }

    fn for_trees(&mut self, section: &str, key: &str, value: &str) {
        self.tree
            .push((section.to_owned(), key.to_owned(), value.to_owned()));
    }

    fn take_header(&mut self, name: &str, prefix: &str, value: &str) -> Result<(), CacheError> {
        // An empty one clears those before it, as in Git.
        if value.is_empty() {
            self.remote.extra_headers.clear();
            return Ok(());
        }
        let (header, value) = value
            .split_once(':')
            .ok_or_else(|| wrong(name, "a header is `Name: value`"))?;
        self.remote.extra_headers.push(ExtraHeader {
            url_prefix: prefix.to_owned(),
            name: header.trim().to_owned(),
            value: Secret::new(value.trim()),
        });
        Ok(())
    }
}

/// Yes or no, as Git reads it.
fn is_true(name: &str, value: &str) -> Result<bool, CacheError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err(wrong(name, "it is true or false")),
    }
}

fn is_key(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

/// Never quotes the value, which may be a secret.
fn wrong(name: &str, reason: &str) -> CacheError {
    CacheError::Config {
        reason: format!("git_config '{}': {reason}", name.escape_debug()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[(&str, &str)]) -> Result<Settings, CacheError> {
        let mut config = CacheConfig::default();
        for (name, value) in settings {
            config
                .git_config
                .insert((*name).to_owned(), (*value).to_owned());
        }
        Settings::of(&config)
    }

    #[test]
    fn headers_stay_in_memory_and_persons_go_to_trees() {
        let settings = of(&[
            ("http.extraheader", "AUTHORIZATION: basic c2VjcmV0"),
            ("http.https://example.com.extraHeader", "X-A: b"),
            ("user.name", "Somebody"),
            ("core.hooksPath", "/tmp/x"),
            ("credential.helper", "store"),
            ("http.proxy", "http://127.0.0.1:1"),
        ])
        .unwrap();
        let headers = &settings.remote.extra_headers;
        assert_eq!(headers.len(), 2);
        assert_eq!(headers[0].name, "AUTHORIZATION");
        assert_eq!(headers[1].url_prefix, "https://example.com");
        assert_eq!(settings.tree.len(), 1);
        assert_eq!(settings.unheeded, ["core.hooksPath", "credential.helper"]);
        assert!(!format!("{settings:?}").contains("c2VjcmV0"));
        assert!(matches!(settings.remote.proxy, Proxy::Url(_)));
    }

    #[test]
    fn submodules_are_left_out_where_git_is_told_not_to_recurse() {
        let submodules = |value| of(&[("submodule.recurse", value)]).map(|of| of.submodules);
        assert_eq!(submodules("false").unwrap(), Some(false));
        assert_eq!(submodules("On").unwrap(), Some(true));
        assert!(submodules("perhaps").is_err());
        assert_eq!(
            of(&[("submodule.x.recurse", "0")]).unwrap().submodules,
            None
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused_without_its_value() {
        for (name, value) in [
            ("nothing", "hunter2"),
            ("http.extraheader", "hunter2"),
            ("user.name", "hunter2\nx"),
        ] {
            let error = of(&[(name, value)]).unwrap_err().to_string();
            assert!(
                error.contains(name) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}
