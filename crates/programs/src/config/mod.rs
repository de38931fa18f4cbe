//! Git's configuration: of the system, of the user, of the repository, and of the call.
//!
//! `include.path` is followed; `includeIf` is not.

mod parameters;
mod read;

use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};

use crate::environment::Environment;
use crate::error::ProgramError;

/// Settings in the order of their weight: the last of one name counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    entries: Vec<(BString, Option<BString>)>,
}

impl Config {
    /// All settings for a repository.
    pub(crate) fn load(environment: &Environment, git_dir: &Path) -> Result<Config, ProgramError> {
        let mut config = Config::default();
        config.read_users(environment)?;
        let home = home(environment);
        config.read_file(&git_dir.join("config"), home.as_deref(), 0)?;
        if config.flag("extensions.worktreeconfig")? == Some(true) {
            config.read_file(&git_dir.join("config.worktree"), home.as_deref(), 0)?;
        }
        config.read_call(environment)?;
        Ok(config)
    }

    /// The settings that no repository can make: those of the system, the user and the call.
    pub(crate) fn protected(environment: &Environment) -> Result<Config, ProgramError> {
        let mut config = Config::default();
        config.read_users(environment)?;
        config.read_call(environment)?;
        Ok(config)
    }

    fn add(&mut self, name: &str, value: Option<BString>) {
        // Section and key in lower case, what stands between them as it is.
        let (section, rest) = name.split_once('.').unwrap_or((name, ""));
        let (middle, key) = match rest.rsplit_once('.') {
            Some((middle, key)) => (format!(".{middle}"), key),
            None => (String::new(), rest),
        };
        let section = section.to_ascii_lowercase();
        let key = key.to_ascii_lowercase();
        let name = format!("{section}{middle}.{key}");
        self.entries.push((name.into(), value));
    }

    /// The value of a setting, empty where it has none; `name` is in lower case.
    pub(crate) fn text(&self, name: &str) -> Option<&BStr> {
        self.find(name)
            .map(|value| value.map_or(BStr::new(""), |value| value))
    }

    /// All values of a setting, in order.
    pub(crate) fn all<'c>(&'c self, name: &'c str) -> impl Iterator<Item = &'c BStr> {
        self.entries
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| {
                value
                    .as_ref()
                    .map_or(BStr::new(""), |value| value.as_bstr())
            })
    }

    /// All values of several settings, in the order in which they stand.
    pub(crate) fn in_order<'c>(&'c self, names: &'c [&'c str]) -> impl Iterator<Item = &'c BStr> {
        self.entries
            .iter()
            .filter(move |(known, _)| names.iter().any(|name| known == name))
            .map(|(_, value)| {
                value
                    .as_ref()
                    .map_or(BStr::new(""), |value| value.as_bstr())
            })
    }

    fn find(&self, name: &str) -> Option<Option<&BStr>> {
        let (_, value) = self.entries.iter().rev().find(|(known, _)| known == name)?;
        Some(value.as_ref().map(|value| value.as_bstr()))
    }

    /// The truth of a setting.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ProgramError> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        let Some(value) = value else {
            return Ok(Some(true));
        };
        let truth = truth(value).ok_or_else(|| {
            ProgramError::Config(format!("bad boolean config value '{value}' for '{name}'"))
        })?;
        Ok(Some(truth))
    }

    /// A number, which may end in `k`, `m` or `g`.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, ProgramError> {
        let Some(value) = self.find(name) else {
            return Ok(None);
        };
        let value = value.unwrap_or_default();
        let text = value.to_str_lossy();
        let text = text.trim();
        let (digits, unit) = match text.as_bytes().last().map(u8::to_ascii_lowercase) {
            Some(b'k') => (&text[..text.len() - 1], 1 << 10),
            Some(b'm') => (&text[..text.len() - 1], 1 << 20),
            Some(b'g') => (&text[..text.len() - 1], 1 << 30),
            _ => (text, 1),
        };
        let number = digits.parse::<i64>().ok();
        match number.and_then(|number| number.checked_mul(unit)) {
            Some(number) => Ok(Some(number)),
            None => Err(ProgramError::Config(format!(
                "bad numeric config value '{value}' for '{name}': invalid unit"
            ))),
        }
    }
}

fn truth(value: &BStr) -> Option<bool> {
    let text = value.to_str().ok()?;
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" | "" => Some(false),
        number => number.parse::<i64>().ok().map(|number| number != 0),
    }
}

/// Whether a variable of the environment is true, as Git reads them.
pub(crate) fn is_true(text: &str) -> bool {
    truth(BStr::new(text)) == Some(true)
}

pub(crate) fn home(environment: &Environment) -> Option<PathBuf> {
    environment.get("HOME").map(PathBuf::from)
}

/// A path as settings have it, where `~/` is the user's home.
pub(crate) fn interpolated(path: &BStr, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix(b"~/"), home) {
        (Some(rest), Some(home)) => home.join(rest.to_path_lossy()),
        _ => path.to_path_lossy().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn config(folder: &Path, text: &str) -> Config {
        fs::write(folder.join("config"), text).unwrap();
        let mut environment = Environment::default();
        environment.set("GIT_CONFIG_NOSYSTEM", "1");
        environment.set("GIT_CONFIG_COUNT", "2");
        environment.set("GIT_CONFIG_KEY_0", "Receive.DenyDeletes");
        environment.set("GIT_CONFIG_VALUE_0", "true");
        environment.set("GIT_CONFIG_KEY_1", "a.B.C");
        environment.set("GIT_CONFIG_VALUE_1", "x");
        environment.set(
            "GIT_CONFIG_PARAMETERS",
            "'core.x'='it'\\''s' 'core.y=1' 'core.z'=",
        );
        Config::load(&environment, folder).unwrap()
    }

    #[test]
    fn later_settings_count_and_those_of_the_call_most() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("more"),
            "[receive]\n\tunpackLimit = 2k\n",
        )
        .unwrap();
        let text = "[receive]\n\tdenyDeletes = no\n\tunpackLimit = 1\n[include]\n\tpath = more\n[transfer]\n\t\
                    hideRefs = refs/a\n\thideRefs = refs/b\n\tfsckObjects\n\tx = maybe\n";
        let config = config(folder.path(), text);
        assert_eq!(config.flag("receive.denydeletes").unwrap(), Some(true));
        assert_eq!(config.number("receive.unpacklimit").unwrap(), Some(2048));
        assert_eq!(config.all("transfer.hiderefs").count(), 2);
        assert_eq!(config.flag("transfer.fsckobjects").unwrap(), Some(true));
        assert_eq!(config.text("a.B.c"), Some(BStr::new("x")));
        assert_eq!(config.text("core.x"), Some(BStr::new("it's")));
        assert_eq!(config.number("core.y").unwrap(), Some(1));
        assert_eq!(config.flag("core.z").unwrap(), Some(true));
        let bad = config.flag("transfer.x").unwrap_err();
        assert_eq!(
            bad.to_string(),
            "bad boolean config value 'maybe' for 'transfer.x'"
        );
    }
}
