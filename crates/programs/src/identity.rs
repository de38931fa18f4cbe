//! Who moves refs, for the reflog.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::Config;
use crate::environment::Environment;

/// `Name <address>` as Git would write it: from the environment, else the configuration, else the user of the system.
pub(crate) fn committer(environment: &Environment, config: &Config) -> String {
    let setting = |name: &str| {
        config
            .text(name)
            .map(|value| value.to_string())
            .filter(|value| !value.is_empty())
    };
    let user = || {
        let known = environment.shown("LOGNAME").or(environment.shown("USER"));
        known.map_or_else(|| "git".to_owned(), Cow::into_owned)
    };
    let name = environment
        .shown("GIT_COMMITTER_NAME")
        .map(Cow::into_owned)
        .or_else(|| setting("committer.name"))
        .or_else(|| setting("user.name"))
        .unwrap_or_else(user);
    let address = environment
        .shown("GIT_COMMITTER_EMAIL")
        .or(environment.shown("EMAIL"))
        .map(Cow::into_owned)
        .or_else(|| setting("committer.email"))
        .or_else(|| setting("user.email"))
        .unwrap_or_else(|| format!("{}@localhost", user()));
    format!("{} <{}>", clean(&name), clean(&address))
}

/// Without what would end the name or the line of a log.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '<' | '>') && !c.is_control())
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
