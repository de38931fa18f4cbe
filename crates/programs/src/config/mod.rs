//! Git's configuration: of the system, of the user, of the repository, and of the call.
//!
//! A file that `include.path` or `includeIf` names is read where it is named.

mod condition;
mod parameters;
mod read;

use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use packhouse_repo::directory::Served;

use self::read::Reading;
use crate::environment::Environment;
use crate::error::ProgramError;

/// Settings in the order of their weight: the last of one name counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    entries: Vec<(BString, Option<BString>)>,
}

impl Config {
    /// All settings for a repository.
    pub(crate) fn load(
        environment: &Environment,
        repository: &Served,
    ) -> Result<Config, ProgramError> {
        Reading::new(environment, Some(repository)).read()
    }

    /// The settings that no repository can make: those of the system, the user and the call.
    pub(crate) fn protected(environment: &Environment) -> Result<Config, ProgramError> {
        Reading::new(environment, None).read()
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

    /// The settings of a section and its subsections in the order in which they stand, each with its whole name.
    pub(crate) fn of_section(&self, section: &str) -> impl Iterator<Item = (&BStr, &BStr)> {
        let prefix = format!("{section}.");
        let of_it = move |name: &BString| name.starts_with(prefix.as_bytes());
        let values = self.entries.iter().filter(move |(name, _)| of_it(name));
        values.map(|(name, value)| {
            let value = value
                .as_ref()
                .map_or(BStr::new(""), |value| value.as_bstr());
            (name.as_bstr(), value)
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

    /// The settings whose names begin with `prefix`, by the rest of the name, in order.
    pub(crate) fn below<'c>(
        &'c self,
        prefix: &'c str,
    ) -> impl Iterator<Item = (&'c BStr, Option<&'c BStr>)> {
        self.entries.iter().filter_map(move |(known, value)| {
            let rest = known.strip_prefix(prefix.as_bytes())?;
            Some((rest.as_bstr(), value.as_ref().map(|value| value.as_bstr())))
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
    expanded(path, home).unwrap_or_else(|| path.to_path_lossy().into_owned())
}

/// The same, if it is known where that is.
fn expanded(path: &BStr, home: Option<&Path>) -> Option<PathBuf> {
    match path.strip_prefix(b"~/") {
        Some(rest) => Some(home?.join(rest.to_path_lossy())),
        None => Some(path.to_path_lossy().into_owned()),
    }
}

#[cfg(test)]
mod tests;
