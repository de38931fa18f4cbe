//! Git's configuration: of the system, of the user, of the repository, and of the call.
//!
//! `include.path` is followed; `includeIf` is not.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use packhouse_object::{ConfigItem, ConfigReading, read_config};

use crate::environment::Environment;
use crate::error::ProgramError;

/// The most bytes of a file of settings.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// How deep files include others; Git's own limit.
const INCLUDE_DEPTH_MAX: u32 = 10;

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

    fn read_users(&mut self, environment: &Environment) -> Result<(), ProgramError> {
        let home = home(environment);
        let home = home.as_deref();
        if !environment.text("GIT_CONFIG_NOSYSTEM").is_some_and(is_true) {
            let path = environment.present("GIT_CONFIG_SYSTEM");
            let path = path.unwrap_or("/etc/gitconfig".as_ref());
            self.read_file(Path::new(path), home, 0)?;
        }
        if let Some(path) = environment.present("GIT_CONFIG_GLOBAL") {
            return self.read_file(Path::new(path), home, 0);
        }
        let xdg = match environment.get("XDG_CONFIG_HOME") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => home.map(|home| home.join(".config")),
        };
        if let Some(folder) = xdg {
            self.read_file(&folder.join("git/config"), home, 0)?;
        }
        match home {
            Some(folder) => self.read_file(&folder.join(".gitconfig"), home, 0),
            None => Ok(()),
        }
    }

    fn read_file(
        &mut self,
        path: &Path,
        home: Option<&Path>,
        depth: u32,
    ) -> Result<(), ProgramError> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let text = match fs::metadata(path) {
            Ok(file) if file.len() > FILE_BYTES_MAX => {
                let message = format!("file '{}' is too large", path.display());
                return Err(ProgramError::Config(message));
            }
            Ok(_) => fs::read(path),
            Err(error) => Err(error),
        };
        let text = match text {
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Ok(());
            }
            // What the user may not look at is as if it were not there, as for git.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            text => text.map_err(ProgramError::io("read", path))?,
        };
        let mut section = BString::default();
        let mut found = Vec::new();
        let read = read_config(&text, ConfigReading::File, &mut |_, item| {
            match item {
                ConfigItem::Section(name) => section = name.into(),
                ConfigItem::Setting { key, value } => {
                    let name = [&section[..], b".", key].concat();
                    found.push((BString::from(name), value.map(BString::from)));
                }
            }
            Ok(())
        });
        read.map_err(|bad| {
            let file = path.display();
            ProgramError::Config(format!("bad config line {} in file {file}", bad.line))
        })?;
        for (name, value) in found {
            let include = (name == "include.path").then(|| value.clone()).flatten();
            self.entries.push((name, value));
            if let Some(include) = include {
                if depth == INCLUDE_DEPTH_MAX {
                    let message = format!("exceeded maximum include depth ({INCLUDE_DEPTH_MAX})");
                    return Err(ProgramError::Config(message));
                }
                let include = interpolated(include.as_bstr(), home);
                let folder = path.parent().unwrap_or(Path::new("."));
                self.read_file(&folder.join(include), home, depth + 1)?;
            }
        }
        Ok(())
    }

    /// `GIT_CONFIG_COUNT` and its like, and what `git -c` passes on.
    fn read_call(&mut self, environment: &Environment) -> Result<(), ProgramError> {
        if let Some(text) = environment.text("GIT_CONFIG_PARAMETERS") {
            for (name, value) in parameters(text)? {
                self.add(&name, value);
            }
        }
        let Some(count) = environment.text("GIT_CONFIG_COUNT") else {
            return Ok(());
        };
        let count: u32 = count
            .parse()
            .map_err(|_| ProgramError::Config("bogus count in GIT_CONFIG_COUNT".to_owned()))?;
        for number in 0..count {
            let missing = |what: &str, name: &str| {
                ProgramError::Config(format!("missing config {what} {name}"))
            };
            let name = format!("GIT_CONFIG_KEY_{number}");
            let key = environment
                .text(&name)
                .ok_or_else(|| missing("key", &name))?;
            let name = format!("GIT_CONFIG_VALUE_{number}");
            let value = environment
                .present(&name)
                .ok_or_else(|| missing("value", &name))?;
            self.add(key, Some(value.as_encoded_bytes().into()));
        }
        Ok(())
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

/// The settings in `GIT_CONFIG_PARAMETERS`: `'name'='value'` or `'name=value'`, between spaces.
fn parameters(text: &str) -> Result<Vec<(String, Option<BString>)>, ProgramError> {
    let bogus = || ProgramError::Config("bogus format in GIT_CONFIG_PARAMETERS".to_owned());
    let mut settings = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (first, after) = unquote(rest).ok_or_else(bogus)?;
        rest = after;
        match rest.strip_prefix('=') {
            Some("") => {
                settings.push((first, None));
                rest = "";
            }
            Some(after) if after.starts_with(' ') => {
                settings.push((first, None));
                rest = after;
            }
            Some(after) => {
                let (value, after) = unquote(after).ok_or_else(bogus)?;
                settings.push((first, Some(value.into())));
                rest = after;
            }
            None => match first.split_once('=') {
                Some((name, value)) => settings.push((name.to_owned(), Some(value.into()))),
                None => settings.push((first, None)),
            },
        }
        rest = rest.trim_start();
    }
    Ok(settings)
}

/// Text in single quotes as a shell reads it, where `'\''` and `'\!'` stand for themselves; and what follows.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('\'')?;
    let mut unquoted = String::new();
    loop {
        let end = rest.find('\'')?;
        unquoted.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        let Some(escaped) = rest.strip_prefix('\\') else {
            return Some((unquoted, rest));
        };
        let character = escaped.chars().next().filter(|c| matches!(c, '\'' | '!'))?;
        unquoted.push(character);
        rest = escaped[1..].strip_prefix('\'')?;
    }
}

#[cfg(test)]
mod tests {
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
