//! Who moves refs, and when, for the reflog.

use std::borrow::Cow;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use bstr::ByteSlice;
use nix::unistd::{Uid, User};
use packhouse_repo::directory::Moment;

use crate::config::Config;
use crate::environment::Environment;
use crate::moment;

/// What stands in the place of a domain that nobody knows.
const NO_DOMAIN: &str = "(none)";

/// `Name <address>` as Git would write it: from the environment, else the configuration, else the user of the system.
pub(crate) fn committer(environment: &Environment, config: &Config) -> String {
    let variable = |name: &str| {
        let value = environment.present(name)?;
        Some(value.to_string_lossy().into_owned())
    };
    let setting = |name: &str| config.text(name).map(|value| value.to_string());
    let name = variable("GIT_COMMITTER_NAME")
        .or_else(|| setting("committer.name").filter(|name| !name.is_empty()))
        .or_else(|| setting("user.name"))
        .unwrap_or_else(|| SystemUser::own().full_name());
    let name = match name.is_empty() {
        true => SystemUser::own().login,
        false => name,
    };
    let address = variable("GIT_COMMITTER_EMAIL")
        .or_else(|| setting("committer.email").filter(|address| !address.is_empty()))
        .or_else(|| setting("user.email"))
        .or_else(|| environment.shown("EMAIL").map(Cow::into_owned))
        .unwrap_or_else(|| SystemUser::own().address());
    format!("{} <{}>", clean(&name), clean(&address))
}

/// When they are moved, by `GIT_COMMITTER_DATE` or by the clock; the error is that the former names no time.
pub(crate) fn commit_time(environment: &Environment) -> Result<Moment, String> {
    match environment.shown("GIT_COMMITTER_DATE") {
        Some(text) => {
            moment::parse(&text, environment).ok_or_else(|| format!("invalid date format: {text}"))
        }
        None => Ok(moment::now(environment)),
    }
}

/// Without what would end the name or the line of a log.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '<' | '>') && !c.is_control())
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Whom this process runs for, as the system knows them.
struct SystemUser {
    login: String,
    /// Name, room and telephone, between commas.
    gecos: String,
}

impl SystemUser {
    fn own() -> SystemUser {
        match User::from_uid(Uid::current()) {
            Ok(Some(user)) => SystemUser {
                login: user.name,
                gecos: user.gecos.as_bytes().to_str_lossy().into_owned(),
            },
            _ => SystemUser {
                login: "unknown".to_owned(),
                gecos: "Unknown".to_owned(),
            },
        }
    }

    /// The name, in which `&` stands for the login with a capital.
    fn full_name(&self) -> String {
        let name = self.gecos.split(',').next().unwrap_or_default();
        let mut login = self.login.clone();
        if let Some(first) = login.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        name.replace('&', &login).trim().to_owned()
    }

    fn address(&self) -> String {
        format!("{}@{}", self.login, mail_host())
    }
}

/// Where mail to users of this machine goes: by `/etc/mailname`, or by its name.
fn mail_host() -> String {
    let first_line = |text: &[u8]| {
        let line = text.lines().next();
        line.map(|line| line.to_str_lossy().into_owned())
    };
    let named = fs::read("/etc/mailname").ok();
    if let Some(name) = named.as_deref().and_then(first_line) {
        return name;
    }
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    if host.contains('.') {
        return host.into_owned();
    }
    let hosts = fs::read("/etc/hosts").unwrap_or_default();
    canonical_name(&hosts.to_str_lossy(), &host).unwrap_or_else(|| format!("{host}.{NO_DOMAIN}"))
}

/// The whole name of a host by the file of those that are known.
fn canonical_name(hosts: &str, host: &str) -> Option<String> {
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut names = line.split_ascii_whitespace().skip(1);
        let canonical = names.next()?;
        let is_host = canonical == host || names.any(|name| name == host);
        (is_host && canonical.contains('.')).then(|| canonical.to_owned())
    })
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use packhouse_repo::directory::Served;
    use packhouse_testkit::git::init_bare;

    use super::*;

    /// Who our programs and git take a committer for, by these variables and settings.
    fn taken_for(variables: &[(&str, &str)], settings: &[(&str, &str)]) -> [String; 2] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.git");
        let git = init_bare(&path);
        for (name, value) in settings {
            git.run(&["config", name, value]);
        }
        let mut environment = Environment::default();
        environment.set("GIT_CONFIG_NOSYSTEM", "1");
        for (name, value) in variables {
            environment.set(name, *value);
        }
        let config = Config::load(&environment, &Served::open(&path).unwrap()).unwrap();
        let ours = committer(&environment, &config);
        let tree = git.feed(&["hash-object", "-t", "tree", "-w", "--stdin"], b"");
        let commit = git.run(&["commit-tree", "-m", "x", &tree]);
        // Without the settings that tests give to git.
        let moved = Command::new("git")
            .args(["update-ref", "--create-reflog", "refs/heads/x", &commit])
            .current_dir(&path)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs(variables.iter().copied())
            .status();
        assert!(moved.unwrap().success());
        let log = fs::read_to_string(path.join("logs/refs/heads/x")).unwrap();
        let (_, who) = log.split_at(82);
        let end = who.find('>').unwrap() + 1;
        [ours, who[..end].to_owned()]
    }

    #[test]
    fn a_committer_is_who_git_takes_it_for() {
        let both = |variables: &[(&str, &str)], settings: &[(&str, &str)]| {
            let [ours, gits] = taken_for(variables, settings);
            assert_eq!(ours, gits, "{variables:?} {settings:?}");
            ours
        };
        let system = both(&[], &[]);
        assert!(!system.starts_with(' ') && system.contains('@'), "{system}");
        // Who somebody claims to be counts for nothing.
        let claimed = both(&[("USER", "somebody"), ("LOGNAME", "else")], &[]);
        assert_eq!(claimed, system);
        let user = [("user.name", "User"), ("user.email", "user@example.com")];
        assert_eq!(both(&[], &user), "User <user@example.com>");
        let committer = [("committer.name", "C"), ("committer.email", "")];
        let all = [&user[..], &committer].concat();
        assert_eq!(both(&[], &all), "C <user@example.com>");
        for (variables, settings) in [
            (&[("EMAIL", "e@example.com")][..], &[][..]),
            (&[("EMAIL", "e@example.com")], &user),
            (&[("EMAIL", "")], &[]),
            (
                &[("GIT_COMMITTER_NAME", ""), ("GIT_COMMITTER_EMAIL", "")],
                &user,
            ),
            (&[("GIT_COMMITTER_NAME", "N <x> ")], &user),
            (&[("GIT_COMMITTER_EMAIL", "n@example.com")], &user),
            (&[], &[("user.name", ""), ("user.email", "")]),
        ] {
            both(variables, settings);
        }
    }

    #[test]
    fn a_name_and_a_host_are_whole_where_the_files_have_them() {
        let user = |gecos: &str| {
            let (login, gecos) = ("ada".to_owned(), gecos.to_owned());
            SystemUser { login, gecos }.full_name()
        };
        assert_eq!(user("& Lovelace,Room 1,"), "Ada Lovelace");
        assert_eq!(user(""), "");
        let hosts =
            "127.0.0.1 localhost\n# 127.0.0.1 a.b vm\n127.0.0.1 vm\n::1 vm.example.com vm # x\n";
        assert_eq!(
            canonical_name(hosts, "vm").as_deref(),
            Some("vm.example.com")
        );
        assert_eq!(canonical_name(hosts, "localhost"), None);
    }
}
